package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/common"
)

// DefaultTimeout bounds one call from dialling to the last byte. The Relay's own work is bounded by 10 s in most paths.
const DefaultTimeout = 15 * time.Second

// Config is what a client needs.
type Config struct {
	URL       string            // the Relay's base, http or https, without query
	Key       *ecdsa.PrivateKey // the API key; it signs requests and moves no money
	Transport http.RoundTripper // nil: http.DefaultTransport
	Timeout   time.Duration     // of one call; 0: DefaultTimeout
}

// Client makes the Relay's wallet-facing calls. It is safe for concurrent use. Errors are *Transient (no answer, 5xx,
// empty body), *Refused (the Relay's own no), *Refusal (an answer that was not let in) or, when ctx ended, ctx's error.
type Client struct {
	base    string
	key     *ecdsa.PrivateKey
	timeout time.Duration
	http    *http.Client
}

// NewClient checks the configuration; it calls nobody.
func NewClient(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, errors.New("relay url: not a URL")
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, errors.New("relay url: want http://host or https://host")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return nil, errors.New("relay url: must have no query, fragment or user")
	case cfg.Key == nil:
		return nil, errors.New("relay client: no API key")
	case cfg.Timeout < 0:
		return nil, errors.New("relay client: negative timeout")
	}
	timeout := cfg.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return &Client{
		base:    strings.TrimRight(u.String(), "/"),
		key:     cfg.Key,
		timeout: timeout,
		http: &http.Client{
			Transport: cfg.Transport,
			// A signed request is replayable by whoever gets it, so it is never carried to another place.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// The signed inputs of the calls; canonicalJSON sorts their fields.
type (
	listInput struct {
		Limit   int    `json:"limit"`
		StartID uint64 `json:"start_id"`
	}
	fulfilInput struct {
		ID     uint64 `json:"id"`
		TxHash string `json:"tx_hash"`
	}
	rejectInput struct {
		ID uint64 `json:"id"`
	}
)

// Events returns rows of the account log with ids above after, in order, at most limit (1 to MaxPage). A short or empty
// page says nothing about what follows.
func (c *Client) Events(ctx context.Context, after uint64, limit int) ([]ledger.Event, error) {
	body, err := c.list(ctx, "/v1/relay_account/event_logs", after, limit)
	if err != nil {
		return nil, fmt.Errorf("read account log: %w", err)
	}
	rows, err := decodeEvents(body, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read account log: %w", err)
	}
	return rows, nil
}

// Withdrawals returns rows of the withdrawal list with ids above after, in order, at most limit (1 to MaxPage), of every
// status. aside names the rows of the page that an ordinary user has spoilt; they are not among rows.
func (c *Client) Withdrawals(ctx context.Context, after uint64, limit int) (rows []ledger.Withdrawal, aside []*Refusal, err error) {
	body, err := c.list(ctx, "/v1/withdraw/list", after, limit)
	if err == nil {
		rows, aside, err = decodeWithdrawals(body, after, limit)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read withdrawal list: %w", err)
	}
	return rows, aside, nil
}

// Fulfil reports that the withdrawal was paid by the transaction. It may be repeated; an error may hide a success, so
// re-read the list.
func (c *Client) Fulfil(ctx context.Context, id uint64, tx common.Hash) error {
	if err := c.outcome(ctx, id, "fulfill", fulfilInput{ID: id, TxHash: tx.Hex()}); err != nil {
		return fmt.Errorf("fulfil withdrawal %d: %w", id, err)
	}
	return nil
}

// Reject reports that the withdrawal is refused, upon which the Relay refunds it. The rest is as with Fulfil.
func (c *Client) Reject(ctx context.Context, id uint64) error {
	if err := c.outcome(ctx, id, "reject", rejectInput{ID: id}); err != nil {
		return fmt.Errorf("reject withdrawal %d: %w", id, err)
	}
	return nil
}

// Now returns the Relay's clock, to the second: the way to see that the own clock is off.
func (c *Client) Now(ctx context.Context) (time.Time, error) {
	body, err := c.get(ctx, "/v1/now", nil, maxPlainBytes)
	if err == nil {
		var now uint64
		if now, err = decodeNow(body); err == nil {
			return time.Unix(int64(now), 0), nil
		}
	}
	return time.Time{}, fmt.Errorf("read relay clock: %w", err)
}

// Tariff returns what the Relay publishes about withdrawals.
func (c *Client) Tariff(ctx context.Context) (Tariff, error) {
	body, err := c.get(ctx, "/v1/network/withdraw_config", nil, maxPlainBytes)
	if err == nil {
		var t Tariff
		if t, err = decodeTariff(body); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("read relay tariff: %w", err)
}

func (c *Client) list(ctx context.Context, path string, after uint64, limit int) ([]byte, error) {
	// 0 means no rows to the Relay, and a negative limit all of them.
	if limit < 1 || limit > MaxPage {
		return nil, fmt.Errorf("page of %d rows: want 1 to %d", limit, MaxPage)
	}
	now := time.Now().Unix()
	sig, err := signRequest(c.key, listInput{Limit: limit, StartID: after}, now)
	if err != nil {
		return nil, err
	}
	return c.get(ctx, path, url.Values{
		"start_id":  {strconv.FormatUint(after, 10)},
		"limit":     {strconv.Itoa(limit)},
		"timestamp": {strconv.FormatInt(now, 10)},
		"signature": {sig},
	}, pageBytes(limit))
}

func (c *Client) get(ctx context.Context, path string, query url.Values, max int64) ([]byte, error) {
	target := c.base + path
	if query != nil {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	return c.do(req, max)
}

// outcome posts a signed input together with its time and signature.
func (c *Client) outcome(ctx context.Context, id uint64, verb string, input any) error {
	now := time.Now().Unix()
	sig, err := signRequest(c.key, input, now)
	if err != nil {
		return err
	}
	signed, err := json.Marshal(input)
	if err != nil {
		return fmt.Errorf("marshal input: %w", err)
	}
	body := fmt.Appendf(nil, `%s,"timestamp":%d,"signature":"%s"}`, signed[:len(signed)-1], now, sig)
	target := fmt.Sprintf("%s/v1/withdraw/%d/%s", c.base, id, verb)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := c.do(req, maxPlainBytes)
	if err != nil {
		return err
	}
	return decodeSuccess(answer)
}

// do sends a request and returns the body of a 200 answer, at most max bytes long.
func (c *Client) do(req *http.Request, max int64) ([]byte, error) {
	req.Header.Set("Accept", "application/json")
	// Not the http.Client's own timeout: that one runs a second clock beside the context's, and which of them ends a call first is chance.
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	res, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return nil, c.unanswered(req.Context(), err)
	}
	defer res.Body.Close()

	body, err := io.ReadAll(io.LimitReader(res.Body, max+1))
	switch {
	case err != nil:
		return nil, c.unanswered(req.Context(), err)
	case int64(len(body)) > max:
		return nil, refuse(RuleBodyTooLarge, "more than %d bytes", max)
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return nil, refuse(RuleRedirect, "status %d", res.StatusCode)
	case res.StatusCode == http.StatusOK && len(body) == 0:
		return nil, &Transient{Status: res.StatusCode, Err: errors.New("empty body")}
	case res.StatusCode != http.StatusOK:
		return nil, answeredNo(res.StatusCode, body)
	}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refuse(RuleContentType, "%s", clip(res.Header.Get("Content-Type")))
	}
	return body, nil
}

// unanswered keeps the caller's own cancellation apart from the Relay's silence.
func (c *Client) unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &Transient{Err: withoutURL(err)}
}

// answeredNo sorts an answer that is neither 200 nor a redirect.
func answeredNo(status int, body []byte) error {
	field, message := decodeNo(body[:min(len(body), maxMessage)])
	switch {
	case len(body) == 0:
		return &Transient{Status: status, Err: errors.New("empty body")}
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status < 300:
		return &Transient{Status: status, Err: errors.New(clip(message))}
	}
	return &Refused{Status: status, Field: field, Message: message}
}

// withoutURL drops the request's URL from an error: its signature is good for two minutes to whoever reads the log.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("%s: %w", strings.ToUpper(u.Op), u.Err)
	}
	return err
}
