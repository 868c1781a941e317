package risk

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
)

// references are the hard rules once more, each in the plainest words: does it hold this request back? Amounts are whole
// numbers of any size, and policy and overlay are asked one after the other.
func references() map[string]func(c *scene) bool {
	bound := func(c *scene) bool { return c.s.Binding == ledger.Bound }
	either := func(holds func(*scene, quorum.Limits) bool) func(*scene) bool {
		return func(c *scene) bool { return holds(c, c.f.Policy.Limits) || holds(c, c.f.Overlay.Limits) }
	}
	frozen := func(is func(ledger.Freeze) bool) func(*scene) bool {
		return func(c *scene) bool { return slices.ContainsFunc(c.s.Freezes, is) }
	}
	return map[string]func(c *scene) bool{
		"undecided": func(c *scene) bool { return c.s.Fate != 0 },
		"halt":      func(c *scene) bool { return c.f.Halted != "" },
		"decisions": func(c *scene) bool { return !c.f.InForce },
		"cut-over": func(c *scene) bool {
			return c.s.HistoryOpen != "" || (c.w.EventID <= c.f.Cutover && !slices.Contains(c.f.Carried, c.w.ID))
		},
		"network":            func(c *scene) bool { return !c.f.LaneKnown },
		"event":              func(c *scene) bool { return !bound(c) },
		"decided-and-booked": func(c *scene) bool { return c.s.SpentMissing != 0 },
		"frozen": func(c *scene) bool {
			return frozen(func(f ledger.Freeze) bool { return f.Code != ledger.FreezeOverdraft || f.Ref != c.w.ID })(c)
		},
		"balance":   func(c *scene) bool { return bound(c) && shortBy(c, true) },
		"objection": func(c *scene) bool { return c.r.Objection != nil },

		"signature":         func(c *scene) bool { return c.key != ownerKey },
		"message":           func(c *scene) bool { return bound(c) && c.s.MessageOwner != 0 },
		"destination":       func(c *scene) bool { return c.f.Destination.State == Known && c.f.Destination.Address != c.w.To },
		"minimum":           func(c *scene) bool { return c.w.Network == "devnet" && c.w.Amount.ToBig().Cmp(wei(4)) < 0 },
		"tariff":            func(c *scene) bool { return c.w.Network != "devnet" },
		"counted":           func(c *scene) bool { return bound(c) && shortBy(c, false) },
		"earlier-requests":  func(c *scene) bool { return bound(c) && c.s.Unbound != 0 },
		"destination-known": func(c *scene) bool { return c.f.Destination.State != Known },
		"fee":               func(c *scene) bool { return !feeAsPublished(c) },
		"event-maximum":     frozen(func(f ledger.Freeze) bool { return f.Code == ledger.FreezeMaximum }),
		"accrual": func(c *scene) bool {
			on := c.f.Policy.Limits.AccrualWindow > 0 || c.f.Overlay.Limits.AccrualWindow > 0
			return on && (c.r.Accrual.Window == 0 || frozen(func(f ledger.Freeze) bool { return f.Code == ledger.FreezeAccrual })(c))
		},

		"deny-list": either(func(c *scene, l quorum.Limits) bool {
			return slices.Contains(l.Deny, c.w.Account) || slices.Contains(l.Deny, c.w.To)
		}),
		"allow-list": either(func(c *scene, l quorum.Limits) bool { return len(l.Allow) > 0 && !slices.Contains(l.Allow, c.w.To) }),
		"cool-down":  either(func(c *scene, l quorum.Limits) bool { return c.r.PaidBefore == 0 && young(c, l.CoolDown) }),
		"large-withdrawal": either(func(c *scene, l quorum.Limits) bool {
			return !l.LargeAbove.IsZero() && c.w.Amount.ToBig().Cmp(l.LargeAbove.ToBig()) > 0 && young(c, l.LargeDelay)
		}),
		"hours": either(func(c *scene, l quorum.Limits) bool {
			at := time.UnixMilli(int64(c.f.Now)).UTC()
			in := func(h quorum.Hours) bool {
				return at.Hour()*60+at.Minute() >= int(h.From) && at.Hour()*60+at.Minute() < int(h.To)
			}
			return len(l.Hours) > 0 && !slices.ContainsFunc(l.Hours, in)
		}),
	}
}

func wei(coins int64) *big.Int { return new(big.Int).Mul(big.NewInt(coins), big.NewInt(1e18)) }

// shortBy reports whether the account's credits fall short of what stands before the request and at it.
func shortBy(c *scene, pending bool) bool {
	credit, taken := c.s.Counted.ToBig(), c.s.Debits.ToBig()
	if pending {
		credit.Add(credit, c.s.Pending.ToBig())
	}
	return credit.Cmp(taken.Add(taken, c.s.Reserved.ToBig())) < 0
}

