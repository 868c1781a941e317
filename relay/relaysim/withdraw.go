package relaysim

import (
	"context"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

func (v *View) connectWallet(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Address   string `json:"address"`
		Timestamp int64  `json:"timestamp"`
		Signature string `json:"signature"`
	}
	if !v.body(w, r, &body) {
		return
	}
	now := v.sim.cfg.Now().Unix()
	signer, ok := userSigner(connectText(body.Address, body.Timestamp), body.Signature)
	if !ok || !inUserWindow(body.Timestamp, now) || signer.Hex() != body.Address {
		v.invalid(w, "signature", "Invalid signature")
		return
	}
	token, expires := v.sim.issue(body.Address, now)
	v.data(w, struct {
		Token   string `json:"token"`
		Expires int64  `json:"expires_at"`
	}{token, expires})
}

// withdrawal is a user's request as it was posted.
type withdrawal struct {
	Amount    string `json:"amount"`
	Benefit   string `json:"benefit_address"`
	Network   string `json:"network"`
	Timestamp int64  `json:"timestamp"`
	Signature string `json:"signature"`
}

func (v *View) withdraw(w http.ResponseWriter, r *http.Request) {
	s := v.sim
	now := s.cfg.Now()
	session, err := s.session(r.Header.Get("Authorization"), now.Unix())
	if err != nil {
		s.answer(w, http.StatusUnauthorized, message{err.Error()})
		return
	}
	address := r.PathValue("address")
	var body withdrawal
	if !v.body(w, r, &body) {
		return
	}
	if session != address {
		v.invalid(w, "address", "Address mismatch")
		return
	}
	amount, ok := new(big.Int).SetString(body.Amount, 10)
	if !ok {
		v.invalid(w, "amount", "Invalid amount")
		return
	}
	// Amounts are signed in their canonical form: "007" is signed as 7. The destination is signed as it is spelled.
	signer, ok := userSigner(withdrawText(amount.String(), address, body.Benefit, body.Network, body.Timestamp), body.Signature)
	switch {
	case !ok || !inUserWindow(body.Timestamp, now.Unix()):
		v.invalid(w, "signature", "Invalid signature")
		return
	case signer.Hex() != address:
		v.invalid(w, "address", "Signature address mismatch")
		return
	}
	network, ok := s.network(body.Network)
	switch {
	case !ok:
		v.invalid(w, "network", "Unsupported withdraw network")
		return
	case amount.Cmp(coins(network.Min)) < 0:
		v.invalid(w, "amount", "Amount is too small")
		return
	}
	benefit, err := s.benefit(r.Context(), body.Network, signer)
	switch {
	case err != nil:
		s.answer(w, http.StatusInternalServerError, message{err.Error()})
		return
	case !strings.EqualFold(body.Benefit, benefit.Hex()):
		v.invalid(w, "benefit_address", "Benefit address mismatch")
		return
	}
	id, objection := s.book(signer, network, amount, body, now)
	if objection != "" {
		v.invalid(w, "amount", objection)
		return
	}
	v.data(w, map[string]uint64{"request_id": id})
}

// benefit is where an account's withdrawals go: what it has bound on the chain, else itself.
func (s *Sim) benefit(ctx context.Context, network string, account common.Address) (common.Address, error) {
	if s.cfg.BenefitOf == nil {
		return account, nil
	}
	bound, err := s.cfg.BenefitOf(ctx, network, account)
	if bound == (common.Address{}) {
		bound = account
	}
	return bound, err
}

// book makes the request and its debit, one transaction at the real one: an attempt that fails here burns a request id.
func (s *Sim) book(account common.Address, n Network, amount *big.Int, body withdrawal, now time.Time) (id uint64, objection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fee := new(big.Int)
	if account != s.cfg.DaoAddress && account != s.cfg.FeeAddress {
		fee = n.FeeOf(amount)
	}
	total := new(big.Int).Add(amount, fee)
	s.lastWID++
	if s.balance(account).Cmp(total) < 0 {
		return 0, "Insufficient relay account balance"
	}
	if s.today(account.Hex(), body.Benefit, n.Name, now) >= n.MaxPerDay {
		return 0, "Daily withdrawal limit exceeded"
	}
	e := s.emit(kindWithdraw, account, total, "{}")
	s.requests = append(s.requests, &request{
		RequestRow: RequestRow{
			ID: s.lastWID, CreatedAt: now.Unix(), Address: account.Hex(), BenefitAddress: body.Benefit, Amount: amount.String(),
			Network: n.Name, EventID: e.ID, Fee: fee.String(), Timestamp: body.Timestamp, Signature: body.Signature,
		},
		ready: now.Add(s.cfg.ProjectorDelay),
	})
	return s.lastWID, ""
}

// today counts the requests of this UTC day that were not rejected: of the account or of the destination, whichever has
// more.
func (s *Sim) today(account, benefit, network string, now time.Time) int {
	day := now.UTC().Truncate(24 * time.Hour).Unix()
	of, to := 0, 0
	for i := len(s.requests) - 1; i >= 0 && s.requests[i].CreatedAt >= day; i-- {
		r := s.requests[i]
		if r.Network != network || r.Status == rejected {
			continue
		}
		if r.Address == account {
			of++
		}
		if strings.EqualFold(r.BenefitAddress, benefit) {
			to++
		}
	}
	return max(of, to)
}
