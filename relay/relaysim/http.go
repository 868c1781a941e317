package relaysim

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// window is how far the time of a wallet-facing call may be from the Relay's clock, in seconds.
const window = 60

// maxBody bounds what a call may send: no real one comes near.
const maxBody = 64 << 10

// The shapes of answers.
type (
	message struct {
		Message string `json:"message"`
	}
	success struct {
		Message string `json:"message"`
		Data    any    `json:"data"`
	}
	fieldError struct {
		Field   string `json:"field_name"`
		Message string `json:"message"`
	}
)

// ServeHTTP serves the Relay's routes as this view shows them.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !v.down(w, r) {
		v.mu.Lock()
		outer := v.outer
		v.mu.Unlock()
		outer.ServeHTTP(w, r)
	}
}

func (v *View) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/now", v.now)
	mux.HandleFunc("GET /v1/network/withdraw_config", v.withdrawConfig)
	mux.HandleFunc("GET /v1/relay_account/event_logs", v.eventLogs)
	mux.HandleFunc("GET /v1/withdraw/list", v.withdrawList)
	mux.HandleFunc("POST /v1/withdraw/{id}/fulfill", v.fulfill)
	mux.HandleFunc("POST /v1/withdraw/{id}/reject", v.reject)
	mux.HandleFunc("POST /v1/client/connect_wallet", v.connectWallet)
	mux.HandleFunc("POST /v1/relay_account/{address}/withdraw", v.withdraw)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "404 page not found")
	})
	return mux
}

// answer writes JSON as gin does.
func (s *Sim) answer(w http.ResponseWriter, status int, body any) {
	var (
		b   []byte
		err error
	)
	if s.cfg.Compact {
		b, err = json.Marshal(body)
	} else {
		b, err = json.MarshalIndent(body, "", "    ")
	}
	if err != nil {
		panic("relaysim: marshal answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// invalid is the Relay's 400.
func (v *View) invalid(w http.ResponseWriter, field, text string) {
	v.sim.answer(w, http.StatusBadRequest, success{"validation_error", fieldError{field, text}})
}

func (v *View) data(w http.ResponseWriter, data any) {
	v.sim.answer(w, http.StatusOK, success{"success", data})
}

func (v *View) now(w http.ResponseWriter, _ *http.Request) {
	v.data(w, map[string]int64{"now": v.sim.cfg.Now().Unix() + v.sim.public.ahead.Load()})
}

func (v *View) withdrawConfig(w http.ResponseWriter, _ *http.Request) {
	type tier struct {
		Min   uint64  `json:"min_amount"`
		Ratio float64 `json:"fee_ratio"`
	}
	type network struct {
		Network   string `json:"network"`
		TokenType string `json:"token_type"`
		Fee       uint64 `json:"withdrawal_fee"`
		Min       uint64 `json:"withdrawal_min"`
		Tiers     []tier `json:"withdrawal_fee_tiers"`
		MaxPerDay int    `json:"max_withdrawals_per_day"`
	}
	all := []network{}
	for _, n := range v.sim.cfg.Networks {
		row := network{n.Name, n.TokenType, n.Fee + v.sim.public.moreFee.Load(), n.Min, nil, n.MaxPerDay}
		for _, t := range n.Tiers {
			row.Tiers = append(row.Tiers, tier(t))
		}
		all = append(all, row)
	}
	v.data(w, all)
}

func (v *View) eventLogs(w http.ResponseWriter, r *http.Request) {
	if after, limit, ok := v.page(w, r); ok {
		v.data(w, v.readEvents(after, limit))
	}
}

func (v *View) withdrawList(w http.ResponseWriter, r *http.Request) {
	if after, limit, ok := v.page(w, r); ok {
		v.data(w, v.readRequests(after, limit))
	}
}

// page reads and authorises the query that both lists share. When it returns false it has answered.
func (v *View) page(w http.ResponseWriter, r *http.Request) (after uint64, limit int, ok bool) {
	q := r.URL.Query()
	number := func(name, field string, into func(string) error) bool {
		text := q.Get(name)
		if text == "" {
			return true
		}
		if err := into(text); err != nil {
			v.invalid(w, field, err.Error())
			return false
		}
		return true
	}
	var timestamp int64
	if !number("start_id", "StartID", func(t string) (err error) { after, err = strconv.ParseUint(t, 10, 64); return err }) ||
		!number("limit", "Limit", func(t string) (err error) { limit, err = strconv.Atoi(t); return err }) ||
		!number("timestamp", "Timestamp", func(t string) (err error) { timestamp, err = strconv.ParseInt(t, 10, 64); return err }) {
		return 0, 0, false
	}
	for _, name := range []string{"timestamp", "signature"} {
		if q.Get(name) == "" || (name == "timestamp" && timestamp == 0) {
			v.invalid(w, name, "required")
			return 0, 0, false
		}
	}
	// The decoded map of the real one holds float64: so does this.
	input := map[string]any{"limit": float64(limit), "start_id": float64(after)}
	return after, limit, v.authorised(w, input, timestamp, q.Get("signature"))
}

// authorised checks the API key's signature over the input and its time. When it returns false it has answered.
func (v *View) authorised(w http.ResponseWriter, input map[string]any, timestamp int64, signature string) bool {
	if len(signature) < 2 {
		// The real one cuts two characters off without looking, and the panic makes an answer without a body.
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	signer, ok := v.signer(input, timestamp, signature[2:])
	switch {
	case !ok:
		v.invalid(w, "signature", "Invalid signature")
	case signer != v.sim.cfg.APIKey:
		v.invalid(w, "address", "Invalid address")
		ok = false
	}
	return ok
}

func (v *View) signer(input map[string]any, timestamp int64, signature string) (common.Address, bool) {
	now := v.sim.cfg.Now().Unix()
	if timestamp < now-window || timestamp > now+window {
		return common.Address{}, false
	}
	sig, err := hex.DecodeString(signature)
	if err != nil || len(sig) != crypto.SignatureLength {
		return common.Address{}, false
	}
	text, err := json.Marshal(input)
	if err != nil {
		return common.Address{}, false
	}
	pub, err := crypto.SigToPub(crypto.Keccak256(text, strconv.AppendInt(nil, timestamp, 10)), sig)
	if err != nil {
		return common.Address{}, false
	}
	return crypto.PubkeyToAddress(*pub), true
}

// body reads a JSON body. When it returns false it has answered.
func (v *View) body(w http.ResponseWriter, r *http.Request, into any) bool {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		v.sim.answer(w, http.StatusBadRequest, message{err.Error()})
		return false
	}
	return true
}
