package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/pelletier/go-toml/v2"
)

// Policy is the committee's one set of rules: which requests may be paid and what a transaction may cost. Its file's
// bytes stand in the genesis document; version and hash stand in every verdict. All amounts are wei.
type Policy struct {
	Version uint64
	Hash    common.Hash // keccak256 of the file's bytes

	GapGrace     time.Duration
	UncoveredMax uint256.Int
	HoldMax      time.Duration
	MaxPerEvent  map[uint8]uint256.Int // by event kind; a kind that is not listed has no ceiling

	BatchWait time.Duration
	InFlight  uint64
	BumpAfter time.Duration
	// ResumeDelay is how long after the halts the operators may end them: time for everybody to look, and for cool heads.
	ResumeDelay time.Duration
	Fees        FeeRule
	Batches     BatchRule
	Tariffs     map[string]Tariff // by network name

	Limits     Limits
	Governors  []Bucket
	Shares     Shares
	Watch      Watch
	Settlement Settlement
}

// Ref names the policy.
func (p Policy) Ref() PolicyRef { return PolicyRef{p.Version, p.Hash} }

// FeeRule is how a batch's fee offer follows from the base fee that q members saw.
type FeeRule struct {
	TipFloor      uint256.Int // wei per gas; a tip of zero is refused by chains
	OfferPercent  uint64      // of the base fee: the first offer is base × percent / 100 + tip
	CapPercent    uint64      // of the offer: the highest fee that any later step may reach
	FeeCeiling    uint256.Int // wei per gas that neither offer nor cap ever passes
	GasLimit      uint64      // of a native payout; never 21,000, the recipient may hold code
	TokenGasLimit uint64      // of a token payout
}

// Offer returns tip, first offer and cap in wei per gas for a base fee. ok is false when the offer is above the ceiling:
// the payment then waits for a calmer chain, for a lower offer would only sit at its nonce and block the ones behind it.
func (f FeeRule) Offer(baseFee uint256.Int) (tip, offer, feeCap uint256.Int, ok bool) {
	tip = f.TipFloor
	offer = percent(baseFee, f.OfferPercent)
	if _, over := offer.AddOverflow(&offer, &tip); over || offer.Gt(&f.FeeCeiling) {
		return tip, offer, feeCap, false
	}
	feeCap = percent(offer, f.CapPercent)
	if feeCap.Gt(&f.FeeCeiling) {
		feeCap = f.FeeCeiling
	}
	return tip, offer, feeCap, true
}

// percent is ⌊v × p / 100⌋, saturating.
func percent(v uint256.Int, p uint64) uint256.Int {
	var out uint256.Int
	if _, over := out.MulDivOverflow(&v, uint256.NewInt(p), uint256.NewInt(100)); over {
		out.SetAllOne()
	}
	return out
}

// Tariff is what a withdrawal on one network costs and the least that may be withdrawn.
type Tariff struct {
	Fixed   uint256.Int // wei
	Minimum uint256.Int // wei
	Tiers   []Tier      // ascending by From, the first from zero
}

// Tier is a ratio of the amount, from an amount on. The Relay computes with the exact rational value of a float64, so
// 0.01 of 10 coins is 100000000000000002 wei, not 1e17; the decimal string of the file is read the same way.
type Tier struct {
	From  uint256.Int
	Ratio *big.Rat
}

// Fee returns fixed + ⌊amount × ratio⌋ by the highest tier that amount reaches. ok is false on overflow.
func (t Tariff) Fee(amount uint256.Int) (fee uint256.Int, ok bool) {
	var ratio *big.Rat
	for _, tier := range t.Tiers {
		if !amount.Lt(&tier.From) {
			ratio = tier.Ratio
		}
	}
	if ratio == nil {
		return fee, false
	}
	share := new(big.Int).Mul(amount.ToBig(), ratio.Num())
	share.Quo(share, ratio.Denom())
	v, over := uint256.FromBig(share)
	if over {
		return fee, false
	}
	if _, over := fee.AddOverflow(&t.Fixed, v); over {
		return fee, false
	}
	return fee, true
}

// DefaultResumeDelay is the delay of a policy file that does not name one. Only development networks choose less.
const DefaultResumeDelay = 10 * time.Minute

// MaxPolicyFile bounds a policy file in bytes.
const MaxPolicyFile = 64 << 10

