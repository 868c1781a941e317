package relay

import (
	"strconv"
)

// Tariff is what the Relay publishes about withdrawals, network by network in the order of their names. It informs: what
// a withdrawal must cost is the policy's word.
type Tariff []NetworkTariff

// NetworkTariff is the tariff of one network.
type NetworkTariff struct {
	Network   string
	TokenType string // "native" or what the Relay calls a token
	Fee       uint64 // fixed part in whole coins: × 1e18 wei
	Min       uint64 // the smallest withdrawal, in whole coins
	Tiers     []Tier // by rising Min, the first from 0
	MaxPerDay int64  // withdrawals of one account in one UTC day
}

// Tier is the relative fee from a certain amount on.
type Tier struct {
	Min   uint64 // whole coins
	Ratio string // the JSON number as the Relay printed it; strconv.ParseFloat gives back the Relay's very float64
}

// decodeTariff reads a withdraw_config answer.
func decodeTariff(body []byte) (Tariff, error) {
	var tariff Tariff
	err := decodeRows(body, func(s *scanner, row int) *Refusal {
		if row >= maxNetworks {
			return refuse(RuleTooManyRows, "more than %d networks", maxNetworks)
		}
		n, r := scanTariff(s)
		if r == nil && row > 0 && n.Network <= tariff[row-1].Network {
			r = refuse(RuleTariff, "networks are not in the order of their names")
		}
		if r != nil {
			return r.at(row, 0)
		}
		tariff = append(tariff, n)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tariff, nil
}

func scanTariff(s *scanner) (NetworkTariff, *Refusal) {
	var n NetworkTariff
	names := [...]string{"network", "token_type", "withdrawal_fee", "withdrawal_min", "withdrawal_fee_tiers", "max_withdrawals_per_day"}
	r := s.object(names[:], func(i int) (r *Refusal) {
		switch name := names[i]; i {
		case 0:
			n.Network, r = s.network()
		case 1:
			n.TokenType, r = s.str(name, maxWord)
		case 2:
			n.Fee, r = s.uint(name)
		case 3:
			n.Min, r = s.uint(name)
		case 4:
			r = s.array(func(i int) *Refusal {
				t, r := scanTier(s)
				if r == nil && (i >= maxTiers || (i == 0 && t.Min != 0) || (i > 0 && t.Min <= n.Tiers[i-1].Min)) {
					r = refuse(RuleTariff, "tier %d from %d: tiers rise from 0 and are at most %d", i, t.Min, maxTiers)
				}
				n.Tiers = append(n.Tiers, t)
				return r
			})
		case 5:
			raw := string(s.raw())
			var err error
			if n.MaxPerDay, err = strconv.ParseInt(raw, 10, 64); err != nil {
				r = refuse(RuleFieldType, "%s: %s", name, clip(raw))
			}
		}
		return r
	})
	if r == nil && len(n.Tiers) == 0 {
		r = refuse(RuleTariff, "no tier")
	}
	return n, r
}

func scanTier(s *scanner) (Tier, *Refusal) {
	var t Tier
	r := s.object([]string{"min_amount", "fee_ratio"}, func(i int) (r *Refusal) {
		if i == 0 {
			t.Min, r = s.uint("min_amount")
			return r
		}
		s.peek()
		raw := string(s.raw())
		if v, err := strconv.ParseFloat(raw, 64); err != nil || v < 0 || v > 1 || len(raw) > maxWord {
			return refuse(RuleTariff, "fee_ratio: %s", clip(raw))
		}
		t.Ratio = raw
		return nil
	})
	return t, r
}

// maxSeconds is a bound for the Relay's clock, some 34,000 years ahead: a larger number is in another unit.
const maxSeconds = 1 << 40

// decodeNow reads a /v1/now answer: the Relay's time in unix seconds.
func decodeNow(body []byte) (uint64, error) {
	s, r := newScanner(body)
	if r != nil {
		return 0, r
	}
	var now uint64
	r = s.object([]string{"data"}, func(int) *Refusal {
		return s.object([]string{"now"}, func(int) (r *Refusal) {
			if now, r = s.uint("now"); r == nil && now > maxSeconds {
				r = refuse(RuleFieldType, "now: %d is no time in seconds", now)
			}
			return r
		})
	})
	if r != nil {
		return 0, r
	}
	return now, nil
}

// decodeSuccess reads the answer to fulfil and reject, which carries no data.
func decodeSuccess(body []byte) error {
	s, r := newScanner(body)
	if r == nil {
		var message string
		r = s.object([]string{"message"}, func(int) (r *Refusal) {
			message, r = s.str("message", maxMessage)
			return r
		})
		if r == nil && message != "success" {
			r = refuse(RuleFieldType, "message: %s where success belongs", clip(message))
		}
	}
	if r != nil {
		return r
	}
	return nil
}

// decodeNo reads the body of an error answer as far as it goes: {"message":M} or a validation error with field and
// message. Anything else is passed on as text: there is nothing in it to decide by.
func decodeNo(body []byte) (field, message string) {
	s, r := newScanner(body)
	if r != nil || s.peek() != '{' {
		return "", string(body)
	}
	start := s.i
	if s.object([]string{"message"}, func(int) (r *Refusal) {
		message, r = s.str("message", maxMessage)
		return r
	}) != nil {
		return "", string(body)
	}
	if message != "validation_error" {
		return "", message
	}
	s.i = start
	var inner string
	if s.object([]string{"data"}, func(int) *Refusal {
		return s.object([]string{"field_name", "message"}, func(i int) (r *Refusal) {
			if i == 0 {
				field, r = s.str("field_name", maxMessage)
				return r
			}
			inner, r = s.str("message", maxMessage)
			return r
		})
	}) != nil {
		return "", message
	}
	return field, inner
}
