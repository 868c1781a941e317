package simnet

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// lives is one custodian that dies again and again, beside two that never do. The fourth is dead, so that nothing goes on
// without the one.
type lives struct {
	t *testing.T
	w *World
	c *Custodian
	n int // withdrawals so far
}

// until lets it die at whatever is new to it, until done.
func (l *lives) until(done func(ctx context.Context) error) {
	l.t.Helper()
	require.NoError(l.t, l.w.CrashAtCommits(l.c, 15*time.Minute, func() error { return done(l.t.Context()) }))
}

// again does something until a whole turn passes without a new place to die, and nothing that must be died at is missed.
func (l *lives) again(turns int, what func(), must ...string) {
	for range turns {
		before := len(l.c.CrashedAt())
		what()
		if len(l.c.CrashedAt()) == before && len(l.missed(must)) == 0 {
			return
		}
	}
}

// everywhere waits for an outcome of a request at all who run.
func (l *lives) everywhere(r *Request, outcome string) {
	l.t.Helper()
	l.until(func(ctx context.Context) error {
		for _, c := range l.w.Honest() {
			v, err := c.Node.Withdrawal(ctx, r.ID)
			if err != nil {
				return err
			}
			if v.Outcome != outcome || !v.Reported {
				return fmt.Errorf("%s: %s %v", c.Name, v.Stage, v.WhyNotYet)
			}
		}
		return nil
	})
}

func (l *lives) coins(s string) *big.Int {
	wei, err := Coins(s)
	require.NoError(l.t, err)
	return wei
}

// asks makes the next request, each of another amount.
func (l *lives) asks(u *User) *Request {
	l.n++
	r, err := l.w.Withdraw(l.t.Context(), u, l.coins(fmt.Sprintf("10.%03d", l.n)), fmt.Sprintf("w%d", l.n), false)
	require.NoError(l.t, err)
	return r
}

// pays is the life of a payment: earned or deposited, asked for, paid, told to the Relay.
func (l *lives) pays() {
	u := l.w.User("alice")
	l.w.Relay.CreditTask(u.Address, l.coins("1000"))
	l.again(30, func() { l.everywhere(l.asks(u), "paid") }, onTheWay...)
	l.again(6, func() {
		u := l.w.User(fmt.Sprintf("bob %d", l.n))
		require.NoError(l.t, l.w.Deposit(l.t.Context(), u, l.coins("100")))
		l.everywhere(l.asks(u), "paid")
	})
}

// refuses is a request that was posted twice: the second is refused, and refunded.
func (l *lives) refuses() {
	l.again(6, func() {
		u := l.w.User(fmt.Sprintf("carol %d", l.n))
		l.w.Relay.CreditTask(u.Address, l.coins("100"))
		r := l.asks(u)
		twice, err := l.w.Repeat(l.t.Context(), r, r.Name+" again")
		require.NoError(l.t, err)
		l.everywhere(r, "paid")
		l.everywhere(twice, "rejected")
	})
}

// stops is what an operator does at its own node and hears of another's: halts, their end, objections.
func (l *lives) stops() {
	for _, of := range []*Custodian{l.c, l.w.Custodians[0]} {
		l.again(6, func() {
			for _, want := range []bool{true, false} {
				l.until(func(ctx context.Context) error {
					s, err := of.Node.Status(ctx)
					if err != nil || s.Halted == want {
						return err
					}
					if want {
						return errors.Join(of.Node.Halt(ctx, "a test says so"), errors.New("not halted"))
					}
					return errors.Join(of.Node.Resume(ctx, "a test says so"), errors.New("still halted"))
				})
				l.until(func(ctx context.Context) error { // and the other hears of it
					s, err := l.c.Node.Status(ctx)
					if err != nil {
						return err
					}
					for _, m := range s.Members {
						if m.Address == of.Address && m.Halted != want {
							return errors.New("not heard")
						}
					}
					return nil
				})
			}
		})
	}
}

// rules is a new policy version: proposed, decided, in force.
func (l *lives) rules() {
	l.again(6, func() {
		l.n++
		file, err := l.w.NextPolicy(l.t.Context(), "large_above", l.coins(fmt.Sprint(50+l.n)).String())
		require.NoError(l.t, err)
		now, err := l.w.Custodians[0].Node.Committee(l.t.Context())
		require.NoError(l.t, err)
		_, err = l.w.Decree(l.t.Context(), quorum.PolicyChange{File: file}, []int{0, 2, 3})
		require.NoError(l.t, err)
		l.until(func(ctx context.Context) error {
			for _, c := range l.w.Honest() {
				if v, err := c.Node.Committee(ctx); err != nil || v.PolicyVersion <= now.PolicyVersion {
					return fmt.Errorf("not in force: %w", err)
				}
			}
			return nil
		})
	})
}

