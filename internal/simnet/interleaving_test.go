package simnet

import (
	"crypto/ecdsa"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// books is one honest member's ledger and what it was shown so far.
type books struct {
	l     *ledger.Ledger
	key   *ecdsa.PrivateKey
	shown map[uint64]bool
}

// court is q honest members, one that signs whatever helps, and a Relay that shows each of them what it likes of one
// account's log, in any order.
type court struct {
	genesis quorum.Genesis
	policy  quorum.Policy
	network common.Hash
	honest  []*books
	owner   *ecdsa.PrivateKey
	rows    []ledger.Event
	asks    []ledger.Withdrawal
	said    map[said]map[int]bool // who approved what
}

// said is what approvals of one certificate agree on.
type said struct {
	wid     uint64
	content common.Hash
	seq     uint64
	head    common.Hash
}

func newCourt(t *rapid.T, dir string, key *Fixture) *court {
	keys := committee()
	// A generous maximum: what is looked at here is what verdicts do, not when intake stops.
	g, err := newGenesis(Config{Policy: DefaultPolicy(), Finality: 2}, keys)
	require.NoError(t, err)
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	require.NoError(t, err)
	policy.UncoveredMax.SetAllOne()
	founded, err := key.found(g, keys)
	require.NoError(t, err)
	c := &court{genesis: g, policy: policy, network: g.ID(), said: map[said]map[int]bool{}}
	c.owner, err = crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet: owner, for tests only")))
	require.NoError(t, err)
	for i := range quorum.Size(members) {
		at := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.MkdirAll(at, 0o700))
		require.NoError(t, founded.write(at, c.network))
		l, err := ledger.Open(at, c.network)
		require.NoError(t, err)
		c.honest = append(c.honest, &books{l, keys[i], map[uint64]bool{}})
	}
	return c
}

func (c *court) close(t *rapid.T) {
	for _, b := range c.honest {
		require.NoError(t, b.l.Close())
	}
}

// write makes the account's history: credits, task payments and requests.
func (c *court) write(t *rapid.T) {
	owner := crypto.PubkeyToAddress(c.owner.PublicKey)
	lane := c.genesis.Lanes[0]
	for id := uint64(1); id <= uint64(rapid.IntRange(4, 12).Draw(t, "rows")); id++ {
		coins := uint256.NewInt(uint64(rapid.IntRange(4, 12).Draw(t, "coins")))
		amount := new(uint256.Int).Mul(coins, uint256.NewInt(1e18))
		e := ledger.Event{ID: id, Account: owner, Kind: rapid.SampledFrom([]ledger.EventKind{
			ledger.TaskIncome, ledger.TaskIncome, ledger.TaskPayment, ledger.Withdraw, ledger.Withdraw}).Draw(t, "kind")}
		if e.Kind == ledger.Withdraw {
			fee, _ := c.policy.Tariffs[lane.Network].Fee(*amount)
			w := ledger.Withdrawal{ID: id + 100, Account: owner, To: owner, Spelling: owner.Hex(), Network: lane.Network, Amount: *amount, Fee: fee, EventID: id, Timestamp: id}
			var err error
			w.Signature, err = crypto.Sign(w.Message().Bytes(), c.owner)
			require.NoError(t, err)
			c.asks = append(c.asks, w)
			amount.Add(amount, &fee)
		}
		e.Amount = amount.Dec()
		c.rows = append(c.rows, e)
	}
}

