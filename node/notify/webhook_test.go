package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/internal/golden"
	"conclave/node"
)

// A logger that libraries bring along starts one goroutine when it is linked in.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// secret is of these tests, and of nothing else.
var secret = []byte("a secret of tests, nothing else")

// patience is the timeout of calls that are meant to run into it.
const patience = 200 * time.Millisecond

func notice() node.Notice {
	at := time.Date(2026, 7, 1, 3, 0, 0, 0, time.UTC)
	return node.Notice{
		Version: node.NoticeVersion, ID: "00112233445566778899aabbccddeeff",
		Sender: node.Sender{Network: "testnet", NetworkID: common.Hash{1}, Node: "alice", Address: common.HexToAddress("0x00000000000000000000000000000000000000a1")},
		Kind:   node.NoticeAlert, Code: "relay-down", Severity: "warning", Key: "relay-down", Text: "the Relay has not answered for 16s: EOF",
		Hint: "check the Relay's URL", Since: at, Time: at.Add(time.Minute), Count: 3, Open: 2,
	}
}

// TestTheMessageIsWhatWasPromised: receivers are written against these bytes.
func TestTheMessageIsWhatWasPromised(t *testing.T) {
	body, err := notice().Body()
	require.NoError(t, err)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, body, "", "  "))
	golden.Text(t, filepath.Join("testdata", "notice-v1.json"), indented.String()+"\n")
	golden.Text(t, filepath.Join("testdata", "notice-v1.sig"), Sign(secret, body)+"\n")
}

// serve runs a receiver on loopback for one test.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestAMessageArrivesWholeAndSigned(t *testing.T) {
	type call struct {
		method, kind, version, signature string
		body                             []byte
	}
	var got []call
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = append(got, call{r.Method, r.Header.Get("Content-Type"), r.Header.Get(HeaderVersion), r.Header.Get(HeaderSignature), body})
		w.WriteHeader(http.StatusAccepted)
	})
	for _, key := range [][]byte{secret, nil} {
		w, err := NewWebhook(Config{URL: s.URL, Secret: key})
		require.NoError(t, err)
		require.NoError(t, w.Notify(t.Context(), notice()))
	}

	require.Len(t, got, 2)
	require.Equal(t, []string{"POST", "application/json", "1"}, []string{got[0].method, got[0].kind, got[0].version})
	var back node.Notice
	require.NoError(t, json.Unmarshal(got[0].body, &back))
	require.Equal(t, notice(), back)
	// A receiver's own arithmetic, apart from ours.
	mac := hmac.New(sha256.New, secret)
	mac.Write(got[0].body)
	require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), got[0].signature)
	require.Empty(t, got[1].signature, "without a secret nothing is claimed")
}

func TestOnlySuccessIsSuccess(t *testing.T) {
	for _, status := range []int{200, 201, 204} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		require.NoError(t, call(t, s.URL+"/token-of-alice", 0), status)
	}
	for _, status := range []int{301, 302, 303, 307, 308, 400, 401, 404, 429, 500, 503} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, "token-of-alice is not welcome")
		})
		err := call(t, s.URL+"/token-of-alice", 0)
		require.ErrorContains(t, err, fmt.Sprint(status))
		require.NotContains(t, err.Error(), "token-of-alice", "neither the URL nor the answer is quoted")
	}
}

func call(t *testing.T, url string, timeout time.Duration) error {
	t.Helper()
	w, err := NewWebhook(Config{URL: url, Secret: secret, Timeout: timeout})
	require.NoError(t, err)
	return w.Notify(t.Context(), notice())
}

func TestNoRedirectIsFollowed(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a signed message went where nobody sent it") })
	for _, status := range []int{301, 302, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		require.ErrorContains(t, call(t, s.URL, 0), fmt.Sprint(status))
	}
}

// within fails the test when a call takes longer than it may.
func within(t *testing.T, limit time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	require.Less(t, time.Since(began), limit)
}

func TestGiantRepliesCostNothing(t *testing.T) {
	wrote := make(chan int64, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var n int64
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for r.Context().Err() == nil && n < 1<<33 {
			k, err := w.Write(chunk)
			n += int64(k)
			if err != nil {
				break
			}
		}
		wrote <- n
	})
	within(t, 5*time.Second, func() { require.NoError(t, call(t, s.URL, 0)) })
	require.Less(t, <-wrote, int64(64<<20), "what nobody reads stays in the kernel's buffers")

	s = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	require.Error(t, call(t, s.URL, 0), "headers beyond their bound are no answer")
}

// drip listens and sends what it is told, a byte at a time, for ever; it never reads to the end.
func drip(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	end := make(chan struct{})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close() //nolint:errcheck // a test's end
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for i := 0; ; i++ {
					select {
					case <-end:
						return
					case <-tick.C:
					}
					b := byte('x')
					if i < len(text) {
						b = text[i]
					}
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		close(end)
		require.NoError(t, l.Close())
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

func TestASlowReceiverIsNotWaitedFor(t *testing.T) {
	for name, text := range map[string]string{"headers without end": "HTTP/1.1 200 OK\r\nX: ", "nonsense": "hello"} {
		t.Run(name, func(t *testing.T) {
			url := drip(t, text)
			within(t, 5*time.Second, func() { require.Error(t, call(t, url, patience)) })
		})
	}
	t.Run("a body without end", func(t *testing.T) {
		url := drip(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		within(t, 5*time.Second, func() { require.NoError(t, call(t, url, 4*time.Second)) })
	})
	t.Run("silence", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close() //nolint:errcheck // a test's end
		within(t, 5*time.Second, func() { require.Error(t, call(t, "http://"+l.Addr().String(), patience)) })
	})
	t.Run("nobody", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		url := "http://" + l.Addr().String() + "/token-of-alice"
		require.NoError(t, l.Close())
		err = call(t, url, patience)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "token-of-alice")
	})
}

func TestTheEndOfTheCallerEndsTheCall(t *testing.T) {
	asked, let := make(chan struct{}), make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { close(asked); <-let })
	defer close(let)
	w, err := NewWebhook(Config{URL: s.URL})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Notify(ctx, notice()) }()
	<-asked
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}

// TLS is Go's: a certificate that nobody vouches for is refused, one that its roots vouch for is taken.
func TestCertificatesAreChecked(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it speaks of the handshake that fails below
	s.StartTLS()
	defer s.Close()
	require.ErrorContains(t, call(t, s.URL, 0), "certificate")

	w, err := NewWebhook(Config{URL: s.URL, Transport: s.Client().Transport.(*http.Transport)})
	require.NoError(t, err)
	require.NoError(t, w.Notify(t.Context(), notice()))
}

func TestWhatCannotWorkIsRefused(t *testing.T) {
	for _, c := range []Config{{}, {URL: "ftp://a"}, {URL: "https://"}, {URL: "://"}, {URL: "http://a", Secret: []byte("short")}} {
		_, err := NewWebhook(c)
		require.Error(t, err)
	}
}
