package ledger

import (
	"bytes"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/quorum"
)

// protoHead is the one chain of every account in these tests.
func protoHead(account common.Address, seq uint64) common.Hash {
	h := quorum.AccountHead(account)
	for i := range seq {
		h = quorum.NextHead(h, quorum.Debit{ID: i, Kind: 6, Amount: "1"})
	}
	return h
}

func (p *protoNet) approval(wid uint64) quorum.Approve {
	c := p.content(wid)
	return quorum.Approve{Epoch: 1, Policy: protoPolicy, WID: wid, Content: c.Hash(p.network), Account: c.Account, Seq: 1,
		Head: protoHead(c.Account, 1), Time: 1}
}

func (p *protoNet) refusal(wid uint64) quorum.Refuse {
	return quorum.Refuse{Epoch: 1, Policy: protoPolicy, WID: wid, Content: p.content(wid).Hash(p.network), Reason: quorum.ReasonMinimum, Time: 1}
}

func always(quorum.Content) (bool, error) { return true, nil }

func caseOf(c quorum.Content) Case {
	return Case{Content: c, Debited: always, HeadAt: func(seq uint64) (common.Hash, error) { return protoHead(c.Account, seq), nil }}
}

func (p *protoNet) approve(tx *Tx, wid uint64) ([]byte, error) {
	return tx.Approve(p.approval(wid), caseOf(p.content(wid)), by[quorum.Approve](p, 0))
}

func (p *protoNet) refuse(tx *Tx, wid uint64) ([]byte, error) {
	return tx.Refuse(p.refusal(wid), caseOf(p.content(wid)), by[quorum.Refuse](p, 0))
}

// judged changes an approval and its case, and approves.
func (p *protoNet) judged(wid uint64, change func(*quorum.Approve, *Case)) func(*Tx) error {
	return func(tx *Tx) error {
		a, on := p.approval(wid), caseOf(p.content(wid))
		change(&a, &on)
		_, err := tx.Approve(a, on, by[quorum.Approve](p, 0))
		return err
	}
}

// withContent is a case of another content, its hash in the body.
func (p *protoNet) withContent(change func(*quorum.Content)) func(*quorum.Approve, *Case) {
	return func(a *quorum.Approve, on *Case) {
		change(&on.Content)
		a.Content, a.Account = on.Content.Hash(p.network), on.Content.Account
		a.Head = protoHead(a.Account, a.Seq)
		on.HeadAt = func(seq uint64) (common.Hash, error) { return protoHead(a.Account, seq), nil }
	}
}

func TestVerdictIsSignedOnceAndSentAgain(t *testing.T) {
	p := newProtoNet(t, 4)
	var first, again []byte
	p.update(func(tx *Tx) (err error) { first, err = p.approve(tx, 1); return })
	p.update(func(tx *Tx) error {
		var err error
		again, err = tx.Approve(p.approval(1), caseOf(p.content(1)), func(quorum.Approve) (quorum.Signed[quorum.Approve], error) {
			return quorum.Signed[quorum.Approve]{}, errors.New("signed twice")
		})
		require.Equal(t, uint64(1), tx.Counter())
		return err
	})
	require.Equal(t, first, again)

	s, err := quorum.Open[quorum.Approve](p.network, p.roster.IDs(), first)
	require.NoError(t, err)
	require.Equal(t, uint64(1), s.Body().Counter)

	var refused, refusedAgain []byte
	p.update(func(tx *Tx) (err error) { refused, err = p.refuse(tx, 2); return })
	p.update(func(tx *Tx) (err error) {
		r := p.refusal(2)
		r.Reason = quorum.ReasonDestination
		refusedAgain, err = tx.Refuse(r, caseOf(p.content(2)), by[quorum.Refuse](p, 0))
		return
	})
	require.Equal(t, refused, refusedAgain, "the reason that was given first stands")
}

func TestA1OneContentForEver(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })

	other := p.withContent(func(c *quorum.Content) { c.Amount.SetUint64(5) })
	p.refused(ErrContent, p.judged(1, other))
	p.refused(ErrContent, p.judged(1, func(a *quorum.Approve, on *Case) {
		other(a, on)
		a.Policy = quorum.PolicyRef{Version: 2}
	}))
}

