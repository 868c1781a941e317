package node

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/risk"
)

// bench is a founded node that runs nowhere, with a chain that always answers.
type bench struct {
	*lab
	n   *Node
	end *lineEnd
}

func newBench(t testing.TB) *bench {
	b := &bench{lab: newLab(t), end: &lineEnd{}}
	log := zap.NewNop()
	b.n = &Node{cfg: Config{Key: b.keys[0]}, genesis: b.genesis, network: b.network, self: b.self, led: b.led, core: b.core, alerts: b.alerts,
		log: log, now: time.Now, watchers: map[string]*watcher{"devnet": {end: b.end}}}
	p := b.state.Policy
	b.n.inForce.Store(&p)
	b.n.judge = newJudge(b.n)
	return b
}

// asked books n requests with which nothing is wrong, of as many accounts, from withdrawal id first on.
func (b *bench) asked(first, n int) {
	var rows []ledger.Event
	var list []ledger.Withdrawal
	for i := first; i < first+n; i++ {
		key := testKey("owner", i)
		account := crypto.PubkeyToAddress(key.PublicKey)
		w := ledger.Withdrawal{ID: uint64(i), Account: account, To: account, Spelling: account.Hex(), Network: "devnet",
			Amount: *uint256.NewInt(1000), Fee: *uint256.NewInt(11), EventID: uint64(2 * i), Timestamp: 5}
		sig, err := crypto.Sign(w.Message().Bytes(), key)
		require.NoError(b.t, err)
		w.Signature = sig
		list = append(list, w)
		rows = append(rows, ledger.Event{ID: uint64(2*i - 1), Account: account, Kind: ledger.TaskIncome, Amount: "2000"},
			ledger.Event{ID: uint64(2 * i), Account: account, Kind: ledger.Withdraw, Amount: "1011"})
	}
	require.NoError(b.t, b.led.Update(func(tx *ledger.Tx) error {
		if _, err := tx.Append(rows, ledger.Intake{Now: 1, Policy: b.n.policy()}); err != nil {
			return err
		}
		for _, w := range list {
			if _, err := tx.PutWithdrawal(w); err != nil {
				return err
			}
		}
		return nil
	}))
}

// drain runs what was posted to the core.
func (b *bench) drain() {
	for len(b.tasks) > 0 {
		(<-b.tasks)()
	}
}

// given counts this node's approvals on disk.
func (b *bench) given() (n int) {
	require.NoError(b.t, b.led.View(func(tx *ledger.Tx) error {
		return tx.OwnVerdicts(func(uint64, []byte) error { n++; return nil })
	}))
	return n
}

func (b *bench) commits() uint64 {
	n, err := b.led.Commits()
	require.NoError(b.t, err)
	return n
}

func TestVerdictsShareCommits(t *testing.T) {
	b := newBench(t)
	b.asked(1, judgeBatch+10)
	require.NoError(t, b.n.judge.all(t.Context()))
	require.Equal(t, judgeBatch+10, b.given())
	b.drain()
	require.Len(t, b.pool.approvals, judgeBatch+10, "the core hears what was said")
	b.drain() // what hearing made due
	before := b.commits()
	require.NoError(t, b.n.judge.all(t.Context()))
	require.Equal(t, before, b.commits(), "nothing new costs nothing")
	b.asked(1000, 100)
	require.NoError(t, b.n.judge.all(t.Context()))
	require.LessOrEqual(t, b.commits()-before, uint64(4), "one to book, one or two to judge, for a hundred")
	require.Equal(t, judgeBatch+110, b.given())
}

// One verdict that the ledger refuses holds back none of those in its batch.
func TestARefusedVerdictStandsAlone(t *testing.T) {
	b := newBench(t)
	b.asked(1, 20)
	other := quorum.Content{WID: 7, Account: common.Address{9}, Network: "devnet", EventID: 900, Message: common.Hash{9}}
	require.NoError(t, b.led.Update(func(tx *ledger.Tx) error {
		body := quorum.Refuse{Epoch: 1, Policy: b.n.policy().Ref(), WID: 7, Content: other.Hash(b.network), Reason: quorum.ReasonMinimum, Time: 1}
		_, err := tx.Refuse(body, ledger.Case{Content: other, Debited: func(quorum.Content) (bool, error) { return true, nil }},
			func(r quorum.Refuse) (quorum.Signed[quorum.Refuse], error) {
				return quorum.Sign(b.keys[0], b.network, r)
			})
		return err
	}))
	p := b.n.policy()
	p.Version, p.Hash = 2, common.Hash{2} // what was said of 7 was said under another policy: 7 is asked again
	b.n.inForce.Store(&p)
	require.NoError(t, b.n.judge.all(t.Context()))
	require.Equal(t, 20, b.given())
	v, ok := b.n.judge.verdict(7)
	require.True(t, ok)
	require.Equal(t, risk.Wait, v.Kind)
	for _, wid := range []uint64{1, 6, 8, 20} {
		v, _ := b.n.judge.verdict(wid)
		require.Equal(t, risk.Approve, v.Kind, wid)
	}
}

// The clock of a delay starts when the row is first seen settled, once and for ever.
func TestDelayCountsFromTheFirstLook(t *testing.T) {
	b := newBench(t)
	p := b.n.policy()
	p.Limits.CoolDown = time.Hour
	b.n.inForce.Store(&p)
	b.asked(1, 1)
	at := time.Now()
	b.n.now = func() time.Time { return at }
	look := func() risk.Verdict {
		require.NoError(t, b.n.judge.all(t.Context()))
		v, _ := b.n.judge.verdict(1)
		return v
	}
	require.Equal(t, risk.WaitCoolDown, look().Code)
	at = at.Add(59 * time.Minute)
	b.n.judge = newJudge(b.n) // a restart
	require.Equal(t, risk.WaitCoolDown, look().Code)
	var out []ExplanationView
	require.NoError(t, b.led.View(func(tx *ledger.Tx) (err error) {
		w, _, err := tx.Withdrawal(1)
		require.NoError(t, err)
		out, err = b.n.judge.explain(tx, w)
		return err
	}))
	require.Greater(t, len(out), 20, "every rule is explained")
	_, err := b.n.Object(t.Context(), 1, "odd")
	require.NoError(t, err)
	at = at.Add(2 * time.Minute)
	require.Equal(t, risk.WaitObjection, look().Code)
	require.NoError(t, b.n.EndObjection(t.Context(), 1))
	require.Equal(t, risk.Approve, look().Kind)
	require.Equal(t, 1, b.given())
	late, err := b.n.Object(t.Context(), 1, "odd")
	require.NoError(t, err)
	require.True(t, late)
}

// BenchmarkVerdicts1000 judges, signs and records a thousand new withdrawals, durably, and lets the core hear them: from the
// list and the log in the books to the verdicts that may leave. The endpoint answers at once, or from some way off.
func BenchmarkVerdicts1000(b *testing.B) {
	for name, away := range map[string]time.Duration{"at-once": 0, "2ms-away": 2 * time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				x := newBench(b)
				x.asked(1, 1000)
				if away > 0 {
					x.n.genesis.Lanes = slices.Clone(x.n.genesis.Lanes)
					x.n.genesis.Lanes[0].BenefitContract = common.Address{0xbe}
					x.n.watchers["devnet"].end = &farEnd{away: away}
				}
				b.StartTimer()
				require.NoError(b, x.n.judge.all(context.Background()))
				x.drain()
				b.StopTimer()
				require.Equal(b, 1000, x.given())
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/1000")
		})
	}
}
