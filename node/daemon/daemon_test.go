package daemon

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"conclave/internal/devnet/devkeys"
	"conclave/ledger"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"
	"conclave/tss"
	"conclave/tss/tsstest"
	"conclave/tss/vault"
)

// A logger that libraries bring along starts one goroutine when it is linked in.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// password of the vaults of these tests, and of nothing else.
const password = "a password for tests"

const members = 4

// operator is the test key of a member's operator.
func operator(i int) *ecdsa.PrivateKey { return tsstest.MemberKey(members + i) }

// document is a genesis document of the test members, signed by the operators of the first `signed` of them.
func document(t *testing.T, name string, signed int) quorum.Genesis {
	t.Helper()
	policy, err := os.ReadFile(filepath.Join("..", "..", "quorum", "testdata", "policy.toml"))
	require.NoError(t, err)
	g := quorum.Genesis{
		Version: quorum.GenesisVersion, Name: name, FeeAddress: common.Address{0xfe}, DaoAddress: common.Address{0xda}, Policy: string(policy),
		Lanes: []quorum.Lane{{Network: "devnet", ChainID: 1337, Way: quorum.WaySingle, DepositAddress: common.Address{0xde}, Finality: 2, MinEndpoints: 1}},
	}
	for i := range members {
		key := tsstest.MemberKey(i)
		m := quorum.Member{Name: fmt.Sprintf("m%d", i), Address: tsstest.MemberAddress(i), Operator: crypto.PubkeyToAddress(operator(i).PublicKey), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/1"}}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		g.Members = append(g.Members, m)
	}
	slices.SortFunc(g.Members, func(a, b quorum.Member) int { return a.Address.Cmp(b.Address) })
	for i := range signed {
		sig, err := governance.Sign(operator(i), g)
		require.NoError(t, err)
		g, _, err = governance.AddSignature(g, sig)
		require.NoError(t, err)
	}
	return g
}

func save(t *testing.T, dir string, g quorum.Genesis) {
	t.Helper()
	b, err := governance.MarshalGenesis(g)
	require.NoError(t, err)
	require.NoError(t, config.Replace(filepath.Join(dir, "genesis.json"), b, 0o644))
}

func saveConfig(t *testing.T, dir string, change func(*config.Config)) {
	t.Helper()
	c := config.Default()
	c.Relay.URL = "http://127.0.0.1:1"
	c.P2P.Listen = []string{"/ip4/127.0.0.1/tcp/0"}
	c.API.Listen = "127.0.0.1:0"
	c.Lanes = []config.Lane{{Network: "devnet", Endpoints: []string{"http://127.0.0.1:1"}}}
	if change != nil {
		change(&c)
	}
	require.NoError(t, config.Replace(filepath.Join(dir, config.FileName), config.Write(c), 0o600))
}

// shortDir is a folder whose path leaves room for the socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "home")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// copyHome copies a home with its modes: making a vault takes a second.
func copyHome(t *testing.T, from string) string {
	t.Helper()
	to := shortDir(t)
	require.NoError(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == from {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.Mkdir(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	}))
	return to
}

// newHome is a home as `conclave init` and `network join` leave it.
func newHome(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	saveConfig(t, dir, nil)
	require.NoError(t, config.WriteKey(filepath.Join(dir, "node.key"), tsstest.MemberKey(0)))
	require.NoError(t, config.WriteKey(filepath.Join(dir, "relay.key"), tsstest.MemberKey(1)))
	save(t, dir, document(t, "devnet-test", 3))
	v, err := vault.Create(filepath.Join(dir, "vault"), tsstest.MemberAddress(0), []byte(password), vault.LeastParams())
	require.NoError(t, err)
	defer v.Close()
	pre, err := tss.UnmarshalPreParams(devkeys.Set(0))
	require.NoError(t, err)
	require.NoError(t, v.PutPreParams(pre))
	return dir
}

func options(dir string) Options {
	return Options{
		Home: dir, Password: func(config.Config) ([]byte, error) { return []byte(password), nil },
		Log: func(config.LogLevel) *zap.Logger { return zap.NewNop() }, Note: func(string) {},
	}
}

// contents is every path, mode and content below a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var b []byte
		if info.Mode().IsRegular() {
			b, err = os.ReadFile(path)
		}
		out[path] = info.Mode().String() + crypto.Keccak256Hash(b).Hex()
		return err
	}))
	return out
}