// policyFile is the TOML shape. Amounts are decimal strings: a TOML integer holds 63 bits, an amount 256.
type policyFile struct {
	Version      uint64            `toml:"version"`
	GapGrace     string            `toml:"gap_grace"`
	UncoveredMax string            `toml:"uncovered_max"`
	HoldMax      string            `toml:"hold_max"`
	MaxPerEvent  map[string]string `toml:"max_per_event"`
	BatchWait    string            `toml:"batch_wait"`
	InFlight     uint64            `toml:"in_flight"`
	BumpAfter    string            `toml:"bump_after"`
	ResumeDelay  string            `toml:"resume_delay"`
	Fees         struct {
		TipFloor      string `toml:"tip_floor"`
		OfferPercent  uint64 `toml:"offer_percent"`
		CapPercent    uint64 `toml:"cap_percent"`
		Ceiling       string `toml:"ceiling"`
		GasLimit      uint64 `toml:"gas_limit"`
		TokenGasLimit uint64 `toml:"token_gas_limit"`
	} `toml:"fees"`
	Batch *batchFile `toml:"batch"`
	limitsFile
	Tariff []struct {
		Network string `toml:"network"`
		Fixed   string `toml:"fixed"`
		Minimum string `toml:"minimum"`
		Tiers   []struct {
			From  string `toml:"from"`
			Ratio string `toml:"ratio"`
		} `toml:"tiers"`
	} `toml:"tariff"`
}

// ParsePolicy reads a policy file. Unknown keys, missing values and values out of bounds are errors that name the key.
func ParsePolicy(file []byte) (Policy, error) {
	var none Policy
	if len(file) > MaxPolicyFile {
		return none, fmt.Errorf("policy: %d bytes, at most %d", len(file), MaxPolicyFile)
	}
	var f policyFile
	dec := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return none, fmt.Errorf("policy: %w", tomlError(err))
	}
	p := Policy{Version: f.Version, Hash: crypto.Keccak256Hash(file), InFlight: f.InFlight}
	r := reader{}
	p.GapGrace = r.duration("gap_grace", f.GapGrace)
	p.HoldMax = r.duration("hold_max", f.HoldMax)
	p.BatchWait = r.duration("batch_wait", f.BatchWait)
	p.BumpAfter = r.duration("bump_after", f.BumpAfter)
	p.ResumeDelay = DefaultResumeDelay
	if f.ResumeDelay != "" {
		p.ResumeDelay = r.duration("resume_delay", f.ResumeDelay)
	}
	p.UncoveredMax = r.amount("uncovered_max", f.UncoveredMax)
	p.MaxPerEvent = r.ceilings(f.MaxPerEvent)
	p.Fees = FeeRule{
		TipFloor:      r.amount("fees.tip_floor", f.Fees.TipFloor),
		OfferPercent:  f.Fees.OfferPercent,
		CapPercent:    f.Fees.CapPercent,
		FeeCeiling:    r.amount("fees.ceiling", f.Fees.Ceiling),
		GasLimit:      f.Fees.GasLimit,
		TokenGasLimit: f.Fees.TokenGasLimit,
	}
	p.Batches = f.Batch.rule()
	p.Tariffs = map[string]Tariff{}
	for i, t := range f.Tariff {
		at := fmt.Sprintf("tariff[%d]", i)
		tariff := Tariff{Fixed: r.amount(at+".fixed", t.Fixed), Minimum: r.amount(at+".minimum", t.Minimum)}
		for j, tier := range t.Tiers {
			key := fmt.Sprintf("%s.tiers[%d]", at, j)
			tariff.Tiers = append(tariff.Tiers, Tier{r.amount(key+".from", tier.From), r.ratio(key+".ratio", tier.Ratio)})
		}
		if _, twice := p.Tariffs[t.Network]; twice || t.Network == "" {
			r.fail(at+".network", "is missing or stands twice")
		}
		p.Tariffs[t.Network] = tariff
	}
	r.limits(f.limitsFile, &p)
	if r.err != nil {
		return none, r.err
	}
	if err := p.check(); err != nil {
		return none, fmt.Errorf("policy: %w", err)
	}
	return p, nil
}

// Bounds of a policy's values: outside them a file is a slip, not a choice.
const (
	maxInFlight   = 64
	minGasLimit   = 21_001    // 21,000 fails towards an address with code
	maxGasLimit   = 1_000_000 // per payout of one item
	maxPercent    = 10_000
	minOfferRatio = 100
)

