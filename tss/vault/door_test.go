package vault

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/tss/tsstest"
)

func newDoor(t *testing.T, c *clock) (string, *Door) {
	t.Helper()
	dir, v := newVault(t, c.env())
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	v.Close()
	d, err := c.env().door(dir, node())
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return dir, d
}

// sealed, locked out, unsealed, sealed again; what is asked of a sealed vault says so.
func TestDoor(t *testing.T) {
	c := newClock()
	_, d := newDoor(t, c)
	key := testShare(t, 0).PublicKey()
	wantSealed := func() {
		t.Helper()
		_, err := d.Share(key)
		require.ErrorIs(t, err, ErrSealed)
		_, err = d.ShareOf(testShare(t, 0).Transcript())
		require.ErrorIs(t, err, ErrSealed)
		_, err = d.PreParams()
		require.ErrorIs(t, err, ErrSealed)
		require.ErrorIs(t, d.SaveShare(laterShare(t)), ErrSealed)
		require.ErrorIs(t, d.PutPreParams(testSet(t, 0)), ErrSealed)
		require.ErrorIs(t, d.DropShare(testShare(t, 0).Transcript()), ErrSealed)
		require.ErrorIs(t, d.DeleteShare(testShare(t, 0).Transcript(), resharedShare(t).Transcript()), ErrSealed)
	}
	require.Equal(t, Standing{State: Sealed}, d.Standing())
	held, err := d.Held()
	require.True(t, held && err == nil)
	wantSealed()
	for range freeTries {
		require.ErrorIs(t, d.Unseal([]byte("wrong")), ErrPassword)
	}
	require.Equal(t, Standing{LockedOut, freeTries, c.at.Add(firstLockout)}, d.Standing())
	require.ErrorIs(t, d.Unseal([]byte(testPassword)), ErrLockedOut)
	wantSealed()
	c.at = c.at.Add(firstLockout)
	require.Equal(t, Standing{State: Sealed, Wrong: freeTries}, d.Standing())
	require.NoError(t, d.Unseal([]byte(testPassword)))
	require.Equal(t, Standing{State: Unsealed}, d.Standing())
	require.ErrorIs(t, d.Unseal([]byte(testPassword)), ErrUnsealed)
	share, err := d.Share(key)
	require.NoError(t, err)
	require.Equal(t, bytesOf(t, testShare(t, 0)), bytesOf(t, share))
	require.NoError(t, d.PutPreParams(testSet(t, 0)))

	open := d.open
	d.Seal()
	d.Seal()
	require.Nil(t, open.s.sealer.root.b, "the root key is gone")
	require.Equal(t, Standing{State: Sealed}, d.Standing())
	wantSealed()
	require.NoError(t, d.Unseal([]byte(testPassword)))
	d.Close()
	_, err = d.Share(key)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, d.Unseal([]byte(testPassword)), ErrClosed)
}

// What is refused is refused before the password, and a count that cannot be read takes none.
func TestDoorRefuses(t *testing.T) {
	_, err := NewDoor(emptyDir(t), node())
	require.ErrorIs(t, err, ErrNoVault)
	dir, d := newDoor(t, newClock())
	_, err = NewDoor(dir, tsstest.MemberAddress(1))
	require.ErrorIs(t, err, ErrOtherNode)
	_, err = NewDoor(dir, node())
	require.ErrorIs(t, err, ErrInUse)
	_, err = Open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrInUse)
	_, err = Create(dir, node(), []byte(testPassword), LeastParams())
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, disk{dir: dir}.write(attemptsFile, []byte("?")))
	require.Equal(t, LockedOut, d.Standing().State)
	require.ErrorIs(t, d.Unseal([]byte(testPassword)), ErrDamaged)
	d.Close()
	_, err = NewDoor(dir, node())
	require.NoError(t, err, "closed, it lets others in")
}

