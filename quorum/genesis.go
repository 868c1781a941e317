package quorum

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/ethereum/go-ethereum/common"
)

// MaxGenesisFile bounds a genesis document in bytes.
const MaxGenesisFile = 1 << 20

// Genesis is the document that a network starts from. Its hash without signatures is the network's id, so that two
// documents that differ in a byte are two networks, whose statements mean nothing to each other.
type Genesis struct {
	Version       uint64           `json:"version"`
	Name          string           `json:"name"`
	Members       []Member         `json:"members"`
	Lanes         []Lane           `json:"lanes"`
	FeeAddress    common.Address   `json:"fee_address"`
	DaoAddress    common.Address   `json:"dao_address"`
	VestingAdmins []common.Address `json:"vesting_admins"`
	Policy        string           `json:"policy"` // the policy file's bytes
	Cutover       Cutover          `json:"cutover"`
	VestingTerms  []VestingTerm    `json:"vesting_terms,omitempty" rlp:"optional"` // of those admins whose word does not always count
	Signatures    []Signature      `json:"signatures" rlp:"-"`                     // of operators, see package governance
}

// Lane is one payout network of the genesis document; its payer comes out of the ceremony.
type Lane struct {
	Network         string         `json:"network"`
	ChainID         uint64         `json:"chain_id"`
	Token           common.Address `json:"token"`    // zero for the native coin
	Way             string         `json:"way"`      // WaySingle or WayBatch
	Contract        common.Address `json:"contract"` // pays batches; zero on a lane of the way "single"
	DepositAddress  common.Address `json:"deposit_address"`
	BenefitContract common.Address `json:"benefit_contract"` // zero: the chain binds no benefit addresses
	Finality        uint64         `json:"finality"`         // blocks on top; 0 for the chain's finalized tag
	FirstNonce      uint64         `json:"first_nonce"`
	MinEndpoints    uint64         `json:"min_endpoints"` // how many endpoints every node must have and hear agree
}

// Cutover says up to which event the Relay's history counts at face value.
type Cutover struct {
	Event   uint64        `json:"event"`
	Root    common.Hash   `json:"root"`
	Vesting []common.Hash `json:"vesting"` // digests of vesting records whose signatures predate July 2026
	Carried []uint64      `json:"carried"` // withdrawals before the cut-over that this network pays
}

// Past reports whether a withdrawal is history that this network does not pay. Carried ascends.
func (c Cutover) Past(event, wid uint64) bool {
	_, carried := slices.BinarySearch(c.Carried, wid)
	return event <= c.Event && !carried
}

// MaxCutover bounds each list of a cut-over.
const MaxCutover = 8192

func (c Cutover) check() error {
	switch {
	case c.Event == 0 && (c.Root != (common.Hash{}) || len(c.Vesting)+len(c.Carried) != 0):
		return errors.New("a network without history has no root, vesting or carried withdrawals")
	case c.Event != 0 && c.Root == (common.Hash{}):
		return errors.New("the root is missing")
	case len(c.Vesting) > MaxCutover || len(c.Carried) > MaxCutover:
		return fmt.Errorf("at most %d entries in a list", MaxCutover)
	}
	// One order, so that one history makes one document.
	for i := 1; i < len(c.Vesting); i++ {
		if c.Vesting[i-1].Cmp(c.Vesting[i]) >= 0 {
			return errors.New("vesting must ascend")
		}
	}
	for i := 1; i < len(c.Carried); i++ {
		if c.Carried[i-1] >= c.Carried[i] {
			return errors.New("carried must ascend")
		}
	}
	return nil
}

// GenesisVersion is the only document version that exists.
const GenesisVersion = 1

// The ways of a lane.
const (
	// WaySingle pays each withdrawal by a transaction of its own.
	WaySingle = "single"
	// WayBatch pays many by one call of the lane's contract, and one alone as WaySingle does.
	WayBatch = "batch"
)

// ID is the network id: keccak256 over the document without its signatures.
func (g Genesis) ID() common.Hash { return keccak(mustEncode(g)) }

// Roster returns the founding members: epoch 0, which decides height 1 and nothing else.
func (g Genesis) Roster() (Roster, error) { return NewRoster(0, g.Members) }

// LaneOf returns the lane of a network name.
func (g Genesis) LaneOf(network string) (Lane, bool) {
	for _, l := range g.Lanes {
		if l.Network == network {
			return l, true
		}
	}
	return Lane{}, false
}

// Key names the lane together with the payer that the ceremony made.
func (l Lane) Key(payer common.Address) LaneKey { return LaneKey{l.ChainID, l.Token, payer} }

