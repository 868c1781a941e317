package devnet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Ways of a bad endpoint beside honesty, which it keeps for half of the time: two endpoints of two must say the same, so while it is bad
// nothing goes on.
const (
	metLie     = "lies"
	metLag     = "answers of an older chain"
	metRefusal = "refusals with 429"
	metHang    = "answers that never came"
)

const (
	moodLasts = 8 * time.Second // longest time in one mood
	lagBlocks = 6
	hangs     = 3 * time.Second
)

// badEndpoint stands before the chain and answers as its mood is.
type badEndpoint struct {
	*forwarder
	t *troubles
}

// openBadEndpoint serves on loopback.
func openBadEndpoint(t *troubles, chain string) (*badEndpoint, error) {
	f, err := newForwarder(chain)
	if err != nil {
		return nil, err
	}
	b := &badEndpoint{f, t}
	b.serve(b)
	return b, nil
}

// mood follows from the clock and the seed: all custodians meet the same.
func (b *badEndpoint) mood(now time.Time) string {
	moods := []string{metLie, metLag, metRefusal, metHang}
	turn := now.UnixNano() / int64(moodLasts)
	if turn%2 == 0 {
		return ""
	}
	return moods[(turn/2)%int64(len(moods))]
}

// ServeHTTP implements [http.Handler].
func (b *badEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := b.read(r)
	mood := b.mood(time.Now())
	switch mood {
	case metRefusal:
		b.t.count(mood, 1)
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	case metHang:
		b.t.count(mood, 1)
		_ = pause(r.Context(), hangs)
		panic(http.ErrAbortHandler)
	case metLag:
		if older, ok := b.older(r, body); ok {
			b.t.count(mood, 1)
			body = older
		}
	}
	raw, err := b.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if mood == metLie {
		if lie, ok := lied(body, raw); ok {
			b.t.count(mood, 1)
			raw = lie
		}
	}
	b.reply(w, raw)
}

// older asks for an older block where the newest is meant.
func (b *badEndpoint) older(r *http.Request, body []byte) ([]byte, bool) {
	var c rpcCall
	if json.Unmarshal(body, &c) != nil {
		return nil, false
	}
	latest := slices.IndexFunc(c.Params, func(p json.RawMessage) bool { return string(p) == `"latest"` })
	if latest < 0 {
		return nil, false
	}
	raw, err := b.forward(r, []byte(`{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}`))
	var now rpcCall
	var hex string
	var number uint64
	if err != nil || json.Unmarshal(raw, &now) != nil || json.Unmarshal(now.Result, &hex) != nil {
		return nil, false
	}
	if _, err := fmt.Sscanf(hex, "0x%x", &number); err != nil || number <= lagBlocks {
		return nil, false
	}
	c.Params[latest] = json.RawMessage(fmt.Sprintf(`"0x%x"`, number-lagBlocks))
	out, err := json.Marshal(c)
	return out, err == nil
}

// lied is the answer with something else in it: another balance, nonce or answer of a contract, a payment that failed, or a transaction
// that was taken and is dropped.
func lied(question, answer []byte) ([]byte, bool) {
	var q, a rpcCall
	if json.Unmarshal(question, &q) != nil || json.Unmarshal(answer, &a) != nil || len(a.Error) > 0 {
		return nil, false
	}
	old := string(a.Result)
	lie := old
	switch q.Method {
	case "eth_getBalance", "eth_getTransactionCount", "eth_call", "eth_getCode":
		lie = anotherDigit(old)
	case "eth_getTransactionReceipt":
		lie = strings.Replace(old, `"status":"0x1"`, `"status":"0x0"`, 1)
	}
	if lie == old {
		return nil, false
	}
	a.Result = json.RawMessage(lie)
	out, err := json.Marshal(a)
	return out, err == nil
}

// anotherDigit changes the last digit of a quoted number.
func anotherDigit(s string) string {
	if len(s) < 5 || !strings.HasPrefix(s, `"0x`) {
		return s
	}
	last := byte('1')
	if s[len(s)-2] == '1' {
		last = '2'
	}
	return s[:len(s)-2] + string(last) + `"`
}
