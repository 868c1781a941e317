package vault

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/tss"
)

// schemeOneVault lays out the vault that the first scheme's code wrote: testdata/scheme1, which nothing writes any more.
func schemeOneVault(t *testing.T) string {
	t.Helper()
	names, err := os.ReadFile("testdata/names.txt")
	require.NoError(t, err)
	dir := emptyDir(t)
	for i, name := range strings.Fields(string(names)) {
		text, err := os.ReadFile("testdata/scheme1/" + []string{"preparams", "share", "header"}[i] + ".hex")
		require.NoError(t, err)
		b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return dir
}

// schemes are the schemes of a vault's files.
func schemes(t *testing.T, dir string) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for name, b := range read(t, dir) {
		if strings.HasSuffix(name, sealedSuffix) || name == headerFile {
			content, _, err := rlp.SplitList(b)
			require.NoError(t, err)
			out[name], _, err = rlp.SplitUint64(content)
			require.NoError(t, err)
		}
	}
	return out
}

// wantWhole compares what is sealed with what was, without the proofs that loading it makes.
func wantWhole(t *testing.T, v *Vault) {
	t.Helper()
	wantShare(t, v, testShare(t, 0))
	_, secret, err := v.s.load(v.s.index.sets[testSet(t, 0).Fingerprint()])
	require.NoError(t, err)
	want, err := testSet(t, 0).MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, want, secret)
}

func wantShare(t *testing.T, v *Vault, want *tss.KeyShare) {
	t.Helper()
	name, held := v.s.held(want.Transcript())
	require.True(t, held)
	_, secret, err := v.s.load(name)
	require.NoError(t, err)
	var b shareBody
	require.NoError(t, rlp.DecodeBytes(secret, &b))
	require.Equal(t, bytesOf(t, want), b.Share)
}

// A vault of the first scheme opens, and is of the present one afterwards; nothing is lost and the password stays.
func TestMigration(t *testing.T) {
	dir := schemeOneVault(t)
	for _, s := range schemes(t, dir) {
		require.EqualValues(t, schemeOne, s)
	}
	_, err := testEnv().open(dir, node(), []byte("another"))
	require.ErrorIs(t, err, ErrPassword)
	for _, s := range schemes(t, dir) {
		require.EqualValues(t, schemeOne, s, "a wrong password changes nothing but the count")
	}
	v := reopen(t, dir)
	wantWhole(t, v)
	_, err = v.ShareOf(testShare(t, 0).Transcript())
	require.NoError(t, err)
	_, err = v.PreParams()
	require.NoError(t, err)
	v.Close()
	after := read(t, dir)
	require.Len(t, after, 3)
	for name, s := range schemes(t, dir) {
		require.EqualValues(t, scheme, s, name)
	}
	v = reopen(t, dir)
	wantWhole(t, v)
	require.Equal(t, after, read(t, dir), "once")
	_, err = testEnv().open(dir, node(), []byte("another"))
	require.ErrorIs(t, err, ErrPassword)
}

// Reading beside a node migrates nothing.
func TestReadingMigratesNothing(t *testing.T) {
	dir := schemeOneVault(t)
	before := read(t, dir)
	v, err := testEnv().openToRead(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	defer v.Close()
	wantWhole(t, v)
	require.ErrorIs(t, v.SaveShare(laterShare(t)), errReading)
	require.ErrorIs(t, v.PutPreParams(testSet(t, 1)), errReading)
	require.ErrorIs(t, v.ChangePassword([]byte(testPassword), []byte("new"), cheap), errReading)
	require.ErrorIs(t, v.DropShare(testShare(t, 0).Transcript()), errReading)
	require.Equal(t, before, read(t, dir))
}

// Wherever a crash falls in a migration the vault opens again with everything in it, and the migration ends then.
func TestCrashWhileMigrating(t *testing.T) {
	mixed := false
	for n := 0; ; n++ {
		dir := schemeOneVault(t)
		e := testEnv()
		var steps *[]string
		e.fault, steps = crashAt(n)
		v, err := e.open(dir, node(), []byte(testPassword))
		if err == nil {
			v.Close()
			require.Len(t, *steps, n, "%v", *steps)
			require.Len(t, *steps, 5+3*3, "the try, two records and the header")
			break
		}
		require.ErrorIs(t, err, errCrash)
		var kinds [3]int
		for _, s := range schemes(t, dir) {
			kinds[s]++
		}
		mixed = mixed || kinds[schemeOne] > 0 && kinds[scheme] > 0
		require.True(t, schemes(t, dir)[headerFile] == schemeOne || kinds[schemeOne] == 0, "the header comes last")
		v = reopen(t, dir)
		wantWhole(t, v)
		v.Close()
		for name, s := range schemes(t, dir) {
			require.EqualValues(t, scheme, s, name)
		}
	}
	require.True(t, mixed)
}

// Records of the first scheme cannot be put back under the header of the second, although their key would open them.
func TestNoWayBack(t *testing.T) {
	old := read(t, schemeOneVault(t))
	dir := schemeOneVault(t)
	reopen(t, dir).Close()
	for name, b := range old {
		if name == headerFile {
			continue
		}
		good, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
		_, err = testEnv().open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, "earlier scheme")
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), good, 0o600))
	}
	// With its header an old vault is whole again: that is a backup of the directory, which no file can tell from the first time.
	for name, b := range old {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	wantWhole(t, reopen(t, dir))
}

// A wrapping that opens under several passwords is told from none: the commitment fits one key only.
func TestASlotCommitsToItsKey(t *testing.T) {
	id := identity{Node: node()}
	s, err := wrap(testEnv().random, id, make([]byte, rootSize), []byte(testPassword), cheap)
	require.NoError(t, err)
	p, err := s.password(scheme)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, password := range []string{testPassword, "another"} {
		key := p.derive([]byte(password))
		wrapping, commit, err := split(key, id.hash(scheme))
		require.NoError(t, err)
		require.Equal(t, password == testPassword, commit == p.Commit)
		for _, b := range [][]byte{key, wrapping, commit[:]} {
			require.False(t, seen[fmt.Sprintf("%x", b)])
			seen[fmt.Sprintf("%x", b)] = true
		}
	}
}