func TestA1OneVerdictPerPolicy(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.update(func(tx *Tx) error { _, err := p.refuse(tx, 2); return err })

	p.refused(ErrVerdict, func(tx *Tx) error { _, err := p.refuse(tx, 1); return err })
	p.refused(ErrVerdict, func(tx *Tx) error { _, err := p.approve(tx, 2); return err })

	// Under a new policy version nodes sign anew, and may come to the other verdict.
	p.update(func(tx *Tx) error {
		r := p.refusal(1)
		r.Policy = quorum.PolicyRef{Version: 2}
		_, err := tx.Refuse(r, caseOf(p.content(1)), by[quorum.Refuse](p, 0))
		return err
	})
	p.refused(ErrOrder, func(tx *Tx) error { _, err := p.approve(tx, 3); return err })
	p.refused(ErrNotInForce, p.judged(3, func(a *quorum.Approve, _ *Case) {
		a.Policy = quorum.PolicyRef{Version: 2, Hash: common.HexToHash("0x2")}
	}))
}

func TestA2HeadsStandOnOneChain(t *testing.T) {
	p := newProtoNet(t, 4)
	account := common.HexToAddress("0xaa")
	mine := func(wid, seq uint64, heads func(uint64) (common.Hash, error)) func(*Tx) error {
		return p.judged(wid, func(a *quorum.Approve, on *Case) {
			p.withContent(func(c *quorum.Content) { c.Account = account })(a, on)
			on.HeadAt, a.Seq = heads, seq
			a.Head, _ = heads(seq)
		})
	}
	whole := func(seq uint64) (common.Hash, error) { return protoHead(account, seq), nil }
	forkedAt := func(from uint64) func(uint64) (common.Hash, error) {
		return func(seq uint64) (common.Hash, error) {
			if seq >= from {
				return common.BytesToHash(be64(seq)), nil
			}
			return whole(seq)
		}
	}
	p.update(mine(1, 2, whole))
	p.update(mine(2, 5, whole))
	p.update(mine(3, 3, whole))

	for name, fork := range map[string]func(*Tx) error{
		"another head for the same debit":      mine(4, 5, forkedAt(5)),
		"a later head on another chain":        mine(4, 6, forkedAt(4)),
		"an earlier head on another chain":     mine(4, 1, forkedAt(1)),
		"the same verdict on a forked history": mine(2, 5, forkedAt(5)),
		"a shorter chain": mine(4, 1, func(seq uint64) (common.Hash, error) {
			if seq > 4 {
				return common.Hash{}, ErrNotFound
			}
			return whole(seq)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			var conflict *HeadConflict
			require.ErrorAs(t, p.l.Update(fork), &conflict)
			require.Equal(t, account, conflict.Account)
			require.NotEqual(t, conflict.Approved, conflict.Found)
			s, err := quorum.Open[quorum.Approve](p.network, p.roster.IDs(), conflict.Approval)
			require.NoError(t, err, "the evidence is the own signature")
			require.Equal(t, conflict.Approved, s.Body().Head)
			require.Equal(t, conflict.Seq, s.Body().Seq)
		})
	}
	p.update(mine(4, 6, whole))

	err := p.l.Update(p.judged(5, func(a *quorum.Approve, _ *Case) { a.Head = common.HexToHash("0x3") }))
	require.ErrorContains(t, err, "not that of the books")
	broken := errors.New("disk")
	p.refused(broken, mine(6, 7, func(uint64) (common.Hash, error) { return common.Hash{}, broken }))
}

// TestA2UnderRandomForks compares the rule with its definition: whatever is approved lies on one chain.
func TestA2UnderRandomForks(t *testing.T) {
	p := newProtoNet(t, 4)
	rapid.Check(t, func(r *rapid.T) {
		undo := errors.New("undo")
		err := p.l.Update(func(tx *Tx) error {
			account := common.HexToAddress("0xaa")
			approved := map[uint64]common.Hash{}
			for wid := range uint64(8) {
				fork := rapid.Uint64Range(1, 6).Draw(r, "fork")
				seq := rapid.Uint64Range(1, 6).Draw(r, "seq")
				heads := func(at uint64) (common.Hash, error) {
					if at < fork {
						return protoHead(account, at), nil
					}
					return common.BytesToHash(be64(fork<<32 | at)), nil
				}
				on := true
				for at, head := range approved {
					now, _ := heads(at)
					on = on && now == head
				}
				err := p.judged(100+wid, func(a *quorum.Approve, c *Case) {
					p.withContent(func(c *quorum.Content) { c.Account = account })(a, c)
					c.HeadAt, a.Seq = heads, seq
					a.Head, _ = heads(seq)
				})(tx)
				if (err == nil) != on {
					r.Fatalf("approved %v, on one chain %v: %v", err == nil, on, err)
				}
				if on {
					approved[seq], _ = heads(seq)
				}
			}
			return undo
		})
		if !errors.Is(err, undo) {
			r.Fatal(err)
		}
	})
}

