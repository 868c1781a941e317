package vault

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func isDamage(err error) bool { return errors.Is(err, ErrDamaged) || errors.Is(err, ErrScheme) }

var errCrash = errors.New("the power went")

// crashAt fails at the n-th durable step, and at each after it.
func crashAt(n int) (fault func(string) error, steps *[]string) {
	steps = new([]string)
	return func(step string) error {
		if *steps = append(*steps, step); len(*steps) > n {
			return errCrash
		}
		return nil
	}, steps
}

// Wherever a crash falls in saving a share, the vault opens again, and either there is no share and the set is unused, or
// there is the share and the set is used.
func TestCrashWhileSaving(t *testing.T) {
	for n := 0; ; n++ {
		dir, v := newVault(t, testEnv())
		require.NoError(t, v.PutPreParams(testSet(t, 0)))
		_, err := v.PreParams()
		require.NoError(t, err)
		fault, steps := crashAt(n)
		v.s.disk.fault = fault
		saved := v.SaveShare(testShare(t, 0)) == nil
		v.Close()

		v = reopen(t, dir)
		_, shareErr := v.Share(testShare(t, 0).PublicKey())
		_, setErr := v.PreParams()
		switch {
		case n < 2: // before the rename
			require.False(t, saved)
			require.ErrorIs(t, shareErr, ErrNoShare)
			require.NoError(t, setErr)
			require.NoError(t, v.SaveShare(testShare(t, 0)), "over what the crash left")
			_, err := v.Share(testShare(t, 0).PublicKey())
			require.NoError(t, err)
		default:
			require.Equal(t, n > 2, saved, "only a synced directory is a saved share")
			require.NoError(t, shareErr)
			require.ErrorIs(t, setErr, ErrNoPreParams)
			require.ErrorIs(t, v.PutPreParams(testSet(t, 0)), ErrUsed)
			require.Len(t, files(t, dir), 2, "what was used is removed when the vault is opened, at the latest")
		}
		v.Close()
		if len(*steps) <= n {
			require.Equal(t, []string{"create", "rename", "sync directory", "remove", "sync directory"}, *steps)
			return
		}
	}
}

// A save that was cut short may be tried again in the same process.
func TestSaveAgainAfterAnError(t *testing.T) {
	for n := range 3 {
		dir, v := newVault(t, testEnv())
		require.NoError(t, v.PutPreParams(testSet(t, 0)))
		_, err := v.PreParams()
		require.NoError(t, err)
		v.s.disk.fault, _ = crashAt(n)
		require.ErrorIs(t, v.SaveShare(testShare(t, 0)), errCrash)
		v.s.disk.fault = nil
		require.NoError(t, v.SaveShare(testShare(t, 0)))
		v.Close()
		v = reopen(t, dir)
		require.Len(t, v.Keys(), 1)
		_, err = v.PreParams()
		require.ErrorIs(t, err, ErrNoPreParams)
	}
}

// A crash between writing a header and renaming it leaves the old password; after the rename it is the new one. The first
// five steps count the try and forget it again.
func TestCrashWhileChangingThePassword(t *testing.T) {
	for n := range 9 {
		dir, v := newVault(t, testEnv())
		require.NoError(t, v.SaveShare(testShare(t, 0)))
		v.s.disk.fault, _ = crashAt(n)
		require.Equal(t, n == 8, v.ChangePassword([]byte(testPassword), []byte("new"), cheap) == nil)
		v.Close()
		password, other := testPassword, "new"
		if n >= 7 {
			password, other = other, password
		}
		_, err := testEnv().open(dir, node(), []byte(other))
		require.ErrorIs(t, err, ErrPassword)
		v, err = testEnv().open(dir, node(), []byte(password))
		require.NoError(t, err)
		require.Len(t, v.Keys(), 1)
		v.Close()
	}
}

// A crash in Create leaves nothing, which Create takes up again, or a vault.
func TestCrashWhileCreating(t *testing.T) {
	for n := range 3 {
		dir := filepath.Join(t.TempDir(), "vault")
		e := testEnv()
		e.fault, _ = crashAt(n)
		_, err := e.create(dir, node(), []byte(testPassword), cheap)
		require.ErrorIs(t, err, errCrash)
		if n < 2 {
			_, err = testEnv().open(dir, node(), []byte(testPassword))
			require.ErrorIs(t, err, ErrNoVault)
			_, err = testEnv().create(dir, node(), []byte(testPassword), cheap)
			require.NoError(t, err)
		}
		reopen(t, dir)
	}
}

// A disk that refuses is an error of the call, and nothing is taken for saved.
func TestDiskRefuses(t *testing.T) {
	dir, v := newVault(t, testEnv())
	id, err := idOfPreParams(testSet(t, 0).Fingerprint()).file()
	require.NoError(t, err)
	blocker := filepath.Join(dir, id+tempSuffix)
	require.NoError(t, os.MkdirAll(filepath.Join(blocker, "x"), 0o700))
	require.ErrorContains(t, v.PutPreParams(testSet(t, 0)), "create")
	_, err = v.PreParams()
	require.ErrorIs(t, err, ErrNoPreParams)
	require.NoError(t, os.RemoveAll(blocker))
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
}

func TestReadPasswordFile(t *testing.T) {
	long := make([]byte, MaxPassword)
	for i := range long {
		long[i] = 'x'
	}
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
		bad     string
	}{
		"plain":              {"secret", 0o600, "secret", ""},
		"a newline":          {"secret\n", 0o600, "secret", ""},
		"a Windows newline":  {"secret\r\n", 0o600, "secret", ""},
		"one newline only":   {"secret\n\n", 0o400, "secret\n", ""},
		"spaces stay":        {" se cret ", 0o400, " se cret ", ""},
		"a return stays":     {"secret\r", 0o400, "secret\r", ""},
		"the longest":        {string(long) + "\r\n", 0o600, string(long), ""},
		"too long":           {string(long) + "x", 0o600, "", "more than 1024"},
		"much too long":      {string(long) + string(long), 0o600, "", "more than 1024"},
		"empty":              {"", 0o600, "", "empty"},
		"only a newline":     {"\n", 0o600, "", "empty"},
		"readable by others": {"secret", 0o644, "", "open to others"},
		"by the group":       {"secret", 0o640, "", "open to others"},
	} {
		path := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
		require.NoError(t, os.Chmod(path, c.mode))
		got, err := ReadPasswordFile(path)
		if c.bad != "" {
			require.ErrorContains(t, err, c.bad, name)
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, c.mode&others != 0, errors.Is(err, ErrMode))
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, string(got), name)
	}
	_, err := ReadPasswordFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = ReadPasswordFile(t.TempDir())
	require.ErrorContains(t, err, "no regular file")
}

// Names are part of the format; what has no name is no record.
func TestRecordNames(t *testing.T) {
	for _, id := range []recordID{
		{Kind: kindPreParams, ID: make([]byte, preParamsID-1)},
		{Kind: kindPreParams, ID: make([]byte, preParamsID), Epoch: 1},
		{Kind: kindShare, ID: make([]byte, shareID+1)},
		{Kind: kindShare, ID: common.Hash{}.Bytes()},
	} {
		_, err := id.file()
		require.ErrorIs(t, err, ErrDamaged)
	}
	_, err := recordID{Kind: 3}.file()
	require.ErrorIs(t, err, ErrScheme)
}
