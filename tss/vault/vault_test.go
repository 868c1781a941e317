package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// The password and the cheap parameters of these tests. A vault that they made does not open outside of them.
const testPassword = "a password for tests"

var cheap = Params{Memory: 64, Time: 1, Threads: 1}

// testEnv has bounds that cheap passes, and the same randomness in each run.
func testEnv() env {
	l := bounds()
	l.least = cheap
	return env{limits: l, random: rand.NewChaCha8([32]byte{'v', 'a', 'u', 'l', 't'})}
}

func node() common.Address { return tsstest.MemberAddress(0) }

func newVault(t *testing.T, e env) (string, *Vault) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := e.create(dir, node(), []byte(testPassword), cheap)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return dir, v
}

func reopen(t *testing.T, dir string) *Vault {
	t.Helper()
	v, err := testEnv().open(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// The material is read once: checking it takes most of a test's time.
var (
	shares = sync.OnceValues(tsstest.Shares)
	sets   = sync.OnceValues(func() ([]*tss.PreParams, error) {
		var out []*tss.PreParams
		for i := range 4 {
			p, err := tss.UnmarshalPreParams(devkeys.Set(i))
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		return out, nil
	})
	// later is the node's share of another key, in a later epoch.
	later = sync.OnceValues(func() (*tss.KeyShare, error) {
		var members []common.Address
		for i := range tsstest.Members {
			members = append(members, tsstest.MemberAddress(i))
		}
		dealt, err := tsstest.Deal(tsstest.Epoch+1, members, tsstest.Threshold, func(i int) []byte { return devkeys.Set(4 + i) })
		return dealt[node()], err
	})
)

func testShare(t testing.TB, member int) *tss.KeyShare {
	t.Helper()
	all, err := shares()
	require.NoError(t, err)
	return all[tsstest.MemberAddress(member)]
}

func laterShare(t *testing.T) *tss.KeyShare {
	t.Helper()
	s, err := later()
	require.NoError(t, err)
	return s
}

func testSet(t testing.TB, i int) *tss.PreParams {
	t.Helper()
	all, err := sets()
	require.NoError(t, err)
	return all[i]
}

func bytesOf(t *testing.T, s *tss.KeyShare) []byte {
	t.Helper()
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	return b
}

// At the real bounds: what is saved is there after opening again, in files of the modes that are promised.
func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home", "vault")
	v, err := Create(dir, node(), []byte(testPassword), LeastParams())
	require.NoError(t, err)
	share := testShare(t, 0)
	require.Empty(t, v.Keys())
	_, err = v.Share(share.PublicKey())
	require.ErrorIs(t, err, ErrNoShare)
	_, err = v.PreParams()
	require.ErrorIs(t, err, ErrNoPreParams)
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(share))
	v.Close()

	v, err = Open(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	defer v.Close()
	got, err := v.Share(share.PublicKey())
	require.NoError(t, err)
	require.Equal(t, bytesOf(t, share), bytesOf(t, got))
	require.Equal(t, []quorum.PublicKey{share.PublicKey()}, v.Keys())
	pre, err := v.PreParams()
	require.NoError(t, err)
	require.Equal(t, testSet(t, 0).Fingerprint(), pre.Fingerprint())

	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOpenRefuses(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	e := testEnv()
	for name, c := range map[string]struct {
		dir      string
		node     common.Address
		password string
		want     error
	}{
		"a wrong password":   {dir, node(), "another password", ErrPassword},
		"no password":        {dir, node(), "", ErrPassword},
		"an endless one":     {dir, node(), strings.Repeat("x", MaxPassword+1), ErrPassword},
		"another node":       {dir, tsstest.MemberAddress(1), testPassword, ErrOtherNode},
		"no directory":       {filepath.Join(dir, "none"), node(), testPassword, ErrNoVault},
		"an empty directory": {emptyDir(t), node(), testPassword, ErrNoVault},
		"a file":             {filepath.Join(dir, headerFile), node(), testPassword, ErrNoVault},
	} {
		_, err := e.open(c.dir, c.node, []byte(c.password))
		require.ErrorIs(t, err, c.want, name)
	}
	_, err := Open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrParams, "cheap parameters, outside of these tests")
}

func emptyDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

func TestCreateRefuses(t *testing.T) {
	dir, v := newVault(t, testEnv())
	_, err := testEnv().create(dir, node(), []byte(testPassword), cheap)
	require.ErrorIs(t, err, ErrExists)

	require.NoError(t, v.SaveShare(testShare(t, 0)))
	require.NoError(t, os.Remove(filepath.Join(dir, headerFile)))
	_, err = testEnv().create(dir, node(), []byte(testPassword), cheap)
	require.ErrorIs(t, err, ErrExists, "records whose header is gone")

	_, err = Create(emptyDir(t), node(), nil, LeastParams())
	require.ErrorContains(t, err, "empty")
	_, err = Create(emptyDir(t), node(), bytes.Repeat([]byte{'x'}, MaxPassword+1), LeastParams())
	require.ErrorContains(t, err, "more than")
	loose := t.TempDir()
	require.NoError(t, os.Chmod(loose, 0o750))
	_, err = Create(loose, node(), []byte(testPassword), LeastParams())
	require.ErrorIs(t, err, ErrMode)
}

func TestParamsAreBounded(t *testing.T) {
	require.NoError(t, bounds().check(DefaultParams()))
	require.NoError(t, bounds().check(LeastParams()))
	require.Equal(t, Params{512 << 10, 3, 4}, DefaultParams())
	for _, p := range []Params{
		{}, {64<<10 - 1, 3, 4}, {2<<20 + 1, 3, 4}, {64 << 10, 2, 4}, {64 << 10, 11, 4}, {64 << 10, 3, 0}, {64 << 10, 3, 17},
	} {
		dir := filepath.Join(t.TempDir(), "vault")
		_, err := Create(dir, node(), []byte(testPassword), p)
		require.ErrorIs(t, err, ErrParams, "%+v", p)
		require.NoDirExists(t, dir)
	}
}

// A header that asks for too much is refused before anything is spent; so is one that asks for too little.
func TestHostileParams(t *testing.T) {
	dir, _ := newVault(t, testEnv())
	for _, p := range []Params{{1<<32 - 1, 3, 4}, {64 << 10, 1<<32 - 1, 4}, {64 << 10, 3, 255}, {8, 1, 1}} {
		forge(t, dir, func(h *header) {
			s := slotOf(t, *h)
			s.Params = p
			h.Slots[0].Body = encode(s)
		})
		_, err := testEnv().open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, ErrParams, "%+v", p)
	}
}

func TestModes(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	paths := []string{dir}
	for _, name := range files(t, dir) {
		paths = append(paths, filepath.Join(dir, name))
	}
	require.Len(t, paths, 3, "%v", paths)
	for _, path := range paths {
		before, err := os.Stat(path)
		require.NoError(t, err)
		for _, loose := range []os.FileMode{0o040, 0o020, 0o010, 0o004, 0o002, 0o001, 0o077} {
			require.NoError(t, os.Chmod(path, before.Mode().Perm()|loose))
			_, err := testEnv().open(dir, node(), []byte(testPassword))
			var mode *ModeError
			require.ErrorAs(t, err, &mode, "%s %o", path, loose)
			require.ErrorIs(t, err, ErrMode)
			require.Equal(t, path, mode.Path)
			require.Equal(t, before.Mode().Perm()|loose, mode.Mode.Perm())
			require.ErrorContains(t, err, map[bool]string{true: "must be 0700", false: "must be 0600"}[path == dir])
		}
		require.NoError(t, os.Chmod(path, before.Mode().Perm()))
	}
	require.NoError(t, os.Chmod(filepath.Join(dir, headerFile), 0o400))
	reopen(t, dir)
}

// Names that lead elsewhere are not followed, and a pipe is not waited for.
func TestOnlyRegularFiles(t *testing.T) {
	dir, _ := newVault(t, testEnv())
	path, aside := filepath.Join(dir, headerFile), filepath.Join(t.TempDir(), "header")
	require.NoError(t, os.Rename(path, aside))
	require.NoError(t, os.Symlink(aside, path))
	_, err := testEnv().open(dir, node(), []byte(testPassword))
	require.Error(t, err)
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	_, err = testEnv().open(dir, node(), []byte(testPassword))
	require.ErrorContains(t, err, "no regular file")
}

// A set serves until a share is saved, and never after.
func TestPreParamsServeOnce(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.PutPreParams(testSet(t, 1)))
	require.NoError(t, v.PutPreParams(testSet(t, 1)), "the same again")
	first, err := v.PreParams()
	require.NoError(t, err)
	again, err := v.PreParams()
	require.NoError(t, err)
	require.Equal(t, first.Fingerprint(), again.Fingerprint(), "a ceremony that failed costs no set")

	require.NoError(t, v.SaveShare(testShare(t, 0)))
	require.ErrorIs(t, v.PutPreParams(first), ErrUsed)
	require.Len(t, files(t, dir), 3, "header, share, one set")
	second, err := v.PreParams()
	require.NoError(t, err)
	require.NotEqual(t, first.Fingerprint(), second.Fingerprint())
	v.Close()

	v = reopen(t, dir)
	require.ErrorIs(t, v.PutPreParams(first), ErrUsed)
	p, err := v.PreParams()
	require.NoError(t, err)
	require.Equal(t, second.Fingerprint(), p.Fingerprint())
	require.NoError(t, v.SaveShare(laterShare(t)))
	_, err = v.PreParams()
	require.ErrorIs(t, err, ErrNoPreParams)
}

