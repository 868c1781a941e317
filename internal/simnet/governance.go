package simnet

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/node"
	"conclave/quorum"
)

// operatorKey is a member's operator's key, made from public words: it must never hold anything.
func operatorKey(i int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "conclave simnet operator %d, for tests only", i)))
	if err != nil {
		panic(err) // a hash that is no key: does not happen
	}
	return key
}

func operatorOf(i int) common.Address { return crypto.PubkeyToAddress(operatorKey(i).PublicKey) }

// Meet makes operators sign what one custodian shows, and hand it in there, each at their own again when index is negative.
func (w *World) Meet(index int) error {
	if index < 0 {
		w.desk = nil
		return nil
	}
	c, err := w.Custodian(index)
	w.desk = c
	return err
}

// voice is a running custodian to ask: the one at which operators meet, else the first honest one.
func (w *World) voice() (*Custodian, error) {
	if w.desk != nil && w.desk.Running() {
		return w.desk, nil
	}
	for _, c := range w.Honest() {
		return c, nil
	}
	return nil, errors.New("no custodian runs")
}

// Committee is what operators sign against now.
func (w *World) Committee(ctx context.Context) (node.CommitteeView, error) {
	c, err := w.voice()
	if err != nil {
		return node.CommitteeView{}, err
	}
	return c.Node.Committee(ctx)
}

// Serial makes operators leave out so many serials from now on.
func (w *World) Serial(skip uint64) { w.skipped = skip }

// Decree has operators sign an action for the next serial and hand it in, each at their own custodian or, while that one
// is down, at another.
func (w *World) Decree(ctx context.Context, body quorum.ActionBody, operators []int) (quorum.SignedAction, error) {
	now, err := w.Committee(ctx)
	if err != nil {
		return quorum.SignedAction{}, err
	}
	a, err := quorum.NewAction(now.Epoch, now.PolicyVersion, now.Serial+1+w.skipped, body)
	if err != nil {
		return quorum.SignedAction{}, err
	}
	all := quorum.SignedAction{Action: a}
	for _, i := range operators {
		e, err := quorum.SignAction(operatorKey(i), w.network, a, uint64(time.Now().UnixMilli()))
		if err != nil {
			return all, err
		}
		all.Signatures = append(all.Signatures, e)
		c, err := w.Custodian(i)
		if err == nil && (!c.Running() || w.desk != nil) {
			c, err = w.voice()
		}
		if err == nil {
			err = c.Submit(ctx, quorum.SignedAction{Action: a, Signatures: []quorum.Endorsed{e}})
		}
		if err != nil {
			return all, fmt.Errorf("operator %d: %w", i, err)
		}
	}
	return all, nil
}

// Submit hands a signed action to the custodian.
func (c *Custodian) Submit(ctx context.Context, s quorum.SignedAction) error {
	_, err := c.Node.Submit(ctx, "0x"+hex.EncodeToString(s.Encode()))
	return err
}

// Halts is a RESUME of every halt that stands.
func (w *World) Halts(ctx context.Context) (quorum.Resume, error) {
	now, err := w.Committee(ctx)
	if err != nil {
		return quorum.Resume{}, err
	}
	var ids quorum.Members
	for _, m := range now.Members {
		ids = append(ids, m.Member)
	}
	var halts []quorum.Signed[quorum.Halt]
	for _, h := range now.Halts {
		raw, err := hex.DecodeString(strings.TrimPrefix(h.Statement, "0x"))
		if err != nil {
			return quorum.Resume{}, err
		}
		s, err := quorum.Open[quorum.Halt](w.network, ids, raw)
		if err != nil {
			return quorum.Resume{}, err
		}
		halts = append(halts, s)
	}
	return quorum.NewResume(w.network, halts, "the story says so"), nil
}

// NextPolicy is the policy file in force with the next version and, unless key is empty, another value for a key.
func (w *World) NextPolicy(ctx context.Context, key, value string) ([]byte, error) {
	now, err := w.Committee(ctx)
	if err != nil {
		return nil, err
	}
	lines, found := strings.Split(now.PolicyFile, "\n"), key == ""
	for i, l := range lines {
		name, _, assigned := strings.Cut(l, " = ")
		switch {
		case name == "version" && assigned:
			lines[i] = fmt.Sprintf("version = %d", now.PolicyVersion+1)
		case name == key && assigned:
			lines[i], found = fmt.Sprintf("%s = %q", key, value), true
		}
	}
	if !found {
		return nil, fmt.Errorf("the policy has no key %q", key)
	}
	return []byte(strings.Join(lines, "\n")), nil
}

// FateOf is the operators' word on a request, as a custodian's books have it.
func (c *Custodian) FateOf(r *Request, pay bool) (quorum.Fate, error) {
	v, err := c.Node.Case(node.CaseQuery{Withdrawals: []uint64{r.ID}})
	if err != nil {
		return quorum.Fate{}, err
	}
	v.Contents[0].Pay = pay
	return v.Contents[0].Fate()
}

// RewriteOf is an account's debits as a custodian's books have them now.
func (c *Custodian) RewriteOf(u *User) (quorum.Rewrite, error) {
	v, err := c.Node.Case(node.CaseQuery{Accounts: []common.Address{u.Address}})
	if err != nil {
		return quorum.Rewrite{}, err
	}
	return v.Accounts[0].Rewrite(), nil
}

// Resolve completes a RESOLVE with the next policy version.
func (w *World) Resolve(ctx context.Context, r quorum.Resolve) (quorum.Resolve, error) {
	var err error
	r.File, err = w.NextPolicy(ctx, "", "")
	r.Reason = "the story says so"
	return r, err
}
