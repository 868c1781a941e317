package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

func TestKeyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	require.NoError(t, WriteKey(path, key))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := ReadKey(path)
	require.NoError(t, err)
	require.True(t, key.Equal(again))
	require.ErrorIs(t, WriteKey(path, key), os.ErrExist, "a key is never overwritten")
}

func TestSecretsThatOthersCanReadAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	require.NoError(t, os.WriteFile(path, []byte("canary-secret"), 0o600))
	for mode := os.FileMode(0); mode <= 0o777; mode++ {
		if mode&0o400 == 0 {
			continue
		}
		require.NoError(t, os.Chmod(path, mode))
		_, err := ReadSecret(path)
		if mode&0o077 == 0 {
			require.NoError(t, err)
			continue
		}
		var bad *ModeError
		require.ErrorAs(t, err, &bad, "%04o", mode)
		require.Equal(t, "chmod 600 "+path, bad.Hint())
	}
}

func TestSecretsOfTheWrongShape(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for name, content := range map[string]string{
		"empty": "", "words": "canary-secret", "short": "abcd", "long": strings.Repeat("ab", 33),
		"zero": strings.Repeat("0", 64), "above": strings.Repeat("f", 64),
	} {
		_, err := ReadKey(write(name, content))
		require.ErrorIs(t, err, ErrSecret, name)
		if content != "" {
			require.NotContains(t, strings.TrimPrefix(err.Error(), dir), content, "what the file holds is never shown")
		}
	}
	_, err := ReadSecret(write("huge", strings.Repeat("a", maxSecret+1)))
	require.ErrorIs(t, err, ErrSecret)
	_, err = ReadSecret(dir)
	require.ErrorContains(t, err, "no regular file")
	_, err = ReadSecret(filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)

	for content, want := range map[string]string{"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", " a b ": " a b "} {
		got, err := ReadPassword(write("password", content))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	for _, bad := range []string{"", "\n", "a\nb\n"} {
		_, err := ReadPassword(write("password", bad))
		require.ErrorIs(t, err, ErrSecret)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "genesis.json")
	for _, content := range []string{"one", "two"} {
		require.NoError(t, Replace(path, []byte(content), 0o644))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing temporary stays")
	require.Error(t, Replace(filepath.Join(dir, "nowhere", "x"), nil, 0o600))

	// A name that is taken by a folder cannot be replaced; the try leaves nothing behind.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "taken"), 0o700))
	require.Error(t, Replace(filepath.Join(dir, "taken"), []byte("x"), 0o600))
	entries, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}
