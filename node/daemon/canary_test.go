package daemon

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/internal/devnet/devkeys"
	"conclave/node/api"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/tss/tsstest"
	"conclave/tss/vault"
)

// sink is a log that many goroutines write.
type sink struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// wire speaks JSON-RPC over the socket.
type wire struct{ net.Conn }

func dial(t *testing.T, path string) wire {
	t.Helper()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	return wire{c}
}

// Call decodes a method's result; an error of the node comes with all that it says.
func (w wire) Call(into any, method string, args ...any) error {
	if args == nil {
		args = []any{}
	}
	if err := json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": args}); err != nil {
		return err
	}
	var out struct{ Result, Error json.RawMessage }
	if err := json.NewDecoder(w).Decode(&out); err != nil {
		return err
	}
	if out.Error != nil {
		return errors.New(string(out.Error))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(out.Result, into)
}

// canaries are what must not be seen, in the spellings in which it could be.
func canaries(t *testing.T) map[string][]string {
	t.Helper()
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	share, err := shares[tsstest.MemberAddress(0)].MarshalBinary()
	require.NoError(t, err)
	set := devkeys.Set(0)
	out := map[string][]string{}
	for name, b := range map[string][]byte{
		"password": []byte(password), "wrong password": []byte("a wrong guess"), "node key": crypto.FromECDSA(tsstest.MemberKey(0)),
		"relay key": crypto.FromECDSA(tsstest.MemberKey(1)), "share": share[len(share)-40 : len(share)-8], "preparameters": set[100:132],
	} {
		out[name] = []string{string(b), hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)), base64.RawStdEncoding.EncodeToString(b)}
	}
	return out
}

// Nothing secret is in the log, a reply, the metrics, the page, an error, a dump of the goroutines, the books, the arguments or
// the environment, over a life with passwords wrong and right, a new password, sealing and unsealing.
func TestNothingSecretLeaves(t *testing.T) {
	dir := newHome(t)
	putShare(t, dir)
	books(t, dir, document(t, "devnet-test", 0).ID())
	var log sink
	o := options(dir)
	o.Password = func(config.Config) ([]byte, error) { return nil, nil } // sealed
	o.Log = func(config.LogLevel) *zap.Logger { return NewLogger(&log, "debug", false) }
	o.Note = func(s string) { _, _ = io.WriteString(&log, s) }
	d, end := start(t, o)
	client := dial(t, filepath.Join(dir, "conclave.sock"))
	var seen strings.Builder
	order := func(purpose, method, given, next string) error {
		var key api.UnsealKey
		require.NoError(t, client.Call(&key, "admin_unsealKey"))
		offer := vault.Offer{Node: key.Node, Key: [32]byte(hexutil.MustDecode(key.Key)), Expires: key.Expires}
		network := document(t, "devnet-test", 0).ID()
		var sig quorum.Signature
		require.NoError(t, sig.UnmarshalText([]byte(key.Signature)))
		require.NoError(t, offer.Verify(network, tsstest.MemberAddress(0), sig, time.Now()))
		sealed, err := offer.Seal(network, vault.Request{For: purpose, Password: []byte(given), Next: []byte(next)})
		require.NoError(t, err)
		var raw json.RawMessage
		err = client.Call(&raw, method, hexutil.Encode(sealed))
		seen.WriteString(string(raw) + key.Key)
		if err != nil {
			seen.WriteString(err.Error())
		}
		return err
	}
	look := func() {
		for _, method := range []string{"custodian_status", "custodian_health", "custodian_peers", "custodian_alerts", "custodian_risk", "rpc_discover"} {
			var raw json.RawMessage
			require.NoError(t, client.Call(&raw, method), method)
			seen.Write(raw)
		}
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz"} {
			res, err := http.Get(d.URL() + path)
			require.NoError(t, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			seen.Write(b)
		}
		dump := make([]byte, 8<<20)
		seen.Write(dump[:runtime.Stack(dump, true)])
	}
	look()
	require.ErrorContains(t, order(vault.ForUnseal, "admin_unseal", "a wrong guess", ""), "wrong password")
	require.NoError(t, order(vault.ForUnseal, "admin_unseal", password, ""))
	look()
	require.ErrorContains(t, order(vault.ForPassword, "admin_vaultPassword", "a wrong guess", "next"), "wrong password")
	require.NoError(t, order(vault.ForPassword, "admin_vaultPassword", password, password))
	require.NoError(t, client.Call(nil, "admin_seal", "over"))
	look()
	require.NoError(t, order(vault.ForUnseal, "admin_unseal", password, ""))
	require.NoError(t, client.Close())
	end()
	require.Contains(t, log.text(), "vault unsealed")
	seen.WriteString(log.text() + strings.Join(os.Args, " ") + strings.Join(os.Environ(), " "))
	for _, file := range []string{"data/ledger.db", "vault/vault.header"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		seen.Write(b)
	}
	for what, spellings := range canaries(t) {
		for _, s := range spellings {
			require.False(t, strings.Contains(seen.String(), s), "%s is seen", what)
		}
	}
}