// objects delays a large withdrawal, once with an objection that its operator takes back.
func (l *lives) objects() {
	u := l.w.User("dave")
	l.w.Relay.CreditTask(u.Address, l.coins("100000"))
	l.again(6, func() {
		l.n++
		r, err := l.w.Withdraw(l.t.Context(), u, l.coins(fmt.Sprintf("100.%03d", l.n)), fmt.Sprintf("w%d", l.n), false)
		require.NoError(l.t, err)
		for _, want := range []bool{true, false} {
			l.until(func(ctx context.Context) error {
				all, err := l.c.Node.Objections()
				if err != nil || (len(all) == 1) == want {
					return err
				}
				if want {
					_, err = l.c.Node.Object(ctx, r.ID, "a test says so")
				} else {
					err = l.c.Node.EndObjection(ctx, r.ID)
				}
				return errors.Join(err, errors.New("not yet"))
			})
		}
		l.everywhere(r, "paid")
	})
}

// screens freezes an account for a row above the maximum.
func (l *lives) screens() {
	l.again(6, func() {
		l.n++
		u := l.w.User(fmt.Sprintf("mallory %d", l.n))
		l.w.Relay.CreditTask(u.Address, l.coins("200001"))
		l.until(func(context.Context) error {
			v, err := l.c.Node.Account(u.Address)
			if err == nil && len(v.Frozen) == 0 {
				err = errors.New("not frozen")
			}
			return err
		})
	})
}

// settles compares the books with what the settlement authority signed.
func (l *lives) settles() {
	l.again(6, func() {
		require.NoError(l.t, l.w.Settle(new(big.Int)))
		until := l.w.Now() + 70*time.Second
		l.until(func(context.Context) error {
			if l.w.Now() < until {
				return errors.New("not read yet")
			}
			return nil
		})
	})
}

// ranges are the checkpoints of a log that has a hole for this one, and none for the others, of whom it takes three.
func (l *lives) ranges() {
	require.NoError(l.t, l.w.Start())
	l.again(3, func() {
		l.n++
		row := l.w.Relay.CreditTask(l.w.User("frank").Address, l.coins("1"))
		require.NoError(l.t, l.w.Hide(row, []int{l.c.Index}))
		l.w.Relay.CreditTask(l.w.User("grace").Address, l.coins("1"))
		l.w.Relay.Burn(5000)
		last := l.w.Relay.CreditTask(l.w.User("grace").Address, l.coins("1"))
		l.until(func(ctx context.Context) error {
			mine, err := l.c.Node.Status(ctx)
			if err != nil {
				return err
			}
			theirs, err := l.w.Custodians[0].Node.Status(ctx)
			if err == nil && theirs.Books.SettledID < last {
				err = errors.New("not read yet")
			}
			if err == nil && (mine.Books.Root != theirs.Books.Root || mine.Books.Events != theirs.Books.Events) {
				err = errors.New("two logs")
			}
			return err
		})
	})
}

// TestACrashBetweenEveryTwoDurableSteps: a custodian without which nothing goes on dies in every commit that package node
// makes in the life of payments, halts, rules and checkpoints: before the database has it, before and in the middle of the
// high-water file, and before anybody hears of it. In the end it has what the others have, who never died, and said
// everything once.
func TestACrashBetweenEveryTwoDurableSteps(t *testing.T) {
	known(t)
	key, err := LoadFixture()
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) {
		w, err := New(Config{Key: key, Dir: t.TempDir(), Policy: map[string]string{"limits.large_above": "50000000000000000000", "limits.large_delay": "20s",
			"max_per_event.0": "200000000000000000000000", "limits.freeze_above_max": "[0]",
			"settlement.authority": "0x4BD1685BDB7acB444ACc5D513ff7B25e25e90351", "settlement.tolerance": "1000000000000000000", "settlement.delay": "1m", "settlement.sustained": "20m"}, Trace: func(line string) { t.Log(line) }})
		require.NoError(t, err)
		defer func() { _ = w.Close() }()
		l := &lives{t: t, w: w, c: w.Custodians[1]}
		for _, i := range []int{0, 2} {
			require.NoError(t, w.Custodians[i].Start())
		}
		l.until(func(context.Context) error {
			if l.c.Running() {
				return nil
			}
			return l.c.Start()
		})
		l.pays()
		l.refuses()
		l.stops()
		l.rules()
		l.objects()
		l.screens()
		l.settles()
		l.ranges()
		l.covered()
		require.NoError(t, w.Close())
		_, err = w.Check()
		require.NoError(t, err)
		l.compare()
	})
}