func (p Policy) check() error {
	switch {
	case p.Version == 0:
		return errors.New("version starts at 1")
	case p.InFlight == 0 || p.InFlight > maxInFlight:
		return fmt.Errorf("in_flight: want 1 to %d", maxInFlight)
	case p.Fees.OfferPercent < minOfferRatio || p.Fees.OfferPercent > maxPercent:
		return fmt.Errorf("fees.offer_percent: want %d to %d", minOfferRatio, maxPercent)
	case p.Fees.CapPercent < minOfferRatio || p.Fees.CapPercent > maxPercent:
		return fmt.Errorf("fees.cap_percent: want %d to %d", minOfferRatio, maxPercent)
	case p.Fees.TipFloor.IsZero():
		return errors.New("fees.tip_floor: a tip of zero is refused by chains")
	case p.Fees.FeeCeiling.Lt(&p.Fees.TipFloor):
		return errors.New("fees.ceiling: below the tip")
	case p.Fees.GasLimit < minGasLimit || p.Fees.GasLimit > maxGasLimit:
		return fmt.Errorf("fees.gas_limit: want %d to %d", minGasLimit, maxGasLimit)
	case p.Fees.TokenGasLimit < minGasLimit || p.Fees.TokenGasLimit > maxGasLimit:
		return fmt.Errorf("fees.token_gas_limit: want %d to %d", minGasLimit, maxGasLimit)
	case len(p.Tariffs) == 0:
		return errors.New("no tariff: nothing could ever be paid")
	}
	if err := p.Batches.check(); err != nil {
		return err
	}
	for name, t := range p.Tariffs {
		if len(t.Tiers) == 0 || !t.Tiers[0].From.IsZero() {
			return fmt.Errorf("tariff %q: the first tier starts at zero", name)
		}
		for i := 1; i < len(t.Tiers); i++ {
			if !t.Tiers[i-1].From.Lt(&t.Tiers[i].From) {
				return fmt.Errorf("tariff %q: tiers ascend strictly", name)
			}
		}
	}
	return nil
}

// reader collects the first bad value, so that the caller reads as a list of keys.
type reader struct{ err error }

func (r *reader) fail(key, why string) {
	if r.err == nil {
		r.err = fmt.Errorf("policy: %s %s", key, why)
	}
}

func (r *reader) amount(key, s string) uint256.Int {
	v, ok := ParseWei(s)
	if !ok {
		r.fail(key, fmt.Sprintf("must be a decimal string in wei, not %q", s))
	}
	return v
}

func (r *reader) duration(key, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > 24*time.Hour {
		r.fail(key, fmt.Sprintf("must be a duration between 0 and 24h, not %q", s))
	}
	return d
}

func (r *reader) ratio(key, s string) *big.Rat {
	f, err := strconv.ParseFloat(s, 64)
	// ParseFloat alone would also take hex, exponents, signs and NaN.
	if err != nil || strings.Trim(s, "0123456789.") != "" || f >= 1 {
		r.fail(key, fmt.Sprintf("must be a decimal string from 0 to below 1, not %q", s))
		return new(big.Rat)
	}
	return new(big.Rat).SetFloat64(f)
}

func (r *reader) ceilings(in map[string]string) map[uint8]uint256.Int {
	out := map[uint8]uint256.Int{}
	for k, v := range in {
		kind, err := strconv.ParseUint(k, 10, 8)
		// The one spelling only: "3" and "03" would be one kind with two ceilings, and a map's order would choose.
		if err != nil || strconv.FormatUint(kind, 10) != k {
			r.fail("max_per_event", fmt.Sprintf("has the key %q, want an event type's number", k))
		}
		out[uint8(kind)] = r.amount("max_per_event."+k, v)
	}
	return out
}

// ParseWei reads a decimal amount in its one canonical form: digits, no sign, no leading zero, at most 256 bits.
func ParseWei(s string) (uint256.Int, bool) {
	var v uint256.Int
	if s == "" || len(s) > 78 || (s[0] == '0' && len(s) > 1) {
		return v, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return v, false
		}
	}
	return v, v.SetFromDecimal(s) == nil
}

// tomlError turns the library's error into one line with its position.
func tomlError(err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) && len(strict.Errors) > 0 {
		row, _ := strict.Errors[0].Position()
		return fmt.Errorf("line %d: unknown key %s", row, strings.Join(strict.Errors[0].Key(), "."))
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, _ := at.Position()
		return fmt.Errorf("line %d: %s", row, at.Error())
	}
	return err
}
