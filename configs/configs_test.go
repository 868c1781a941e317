package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

// loaders says how each file is read. A file without a loader does not belong here.
func loaders() map[string]func(*testing.T, []byte) {
	return map[string]func(*testing.T, []byte){
		"config.toml": func(t *testing.T, b []byte) {
			home := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(home, config.FileName), b, 0o600))
			_, err := config.Load(home)
			require.NoError(t, err)
		},
		"policy.toml": func(t *testing.T, b []byte) {
			_, err := quorum.ParsePolicy(b)
			require.NoError(t, err)
		},
		"member.example.json": func(t *testing.T, b []byte) {
			_, err := quorum.ParseMember(b)
			require.NoError(t, err)
		},
		"genesis.example.json": func(t *testing.T, b []byte) {
			g, err := governance.ParseVerified(b)
			require.NoError(t, err)
			require.Equal(t, string(read(t, "policy.toml")), g.Document().Policy, "the document holds the policy beside it: make it anew")
		},
		"lanes.toml": func(t *testing.T, _ []byte) { /* its loader is the command: TestFirstHour */ },
	}
}

func TestEveryFileIsLoaded(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		load, ok := loaders()[e.Name()]
		require.True(t, ok, "%s has no loader", e.Name())
		t.Run(e.Name(), func(t *testing.T) { load(t, read(t, e.Name())) })
	}
}

// The lanes of the configuration are those of the lanes file and of the policy: together they are one example.
func TestTheFilesAreOneExample(t *testing.T) {
	c, err := config.Parse(read(t, "config.toml"))
	require.NoError(t, err)
	g, err := quorum.ParseGenesis(read(t, "genesis.example.json"))
	require.NoError(t, err)
	member, err := quorum.ParseMember(read(t, "member.example.json"))
	require.NoError(t, err)
	roster, err := g.Roster()
	require.NoError(t, err)

	require.Len(t, c.Lanes, len(g.Lanes))
	for i, l := range g.Lanes {
		require.Equal(t, l.Network, c.Lanes[i].Network)
		require.GreaterOrEqual(t, uint64(len(c.Lanes[i].Endpoints)), l.MinEndpoints)
	}
	found, ok := roster.Find(member.Address)
	require.True(t, ok)
	require.Equal(t, member.Member, found)
	require.Equal(t, c.Node.Name, found.Name)
}

// What the policy only shows, commented out, is what a policy may say.
func TestTheLimitsShownAreRead(t *testing.T) {
	policy := string(read(t, "policy.toml"))
	_, shown, found := strings.Cut(policy, "\n# [limits]\n")
	require.True(t, found)
	shown, _, _ = strings.Cut(shown, "\n\n")
	shown = strings.ReplaceAll(strings.ReplaceAll("\n"+shown, "\n# ", "\n"), "0x…", "0x00000000000000000000000000000000000000aa")
	p, err := quorum.ParsePolicy([]byte(policy + "\n[limits]" + shown + "\n"))
	require.NoError(t, err)
	all := reflect.ValueOf(p.Limits)
	for i := range all.NumField() {
		require.False(t, all.Field(i).IsZero(), "%s is not shown", all.Type().Field(i).Name)
	}
}

// TestFirstHour types what docs/operations.md says, with the files here, for a committee of four.
func TestFirstHour(t *testing.T) {
	dir, examples := t.TempDir(), must(filepath.Abs("."))
	bin := filepath.Join(dir, "conclave")
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		if name == bin {
			cmd.Dir = dir
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %s: %s", filepath.Base(name), strings.Join(args, " "), out)
		return string(out)
	}
	run("go", "build", "-o", bin, "conclave/cmd/conclave")

	var records []string
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		run(bin, "init", "--home", name, "--name", name, "--new-operator-key", name+".operator.key",
			"--multiaddr", "/ip4/203.0.113.10/tcp/9370")
		records = append(records, filepath.Join(name, "member.json"))
	}
	run(bin, "network", "new", "--name", "example", "--members", strings.Join(records, ","),
		"--lanes", filepath.Join(examples, "lanes.toml"), "--policy", filepath.Join(examples, "policy.toml"),
		"--fee-address", "0x00000000000000000000000000000000000000fe", "--dao-address", "0x00000000000000000000000000000000000000da",
		"--out", "genesis.json")
	for _, name := range []string{"alice", "bob", "carol"} {
		run(bin, "network", "sign", "--key-file", name+".operator.key", "genesis.json")
	}
	require.Contains(t, run(bin, "network", "verify", "genesis.json"), "3 of 4 operators signed")
	run(bin, "network", "join", "--home", "alice", "genesis.json")

	// The example configuration, as alice would fill it in; her API key stands in for one from the Relay's operator.
	filled := strings.Replace(string(read(t, "config.toml")), `"/run/credentials/conclave.service/vault-password"`, `""`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alice", config.FileName), []byte(filled), 0o600))
	key := read(t, filepath.Join(dir, "alice.operator.key"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alice", "relay.key"), key, 0o600))
	run(bin, "config", "check", "--home", "alice")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