// young reports whether a row that is in the books settled here less than a delay ago.
func young(c *scene, delay time.Duration) bool {
	noted := new(big.Int).SetUint64(c.r.Settled)
	due := noted.Add(noted, big.NewInt(delay.Milliseconds()))
	return c.s.Binding == ledger.Bound && delay > 0 && (c.r.Settled == 0 || new(big.Int).SetUint64(c.f.Now).Cmp(due) < 0)
}

// feeAsPublished is the example's tariff as a calculator has it: one coin and a hundredth, from a thousand coins on half of it.
func feeAsPublished(c *scene) bool {
	if c.w.Account == c.f.FeeAddress || c.w.Account == c.f.DaoAddress {
		return c.w.Fee.IsZero()
	}
	rate := 0.01
	if c.w.Amount.ToBig().Cmp(wei(1000)) >= 0 {
		rate = 0.005
	}
	share := new(big.Rat).Mul(new(big.Rat).SetInt(c.w.Amount.ToBig()), new(big.Rat).SetFloat64(rate))
	want := new(big.Int).Quo(share.Num(), share.Denom())
	return c.w.Network == "devnet" && want.Add(want, wei(1)).Cmp(c.w.Fee.ToBig()) == 0
}

// drawAny is a request with anything wrong that a rule looks at.
func drawAny(t *rapid.T) *scene {
	c := drawLimited(t)
	maybe := func(name string) bool { return rapid.IntRange(0, 7).Draw(t, name) == 7 }
	if maybe("history open") {
		c.s.HistoryOpen = "the replay is under way"
	}
	if maybe("carried") {
		c.f.Carried = []uint64{c.w.ID}
	}
	if maybe("free of fees") {
		c.f.DaoAddress = owner
	}
	if maybe("another fee") {
		c.w.Fee = coins(rapid.Uint64Range(0, 3).Draw(t, "fee"))
	}
	if maybe("frozen by a row") {
		code := rapid.SampledFrom([]ledger.FreezeCode{ledger.FreezeMaximum, ledger.FreezeAccrual}).Draw(t, "by")
		c.s.Freezes = append(c.s.Freezes, ledger.Freeze{Code: code, Ref: 4})
	}
	if maybe("odd times") {
		c.f.Now = rapid.SampledFrom([]uint64{0, 1, noon - 1, noon, noon + 15*minute, 1<<63 - 1}).Draw(t, "now")
	}
	if maybe("large credits") { // as large as amounts in the books can add up to
		c.s.Counted = *new(uint256.Int).Lsh(uint256.NewInt(1), 254)
		c.s.Pending = c.s.Counted
	}
	if maybe("more decided than can be") {
		c.s.Reserved.SetAllOne()
	}
	return c
}

// TestEachRuleAgainstItsReference: what a rule's reference holds back, the rule holds back and says so, and nothing that any of
// them holds back is approved; what none of them holds back is.
func TestEachRuleAgainstItsReference(t *testing.T) {
	for name, holds := range references() {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				c := drawAny(t)
				v := c.judge(t)
				full, err := Explain(books{s: c.s, r: c.r}, c.w, c.f)
				require.NoError(t, err)
				i := slices.IndexFunc(full.Explanations, func(e Explanation) bool { return e.Rule == name })
				require.GreaterOrEqual(t, i, 0, "no rule of that name")
				e := full.Explanations[i]
				said := e.Outcome == Waits || e.Outcome == Refuses
				if holds(c) {
					require.True(t, said, "%+v", e)
					require.NotEqual(t, Approve, v.Kind)
					require.NotEmpty(t, e.Do)
					return
				}
				// An overlay's amount with the policy's delay may hold back what neither does alone.
				joined := name == "large-withdrawal" && c.f.Overlay.Limits.LargeDelay > 0 && c.f.Policy.Limits.LargeDelay > 0
				require.True(t, !said || joined, "%+v", e)
			})
		})
	}
	t.Run("together", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			c := drawAny(t)
			v, free := c.judge(t), true
			for _, holds := range references() {
				free = free && !holds(c)
			}
			joined := c.f.Overlay.Limits.LargeDelay > 0 && c.f.Policy.Limits.LargeDelay > 0
			require.True(t, (v.Kind == Approve) == free || (joined && v.Kind == Wait), "%+v", v)
		})
	})
	names := map[string]bool{}
	for _, r := range Rules(examplePolicy(t), quorum.Overlay{}) {
		names[r.Name] = true
		require.Contains(t, references(), r.Name, "each rule has a reference")
	}
	require.Len(t, names, len(references()))
}
