package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"conclave/internal/golden"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// complete is a configuration with everything that has no default.
func complete() Config {
	c := Default()
	c.Relay.URL = "https://relay.example"
	c.Lanes = []Lane{{Network: "devnet", Endpoints: []string{"http://127.0.0.1:8545", "https://rpc.example/v1?key=abc"}}}
	return c
}

func writeHome(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o600))
	return dir
}

func TestDocumentationIsFresh(t *testing.T) {
	golden.Text(t, filepath.Join("..", "..", "docs", "config.md"), Markdown())
	golden.Text(t, filepath.Join("testdata", "default.toml"), string(Write(Default())))
}

func TestEveryKeyIsExplained(t *testing.T) {
	for _, s := range sections(Default()) {
		require.NotEmpty(t, s.doc, s.name)
		for _, k := range s.keys {
			require.NotEmpty(t, k.name, s.name)
			require.NotEmpty(t, k.doc, k.name)
			require.True(t, strings.HasSuffix(k.doc, "."), "%s.%s: a sentence", s.name, k.name)
			if k.required {
				require.True(t, k.value.IsZero(), "%s.%s is required, so it has no default", s.name, k.name)
			}
		}
	}
}

func TestDefaultLacksOnlyWhatIsRequired(t *testing.T) {
	c := Default()
	require.EqualError(t, c.Validate(), "relay.url is required")
	c.Relay.URL = "http://127.0.0.1:1"
	require.ErrorContains(t, c.Validate(), "lane is required")
	require.NoError(t, complete().Validate())
}

