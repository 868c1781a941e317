package vault

import (
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
	"conclave/tss"
	"conclave/tss/tsstest"
)

// reshared is the node's share of the fixtures' key in the epoch after theirs.
var reshared = sync.OnceValues(func() (*tss.KeyShare, error) {
	key, err := tsstest.PayerKey()
	if err != nil {
		return nil, err
	}
	var members []common.Address
	for i := range tsstest.Members {
		members = append(members, tsstest.MemberAddress(i))
	}
	dealt, err := tsstest.DealKey(new(big.Int).SetBytes(crypto.FromECDSA(key)), tsstest.Epoch+1, members, tsstest.Threshold, func(i int) []byte { return devkeys.Set(4 + i) })
	return dealt[node()], err
})

func resharedShare(t *testing.T) *tss.KeyShare {
	t.Helper()
	s, err := reshared()
	require.NoError(t, err)
	require.Equal(t, testShare(t, 0).PublicKey(), s.PublicKey())
	return s
}

// The share of the next epoch lies beside that of the present one, each is found by its transcript, and the old one goes
// only once the new one is there and whole.
func TestAGenerationTakesAnothersPlace(t *testing.T) {
	dir, v := newVault(t, testEnv())
	old, next := testShare(t, 0), resharedShare(t)
	require.NoError(t, v.SaveShare(old))
	require.ErrorIs(t, v.DeleteShare(old.Transcript(), next.Transcript()), ErrNoShare)
	require.ErrorIs(t, v.DeleteShare(old.Transcript(), old.Transcript()), ErrSuccessor)
	require.ErrorIs(t, v.DeleteShare(next.Transcript(), old.Transcript()), ErrSuccessor)
	require.ErrorIs(t, v.DeleteShare(old.Transcript(), laterShare(t).Transcript()), ErrSuccessor, "another key")
	require.NoError(t, v.SaveShare(next))
	v = reopen(t, dir)
	for _, want := range []*tss.KeyShare{old, next} {
		got, err := v.ShareOf(want.Transcript())
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, want), bytesOf(t, got))
	}
	_, err := v.Share(old.PublicKey())
	require.ErrorIs(t, err, ErrSeveral)

	require.NoError(t, v.DeleteShare(old.Transcript(), next.Transcript()))
	require.NoError(t, v.DeleteShare(old.Transcript(), next.Transcript()), "the same again")
	for range 2 {
		_, err = v.ShareOf(old.Transcript())
		require.ErrorIs(t, err, ErrNoShare)
		got, err := v.Share(old.PublicKey())
		require.NoError(t, err)
		require.Equal(t, bytesOf(t, next), bytesOf(t, got))
		v = reopen(t, dir)
	}
	require.NoError(t, v.DropShare(next.Transcript()))
	require.Empty(t, v.Keys())
	v.Close()
	require.ErrorIs(t, v.DropShare(next.Transcript()), ErrClosed)
	require.ErrorIs(t, v.DeleteShare(old.Transcript(), next.Transcript()), ErrClosed)
	require.Empty(t, reopen(t, dir).Keys())
}

// A successor that is damaged keeps the old share alive.
func TestADamagedSuccessorDeletesNothing(t *testing.T) {
	dir, v := newVault(t, testEnv())
	old, next := testShare(t, 0), resharedShare(t)
	require.NoError(t, v.SaveShare(old))
	require.NoError(t, v.SaveShare(next))
	name, held := v.s.held(next.Transcript())
	require.True(t, held)
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)-1] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	require.ErrorIs(t, v.DeleteShare(old.Transcript(), next.Transcript()), ErrDamaged)
	_, err = v.ShareOf(old.Transcript())
	require.NoError(t, err)
}

// Wherever a crash falls between the new share and the end of the old one, the vault opens, the new share is there, and a
// set that served is not handed out.
func TestCrashWhileDeleting(t *testing.T) {
	for n := 0; ; n++ {
		dir, v := newVault(t, testEnv())
		old, next := testShare(t, 0), resharedShare(t)
		require.NoError(t, v.PutPreParams(testSet(t, 0)))
		_, err := v.PreParams()
		require.NoError(t, err)
		v.s.disk.fault, _ = crashAt(3) // the set's file is left behind by the save
		require.NoError(t, v.SaveShare(old))
		v.s.disk.fault = nil
		require.NoError(t, v.SaveShare(next))
		fault, steps := crashAt(n)
		v.s.disk.fault = fault
		deleted := v.DeleteShare(old.Transcript(), next.Transcript()) == nil
		v.Close()

		v = reopen(t, dir)
		wantShare(t, v, next)
		_, err = v.PreParams()
		require.ErrorIs(t, err, ErrNoPreParams, "step %d", n)
		if n <= 2 { // the set first, both steps of it
			wantShare(t, v, old)
		} else {
			_, err = v.ShareOf(old.Transcript())
			require.ErrorIs(t, err, ErrNoShare)
		}
		require.NoError(t, v.DeleteShare(old.Transcript(), next.Transcript()), "taken up again")
		require.Len(t, files(t, dir), 2)
		v.Close()
		if deleted {
			require.Equal(t, []string{"remove", "sync directory", "remove", "sync directory"}, *steps)
			return
		}
	}
}

// Retrying in the same process after an error makes the deletion durable.
func TestDeleteAgainAfterAnError(t *testing.T) {
	for n := range 2 {
		dir, v := newVault(t, testEnv())
		old, next := testShare(t, 0), resharedShare(t)
		require.NoError(t, v.SaveShare(old))
		require.NoError(t, v.SaveShare(next))
		v.s.disk.fault, _ = crashAt(n)
		require.ErrorIs(t, v.DeleteShare(old.Transcript(), next.Transcript()), errCrash)
		var synced bool
		v.s.disk.fault = func(step string) error { synced = synced || step == "sync directory"; return nil }
		require.NoError(t, v.DeleteShare(old.Transcript(), next.Transcript()))
		require.True(t, synced)
		require.Equal(t, []quorum.PublicKey{old.PublicKey()}, reopen(t, dir).Keys())
	}
}