func TestWhatIsRefusedChangesNothing(t *testing.T) {
	in := func(dir, name string) string { return filepath.Join(dir, name) }
	template := newHome(t)
	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string, o *Options)
		class Class // of a *Problem; -1: an error of package config
		text  string
		hint  string
	}{
		"no home":       {func(t *testing.T, dir string, o *Options) { o.Home = in(dir, "nowhere") }, -1, "no such file", "conclave init"},
		"open config":   {func(t *testing.T, dir string, _ *Options) { chmod(t, in(dir, "config.toml"), 0o622) }, -1, "others can write", "chmod 600"},
		"open home":     {func(t *testing.T, dir string, _ *Options) { chmod(t, dir, 0o770) }, Setup, "others can write", "chmod 700"},
		"open key":      {func(t *testing.T, dir string, _ *Options) { chmod(t, in(dir, "node.key"), 0o640) }, Setup, "node key", "chmod 600"},
		"open relaykey": {func(t *testing.T, dir string, _ *Options) { chmod(t, in(dir, "relay.key"), 0o604) }, Setup, "relay key", "chmod 600"},
		"open vault":    {func(t *testing.T, dir string, _ *Options) { chmod(t, in(dir, "vault"), 0o755) }, Setup, "others can read", "chmod 700"},
		"open data":     {func(t *testing.T, dir string, _ *Options) { require.NoError(t, os.Mkdir(in(dir, "data"), 0o755)) }, Setup, "others can read", "chmod 700"},
		"open books": {func(t *testing.T, dir string, _ *Options) {
			books(t, dir, document(t, "devnet-test", 0).ID())
			chmod(t, in(dir, "data/ledger.db"), 0o644)
		}, -1, "ledger.db has mode 0644", "chmod 600"},
		"no genesis": {func(t *testing.T, dir string, _ *Options) { require.NoError(t, os.Remove(in(dir, "genesis.json"))) }, Setup, "joined no network", "network join"},
		"unsigned":   {func(t *testing.T, dir string, _ *Options) { save(t, dir, document(t, "devnet-test", 2)) }, Refused, "2 of 4", "network sign"},
		"broken genesis": {func(t *testing.T, dir string, _ *Options) {
			require.NoError(t, os.WriteFile(in(dir, "genesis.json"), []byte("{"), 0o644))
		}, Setup, "genesis", "network verify"},
		"a stranger": {func(t *testing.T, dir string, _ *Options) {
			require.NoError(t, os.Remove(in(dir, "node.key")))
			key, err := crypto.GenerateKey()
			require.NoError(t, err)
			require.NoError(t, config.WriteKey(in(dir, "node.key"), key))
		}, Setup, "is no member of network devnet-test", "member record"},
		"no relay key": {func(t *testing.T, dir string, _ *Options) { require.NoError(t, os.Remove(in(dir, "relay.key"))) }, Setup, "relay key", ""},
		"another lane": {func(t *testing.T, dir string, _ *Options) {
			saveConfig(t, dir, func(c *config.Config) { c.Lanes[0].Network = "mainnet" })
		}, -1, `"mainnet" is not a lane`, "config default"},
		"wrong password": {func(t *testing.T, _ string, o *Options) {
			o.Password = func(config.Config) ([]byte, error) { return []byte("another password"), nil }
		}, Setup, "wrong password", "password that sealed"},
		"no vault, no password": {func(t *testing.T, dir string, o *Options) {
			require.NoError(t, os.RemoveAll(in(dir, "vault")))
			o.Password = func(config.Config) ([]byte, error) { return nil, nil }
		}, Setup, "there is no vault", "--password-file"},
		"a vault in use": {func(t *testing.T, dir string, _ *Options) {
			v, err := vault.Open(in(dir, "vault"), tsstest.MemberAddress(0), []byte(password))
			require.NoError(t, err)
			t.Cleanup(v.Close)
		}, Setup, "in use by another process", "end it first"},
		"no password": {func(t *testing.T, _ string, o *Options) {
			o.Password = func(config.Config) ([]byte, error) { return nil, &Problem{Setup, errors.New("no terminal"), "a hint"} }
		}, Setup, "no terminal", "a hint"},
		"a lost vault": {func(t *testing.T, dir string, _ *Options) {
			books(t, dir, document(t, "devnet-test", 0).ID())
			require.NoError(t, os.RemoveAll(in(dir, "vault")))
		}, Setup, "vault", "vault restore"},
		"lost books":      {func(t *testing.T, dir string, _ *Options) { putShare(t, dir) }, Refused, "ledger.db is gone", "put the newest copy"},
		"another network": {func(t *testing.T, dir string, _ *Options) { books(t, dir, common.Hash{7}) }, Setup, "another network", "another home"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyHome(t, template)
			o := options(dir)
			c.spoil(t, dir, &o)
			before := contents(t, dir)
			d, err := Open(t.Context(), o)
			require.Nil(t, d)
			require.ErrorContains(t, err, c.text)
			require.NotContains(t, err.Error(), "\n")
			wantHint(t, err, c.class, c.hint)
			after := contents(t, dir)
			for name := range after { // a password was tried, or another process kept out
				_, was := before[name]
				if base := filepath.Base(name); !was && base == "vault.lock" || (base == "vault.attempts" && strings.Contains(c.text, "wrong password")) {
					delete(after, name)
				}
			}
			if c.class == Refused {
				// To know that the books were put back, the database has to be opened, which counts in its own header.
				delete(before, in(dir, "data/ledger.db"))
				delete(after, in(dir, "data/ledger.db"))
			}
			require.Equal(t, before, after)
		})
	}
}