// A share that came without a key generation here spends nothing.
func TestSavingAloneSpendsNoSet(t *testing.T) {
	_, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	_, err := v.PreParams()
	require.NoError(t, err)
}

func TestSaveShare(t *testing.T) {
	dir, v := newVault(t, testEnv())
	share, next := testShare(t, 0), laterShare(t)
	require.NoError(t, v.SaveShare(share))
	before := read(t, dir)
	require.NoError(t, v.SaveShare(share), "the same again")
	require.Equal(t, before, read(t, dir))
	require.ErrorIs(t, v.SaveShare(testShare(t, 1)), ErrOtherNode)

	require.NoError(t, v.SaveShare(next))
	require.Len(t, v.Keys(), 2)
	v = reopen(t, dir)
	require.Len(t, v.Keys(), 2)
	require.Negative(t, bytes.Compare(v.Keys()[0][:], v.Keys()[1][:]))
	for _, want := range []*tss.KeyShare{share, next} {
		got, err := v.Share(want.PublicKey())
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, want), bytesOf(t, got))
		got, err = v.ShareOf(want.Transcript())
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, want), bytesOf(t, got))
	}
	missing := share.Transcript()
	missing.Epoch++
	_, err := v.ShareOf(missing)
	require.ErrorIs(t, err, ErrNoShare)
}

