//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet"
	"conclave/internal/devnet/devkeys"
	"conclave/node/config"
	"conclave/tss/vault"
)

// sight is everything that somebody on the machine could have looked at, by where it stood.
type sight struct {
	*testing.T
	dir  string
	seen map[string][]byte
}

func (s *sight) add(where string, b []byte) {
	s.seen[where] = append(append(s.seen[where], b...), '\n')
}

// running is what devnet.json says.
type running struct {
	RPC        []string        `json:"rpc"`
	Payer      *common.Address `json:"payer"`
	Custodians []struct {
		Home string `json:"home"`
		PID  int    `json:"pid"`
	} `json:"custodians"`
	Paid int `json:"paid"`
}

// until reads devnet.json until it is so.
func (s *sight) until(ctx context.Context, is func(running) bool) (r running) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		raw, err := os.ReadFile(filepath.Join(s.dir, "devnet.json"))
		if err == nil && json.Unmarshal(raw, &r) == nil && is(r) {
			return r
		}
		select {
		case <-ctx.Done():
			s.Fatal("the network does not come so far")
		case <-tick.C:
		}
	}
}

// look takes what the system, the API, the metrics and the page show of every custodian, and checks that no core file can be written.
func (s *sight) look(r running) {
	for i, c := range r.Custodians {
		proc := fmt.Sprintf("/proc/%d/", c.PID)
		for _, file := range []string{"cmdline", "environ", "status", "maps"} {
			b, err := os.ReadFile(proc + file)
			if os.Geteuid() != 0 && file != "cmdline" && file != "status" {
				require.ErrorIs(s, err, fs.ErrPermission, "%s of a process that is not dumpable is closed to its own user", file)
				continue
			}
			require.NoError(s, err)
			s.add(proc+file, b)
		}
		limits, err := os.ReadFile(proc + "limits")
		require.NoError(s, err)
		require.Regexp(s, `(?m)^Max core file size +0 +0 `, string(limits), "core files are off")
		args, err := exec.Command("ps", "-o", "args=", "-p", fmt.Sprint(c.PID)).Output()
		if err == nil { // there is a ps
			require.Contains(s, string(args), "--password-file")
			s.add("ps", args)
		}
		for _, path := range []string{"/", "/metrics", "/healthz", "/readyz"} {
			res, err := http.Get(r.RPC[i] + path)
			require.NoError(s, err)
			b, err := io.ReadAll(res.Body)
			require.NoError(s, errors.Join(err, res.Body.Close()))
			s.add(r.RPC[i]+path, b)
		}
		s.ask(r.RPC[i])
	}
	http.DefaultClient.CloseIdleConnections()
}

// ask calls every method that the node says it has.
func (s *sight) ask(url string) {
	var doc struct {
		Methods []struct{ Name string } `json:"methods"`
	}
	require.NoError(s, devnet.Ask(s.Context(), url, &doc, "rpc_discover"))
	require.Greater(s, len(doc.Methods), 10)
	for _, m := range doc.Methods {
		var answer json.RawMessage
		if err := devnet.Ask(s.Context(), url, &answer, m.Name); err != nil {
			answer = []byte(err.Error())
		}
		s.add(url+" "+m.Name, answer)
	}
}

// order runs a verb of the product's own command on a custodian's machine.
func (s *sight) order(bin string, args ...string) (stdout string) {
	cmd := exec.CommandContext(s.Context(), bin, args...)
	var out, notes bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &notes
	require.NoError(s, cmd.Run(), "%v: %s", args, &notes)
	s.add("conclave "+args[0], append(out.Bytes(), notes.Bytes()...))
	return strings.TrimSpace(out.String())
}

