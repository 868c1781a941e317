package cutover

import (
	"context"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/relay"
	"conclave/relay/relaysim"
)

// Keys of these tests only.
var (
	apiKey, _  = crypto.ToECDSA(crypto.Keccak256([]byte("cutover tests: api")))
	userKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("cutover tests: user")))
	user       = crypto.PubkeyToAddress(userKey.PublicKey)
)

// old is a simulated Relay with three days of history and one of today.
type old struct {
	sim    *relaysim.Sim
	clock  time.Time
	client *relay.Client
}

func coins(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

func newOld(t *testing.T) *old {
	o := &old{clock: time.Now().Add(-72 * time.Hour)}
	var err error
	o.sim, err = relaysim.New(relaysim.Config{Now: func() time.Time { return o.clock }, APIKey: crypto.PubkeyToAddress(apiKey.PublicKey),
		FeeAddress: common.HexToAddress("0xfe"), DaoAddress: common.HexToAddress("0xda"),
		Networks: []relaysim.Network{{Name: "devnet", TokenType: "native", Fee: 1, Min: 4, Tiers: []relaysim.Tier{{}}, MaxPerDay: 10}}})
	require.NoError(t, err)
	// The client's signatures carry the real time; the Relay's clock follows it while it is asked.
	o.client, err = relay.NewClient(relay.Config{URL: "http://relay.invalid", Key: apiKey, Transport: now{o, relaysim.Transport(o.sim)}})
	require.NoError(t, err)
	o.sim.CreditTask(user, coins(100))
	return o
}

type now struct {
	o    *old
	next http.RoundTripper
}

func (n now) RoundTrip(r *http.Request) (*http.Response, error) {
	was := n.o.clock
	n.o.clock = time.Now()
	defer func() { n.o.clock = was }()
	return n.next.RoundTrip(r)
}

func (o *old) withdraw(t *testing.T, amount int64) uint64 {
	u := relaysim.NewUser(userKey, "http://relay.invalid", relaysim.Transport(o.sim), func() time.Time { return o.clock })
	id, err := u.Withdraw(t.Context(), "devnet", coins(amount), user.Hex())
	require.NoError(t, err)
	return id
}

func (o *old) replay(t *testing.T, event uint64) (Found, error) {
	return Replay(context.Background(), Config{Relay: o.client, Dir: t.TempDir(), Event: event, Now: time.Now()})
}

func TestReplayFindsRootAndCarried(t *testing.T) {
	o := newOld(t)
	paid, open := o.withdraw(t, 10), o.withdraw(t, 20)
	require.NoError(t, o.client.Fulfil(t.Context(), paid, common.Hash{1}))
	o.clock = time.Now()
	o.sim.CreditTask(user, coins(7))
	today := o.withdraw(t, 5)

	found, err := o.replay(t, 0)
	require.NoError(t, err)
	require.Equal(t, []uint64{open}, found.Cutover.Carried)
	require.Empty(t, found.Unsigned)
	require.NotContains(t, found.Cutover.Carried, today)
	require.Equal(t, uint64(3), found.Cutover.Event, "the fee's row was written while the Relay was asked: it is of today")
	require.Equal(t, uint64(3), found.Events)

	same, err := o.replay(t, found.Cutover.Event)
	require.NoError(t, err)
	require.Equal(t, found.Cutover, same.Cutover, "by name or by age")
	require.Empty(t, Compare(found.Cutover, same))

	// A node that runs under this document seals the same history.
	l, err := ledger.Open(t.TempDir(), common.Hash{})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	rows, err := o.client.Events(t.Context(), 0, 100)
	require.NoError(t, err)
	require.NoError(t, l.Update(func(tx *ledger.Tx) error {
		_, err := tx.Append(rows, ledger.Intake{Now: 1, History: found.Cutover})
		require.NoError(t, err)
		h, ok, err := tx.History()
		require.True(t, ok && h.Sealed)
		return err
	}))
}

func TestACutOverMustBeOldAndThere(t *testing.T) {
	o := newOld(t)
	_, err := o.replay(t, 99)
	require.ErrorIs(t, err, ErrNoRow)
	o.clock = time.Now()
	o.sim.CreditTask(user, coins(7))
	_, err = o.replay(t, 2)
	require.ErrorIs(t, err, ErrYoung)

	empty := newOld(t)
	empty.sim.View(0).Lie(relaysim.Hide(1))
	client, err := relay.NewClient(relay.Config{URL: "http://relay.invalid", Key: apiKey, Transport: now{empty, relaysim.Transport(empty.sim.View(0))}})
	require.NoError(t, err)
	_, err = Replay(t.Context(), Config{Relay: client, Dir: t.TempDir(), Now: time.Now()})
	require.ErrorIs(t, err, ErrNoRow)
}

func TestCompareNamesWhatDiffers(t *testing.T) {
	found := Found{Cutover: quorum.Cutover{Event: 7, Root: common.Hash{1}, Carried: []uint64{3, 4}, Vesting: []common.Hash{{5}}}}
	same := found.Cutover
	same.Carried = []uint64{4}
	require.Empty(t, Compare(same, found), "fewer carried ones are the operators' choice")
	other := quorum.Cutover{Event: 8, Root: common.Hash{2}, Carried: []uint64{4, 9}, Vesting: []common.Hash{{6}}}
	var what []string
	for _, d := range Compare(other, found) {
		what = append(what, d.What)
	}
	require.Equal(t, []string{"event", "root", "carried", "vesting"}, what)
}
