package vault

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/tss"
	"conclave/tss/tsstest"
)

func newIdentity(t *testing.T) (string, string) {
	t.Helper()
	identity, recipient, err := NewIdentity()
	require.NoError(t, err)
	return string(identity), recipient
}

func backedUp(t *testing.T, v *Vault, to ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, v.WriteBackup(&b, time.UnixMilli(1_800_000_000_000), to...))
	return b.Bytes()
}

// What is backed up comes back share by share, into a vault that lost it, under any password, as often as one likes.
func TestBackup(t *testing.T) {
	identity, recipient := newIdentity(t)
	second, other := newIdentity(t)
	dir, v := newVault(t, testEnv())
	require.ErrorIs(t, v.WriteBackup(&bytes.Buffer{}, time.Now(), recipient), ErrNoShare)
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	require.NoError(t, v.SaveShare(resharedShare(t)))
	before := read(t, dir)
	file := backedUp(t, v, recipient, other)
	require.Equal(t, before, read(t, dir))
	require.Less(t, len(file), MaxBackup)
	require.True(t, strings.HasPrefix(string(file), "age-encryption.org/v1"))
	require.NotContains(t, string(file), backupName)

	b, err := ReadBackup(bytes.NewReader(file), strings.NewReader(second))
	require.NoError(t, err)
	require.Len(t, b.Shares, 2)
	b, err = ReadBackup(bytes.NewReader(file), strings.NewReader(identity))
	require.NoError(t, err)
	require.Equal(t, node(), b.Node)
	require.Equal(t, int64(1_800_000_000_000), b.Made.UnixMilli())
	newDir, fresh := newVault(t, testEnv())
	require.NoError(t, fresh.Restore(b))
	after := read(t, newDir)
	require.NoError(t, fresh.Restore(b))
	require.Equal(t, after, read(t, newDir), "the same again")
	all, err := fresh.Shares()
	require.NoError(t, err)
	for i, want := range []*tss.KeyShare{testShare(t, 0), resharedShare(t)} {
		require.Equal(t, bytesOf(t, want), bytesOf(t, all[i]))
	}
	_, err = fresh.PreParams()
	require.ErrorIs(t, err, ErrNoPreParams, "a set is made anew")
	v.Close()
	require.ErrorIs(t, v.WriteBackup(&bytes.Buffer{}, time.Now(), recipient), ErrClosed)
	_, err = v.Shares()
	require.ErrorIs(t, err, ErrClosed)
}

// Whatever is wrong with a backup or its identity is said, without the words of the secret.
func TestReadBackupRefuses(t *testing.T) {
	identity, recipient := newIdentity(t)
	stranger, _ := newIdentity(t)
	_, v := newVault(t, testEnv())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	file := backedUp(t, v, recipient)
	for name, c := range map[string]struct {
		file []byte
		id   string
		want error
	}{
		"another identity":   {file, stranger, ErrIdentity},
		"no identity":        {file, "hello\n", ErrRecipient},
		"a recipient":        {file, recipient + "\n", ErrRecipient},
		"an empty identity":  {file, "", ErrRecipient},
		"nothing":            {nil, identity, ErrBackup},
		"something else":     {[]byte("hello"), identity, ErrBackup},
		"cut short":          {file[:len(file)-1], identity, ErrBackup},
		"cut in the header":  {file[:40], identity, ErrBackup},
		"a changed byte":     {flip(file, len(file)-9), identity, ErrBackup},
		"something appended": {append(bytes.Clone(file), 0), identity, ErrBackup},
	} {
		_, err := ReadBackup(bytes.NewReader(c.file), strings.NewReader(c.id))
		require.ErrorIs(t, err, c.want, name)
		require.NotContains(t, err.Error(), "AGE-SECRET")
	}
	for _, bad := range []string{"", "age1", identity, "ssh-rsa x", "bob"} {
		err := v.WriteBackup(&bytes.Buffer{}, time.Now(), bad)
		require.ErrorIs(t, err, ErrRecipient, bad)
		require.NotContains(t, err.Error(), "AGE-SECRET")
	}
	require.ErrorIs(t, v.WriteBackup(&bytes.Buffer{}, time.Now()), ErrRecipient)
	// A backup of another member restores nowhere.
	b, err := ReadBackup(bytes.NewReader(file), strings.NewReader(identity))
	require.NoError(t, err)
	foreign, err := testEnv().create(emptyDir(t), tsstest.MemberAddress(1), []byte(testPassword), cheap)
	require.NoError(t, err)
	defer foreign.Close()
	require.ErrorIs(t, foreign.Restore(b), ErrOtherNode)
}

// What lies inside the encryption is checked like everything else: whoever knows the recipient can encrypt to it.
func TestDecodeBackup(t *testing.T) {
	share := bytesOf(t, testShare(t, 0))
	good := backup{Scheme: backupForm, Name: backupName, Node: node(), Shares: [][]byte{share}}
	_, err := decodeBackup(encode(good))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*backup)
		want   error
	}{
		"a later form":     {func(b *backup) { b.Scheme = 2 }, ErrScheme},
		"another name":     {func(b *backup) { b.Name = "x" }, ErrBackup},
		"no share":         {func(b *backup) { b.Shares = nil }, ErrBackup},
		"many shares":      {func(b *backup) { b.Shares = make([][]byte, maxShares+1) }, ErrBackup},
		"a damaged share":  {func(b *backup) { b.Shares = [][]byte{flip(share, 400)} }, ErrBackup},
		"another member's": {func(b *backup) { b.Shares = [][]byte{bytesOf(t, testShare(t, 1))} }, ErrOtherNode},
		"of another node":  {func(b *backup) { b.Node = tsstest.MemberAddress(1) }, ErrOtherNode},
	} {
		b := good
		c.change(&b)
		_, err := decodeBackup(encode(b))
		require.ErrorIs(t, err, c.want, name)
	}
}

func FuzzBackup(f *testing.F) {
	f.Add(encode(backup{Scheme: backupForm, Name: backupName, Shares: [][]byte{{1, 2}}}))
	f.Add([]byte{0xc1, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := decodeBackup(b); err == nil {
			require.NotEmpty(t, out.Shares)
		} else {
			require.Nil(t, out)
		}
	})
}