// secrets are what nobody may see, by name: from the files in which they stand, and from the vaults, which open with their passwords.
func (s *sight) secrets(r running) map[string][]byte {
	out := map[string][]byte{}
	for i, c := range r.Custodians {
		cfg, err := config.Read(c.Home)
		require.NoError(s, err)
		node, err := config.ReadKey(cfg.NodeKeyPath())
		require.NoError(s, err)
		operator, err := config.ReadKey(filepath.Join(s.dir, fmt.Sprintf("operator-%d.key", i)))
		require.NoError(s, err)
		relay, err := config.ReadKey(cfg.RelayKeyPath())
		require.NoError(s, err)
		password, err := config.ReadPassword(filepath.Join(s.dir, fmt.Sprintf("password-%d", i)))
		require.NoError(s, err)
		v, err := vault.Open(cfg.VaultPath(), crypto.PubkeyToAddress(node.PublicKey), password)
		require.NoError(s, err)
		shares, err := v.Shares()
		require.NoError(s, err)
		require.Len(s, shares, 1)
		share, err := shares[0].MarshalBinary()
		require.NoError(s, err)
		v.Close()
		for name, secret := range map[string][]byte{
			"password": password, "node key": crypto.FromECDSA(node), "operator's key": crypto.FromECDSA(operator), "relay key": crypto.FromECDSA(relay),
			"share": share[len(share)-32 : len(share)-12], "preparameters": devkeys.Set(i)[100:132],
		} {
			out[fmt.Sprintf("%s of custodian %d", name, i)] = secret
		}
	}
	return out
}

// files takes every file of the run but those whose business secrets are, and any core file.
func (s *sight) files() {
	secretFiles := func(name string) bool {
		return strings.HasSuffix(name, ".key") || strings.HasPrefix(name, "password-") || strings.HasSuffix(name, ".sock") || name == "conclave"
	}
	require.NoError(s, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || secretFiles(d.Name()) {
			return err
		}
		require.False(s, d.Name() == "core" || strings.HasPrefix(d.Name(), "core."), "%s is a core file", path)
		b, err := os.ReadFile(path)
		s.add(path, b)
		return err
	}))
}

// Four custodians make their key and pay, one is sealed and unsealed, and backed up, as real processes: nothing secret is in the list of
// processes, their environment, a reply, the metrics, the page, the output of a verb, a log, a database or any other file, and none
// can write a core file.
func TestNothingSecretIsSeenOfRealProcesses(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	s := &sight{T: t, dir: filepath.Join(t.TempDir(), "net"), seen: map[string][]byte{}}
	bin := os.Getenv("CONCLAVE")
	var out, notes bytes.Buffer
	asked := make(chan struct{})
	o := devnet.Options{
		Nodes: custodians, Withdrawals: 2, Dir: s.dir, ExitPaid: true, JSON: true, Network: "devnet", Conclave: bin, Out: &out, Err: &notes,
		Pace: func(ctx context.Context, n int) error { // the last withdrawal waits until everything was looked at
			if n < 1 {
				return nil
			}
			select {
			case <-asked:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- devnet.Run(ctx, o) }()
	s.look(s.until(ctx, func(r running) bool { return len(r.Custodians) == custodians })) // while the key is made
	r := s.until(ctx, func(r running) bool { return r.Payer != nil && r.Paid > 0 })
	if bin == "" {
		bin = filepath.Join(s.dir, "conclave")
	}
	home, password := r.Custodians[0].Home, filepath.Join(s.dir, "password-0")
	s.order(bin, "seal", "--home", home, "--reason", "to look at it sealed")
	s.look(r)
	s.order(bin, "unseal", "--home", home, "--password-file", password)
	identity, backup := filepath.Join(t.TempDir(), "backup.identity"), filepath.Join(s.dir, "share.age")
	recipient := s.order(bin, "vault", "identity", "--out", identity)
	s.order(bin, "vault", "backup", "--home", home, "--password-file", password, "--to", recipient, "--out", backup)
	s.order(bin, "vault", "verify", "--identity", identity, backup)
	s.look(r)
	close(asked)
	require.NoError(t, <-ended, notes.String())
	s.add("the devnet's words", append(out.Bytes(), notes.Bytes()...))
	s.files()

	secrets := s.secrets(r)
	require.Len(t, secrets, 6*custodians)
	text, err := os.ReadFile(identity)
	require.NoError(t, err)
	secrets["identity of the backup"] = []byte(strings.TrimSpace(string(text[bytes.Index(text, []byte("AGE-SECRET-KEY-")):])))
	for what, secret := range secrets {
		require.Greater(t, len(secret), 15, what)
		for _, spelled := range []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)), base64.RawStdEncoding.EncodeToString(secret)} {
			for where, text := range s.seen {
				require.False(t, bytes.Contains(text, []byte(spelled)), "%s is seen in %s", what, where)
			}
		}
	}
	own, err := os.ReadFile(filepath.Join(s.dir, "operator-0.key"))
	require.NoError(t, err)
	require.Contains(t, string(own), hex.EncodeToString(secrets["operator's key of custodian 0"]), "what is looked for is spelled as it stands in its own file")
}
