package evm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/common"

	"conclave/chain"
)

const (
	// MaxReply bounds one reply in bytes. A full block of 36 million gas with all its call data stays below 8 MB.
	MaxReply = 16 << 20

	// maxHeader bounds a reply's HTTP headers.
	maxHeader = 64 << 10

	// maxIdle is how many connections stay open: reads of one node rarely overlap more.
	maxIdle = 8

	// maxMessage bounds what of a server's error text reaches our logs.
	maxMessage = 200
)

// rpcError is an error that the server itself gave, as opposed to one of the connection.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string {
	return fmt.Sprintf("the server says %q (%d)", printable(e.Message), e.Code)
}

// caller posts JSON-RPC requests. It exists beside the larger clients because it must bound what it reads and keep the
// URL to itself.
type caller struct {
	url     string
	timeout time.Duration
	http    *http.Client
}

func newCaller(address string, timeout time.Duration) *caller {
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  timeout,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &caller{url: address, timeout: timeout, http: &http.Client{
		Transport: transport,
		// A redirect would send the request, and the key in the URL, to somewhere that nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *caller) close() { c.http.CloseIdleConnections() }

type request struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type reply struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *rpcError       `json:"error"`
}

// call posts one request and returns its result, "null" included. Errors of the server are *rpcError.
func (c *caller) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	body, err := json.Marshal(request{Version: "2.0", ID: 1, Method: method, Params: params})
	if err != nil {
		return nil, fmt.Errorf("%s: encode: %w", method, err)
	}
	raw, err := c.post(ctx, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	var r reply
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("%s: the reply is not JSON-RPC: %w", method, err)
	}
	switch {
	case r.Error != nil:
		return nil, fmt.Errorf("%s: %w", method, r.Error)
	case r.ID != 1:
		return nil, fmt.Errorf("%s: the reply answers request %d", method, r.ID)
	case len(r.Result) == 0:
		return nil, fmt.Errorf("%s: the reply holds neither result nor error", method)
	}
	return r.Result, nil
}

func (c *caller) post(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the URL is malformed")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")

	resp, err := c.http.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, MaxReply+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the reply: %w", withoutURL(err))
	case len(raw) > MaxReply:
		return nil, fmt.Errorf("the reply is larger than %d bytes", MaxReply)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return raw, nil
}

// withoutURL drops the URL that net/http puts into its errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// printable cuts a foreign text to what a log line may hold.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if len(clean) > maxMessage {
		clean = strings.ToValidUTF8(clean[:maxMessage], "") + "…"
	}
	return clean
}

// Words by which servers refuse, in lower case: geth's, and where they differ those of Nethermind, Besu, Erigon, Reth.
var (
	wordsPruned = []string{
		"missing trie node", "historical state", "state not available", "state is not available", "pruned",
		"state unavailable", "no state available", "old data not available", "world state unavailable",
	}
	wordsNotFound = []string{
		"header not found", "unknown block", "block not found", "header for hash not found", "indexing is in progress",
	}
	wordsKnown = []string{"already known", "alreadyknown", "known transaction", "already imported", "already in mempool"}
	wordsNonce = []string{"nonce too low", "oldnonce", "nonce is too low"}
	wordsPrice = []string{"underpriced", "feetoolow", "less than block base fee", "gas price too low", "fee too low"}
	wordsFunds = []string{"insufficient funds", "insufficientfunds", "upfront cost exceeds"}
)

// classify names a server's refusal of a read.
func classify(err error) error {
	return named(err, []naming{{wordsPruned, chain.ErrPruned}, {wordsNotFound, chain.ErrNotFound}})
}

// classifySend names a server's refusal of a broadcast.
func classifySend(err error) error {
	return named(err, []naming{
		{wordsKnown, chain.ErrKnown}, {wordsNonce, chain.ErrNonceUsed}, {wordsPrice, chain.ErrUnderpriced}, {wordsFunds, chain.ErrFunds},
	})
}

type naming struct {
	words []string
	name  error
}

func named(err error, names []naming) error {
	var server *rpcError
	if !errors.As(err, &server) {
		return err
	}
	text := strings.ToLower(server.Message)
	for _, n := range names {
		for _, word := range n.words {
			if strings.Contains(text, word) {
				return fmt.Errorf("%w: %w", n.name, err)
			}
		}
	}
	return err
}

// isNull reports a result that says "there is none".
func isNull(raw json.RawMessage) bool { return string(bytes.TrimSpace(raw)) == "null" }

// byHash names a block by its hash (EIP-1898).
func byHash(h common.Hash) any { return map[string]string{"blockHash": h.Hex()} }