// Check looks at everything but the operators' signatures: shape, members, lanes and policy.
func (g Genesis) Check() error {
	switch {
	case g.Version != GenesisVersion:
		return fmt.Errorf("genesis: version %d, this program knows %d", g.Version, GenesisVersion)
	case !plainName(g.Name):
		return fmt.Errorf("genesis: name must have 1 to %d letters, digits or -._~", maxName)
	case len(g.Lanes) == 0 || len(g.Lanes) > MaxLanes:
		return fmt.Errorf("genesis: %d lanes, want 1 to %d", len(g.Lanes), MaxLanes)
	}
	if err := g.Cutover.check(); err != nil {
		return fmt.Errorf("genesis: cut-over: %w", err)
	}
	if err := checkVesting(g.VestingAdmins, g.VestingTerms); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	roster, err := g.Roster()
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	for i := range roster.Members {
		// The order is signed; a second order of the same members would be a second network.
		if roster.Members[i].Address != g.Members[i].Address {
			return errors.New("genesis: members must stand ascending by address")
		}
	}
	policy, err := ParsePolicy([]byte(g.Policy))
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	return g.checkLanes(policy)
}

// plainName reports whether a network's name can stand in a path, a URL and a metric's label as it is.
func plainName(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-._~", r):
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func (g Genesis) checkLanes(policy Policy) error {
	seen := map[any]bool{}
	for _, l := range g.Lanes {
		asset := LaneKey{ChainID: l.ChainID, Token: l.Token}
		switch {
		case l.Network == "" || len(l.Network) > MaxNetworkName || !printable(l.Network):
			return fmt.Errorf("genesis: a lane's network name must have 1 to %d bytes of printable text", MaxNetworkName)
		case seen[l.Network] || seen[asset]:
			return fmt.Errorf("genesis: lane %q: the network or its token stands twice", l.Network)
		case l.ChainID == 0:
			return fmt.Errorf("genesis: lane %q: chain_id is missing", l.Network)
		case l.DepositAddress == (common.Address{}):
			return fmt.Errorf("genesis: lane %q: deposit_address is missing", l.Network)
		case l.MinEndpoints == 0:
			return fmt.Errorf("genesis: lane %q: min_endpoints must be at least 1", l.Network)
		}
		if _, ok := policy.Tariffs[l.Network]; !ok {
			return fmt.Errorf("genesis: lane %q: the policy has no tariff for it", l.Network)
		}
		if err := l.checkWay(); err != nil {
			return fmt.Errorf("genesis: lane %q: %w", l.Network, err)
		}
		seen[l.Network], seen[asset] = true, true
	}
	return nil
}

// ParseGenesis reads a genesis document. Unknown and repeated fields are refused: what an operator read and what the
// node signs must be the same.
func ParseGenesis(file []byte) (Genesis, error) {
	var g Genesis
	if err := DecodeJSON(file, MaxGenesisFile, &g); err != nil {
		return Genesis{}, fmt.Errorf("genesis: %w", err)
	}
	return g, g.Check()
}

// SignedMember is a member record as operators exchange it.
type SignedMember struct {
	Member
	Signature Signature `json:"signature"`
}

// MemberDigest is what a node signs of its own record; there is no network yet, so the network is zero.
func MemberDigest(m Member) common.Hash { return Digest(KindMember, common.Hash{}, m) }

// ParseMember reads a member record and verifies that the node's own key signed it.
func ParseMember(file []byte) (SignedMember, error) {
	var m SignedMember
	if err := DecodeJSON(file, MaxStatement, &m); err != nil {
		return SignedMember{}, fmt.Errorf("member record: %w", err)
	}
	if err := m.Check(); err != nil {
		return SignedMember{}, fmt.Errorf("member record: %w", err)
	}
	signer, err := m.Signature.Recover(MemberDigest(m.Member))
	if err != nil || signer != m.Address {
		return SignedMember{}, errors.New("member record: the signature is not of the record's own key")
	}
	return m, nil
}

// Check implements Body by the member's own check.
func (m SignedMember) Check() error { return m.Member.Check() }

// DecodeJSON reads one strict JSON document: bounded, no unknown field, no repeated field, nothing after it.
func DecodeJSON(file []byte, bound int, into any) error {
	if len(file) > bound {
		return fmt.Errorf("%d bytes, at most %d", len(file), bound)
	}
	if err := noRepeatedKeys(json.NewDecoder(bytes.NewReader(file))); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(file))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	return nil
}

// maxJSONDepth bounds nesting, so that a hostile file cannot grow the stack.
const maxJSONDepth = 16

// noRepeatedKeys walks the tokens of one document. encoding/json takes the last of two equal keys in silence.
func noRepeatedKeys(dec *json.Decoder) error { return walkValue(dec, 0) }

func walkValue(dec *json.Decoder, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("nested deeper than %d", maxJSONDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	keys := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			key, err := dec.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			// encoding/json matches names without regard to case, by Unicode's folding ("ſ" is "s"), so two spellings are
			// one field.
			if strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII }) {
				return fmt.Errorf("field %q: names are ASCII", name)
			}
			name = strings.ToLower(name)
			if keys[name] {
				return fmt.Errorf("field %q stands twice", name)
			}
			keys[name] = true
		}
		if err := walkValue(dec, depth+1); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
