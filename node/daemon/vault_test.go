package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/tss/tsstest"
	"conclave/tss/vault"
)

// backupOf is a backup of the fixtures' share of member i, and the identity that opens it.
func backupOf(t *testing.T, member int) *vault.Backup {
	t.Helper()
	shares, err := tsstest.Shares()
	require.NoError(t, err)
	v, err := vault.Create(filepath.Join(t.TempDir(), "vault"), tsstest.MemberAddress(member), []byte(password), vault.LeastParams())
	require.NoError(t, err)
	defer v.Close()
	require.NoError(t, v.SaveShare(shares[tsstest.MemberAddress(member)]))
	identity, recipient, err := vault.NewIdentity()
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, v.WriteBackup(&file, time.Now(), recipient))
	b, err := vault.ReadBackup(&file, strings.NewReader(string(identity)))
	require.NoError(t, err)
	return b
}

// A home that lost its vault and its books gets its share back, and is in quarantine before it has it.
func TestRestoreBeginsInQuarantine(t *testing.T) {
	b := backupOf(t, 0)
	dir := newHome(t)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "vault")))
	require.ErrorIs(t, Restore(dir, backupOf(t, 1), []byte(password), vault.LeastParams()), vault.ErrOtherNode)
	require.NoDirExists(t, filepath.Join(dir, "data"))
	require.NoError(t, Restore(dir, b, []byte(password), vault.LeastParams()))
	require.NoError(t, Restore(dir, b, []byte(password), vault.LeastParams()), "the same again")
	require.ErrorIs(t, Restore(dir, b, []byte("another"), vault.LeastParams()), vault.ErrPassword)

	l, err := ledger.Open(filepath.Join(dir, "data"), document(t, "devnet-test", 0).ID())
	require.NoError(t, err)
	require.NoError(t, l.View(func(tx *ledger.Tx) error {
		q, ok, err := tx.Quarantined()
		require.True(t, ok)
		require.Equal(t, reasonRestored, q.Reason)
		require.ErrorIs(t, tx.MayVote(1), ledger.ErrQuarantined)
		require.ErrorIs(t, tx.MayJoin(), ledger.ErrQuarantined)
		return err
	}))
	require.NoError(t, l.Close())
	v, err := vault.Open(filepath.Join(dir, "vault"), tsstest.MemberAddress(0), []byte(password))
	require.NoError(t, err)
	defer v.Close()
	require.Len(t, v.Keys(), 1)
}
