package simnet

import (
	"crypto/ecdsa"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/ledger"
	"conclave/p2p"
	"conclave/quorum"
	"conclave/quorum/batch"
	"conclave/tss/tsstest"
)

// What every world has.
const (
	Network = "simnet" // the one lane
	chainID = 7077
	members = tsstest.Members
)

// The tariff, in whole coins: the Relay and the policy say the same.
const (
	tariffFixed = 1
	tariffMin   = 4
	tariffRatio = 0.01
)

// place is an address that nobody holds a key of, for a purpose.
func place(purpose string) common.Address {
	return common.BytesToAddress(crypto.Keccak256([]byte("conclave simnet " + purpose))[12:])
}

var oneCoin = new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil)

// Coins reads a decimal number of coins as wei; negative ones too.
func Coins(s string) (*big.Int, error) {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is no number of coins", s)
	}
	r.Mul(r, new(big.Rat).SetInt(oneCoin))
	if !r.IsInt() {
		return nil, fmt.Errorf("%q is finer than a wei", s)
	}
	return r.Num(), nil
}

// DefaultPolicy is a policy with short waits, by key of the policy file. Tariffs and fees are not among them.
func DefaultPolicy() map[string]string {
	return map[string]string{
		"gap_grace": "20s", "uncovered_max": "100000000000000000000", "hold_max": "30s", "batch_wait": "300ms", "bump_after": "30s",
		"resume_delay": "30s",
	}
}

// policySections are the tables of the policy file that a world may fill, with keys such as "watch.logs_max".
var policySections = map[string]bool{"max_per_event": true, "limits": true, "shares": true, "watch": true, "settlement": true, "batch": true}

// policyValue writes a value as its table wants it: lists and truth as they are, counts bare, everything else as text.
func policyValue(section, v string) string {
	_, err := strconv.ParseUint(v, 10, 64)
	if strings.HasPrefix(v, "[") || v == "true" || v == "false" || (err == nil && (section == "watch" || section == "shares" || section == "batch")) {
		return v
	}
	return strconv.Quote(v)
}

func policyFile(values map[string]string, networks []string) string {
	var b strings.Builder
	b.WriteString("version = 1\nin_flight = 4\n")
	sections := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		section, key, ok := strings.Cut(k, ".")
		if !ok {
			fmt.Fprintf(&b, "%s = %q\n", k, values[k])
			continue
		}
		sections[section] += key + " = " + policyValue(section, values[k]) + "\n"
	}
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		fmt.Fprintf(&b, "[%s]\n%s", name, sections[name])
	}
	b.WriteString(`[fees]
tip_floor = "1000000000"
offer_percent = 200
cap_percent = 400
ceiling = "1000000000000"
gas_limit = 60000
token_gas_limit = 120000

`)
	for _, network := range networks {
		fmt.Fprintf(&b, `[[tariff]]
network = %q
fixed = "%d000000000000000000"
minimum = "%d000000000000000000"
[[tariff.tiers]]
from = "0"
ratio = "%v"
`, network, tariffFixed, tariffMin, tariffRatio)
	}
	return b.String()
}

// committee is the fixtures' members, ascending by address: index i of a world is the i-th of them.
func committee() []*ecdsa.PrivateKey {
	keys := make([]*ecdsa.PrivateKey, members)
	for i := range keys {
		keys[i] = tsstest.MemberKey(i)
	}
	slices.SortFunc(keys, func(a, b *ecdsa.PrivateKey) int {
		return crypto.PubkeyToAddress(a.PublicKey).Cmp(crypto.PubkeyToAddress(b.PublicKey))
	})
	return keys
}

func memberOf(i int, key *ecdsa.PrivateKey) quorum.Member {
	m := quorum.Member{
		Name: fmt.Sprintf("n%d", i), Address: crypto.PubkeyToAddress(key.PublicKey), Operator: operatorOf(i),
		Multiaddrs: []string{"/memory/" + fmt.Sprint(i+1)},
	}
	copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
	return m
}

func newGenesis(cfg Config, keys []*ecdsa.PrivateKey) (quorum.Genesis, error) {
	g := quorum.Genesis{
		Version: quorum.GenesisVersion, Name: "simnet", FeeAddress: place("fee"), DaoAddress: place("dao"), Policy: policyFile(cfg.Policy, cfg.lanes()) + cfg.Governors,
		VestingAdmins: []common.Address{crypto.PubkeyToAddress(vestingAdmin().PublicKey)},
		Lanes: []quorum.Lane{{
			Network: Network, ChainID: chainID, Way: quorum.WaySingle, DepositAddress: place("deposit"),
			BenefitContract: place("benefit contract"), Finality: cfg.Finality, MinEndpoints: uint64(max(1, cfg.Endpoints)),
		}},
	}
	if cfg.Batches {
		g.Lanes[0].Way, g.Lanes[0].Contract = quorum.WayBatch, place("payout contract")
	}
	cfg.tokenLane(&g.Lanes[0])
	if cfg.OtherLane {
		g.Lanes = append(g.Lanes, otherGenesis(cfg.Finality))
	}
	for i, k := range keys {
		g.Members = append(g.Members, memberOf(i, k))
	}
	return g, g.Check()
}

func peers(keys []*ecdsa.PrivateKey) []p2p.Peer {
	out := make([]p2p.Peer, len(keys))
	for i, k := range keys {
		out[i] = p2p.NewPeer(&k.PublicKey)
	}
	return out
}

// founding is the decision of height 1 as the committee would have made it, with what follows from it.
type founding struct {
	decision quorum.Committed
	effects  ledger.DecisionEffects
}

// found decides height 1 with the fixtures' ceremony. Its VIEWs and votes are of a time before any custodian's own: they
// carry counter zero, which no node ever gives.
func found(g quorum.Genesis, keys []*ecdsa.PrivateKey, t quorum.Transcript) (founding, error) {
	var none founding
	state, err := batch.NewState(g)
	if err != nil {
		return none, err
	}
	action, err := tsstest.Ceremony(g.ID(), g.Members, t)
	if err != nil {
		return none, err
	}
	var views []quorum.Signed[quorum.View]
	for _, k := range keys {
		v, err := quorum.Sign(k, g.ID(), quorum.View{Time: uint64(time.Now().UnixMilli())})
		if err != nil {
			return none, err
		}
		views = append(views, v)
	}
	b, err := state.BuildMembers(action, views)
	if err != nil {
		return none, err
	}
	var votes []quorum.Signed[quorum.Vote]
	for _, k := range keys[:state.Roster.Q()] {
		v, err := quorum.Sign(k, g.ID(), quorum.Vote{Height: 1, Phase: quorum.Precommit, ID: b.ID(g.ID())})
		if err != nil {
			return none, err
		}
		votes = append(votes, v)
	}
	qc, ok := quorum.NewQC(state.Roster, 1, 0, quorum.Precommit, b.ID(g.ID()), votes)
	if !ok {
		return none, fmt.Errorf("found: %d votes make no certificate", len(votes))
	}
	committed, err := quorum.NewCommitted(g.ID(), qc, b.Encode())
	return founding{committed, ledger.DecisionEffects{Members: &action}}, err
}

// write puts the decision into an empty ledger.
func (f founding) write(dir string, network common.Hash) error {
	l, err := ledger.Open(dir, network)
	if err != nil {
		return err
	}
	if err := l.Update(func(tx *ledger.Tx) error { return tx.Decide(f.decision, f.effects) }); err != nil {
		return fmt.Errorf("found: %w", err)
	}
	return l.Close()
}