// The lock of a vault ends with Close, whether it was opened or made.
func TestOneProcessWrites(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := Create(dir, node(), []byte(testPassword), LeastParams())
	require.NoError(t, err)
	_, err = NewDoor(dir, node())
	require.ErrorIs(t, err, ErrInUse)
	r, err := OpenToRead(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	r.Close()
	v.Close()
	v, err = Open(dir, node(), []byte(testPassword))
	require.NoError(t, err)
	_, err = Open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrInUse)
	v.Close()
	d, err := NewDoor(dir, node())
	require.NoError(t, err)
	d.Close()
}

// The password changes through a door that is sealed, and through one that is not; it stays as it was.
func TestPasswordThroughTheDoor(t *testing.T) {
	_, d := newDoor(t, newClock())
	require.ErrorIs(t, d.ChangePassword([]byte("wrong"), []byte("second"), cheap), ErrPassword)
	require.ErrorContains(t, d.ChangePassword([]byte(testPassword), nil, cheap), "empty")
	require.ErrorIs(t, d.ChangePassword([]byte(testPassword), []byte("second"), Params{}), ErrParams)
	require.NoError(t, d.ChangePassword([]byte(testPassword), []byte("second"), cheap))
	require.Equal(t, Sealed, d.Standing().State)
	require.ErrorIs(t, d.Unseal([]byte(testPassword)), ErrPassword)
	require.NoError(t, d.Unseal([]byte("second")))
	require.ErrorIs(t, d.ChangePassword([]byte(testPassword), []byte("third"), cheap), ErrPassword)
	require.NoError(t, d.ChangePassword([]byte("second"), []byte("third"), cheap))
	require.Equal(t, Unsealed, d.Standing().State)
	d.Seal()
	require.ErrorIs(t, d.Unseal([]byte("second")), ErrPassword)
	require.NoError(t, d.Unseal([]byte("third")))
	p, err := d.Params()
	require.NoError(t, err)
	require.Equal(t, cheap, p)
}

// Whatever runs beside it, a vault that is sealed answers as sealed, and no wiped key is ever used.
func TestDoorUnderLoad(t *testing.T) {
	_, d := newDoor(t, newClock())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				if _, err := d.Share(testShare(t, 0).PublicKey()); err != nil && !errors.Is(err, ErrSealed) {
					t.Errorf("share: %v", err)
				}
				_ = d.Standing()
			}
		})
	}
	all.Go(func() {
		for range 10 {
			if err := d.Unseal([]byte(testPassword)); err != nil {
				t.Errorf("unseal: %v", err)
			}
			d.Seal()
		}
	})
	all.Wait()
}

var network = common.Hash{7}