// Two generations of one key lie beside each other, and the vault does not guess which one serves.
func TestTwoGenerations(t *testing.T) {
	dir, v := newVault(t, testEnv())
	share := testShare(t, 0)
	require.NoError(t, v.SaveShare(share))
	id := idOfShare(share.PublicKey(), share.Epoch()+1, common.Hash{1})
	_, err := v.s.store(id, encode(shareBody{Share: bytesOf(t, share)}))
	require.NoError(t, err)

	v = reopen(t, dir)
	require.Len(t, v.Keys(), 1)
	_, err = v.Share(share.PublicKey())
	require.ErrorIs(t, err, ErrSeveral)
	_, err = v.ShareOf(share.Transcript())
	require.NoError(t, err)
	lie := share.Transcript()
	lie.Epoch, lie.Session = lie.Epoch+1, common.Hash{1}
	_, err = v.ShareOf(lie)
	require.ErrorIs(t, err, ErrDamaged, "a record that holds the share of another epoch")
}

func TestAnotherShareOfTheSameGenerationIsRefused(t *testing.T) {
	dir, v := newVault(t, testEnv())
	share := testShare(t, 0)
	ts := share.Transcript()
	_, err := v.s.store(idOfShare(ts.PublicKey, ts.Epoch, ts.Session), encode(shareBody{Share: bytesOf(t, laterShare(t))}))
	require.NoError(t, err)
	v = reopen(t, dir)
	require.ErrorIs(t, v.SaveShare(share), ErrDamaged)
}