func wantHint(t *testing.T, err error, class Class, hint string) {
	t.Helper()
	var p *Problem
	var h interface{ Hint() string }
	require.Equal(t, class >= 0, errors.As(err, &p), "%v", err)
	if p != nil {
		require.Equal(t, class, p.Class)
	}
	require.True(t, errors.As(err, &h))
	require.Contains(t, h.Hint(), hint)
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.Chmod(path, mode))
}

// books makes the ledger of a network.
func books(t *testing.T, dir string, network common.Hash) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	l, err := ledger.Open(filepath.Join(dir, "data"), network)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

// rollBack lets the node speak and then puts the books from before back.
func rollBack(t *testing.T, dir string) {
	t.Helper()
	network := document(t, "devnet-test", 0).ID()
	books(t, dir, network)
	data := filepath.Join(dir, "data")
	old, err := os.ReadFile(filepath.Join(data, "ledger.db"))
	require.NoError(t, err)
	l, err := ledger.Open(data, network)
	require.NoError(t, err)
	require.NoError(t, l.Update(func(tx *ledger.Tx) error { _, err := tx.NextCounter(); return err }))
	require.NoError(t, l.Close())
	require.NoError(t, os.WriteFile(filepath.Join(data, "ledger.db"), old, 0o600))
}

func putShare(t *testing.T, dir string) {
	t.Helper()
	v, err := vault.Open(filepath.Join(dir, "vault"), tsstest.MemberAddress(0), []byte(password))
	require.NoError(t, err)
	defer v.Close()
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	require.NoError(t, v.SaveShare(shares[tsstest.MemberAddress(0)]))
}

// start runs a daemon until the returned function ends it.
func start(t *testing.T, o Options) (*Daemon, func()) {
	t.Helper()
	d, err := Open(t.Context(), o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	<-d.Started()
	return d, func() {
		cancel()
		require.NoError(t, <-ended)
		http.DefaultClient.CloseIdleConnections()
	}
}

func call(t *testing.T, url, method string) (out struct{ Result json.RawMessage }) {
	t.Helper()
	res, err := http.Post(url, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`"}`))
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&out))
	return out
}