func TestWriteAndParse(t *testing.T) {
	for _, c := range []Config{Default(), complete()} {
		again, err := Parse(Write(c))
		require.NoError(t, err)
		require.Equal(t, c, again)
	}
	rapid.Check(t, func(t *rapid.T) {
		c := complete()
		text := rapid.String().Filter(func(s string) bool { return !strings.ContainsRune(s, '\uFFFD') })
		c.Node.Name = text.Draw(t, "name")
		c.P2P.Listen = rapid.SliceOfN(text, 1, 3).Draw(t, "listen")
		c.P2P.Fanout = rapid.Int().Draw(t, "fanout")
		c.Relay.Poll = Duration(rapid.Int64().Draw(t, "poll"))
		c.API.AllowRemote = rapid.Bool().Draw(t, "remote")
		c.Lanes = append(c.Lanes, Lane{Network: text.Draw(t, "network"), Endpoints: []string{text.Draw(t, "url")}})
		again, err := Parse(Write(c))
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

func TestLoad(t *testing.T) {
	dir := writeHome(t, string(Write(complete())))
	c, err := Load(dir)
	require.NoError(t, err)
	require.Equal(t, dir, c.Home())
	for want, got := range map[string]string{
		"node.key": c.NodeKeyPath(), "relay.key": c.RelayKeyPath(), "genesis.json": c.GenesisPath(), "data": c.DataPath(),
		"data/ledger.db": c.LedgerPath(), "vault": c.VaultPath(), "conclave.sock": c.SocketPath(),
	} {
		require.Equal(t, filepath.Join(dir, want), got)
	}
	require.Empty(t, c.PasswordPath(), "none given")
	require.Empty(t, c.WebhookSecretPath(), "none given")
	c.Vault.PasswordFile = "/run/credentials/password"
	require.Equal(t, "/run/credentials/password", c.PasswordPath())

	in, err := Default().In(dir)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "node.key"), in.NodeKeyPath())
}

// hinted is what the command asks of an error.
type hinted interface{ Hint() string }

func TestLoadRefusesInOneLine(t *testing.T) {
	text := string(Write(complete()))
	for what, c := range map[string]struct{ from, to, want string }{
		"unknown key":          {"[relay]", "[relay]\nspeed = 1", "line 18: unknown key relay.speed"},
		"unknown section":      {"[tss]", "[horoscope]\nsign = \"x\"\n[tss]", "unknown key horoscope"},
		"a key twice":          {"fanout = 6", "fanout = 6\nfanout = 7", "line"},
		"a number as text":     {"fanout = 6", "fanout = \"six\"", "p2p.fanout: a value of another type"},
		"a float":              {"throttle_max = 2000", "throttle_max = 2e3", "p2p.throttle_max"},
		"a bare duration":      {`poll = "2s"`, `poll = "2"`, "want a duration"},
		"a duration in number": {`poll = "2s"`, `poll = 2`, "relay.poll"},
		"not toml":             {"[tss]", "[tss", "line"},
		"too eager":            {`poll = "2s"`, `poll = "1ms"`, "relay.poll must be between"},
		"no relay":             {`url = "https://relay.example"`, `url = ""`, "relay.url is required"},
		"a relay with secrets": {`https://relay.example`, `https://me:pw@relay.example`, "relay.url must be"},
		"unknown auth":         {`auth = "key"`, `auth = "quorum"`, "relay.auth"},
		"a foreign multiaddr":  {"/ip4/0.0.0.0/tcp/9370", "/ip4/0.0.0.0/udp/9370/quic", "p2p.listen"},
		"fanout of one":        {"fanout = 6", "fanout = 1", "p2p.fanout"},
		"no throttle":          {"throttle_max = 2000", "throttle_max = 0", "p2p.throttle_max"},
		"an endless window":    {`throttle_duration = "1s"`, `throttle_duration = "24h"`, "p2p.throttle_duration"},
		"a short round":        {`round_timeout = "10s"`, `round_timeout = "10ms"`, "tss.round_timeout"},
		"the world's API":      {"127.0.0.1:9371", "0.0.0.0:9371", "not loopback"},
		"an API of a name":     {"127.0.0.1:9371", "node.example:9371", "not loopback"},
		"an API without port":  {"127.0.0.1:9371", "127.0.0.1", "api.listen must be host:port"},
		"a port too high":      {"127.0.0.1:9371", "127.0.0.1:99999", "api.listen"},
		"no socket":            {`socket = "conclave.sock"`, `socket = ""`, "api.socket"},
		"an unknown level":     {`log_level = "info"`, `log_level = "loud"`, "node.log_level"},
		"no name":              {`name = "conclave"`, `name = ""`, "node.name"},
		"a webhook in clear":   {`webhook = ""`, `webhook = "http://hook.example/key=abc"`, "alerts.webhook must be https"},
		"a webhook elsewhere":  {`webhook = ""`, `webhook = "ftp://127.0.0.1/key=abc"`, "alerts.webhook must be https"},
		"a lonely secret":      {`webhook_secret_file = ""`, `webhook_secret_file = "s"`, "signs nothing without alerts.webhook"},
		"a hectic heart":       {`heartbeat = "10m0s"`, `heartbeat = "1s"`, "alerts.heartbeat must be between"},
		"a nagging alert":      {`remind_critical = "1h0m0s"`, `remind_critical = "1s"`, "alerts.remind_critical"},
		"a shrinking reminder": {`remind_most = "24h0m0s"`, `remind_most = "30m"`, "alerts.remind_most must be between 1h0m0s"},
		"a rare warning":       {`remind_warning = "24h0m0s"`, `remind_warning = "999h"`, "alerts.remind_warning"},
		"no message at all":    {`per_minute = 20`, `per_minute = 0`, "alerts.per_minute"},
		"a hasty withdrawal":   {`withdrawal_late = "30m0s"`, `withdrawal_late = "0s"`, "alerts.withdrawal_late"},
		"no network":           {`network = "devnet"`, `network = ""`, "lane[0].network"},
		"no endpoint":          {`endpoints = [`, `endpoints = [] # [`, "lane[0].endpoints"},
		"a websocket":          {`http://127.0.0.1:8545`, `ws://127.0.0.1:8545`, "lane[0].endpoints"},
		"an endpoint twice":    {`http://127.0.0.1:8545`, `https://rpc.example/v1?key=abc`, "stands twice"},
		"a lane twice":         {"\n[[lane]]", "\n[[lane]]\nnetwork = \"devnet\"\nendpoints = [\"http://a\"]\n[[lane]]", "stands twice"},
	} {
		bent := strings.Replace(text, c.from, c.to, 1)
		require.NotEqual(t, text, bent, what)
		dir := writeHome(t, bent)
		_, err := Load(dir)
		require.ErrorContains(t, err, c.want, what)
		require.ErrorContains(t, err, filepath.Join(dir, FileName), what)
		require.NotContains(t, err.Error(), "\n", what)
		require.NotContains(t, err.Error(), "key=abc", "a provider's key stays out of messages")
		var h hinted
		require.True(t, errors.As(err, &h), what)
		require.NotEmpty(t, h.Hint())
	}
}

func TestRemoteAPIMustBeAskedFor(t *testing.T) {
	c := complete()
	c.API.Listen, c.API.AllowRemote = "0.0.0.0:9371", true
	require.NoError(t, c.Validate())
	for _, local := range []string{"localhost:1", "[::1]:1", "127.0.0.2:1"} {
		c.API.Listen, c.API.AllowRemote = local, false
		require.NoError(t, c.Validate(), local)
	}
}

func TestWebhooks(t *testing.T) {
	c := complete()
	for _, url := range []string{"https://hooks.example/T0/secret?x=1", "http://127.0.0.1:9/a", "http://localhost/a", "http://[::1]:9/a", "https://me:pw@hooks.example"} {
		c.Alerts.Webhook, c.Alerts.WebhookSecretFile, c.Alerts.Heartbeat = url, "webhook.secret", 0
		require.NoError(t, c.Validate(), url)
	}
	for _, url := range []string{"hooks.example", "http://10.0.0.1/a", "https:///nowhere", "https://hooks.example/#part", "https://hooks.example/" + strings.Repeat("a", 3000)} {
		c.Alerts.Webhook = url
		err := c.Validate()
		require.ErrorContains(t, err, "alerts.webhook")
		require.NotContains(t, err.Error(), url)
	}
}

// The kernel's own answer to a long path would be "invalid argument".
func TestSocketPathMustFit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), Write(complete()), 0o600))
	_, err := Load(dir)
	require.ErrorContains(t, err, "api.socket")
	require.ErrorContains(t, err, "104")
}

