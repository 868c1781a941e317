package relaysim

import (
	"math/big"
	"net/http"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
)

// The statuses of a request.
const (
	pending   = 0
	fulfilled = 1
	rejected  = 2
)

func (v *View) fulfill(w http.ResponseWriter, r *http.Request) { v.outcome(w, r, fulfilled) }
func (v *View) reject(w http.ResponseWriter, r *http.Request)  { v.outcome(w, r, rejected) }

// outcome serves both calls: the id of the path counts, the body's is not looked at.
func (v *View) outcome(w http.ResponseWriter, r *http.Request, to int) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		v.invalid(w, "ID", err.Error())
		return
	}
	var body struct {
		TxHash    string `json:"tx_hash"`
		Timestamp int64  `json:"timestamp"`
		Signature string `json:"signature"`
	}
	if !v.body(w, r, &body) {
		return
	}
	input := map[string]any{"id": float64(id)}
	switch {
	case body.Timestamp == 0:
		v.invalid(w, "timestamp", "required")
		return
	case body.Signature == "":
		v.invalid(w, "signature", "required")
		return
	case to == fulfilled && body.TxHash == "":
		v.invalid(w, "tx_hash", "required")
		return
	case to == fulfilled:
		input["tx_hash"] = body.TxHash
	}
	if !v.authorised(w, input, body.Timestamp, body.Signature) {
		return
	}
	if no := v.sim.settle(id, to, body.TxHash); no != "" {
		v.invalid(w, "id", no)
		return
	}
	v.sim.answer(w, http.StatusOK, message{"success"})
}

// settle moves a pending request and books what follows; done a second time it changes nothing. It returns the Relay's
// objection, if any.
func (s *Sim) settle(id uint64, to int, txHash string) (objection string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.request(id)
	switch {
	case r == nil:
		return "Withdraw request not found"
	case r.ready.After(s.cfg.Now()):
		return "withdraw request has not been processed locally"
	case r.Status == to:
		return ""
	case r.Status != pending:
		return "withdraw request is not pending"
	}
	r.Status = to
	fee, _ := new(big.Int).SetString(r.Fee, 10)
	if to == rejected {
		amount, _ := new(big.Int).SetString(r.Amount, 10)
		s.emit(kindWithdrawRefund, common.HexToAddress(r.Address), amount.Add(amount, fee), "{}")
		return ""
	}
	r.txHash = txHash
	if fee.Sign() > 0 {
		s.emit(kindFeeIncome, s.cfg.FeeAddress, fee, "{}")
	}
	return ""
}