// An older database does not keep a node from starting: it follows the others, and says why it is silent.
func TestAnOlderCopyStartsInQuarantine(t *testing.T) {
	dir := newHome(t)
	rollBack(t, dir)
	d, end := start(t, options(dir))
	var s node.Status
	require.NoError(t, json.Unmarshal(call(t, d.URL(), "custodian_status").Result, &s))
	require.NotNil(t, s.Silence)
	require.True(t, s.Silence.Asking && s.Silence.Quarantined)
	require.Contains(t, s.Silence.Reason, "older than what this node has already said")
	require.Equal(t, 2, s.Silence.Needed)
	require.Len(t, s.Silence.Silent, 3)
	codes := map[string]string{}
	for _, r := range s.Reasons {
		codes[r.Code] = r.Hint
	}
	require.Contains(t, codes, "asking")
	require.Contains(t, codes["quarantined"], "others have shown their height")
	end()
}

func TestRunServesAndEnds(t *testing.T) {
	dir := newHome(t)
	d, end := start(t, options(dir))
	var s node.Status
	require.NoError(t, json.Unmarshal(call(t, d.URL(), "custodian_status").Result, &s))
	require.Equal(t, tsstest.MemberAddress(0), s.Node.Address)
	require.Equal(t, "devnet-test", s.Network.Name)
	require.NotNil(t, s.Keygen)
	res, err := http.Get(d.URL() + "/readyz")
	require.NoError(t, err)
	require.Equal(t, 503, res.StatusCode, "one of four cannot be ready")
	require.NoError(t, res.Body.Close())
	res, err = http.Get(d.URL() + "/metrics")
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, errors.Join(err, res.Body.Close()))
	require.Contains(t, string(text), "conclave_up 1")

	_, err = Open(t.Context(), options(dir))
	require.ErrorIs(t, err, vault.ErrInUse)
	wantHint(t, err, Setup, "end it first")

	end()
	_, err = os.Lstat(filepath.Join(dir, "conclave.sock"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	// The same home again: nothing was left locked or listening.
	_, end = start(t, options(dir))
	end()
}

func TestAVaultIsMadeOnceAndPrimesAreTakenAhead(t *testing.T) {
	dir := newHome(t)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "vault")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "vault"), 0o700)) // as init leaves it without a password
	var notes []string
	o := options(dir)
	o.Note = func(s string) { notes = append(notes, s) }
	d, err := Open(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Contains(t, notes[0], "one is made")

	v, err := vault.NewDoor(filepath.Join(dir, "vault"), tsstest.MemberAddress(0))
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.Unseal([]byte(password)))
	k := keys{v, t.Context(), o.Note}
	_, err = k.ShareOf(quorum.Transcript{PublicKey: quorum.PublicKey{2}})
	require.ErrorIs(t, err, node.ErrNoShare)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = keys{v, ended, o.Note}.PreParams()
	require.ErrorIs(t, err, context.Canceled, "the search ends with the process")
	require.Contains(t, notes[1], "primes")
	pre, err := tss.UnmarshalPreParams(devkeys.Set(0))
	require.NoError(t, err)
	require.NoError(t, v.PutPreParams(pre))
	got, err := k.PreParams()
	require.NoError(t, err)
	require.Equal(t, pre.Fingerprint(), got.Fingerprint())
}

func TestAPortInUseIsKnownBeforeTheNodeRuns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	dir := newHome(t)
	saveConfig(t, dir, func(c *config.Config) { c.API.Listen = l.Addr().String() })
	_, err = Open(t.Context(), options(dir))
	require.ErrorContains(t, err, "address already in use")
	wantHint(t, err, Setup, "free port")
}

func TestDevelopmentIsTheNamesMatter(t *testing.T) {
	for name, want := range map[string]bool{"devnet": true, "devnet-2": true, "mainnet": false, "my-devnet": false, "Devnet": false, "": false} {
		require.Equal(t, want, Development(quorum.Genesis{Name: name}), name)
	}
}

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log := NewLogger(&b, "warn", false)
	log.Info("quiet")
	log.Named("p2p").Warn("throttled", zap.String("peer", "x"))
	var line map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &line))
	require.Equal(t, "throttled", line["event"])
	require.Equal(t, "p2p", line["room"])
	require.Equal(t, "warn", line["level"])
	b.Reset()
	NewLogger(&b, "info", true).Info("paid", zap.Int("height", 3))
	require.Contains(t, b.String(), "info\tpaid\t{\"height\": 3}")
}