// A password goes through once, within two minutes, for what it was sealed for, and only under the key that the node signed.
func TestRequest(t *testing.T) {
	c := newClock()
	_, d := newDoor(t, c)
	offer := func() Offer {
		t.Helper()
		o, sig, err := d.Offer(network, tsstest.MemberKey(0))
		require.NoError(t, err)
		require.NoError(t, o.Verify(network, node(), sig, c.at))
		require.ErrorIs(t, o.Verify(common.Hash{8}, node(), sig, c.at), ErrOfferForged)
		require.ErrorIs(t, o.Verify(network, tsstest.MemberAddress(1), sig, c.at), ErrOfferForged)
		require.ErrorIs(t, o.Verify(network, node(), sig, c.at.Add(OfferLasts)), ErrOffer)
		other := o
		other.Key[0] ^= 1
		require.ErrorIs(t, other.Verify(network, node(), sig, c.at), ErrOfferForged)
		return o
	}
	seal := func(o Offer, of common.Hash, purpose string) []byte {
		t.Helper()
		sealed, err := o.Seal(of, Request{For: purpose, Password: []byte(testPassword), Next: []byte("next")})
		require.NoError(t, err)
		require.NotContains(t, string(sealed), testPassword)
		return sealed
	}
	_, err := d.Receive(network, ForUnseal, []byte("anything"))
	require.ErrorIs(t, err, ErrOffer, "nobody asked for one")

	sealed := seal(offer(), network, ForUnseal)
	r, err := d.Receive(network, ForUnseal, sealed)
	require.NoError(t, err)
	require.Equal(t, testPassword, string(r.Password))
	_, err = d.Receive(network, ForUnseal, sealed)
	require.ErrorIs(t, err, ErrOffer, "once")
	r.Clear()
	require.Equal(t, make([]byte, len(testPassword)), r.Password)

	for name, c := range map[string]struct {
		spoil func(o Offer) []byte
		want  error
	}{
		"for another purpose": {func(o Offer) []byte { return seal(o, network, ForPassword) }, ErrRequest},
		"of another network":  {func(o Offer) []byte { return seal(o, common.Hash{8}, ForUnseal) }, ErrRequest},
		"a changed byte":      {func(o Offer) []byte { return flip(seal(o, network, ForUnseal), 40) }, ErrRequest},
		"cut short":           {func(o Offer) []byte { return seal(o, network, ForUnseal)[:keySize] }, ErrRequest},
		"nothing":             {func(Offer) []byte { return nil }, ErrRequest},
		"endless":             {func(Offer) []byte { return make([]byte, MaxRequest+1) }, ErrRequest},
		"of an earlier offer": {func(o Offer) []byte { s := seal(o, network, ForUnseal); offer(); return s }, ErrRequest},
		"too late":            {func(o Offer) []byte { c.at = c.at.Add(OfferLasts); return seal(o, network, ForUnseal) }, ErrOffer},
		"after sealing":       {func(o Offer) []byte { d.Seal(); return seal(o, network, ForUnseal) }, ErrOffer},
	} {
		spoilt := c.spoil(offer())
		_, err := d.Receive(network, ForUnseal, spoilt)
		require.ErrorIs(t, err, c.want, name)
		require.NotContains(t, fmt.Sprint(err), testPassword)
		_, err = d.Receive(network, ForUnseal, spoilt)
		require.ErrorIs(t, err, ErrOffer, "%s: spent", name)
	}
	last := offer()
	d.Close()
	_, _, err = d.Offer(network, tsstest.MemberKey(0))
	require.ErrorIs(t, err, ErrClosed)
	_, err = d.Receive(network, ForUnseal, seal(last, network, ForUnseal))
	require.ErrorIs(t, err, ErrOffer)
}

// The secret half lies in locked memory, and is wiped when it is used, replaced or expired.
func TestTheOneTimeKeyIsWiped(t *testing.T) {
	_, d := newDoor(t, newClock())
	o, _, err := d.Offer(network, tsstest.MemberKey(0))
	require.NoError(t, err)
	first := d.once
	require.NotNil(t, first.page)
	_, _, err = d.Offer(network, tsstest.MemberKey(0))
	require.NoError(t, err)
	require.Nil(t, first.page, "replaced")
	second := d.once
	_, err = d.Receive(network, ForUnseal, make([]byte, 99))
	require.ErrorIs(t, err, ErrRequest)
	require.Nil(t, second.page, "used")
	_, _, err = d.Offer(network, tsstest.MemberKey(0))
	require.NoError(t, err)
	third := d.once
	third.timer.Reset(0)
	require.Eventually(t, func() bool {
		third.mu.Lock()
		defer third.mu.Unlock()
		return third.page == nil
	}, time.Minute, time.Millisecond, "expired")
	_, err = o.Seal(network, Request{For: ForUnseal})
	require.ErrorContains(t, err, "empty")
	_, err = o.Seal(network, Request{For: ForUnseal, Password: []byte("x"), Next: make([]byte, MaxPassword+1)})
	require.ErrorContains(t, err, "more than")
}

// Nothing that is sent instead of a request makes the node stumble, or comes out as one.
func FuzzRequest(f *testing.F) {
	e := testEnv()
	f.Add([]byte{})
	f.Add(make([]byte, 80))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := e.offer(node())
		require.NoError(t, err)
		defer o.end()
		_, err = o.open(network, ForUnseal, b)
		require.ErrorIs(t, err, ErrRequest)
	})
}