// show gives one member some rows that it has not seen, and judges everything.
func (c *court) show(t *rapid.T) {
	who := rapid.IntRange(0, len(c.honest)-1).Draw(t, "who")
	b := c.honest[who]
	var page []ledger.Event
	for _, e := range c.rows {
		if !b.shown[e.ID] && rapid.IntRange(0, 2).Draw(t, "shown") > 0 {
			b.shown[e.ID] = true
			page = append(page, e)
		}
	}
	require.NoError(t, b.l.Update(func(tx *ledger.Tx) error {
		if _, err := tx.Append(page, ledger.Intake{Now: 1, Policy: c.policy, FeeAddress: c.genesis.FeeAddress}); err != nil {
			return err
		}
		for _, w := range c.asks {
			if _, err := tx.PutWithdrawal(w); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, w := range c.asks {
		c.judge(t, who, w)
	}
}

// judge does what a node does with one request, and remembers an approval.
func (c *court) judge(t *rapid.T, who int, w ledger.Withdrawal) {
	b := c.honest[who]
	facts := risk.Facts{Policy: c.policy, LaneKnown: true, Destination: risk.Destination{State: risk.Known, Address: w.To},
		FeeAddress: c.genesis.FeeAddress, DaoAddress: c.genesis.DaoAddress, InForce: true}
	err := b.l.Update(func(tx *ledger.Tx) error {
		v, err := risk.Judge(tx, w, facts)
		if err != nil || v.Kind != risk.Approve {
			if err == nil && v.Freeze != nil {
				_, err = tx.Freeze(w.Account, *v.Freeze)
			}
			return err
		}
		if v.Thaw != nil {
			if _, err := tx.Unfreeze(w.Account, v.Thaw.Code, v.Thaw.Ref); err != nil {
				return err
			}
		}
		body := quorum.Approve{Epoch: 1, Policy: c.policy.Ref(), WID: w.ID, Content: v.Content.Hash(c.network), Account: w.Account, Seq: v.Seq, Head: v.Head, Time: 1}
		_, err = tx.Approve(body, tx.CaseOf(v.Content), func(b2 quorum.Approve) (quorum.Signed[quorum.Approve], error) {
			return quorum.Sign(b.key, c.network, b2)
		})
		if err == nil {
			s := said{w.ID, body.Content, v.Seq, v.Head}
			if c.said[s] == nil {
				c.said[s] = map[int]bool{}
			}
			c.said[s][who] = true
		}
		return nil // what a rule of the ledger refuses is no verdict
	})
	require.NoError(t, err)
}

// certified is everything that q members' approvals certify when the faulty one adds its own to all of them.
func (c *court) certified() (out []said) {
	for s, who := range c.said {
		if len(who)+quorum.Faults(members) >= quorum.Size(members) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b said) int { return int(a.wid) - int(b.wid) })
	return out
}

// check is I4 and I8: one content and one place for a withdrawal, one head for a place, and no more certified than q−f
// honest members counted.
func (c *court) check(t *rapid.T) {
	heads := map[uint64]common.Hash{}
	sum, owner := new(uint256.Int), crypto.PubkeyToAddress(c.owner.PublicKey)
	seen := map[uint64]bool{}
	for _, s := range c.certified() {
		require.False(t, seen[s.wid], "withdrawal %d is certified twice", s.wid)
		seen[s.wid] = true
		if h, ok := heads[s.seq]; ok {
			require.Equal(t, h, s.head, "two certified heads at %d", s.seq)
		}
		heads[s.seq] = s.head
		i := slices.IndexFunc(c.asks, func(w ledger.Withdrawal) bool { return w.ID == s.wid })
		sum.Add(sum, &c.asks[i].Amount)
		sum.Add(sum, &c.asks[i].Fee)
	}
	enough := 0
	for _, b := range c.honest {
		require.NoError(t, b.l.View(func(tx *ledger.Tx) error {
			a, _, err := tx.Account(owner, 1)
			if !a.Counted.Lt(sum) {
				enough++
			}
			return err
		}))
		_, err := b.l.CheckBooks(nil)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, enough, quorum.Size(members)-quorum.Faults(members), "%s wei are certified", sum.Dec())
}

// TestNoInterleavingCertifiesBeyondTheCredits: whatever a Relay shows to whom and when, and whatever one member signs.
func TestNoInterleavingCertifiesBeyondTheCredits(t *testing.T) {
	key, err := LoadFixture()
	require.NoError(t, err)
	runs, certified, base := 0, 0, t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		c := newCourt(rt, filepath.Join(base, fmt.Sprint(runs)), key)
		defer c.close(rt)
		c.write(rt)
		for range rapid.IntRange(2, 7).Draw(rt, "steps") {
			c.show(rt)
		}
		c.check(rt)
		certified += len(c.certified())
	})
	require.NotZero(t, certified, "some histories certify something")
}
