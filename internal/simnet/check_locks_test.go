package simnet

import (
	"fmt"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/agreement"
)

// lockWorld is as much of a world as votes need.
func lockWorld(t *testing.T) *World {
	cfg := Config{Policy: DefaultPolicy(), Finality: 2}
	w := &World{cfg: cfg, keys: committee()}
	var err error
	w.Genesis, err = newGenesis(cfg, w.keys)
	require.NoError(t, err)
	w.network = w.Genesis.ID()
	return w
}

// spoken is one word of a table: who, what, in which round.
type spoken struct {
	member int
	phase  quorum.Phase
	round  uint64
	value  byte
}

const lockHeight = 7

func valueOf(v byte) common.Hash {
	if v == 0 {
		return common.Hash{}
	}
	return common.Hash{v}
}

func (s spoken) heard(l *locks, w *World) {
	says := map[quorum.Phase]quorum.Kind{quorum.Prevote: quorum.KindPrevote, quorum.Precommit: quorum.KindPrecommit}[s.phase]
	l.watch(w, s.member, meaning{Says: says, Epoch: 1, Height: lockHeight, Round: s.round, ID: valueOf(s.value)})
}

// certificate is what members prevoted for a value in a round, as it travels.
func (w *World) certificate(t *testing.T, network common.Hash, round uint64, value byte, members ...int) []byte {
	var votes []quorum.Signed[quorum.Vote]
	for _, i := range members {
		v, err := quorum.Sign(w.keys[i], network, quorum.Vote{Epoch: 1, Height: lockHeight, Round: round, Phase: quorum.Prevote, ID: valueOf(value), Counter: 1})
		require.NoError(t, err)
		votes = append(votes, v)
	}
	roster, err := w.Genesis.Roster()
	require.NoError(t, err)
	roster.Epoch = 1
	qc, ok := quorum.NewQC(roster, lockHeight, round, quorum.Prevote, valueOf(value), votes)
	require.True(t, ok)
	raw, err := rlp.EncodeToBytes(qc.Unchecked())
	require.NoError(t, err)
	return raw
}

// TestLocks: a prevote against a lock needs a certificate of a round since, whoever shows it.
func TestLocks(t *testing.T) {
	w := lockWorld(t)
	const a, b = 1, 2
	locked := []spoken{{0, quorum.Prevote, 0, a}, {0, quorum.Prevote, 3, 0}, {0, quorum.Precommit, 3, a}} // n0 is locked on a in round 3
	certified := func(round uint64, who ...int) (out []spoken) {
		for _, i := range who {
			out = append(out, spoken{i, quorum.Prevote, round, b})
		}
		return out
	}
	against := spoken{0, quorum.Prevote, 5, b}
	for name, c := range map[string]struct {
		words  []spoken
		beside []byte
		breaks bool
		turns  int
	}{
		"a prevote for the locked value": {words: append(locked, spoken{0, quorum.Prevote, 5, a})},
		"a nil prevote":                  {words: append(locked, spoken{0, quorum.Prevote, 5, 0})},
		"nothing allows it":              {words: append(locked, against), breaks: true},
		"a certificate since":            {words: append(append(locked, certified(4, 1, 2, 3)...), against), turns: 1},
		"a certificate of the lock's own round, where n0 wanted nothing": {words: append(append(locked, certified(3, 1, 2, 3)...), against), turns: 1},
		"a certificate before the lock":                                  {words: append(append(locked, certified(2, 1, 2, 3)...), against), breaks: true},
		"too few since":                                                  {words: append(append(locked, certified(4, 2, 3)...), against), breaks: true},
		"the certificate comes too late":                                 {words: append(append(locked, against), certified(4, 1, 2, 3)...), breaks: true},
		"one of its own round":                                           {words: append(append(locked, certified(5, 1, 2, 3)...), against), breaks: true},
		"a certificate that only travelled":                              {words: append(locked, against), beside: w.certificate(t, w.network, 4, b, 1, 2, 3), turns: 1},
		"one of another network that travelled":                          {words: append(locked, against), beside: w.certificate(t, common.Hash{1}, 4, b, 1, 2, 3), breaks: true},
		"one for another value that travelled":                           {words: append(locked, against), beside: w.certificate(t, w.network, 4, a, 1, 2, 3), breaks: true},
		"the lock is heard of later":                                     {words: append([]spoken{against}, locked...), breaks: true},
	} {
		t.Run(name, func(t *testing.T) {
			var l locks
			l.beside(lockHeight, c.beside)
			for _, s := range c.words {
				s.heard(&l, w)
			}
			require.Equal(t, c.breaks, len(l.broken) > 0, "%v", l.broken)
			if c.breaks {
				require.ErrorContains(t, l.broken[0].err, "I3: n0 prevoted")
			}
			require.Equal(t, c.turns, l.turned[0])
		})
	}
}

// TestLocksOnDisk: a vote that was never sent is judged as well, by what was heard and by what disks hold.
func TestLocksOnDisk(t *testing.T) {
	w := lockWorld(t)
	w.wire = newWire(w)
	roster, err := w.Genesis.Roster()
	require.NoError(t, err)
	rosters := map[uint64]quorum.Roster{lockHeight: roster}
	at := func(phase quorum.Phase, round uint64) spot { return spot{lockHeight, round, phase} }
	disks := []disk{{c: &Custodian{Index: 0}, deeds: deeds{rosters: rosters, cast: map[spot]common.Hash{at(quorum.Precommit, 3): {1}, at(quorum.Prevote, 5): {2}}}}}
	for _, i := range []int{2, 3} {
		spoken{i, quorum.Prevote, 4, 2}.heard(&w.wire.locks, w)
	}
	require.ErrorContains(t, w.checkLocks(&Report{}, disks), "I3: n0 prevoted")
	disks = append(disks, disk{c: &Custodian{Index: 1}, deeds: deeds{rosters: rosters, cast: map[spot]common.Hash{at(quorum.Prevote, 4): {2}}}})
	require.NoError(t, w.checkLocks(&Report{}, disks), "the third stands on a disk")
}

// TestLockStandsOnDisk: custodians that end while they are locked leave a record that says so; one that forgot is found.
func TestLockStandsOnDisk(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		w.Lose(Loss{What: func(h Heard) bool { return h.Says == quorum.KindPrecommit }})
		alice := w.User("alice")
		earned, err := Coins("100")
		require.NoError(t, err)
		w.Relay.CreditTask(alice.Address, earned)
		amount, err := Coins("10")
		require.NoError(t, err)
		_, err = w.Withdraw(t.Context(), alice, amount, "w1", true)
		require.NoError(t, err)
		require.NoError(t, w.Until(time.Minute, func() error {
			for i := range w.Custodians {
				if w.Precommitted(i) != 2 {
					return fmt.Errorf("n%d is not locked", i)
				}
			}
			return nil
		}))
		require.NoError(t, w.Close())
		_, err = w.Check()
		require.NoError(t, err)

		l, err := ledger.Open(w.Custodians[0].dir, w.network)
		require.NoError(t, err)
		require.NoError(t, l.Update(func(tx *ledger.Tx) error {
			raw, _ := tx.Consensus(2)
			d, err := agreement.DecodeDurable(raw)
			require.NoError(t, err)
			d.LockedRound, d.LockedID = 0, common.Hash{}
			return tx.SaveConsensus(2, d.Encode())
		}))
		require.NoError(t, l.Close())
		_, err = w.Check()
		require.ErrorContains(t, err, "I3: n0 precommitted")
	})
}