func TestA4NothingOfADecidedWithdrawal(t *testing.T) {
	p := newProtoNet(t, 4)
	p.decide(DecisionEffects{Items: []quorum.Content{p.content(1)}, Rejects: []quorum.Content{p.content(2)}, Slot: p.slot(0)})
	for _, wid := range []uint64{1, 2} {
		p.refused(ErrDecided, func(tx *Tx) error { _, err := p.approve(tx, wid); return err })
		p.refused(ErrDecided, func(tx *Tx) error { _, err := p.refuse(tx, wid); return err })
	}
}

func TestA5OneMessageAndOneEvent(t *testing.T) {
	p := newProtoNet(t, 4)
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	sameMessage := p.withContent(func(c *quorum.Content) { c.Message = p.content(1).Message })
	sameEvent := p.withContent(func(c *quorum.Content) { c.EventID = p.content(1).EventID })
	refuseWith := func(wid uint64, change func(*quorum.Content)) func(*Tx) error {
		return func(tx *Tx) error {
			on := caseOf(p.content(wid))
			change(&on.Content)
			r := p.refusal(wid)
			r.Content = on.Content.Hash(p.network)
			_, err := tx.Refuse(r, on, by[quorum.Refuse](p, 0))
			return err
		}
	}
	p.refused(ErrMessageUsed, p.judged(2, sameMessage))
	p.refused(ErrEventUsed, p.judged(2, sameEvent))
	p.refused(ErrEventUsed, refuseWith(2, func(c *quorum.Content) { c.EventID = p.content(1).EventID }))

	// A used message is the very reason to refuse; the refusal claims its own event.
	p.update(refuseWith(2, func(c *quorum.Content) { c.Message = p.content(1).Message }))
	p.refused(ErrEventUsed, p.judged(3, p.withContent(func(c *quorum.Content) { c.EventID = p.content(2).EventID })))

	// What the others decided without this node's approval counts as well.
	p.pay(0, 7)
	p.refused(ErrMessageUsed, p.judged(8, p.withContent(func(c *quorum.Content) { c.Message = p.content(7).Message })))
	p.refused(ErrEventUsed, p.judged(8, p.withContent(func(c *quorum.Content) { c.EventID = p.content(7).EventID })))
}

func TestA6BooksHoldEverySpentWithdrawal(t *testing.T) {
	p := newProtoNet(t, 4)
	spent := p.content(1)
	p.pay(0, 1)
	var asked []quorum.Content
	second := func(debited bool) func(*Tx) error {
		return p.judged(2, func(a *quorum.Approve, on *Case) {
			p.withContent(func(c *quorum.Content) { c.Account = spent.Account })(a, on)
			on.Debited = func(c quorum.Content) (bool, error) { asked = append(asked, c); return debited, nil }
		})
	}
	p.refused(ErrBooksBehind, second(false))
	p.refused(ErrBooksBehind, func(tx *Tx) error {
		on := caseOf(p.content(3))
		on.Content.Account, on.Debited = spent.Account, func(quorum.Content) (bool, error) { return false, nil }
		r := p.refusal(3)
		r.Content = on.Content.Hash(p.network)
		_, err := tx.Refuse(r, on, by[quorum.Refuse](p, 0))
		return err
	})
	p.update(second(true))
	require.Equal(t, []quorum.Content{spent, spent}, asked)

	broken := errors.New("disk")
	p.refused(broken, p.judged(4, func(a *quorum.Approve, on *Case) {
		p.withContent(func(c *quorum.Content) { c.Account = spent.Account })(a, on)
		on.Debited = func(quorum.Content) (bool, error) { return false, broken }
	}))
}

func TestVerdictsAreOfTheEpochInForce(t *testing.T) {
	p := bareProtoNet(t, 4)
	p.refused(ErrNotInForce, func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.refused(ErrNotInForce, p.judged(1, func(a *quorum.Approve, _ *Case) { a.Epoch = 0 }))
	p.update(func(tx *Tx) error {
		return tx.Decide(p.commit(p.genesis, 1, "members"), DecisionEffects{Members: p.members(1)})
	})
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 1); return err })
	p.refused(ErrNotInForce, p.judged(2, func(a *quorum.Approve, _ *Case) { a.Epoch = 2 }))
}

