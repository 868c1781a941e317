package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"conclave/node"
)

// Headers of a call.
const (
	HeaderSignature = "Conclave-Signature" // "sha256=" and the HMAC-SHA256 of the body in hex
	HeaderVersion   = "Conclave-Version"   // of the message, as in the body
)

// Bounds of a call.
const (
	DefaultTimeout = 10 * time.Second
	// maxReplyHeaders bounds an answer's headers, in bytes. Of its body nothing is read.
	maxReplyHeaders = 16 << 10
	// MinSecret is the shortest secret, in bytes: a shorter one can be guessed from one signed message.
	MinSecret = 16
)

// Config is what a webhook is made from.
type Config struct {
	URL     string        // http or https
	Secret  []byte        // signs each body; empty: bodies are not signed
	Timeout time.Duration // of one call, all in all; zero means DefaultTimeout
	// TLS roots and everything else of the connection; nil means Go's own.
	Transport *http.Transport
}

// Webhook posts messages. It is safe for use from many goroutines.
type Webhook struct {
	url     string
	secret  []byte
	timeout time.Duration
	client  *http.Client
}

var _ node.Notifier = (*Webhook)(nil)

// NewWebhook checks what it is told; it calls nobody.
func NewWebhook(c Config) (*Webhook, error) {
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("webhook: its URL must be http://… or https://…")
	}
	if len(c.Secret) > 0 && len(c.Secret) < MinSecret {
		return nil, fmt.Errorf("webhook: a secret of %d bytes is too short, at least %d", len(c.Secret), MinSecret)
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	t := c.Transport
	if t == nil {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DialContext: (&net.Dialer{Timeout: c.Timeout}).DialContext}
	}
	t = t.Clone()
	// A connection for each message: they are minutes apart, and a body that nobody reads ends with its connection.
	t.DisableKeepAlives = true
	t.TLSHandshakeTimeout, t.ResponseHeaderTimeout, t.MaxResponseHeaderBytes = c.Timeout, c.Timeout, maxReplyHeaders
	w := &Webhook{url: c.URL, secret: bytes.Clone(c.Secret), timeout: c.Timeout}
	w.client = &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w, nil
}

// Notify implements [node.Notifier]: one POST. Any answer but 2xx is an error, redirects too.
func (w *Webhook) Notify(ctx context.Context, n node.Notice) error {
	body, err := n.Body()
	if err != nil {
		return fmt.Errorf("webhook: encode the message: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("webhook: %w", nameless(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "conclave/"+node.Version)
	req.Header.Set(HeaderVersion, fmt.Sprint(n.Version))
	if len(w.secret) > 0 {
		req.Header.Set(HeaderSignature, Sign(w.secret, body))
	}
	res, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("webhook: %w", nameless(err))
	}
	// The status is the whole answer; a body that never ends is cut off.
	_ = res.Body.Close()
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("webhook: it answers %d", res.StatusCode)
	}
	return nil
}

// Sign is the value of [HeaderSignature] for a body.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// nameless takes the URL out of an error of net/http: it may hold a token, and errors are logged.
func nameless(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