func TestChangePassword(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	before := read(t, dir)
	require.ErrorIs(t, v.ChangePassword([]byte("another"), []byte("new"), cheap), ErrPassword)
	require.ErrorIs(t, v.ChangePassword([]byte(testPassword), []byte("new"), Params{}), ErrParams)
	require.ErrorContains(t, v.ChangePassword([]byte(testPassword), nil, cheap), "empty")
	require.Contains(t, read(t, dir), attemptsFile, "wrong ones are counted")
	require.NoError(t, v.ChangePassword([]byte(testPassword), []byte("new"), cheap))
	after := read(t, dir)
	require.NotEqual(t, before[headerFile], after[headerFile])
	delete(before, headerFile)
	delete(after, headerFile)
	require.Equal(t, before, after, "records do not change")

	_, err := testEnv().open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrPassword)
	v, err = testEnv().open(dir, node(), []byte("new"))
	require.NoError(t, err)
	_, err = v.Share(testShare(t, 0).PublicKey())
	require.NoError(t, err)
}

func TestClosed(t *testing.T) {
	_, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	v.Close()
	v.Close()
	require.Nil(t, v.s.sealer.root.b)
	_, err := v.PreParams()
	require.ErrorIs(t, err, ErrClosed)
	_, err = v.Share(testShare(t, 0).PublicKey())
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, v.SaveShare(testShare(t, 0)), ErrClosed)
	require.ErrorIs(t, v.PutPreParams(testSet(t, 0)), ErrClosed)
	require.ErrorIs(t, v.ChangePassword([]byte(testPassword), []byte("new"), cheap), ErrClosed)
	require.Len(t, v.Keys(), 1)
}

func TestFull(t *testing.T) {
	dir, v := newVault(t, testEnv())
	for i := range maxRecords {
		_, err := v.s.store(idOfPreParams(common.Hash{byte(i), byte(i >> 8), 1}), []byte("set"))
		require.NoError(t, err)
	}
	require.NoError(t, v.s.scan())
	require.ErrorIs(t, v.PutPreParams(testSet(t, 0)), ErrFull)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one more"+sealedSuffix), nil, 0o600))
	require.ErrorIs(t, v.s.scan(), ErrFull)
}

// No verb prints what is inside, and no file shows it.
func TestNothingLeaks(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		require.Equal(t, "[vault]", fmt.Sprintf(verb, v))
		require.Equal(t, "[vault]", fmt.Sprintf(verb, *v))
		require.Contains(t, fmt.Sprintf(verb, struct{ V *Vault }{v}), "[vault]", "inside another value")
	}
	//lint:ignore SA9005 that there is nothing to marshal is what is tested
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, "{}", string(b))

	root := bytes.Clone(v.s.sealer.root.root())
	set := devkeys.Set(0)
	for name, b := range read(t, dir) {
		for what, secret := range map[string][]byte{
			"password": []byte(testPassword), "root key": root,
			"share": bytesOf(t, testShare(t, 0))[3000:3032], "set": set[100:132],
		} {
			require.False(t, bytes.Contains(b, secret), "%s in %s", what, name)
		}
	}
}

func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for _, name := range files(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		out[name] = b
	}
	return out
}

func TestConcurrentUse(t *testing.T) {
	_, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 4 {
		wg.Go(func() { errs <- v.PutPreParams(testSet(t, i)) })
		wg.Go(func() {
			_, err := v.Share(testShare(t, 0).PublicKey())
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