func TestVerdictBodyAndCaseBelongTogether(t *testing.T) {
	p := newProtoNet(t, 4)
	for name, change := range map[string]func(*quorum.Approve, *Case){
		"content": func(_ *quorum.Approve, on *Case) { on.Content.Amount.SetUint64(1) },
		"wid":     func(a *quorum.Approve, _ *Case) { a.WID = 2 },
		"account": func(a *quorum.Approve, _ *Case) { a.Account = common.HexToAddress("0x1234") },
		"shape":   func(a *quorum.Approve, _ *Case) { a.Seq = 0 },
	} {
		require.Error(t, p.l.Update(p.judged(1, change)), name)
	}
	require.Error(t, p.l.Update(func(tx *Tx) error {
		r := p.refusal(1)
		r.Reason = "mood"
		_, err := tx.Refuse(r, caseOf(p.content(1)), by[quorum.Refuse](p, 0))
		return err
	}))
}

func TestOnlyTheAskedBodyByTheOwnKeyIsRecorded(t *testing.T) {
	p := newProtoNet(t, 4)
	approve := func(sign func(quorum.Approve) (quorum.Signed[quorum.Approve], error)) func(*Tx) error {
		return func(tx *Tx) error {
			_, err := tx.Approve(p.approval(1), caseOf(p.content(1)), sign)
			return err
		}
	}
	away := errors.New("key is away")
	p.refused(away, approve(func(quorum.Approve) (quorum.Signed[quorum.Approve], error) {
		return quorum.Signed[quorum.Approve]{}, away
	}))
	require.ErrorContains(t, p.l.Update(approve(func(a quorum.Approve) (quorum.Signed[quorum.Approve], error) {
		a.Counter++
		return by[quorum.Approve](p, 0)(a)
	})), "another body")
	p.update(approve(by[quorum.Approve](p, 0)))
	p.refused(ErrOtherSigner, func(tx *Tx) error {
		_, err := tx.Approve(p.approval(2), caseOf(p.content(2)), by[quorum.Approve](p, 1))
		return err
	})
}

func TestApprovedUpTo(t *testing.T) {
	p := newProtoNet(t, 4)
	account := common.HexToAddress("0xaa")
	upTo := func() (n uint64) {
		p.view(func(tx *Tx) (err error) { n, err = tx.ApprovedUpTo(account); return })
		return n
	}
	require.Zero(t, upTo())
	for _, step := range []struct{ wid, event, want uint64 }{{1, 50, 50}, {2, 30, 50}, {3, 70, 70}} {
		p.update(p.judged(step.wid, p.withContent(func(c *quorum.Content) { c.Account, c.EventID = account, step.event })))
		require.Equal(t, step.want, upTo())
	}
	p.update(func(tx *Tx) error {
		on := caseOf(p.content(4))
		on.Content.Account, on.Content.EventID = account, 90
		r := p.refusal(4)
		r.Content = on.Content.Hash(p.network)
		_, err := tx.Refuse(r, on, by[quorum.Refuse](p, 0))
		return err
	})
	require.Equal(t, uint64(70), upTo(), "a refusal approves nothing")
}

func TestOwnVerdictsAreRepeatedUntilDecided(t *testing.T) {
	p := newProtoNet(t, 4)
	var old, renewed []byte
	p.update(func(tx *Tx) (err error) { old, err = p.approve(tx, 1); return })
	p.update(func(tx *Tx) error { _, err := p.approve(tx, 2); return err })
	p.update(func(tx *Tx) (err error) {
		a := p.approval(1)
		a.Policy = quorum.PolicyRef{Version: 2}
		renewed, err = tx.Approve(a, caseOf(p.content(1)), by[quorum.Approve](p, 0))
		return
	})
	require.NotEqual(t, old, renewed)
	open := func() (wids []uint64) {
		p.view(func(tx *Tx) error {
			return tx.OwnVerdicts(func(wid uint64, raw []byte) error {
				one, ok, err := tx.OwnVerdict(wid)
				require.True(t, ok)
				require.Equal(t, one, raw)
				if wid == 1 {
					require.Equal(t, renewed, raw)
				}
				wids = append(wids, wid)
				return err
			})
		})
		return wids
	}
	require.Equal(t, []uint64{1, 2}, open())
	p.pay(0, 1)
	require.Equal(t, []uint64{2}, open())
	p.view(func(tx *Tx) error {
		n := 0
		err := tx.OwnStatements(0, func(counter uint64, kind quorum.Kind, raw []byte) error {
			n++
			require.Equal(t, quorum.KindApprove, kind)
			if counter == 1 {
				require.True(t, bytes.Equal(old, raw), "what was sent stays on disk")
			}
			return nil
		})
		require.Equal(t, 3, n)
		return err
	})
}
