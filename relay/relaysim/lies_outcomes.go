package relaysim

import (
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
)

// outcomeModes are what the calls can do that decide a withdrawal.
func outcomeModes() []spec {
	return []spec{
		{FulfilNothing, "fulfil and reject answer 200 and do nothing", func(v *View, l Lie) {
			v.outcomeDoor(func(w http.ResponseWriter, _ *http.Request, _ uint64, _ http.Handler) {
				v.sim.answer(w, http.StatusOK, message{"success"})
			})
		}},
		{Outcome500, "fulfil and reject answer 500 without a body and do nothing", func(v *View, l Lie) {
			v.outcomeDoor(func(w http.ResponseWriter, _ *http.Request, _ uint64, _ http.Handler) {
				w.WriteHeader(http.StatusInternalServerError)
			})
		}},
		{Outcome400, "fulfil and reject answer 400 and do nothing", func(v *View, l Lie) {
			v.outcomeDoor(func(w http.ResponseWriter, _ *http.Request, _ uint64, _ http.Handler) {
				v.invalid(w, "id", "withdraw request has not been processed locally")
			})
		}},
		{OutcomeSilence, "fulfil and reject are taken and never answered", func(v *View, l Lie) {
			v.outcomeDoor(func(_ http.ResponseWriter, r *http.Request, _ uint64, _ http.Handler) {
				<-r.Context().Done()
				panic(http.ErrAbortHandler)
			})
		}},
		{BothOutcomes, "a call for one outcome books the other one too: the requester is paid and refunded", func(v *View, l Lie) {
			v.outcomeDoor(func(w http.ResponseWriter, r *http.Request, id uint64, next http.Handler) {
				next.ServeHTTP(w, r)
				v.sim.bookOther(id, l.pick(id)%2 == 0)
			})
		}},
	}
}

// requestModes are the lies about rows of the withdrawal list.
func requestModes() []spec {
	return []spec{
		{StatusFlips, "the list shows pending requests as paid or as rejected, before anybody decided", func(v *View, l Lie) {
			v.LieAboutRequests(l.requests(func(r *RequestRow) {
				if r.Status == pending {
					r.Status = fulfilled + int(l.pick(r.ID)%2)
				}
			}))
		}},
		{StatusTurns, "the list shows decided requests as pending, or with the opposite outcome", func(v *View, l Lie) {
			v.LieAboutRequests(l.requests(func(r *RequestRow) {
				switch {
				case r.Status == pending:
				case l.pick(r.ID)%2 == 0:
					r.Status = pending
				default:
					r.Status = fulfilled + rejected - r.Status
				}
			}))
		}},
		{Redirected, "requests name another destination than the one that the requester signed", func(v *View, l Lie) {
			v.LieAboutRequests(l.requests(func(r *RequestRow) { r.BenefitAddress = l.address(0).Hex() }))
		}},
	}
}

// requests makes a RequestLie that changes the requests of the account that the lie is about, or all.
func (l Lie) requests(change func(*RequestRow)) RequestLie {
	return func(rows []RequestRow) []RequestRow {
		rows = slices.Clone(rows)
		for i := range rows {
			if r := &rows[i]; l.About == (common.Address{}) || common.HexToAddress(r.Address) == l.About {
				change(r)
			}
		}
		return rows
	}
}

// outcomeDoor stands before the two calls that decide a request.
func (v *View) outcomeDoor(serve func(w http.ResponseWriter, r *http.Request, id uint64, next http.Handler)) {
	v.door("", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rest, ok := strings.CutPrefix(r.URL.Path, "/v1/withdraw/")
		number, call, _ := strings.Cut(rest, "/")
		id, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil || (call != "fulfill" && call != "reject") {
			next.ServeHTTP(w, r)
			return
		}
		serve(w, r, id, next)
	})
}

// bookOther books what the opposite outcome of a decided request would have caused, once, as the real Relay does when two
// calls race: it takes no lock. turned leaves the request with the opposite status.
func (s *Sim) bookOther(id uint64, turned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.request(id)
	if r == nil || r.Status == pending || r.both {
		return
	}
	r.both = true
	fee, _ := new(big.Int).SetString(r.Fee, 10)
	was := r.Status
	if was == fulfilled {
		amount, _ := new(big.Int).SetString(r.Amount, 10)
		s.emit(kindWithdrawRefund, common.HexToAddress(r.Address), amount.Add(amount, fee), "{}")
	} else if fee.Sign() > 0 {
		s.emit(kindFeeIncome, s.cfg.FeeAddress, fee, "{}")
	}
	if turned {
		r.Status = fulfilled + rejected - was
	}
}

// Decide moves a pending request as another holder of the API key would, and returns the Relay's objection, if any.
func (s *Sim) Decide(id uint64, reject bool, txHash string) (objection string) {
	to := fulfilled
	if reject {
		to = rejected
	}
	return s.settle(id, to, txHash)
}

// counter numbers the calls of one view.
type counter struct {
	mu sync.Mutex
	n  uint64
}

func newCounter() *counter { return &counter{} }

func (c *counter) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}