func TestLoadOfNoHome(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
	var h hinted
	require.True(t, errors.As(err, &h))
	require.Contains(t, h.Hint(), "conclave init")
}

func TestLoadRefusesWhatOthersCanWrite(t *testing.T) {
	dir := writeHome(t, string(Write(complete())))
	require.NoError(t, os.Chmod(filepath.Join(dir, FileName), 0o660))
	_, err := Load(dir)
	var mode *ModeError
	require.ErrorAs(t, err, &mode)
	require.ErrorContains(t, err, "mode 0660: others can write it")

	require.NoError(t, os.WriteFile(filepath.Join(dir, FileName), make([]byte, maxFile+1), 0o600))
	require.NoError(t, os.Chmod(filepath.Join(dir, FileName), 0o600))
	_, err = Load(dir)
	require.ErrorContains(t, err, "at most")
}

func TestSplitMultiaddr(t *testing.T) {
	for in, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/9370": "127.0.0.1", "/ip6/::1/tcp/1": "::1", "/dns4/node.example/tcp/443": "node.example", "/ip4/0.0.0.0/tcp/0": "0.0.0.0",
	} {
		host, _, ok := SplitMultiaddr(in)
		require.True(t, ok, in)
		require.Equal(t, want, host)
	}
	for _, bad := range []string{
		"", "/", "127.0.0.1:9370", "/ip4/127.0.0.1/udp/1", "/ip4/::1/tcp/1", "/ip6/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/65536", "/ip4/127.0.0.1/tcp/01",
		"/ip4/127.0.0.1/tcp/1/ws", "/dns4//tcp/1", "/dns4/127.0.0.1/tcp/1", "/unix/x/tcp/1", "/ip4/::ffff:1.2.3.4/tcp/1",
	} {
		_, _, ok := SplitMultiaddr(bad)
		require.False(t, ok, bad)
	}
}

func TestDurationText(t *testing.T) {
	var d Duration
	require.NoError(t, d.UnmarshalText([]byte("1m30s")))
	require.Equal(t, 90*time.Second, time.Duration(d))
	b, err := d.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "1m30s", string(b))
	require.Error(t, d.UnmarshalText([]byte("soon")))
}

func TestUnknownTypesHaveNoLiteral(t *testing.T) {
	require.Panics(t, func() { literal(reflect.ValueOf(1.5)) })
	require.Equal(t, "text", typeName(reflect.ValueOf("x")))
}

func FuzzParse(f *testing.F) {
	f.Add(Write(complete()))
	f.Add([]byte("[node]\nname = 1\n"))
	f.Add([]byte("[[lane]]\n[[lane]]\nnetwork=\"a\""))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := Parse(file)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		if c.Validate() == nil {
			again, err := Parse(Write(c))
			require.NoError(t, err)
			require.Equal(t, string(Write(c)), string(Write(again)))
		}
	})
}
