package tss

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// DefaultReshareTimeout is a round's deadline in resharing: as in key generation, whose proofs its second half repeats.
const DefaultReshareTimeout = DefaultKeygenTimeout

// ReshareRequest asks to hand a key over to another committee, or to the same one with new shares. All who take part must
// ask for the same but for Share, PreParams, RoundTimeout, Save and Progress, which are their own.
type ReshareRequest struct {
	// Session is new for each try, and stands in the transcript.
	Session common.Hash
	// Public is the payer's key, 33 bytes, which does not change. Whoever joins refuses every other, so it must come from a
	// source that the old members cannot change, as a decision is.
	Public quorum.PublicKey

	OldEpoch     uint64
	OldMembers   quorum.Members // ascending
	OldThreshold int
	// Dealers are the old members who take part, ascending, at least OldThreshold; nil means all of them. One that is
	// absent blocks the resharing, so as few as possible is best.
	Dealers quorum.Members

	Epoch     uint64         // of the new shares, above OldEpoch
	Members   quorum.Members // the new committee, ascending
	Threshold int            // how many of them sign

	// Share is the own share of the old epoch: required of a dealer, nil for who joins. A new member that is no dealer but
	// holds one gives it too, for the checks that it allows. It is not changed.
	Share *KeyShare
	// PreParams are fresh ones, required of the new members, nil for who leaves.
	PreParams *PreParams
	// RoundTimeout is the deadline of each round; zero means DefaultReshareTimeout.
	RoundTimeout time.Duration
	// Save makes the new share durable. It is called on new members only, before this member signs the transcript; an error
	// ends the session. Nil saves nothing. The old share must stay: until the new epoch rules, it is the key.
	Save func(*KeyShare) error
	// Progress is called as rounds end, from the session's goroutine; it must not block.
	Progress func(round, of int)
}

// ErrStale means that preparameters have served before: fresh ones are needed for each epoch.
var ErrStale = errors.New("preparameters of an earlier epoch")

// Types of resharing. Those of dealers and those of new members differ, so a member that is both is never taken for the
// wrong one: a peer has one address, and says each type in one role only.
const (
	typeReshare1       = 33 // a dealer's commitment to its polynomial
	typeReshare2       = 34 // a new member's moduli and their proofs
	typeReshare3Direct = 35 // a dealer's share for the receiver
	typeReshare3       = 36 // a dealer's decommitment
	typeReshare4Direct = 37 // a new member's proof of its factors, over the receiver's ring
	typeReshare4       = 38 // a new member holds its share
)

const resharePackage = "binance.tsslib.ecdsa.resharing."

// resharePlan is GG18 resharing and one round of ours, in which all new members sign the transcript. Every broadcast goes to
// both committees, whoever the library means it for: all read the same, and all check it.
func resharePlan() plan {
	return plan{name: "reshare", rounds: 5, library: 4, maxFrame: MaxKeygenFrame, specs: []spec{
		{typeReshare1, 1, true, resharePackage + "DGRound1Message"},
		{typeReshare2, 2, true, resharePackage + "DGRound2Message1"},
		{typeReshare3Direct, 3, false, resharePackage + "DGRound3Message1"},
		{typeReshare3, 3, true, resharePackage + "DGRound3Message2"},
		{typeReshare4Direct, 4, false, resharePackage + "DGRound4Message1"},
		{typeReshare4, 4, true, resharePackage + "DGRound4Message2"},
		{typeTranscript, 5, true, ""},
	}}
}

// cast says who speaks in a protocol of two committees. Direct messages are for the listeners, broadcasts for everyone.
type cast struct {
	dealers   []common.Address
	listeners []common.Address // the new members
}

func (c *cast) speakers(kind uint8) []common.Address {
	switch kind {
	case typeReshare1, typeReshare3Direct, typeReshare3:
		return c.dealers
	}
	return c.listeners
}

// Reshare hands the key over with the other participants. The key is nil unless the outcome is Generated: then all new members
// have signed its transcript, the public key is the request's, and every one of them has saved a share that fits. Key.Share is
// nil for a member that leaves. Old shares go on signing, before and after; new and old ones never sign together.
func (e *Engine) Reshare(ctx context.Context, req ReshareRequest) (*Key, Outcome) {
	refuse := func(err error) (*Key, Outcome) {
		return nil, Outcome{Ending: NotStarted, Session: req.ID(), Err: fmt.Errorf("reshare: %w", err)}
	}
	if req.Dealers == nil {
		req.Dealers = req.OldMembers
	}
	if err := req.check(e.self); err != nil {
		return refuse(err)
	}
	if !e.development && req.PreParams != nil && req.PreParams.Development() {
		return refuse(ErrDevelopment)
	}
	run, err := newResharing(e.self, req)
	if err != nil {
		return refuse(err)
	}
	everyone := distinctAscending(req.Dealers, req.Members)
	s := e.newSession(req.ID(), resharePlan(), everyone, orDefault(req.RoundTimeout, DefaultReshareTimeout))
	s.cast = &cast{dealers: req.Dealers, listeners: req.Members}
	s.machine, s.progress = run, req.Progress
	if s.guard, err = reshareGuard(s, req, e.development); err != nil {
		return refuse(err)
	}
	s.across = s.acrossReshare
	c := &reshareClosing{keygenClosing{session: s, req: KeygenRequest{
		Session: req.Session, Epoch: req.Epoch, Members: req.Members, Threshold: req.Threshold, PreParams: req.PreParams, Save: req.Save,
	}}, req.Public}
	s.conclude, s.closing = c.conclude, c.close

	out := e.run(ctx, s, ceremonyKey, ceremonyKey)
	return c.key, out
}

// check looks at what the request says by itself, for the member that makes it.
func (r *ReshareRequest) check(self common.Address) error {
	if err := checkMembers(r.OldMembers, r.OldThreshold, r.OldEpoch); err != nil {
		return fmt.Errorf("old committee: %w", err)
	}
	if err := checkMembers(r.Members, r.Threshold, r.Epoch); err != nil {
		return fmt.Errorf("new committee: %w", err)
	}
	if r.Epoch <= r.OldEpoch {
		return fmt.Errorf("epoch %d does not follow %d", r.Epoch, r.OldEpoch)
	}
	if err := r.checkDealers(); err != nil {
		return err
	}
	if _, err := decompress(r.Public); err != nil {
		return errors.New("the public key is no point")
	}
	// A number that both committees have would let one share stand for another.
	for _, old := range r.OldMembers {
		for _, m := range r.Members {
			if partyKey(old, r.OldEpoch).Cmp(partyKey(m, r.Epoch)) == 0 {
				return errParties
			}
		}
	}
	return r.checkOwn(self)
}

func (r *ReshareRequest) checkDealers() error {
	if len(r.Dealers) < r.OldThreshold || !slices.IsSortedFunc(r.Dealers, common.Address.Cmp) ||
		len(slices.Compact(slices.Clone(r.Dealers))) != len(r.Dealers) {
		return fmt.Errorf("%d dealers, want at least %d different ones, ascending", len(r.Dealers), r.OldThreshold)
	}
	for _, d := range r.Dealers {
		if !slices.Contains(r.OldMembers, d) {
			return fmt.Errorf("dealer %s is not an old member", d)
		}
	}
	return nil
}

// checkOwn looks at what this member brings.
func (r *ReshareRequest) checkOwn(self common.Address) error {
	deals, joins := slices.Contains(r.Dealers, self), slices.Contains(r.Members, self)
	switch {
	case !deals && !joins:
		return fmt.Errorf("%s takes no part", self)
	case deals && r.Share == nil:
		return fmt.Errorf("%w: a dealer without one", ErrShare)
	case joins && r.PreParams == nil:
		return fmt.Errorf("%w: none given", ErrPreParams)
	case !joins && r.PreParams != nil:
		return fmt.Errorf("%w: given to a member that leaves", ErrPreParams)
	}
	if s := r.Share; s != nil {
		if s.self != self || s.epoch != r.OldEpoch || s.threshold != r.OldThreshold || !slices.Equal(s.members, r.OldMembers) || s.public != r.Public {
			return fmt.Errorf("%w: not this member's share of that key and epoch", ErrShare)
		}
		if joins && stale(r.PreParams.moduli(), s.committee()) {
			return ErrStale
		}
	}
	return nil
}

// ID names the session in envelopes and outcomes, and all proofs are bound to it. It holds everything that the participants
// must agree on: two that ask for different things never meet, so that no mistake in asking can look like a lie.
func (r *ReshareRequest) ID() common.Hash {
	dealers := r.Dealers
	if dealers == nil {
		dealers = r.OldMembers
	}
	b, err := rlp.EncodeToBytes([]any{
		r.Session, r.Public, r.OldEpoch, []common.Address(r.OldMembers), uint64(r.OldThreshold), []common.Address(dealers),
		r.Epoch, []common.Address(r.Members), uint64(r.Threshold),
	})
	if err != nil {
		panic(fmt.Sprintf("tss: encode request: %v", err)) // our own types
	}
	return crypto.Keccak256Hash([]byte("conclave/1/tss reshare"), b)
}

// distinctAscending is everyone of both lists, once.
func distinctAscending(a, b []common.Address) []common.Address {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, common.Address.Cmp)
	return slices.Compact(all)
}

// stale reports whether material shares a factor or a generator with that of an earlier committee.
func stale(m moduli, old []moduli) bool {
	for _, o := range old {
		if _, _, found := clash([]moduli{m, o}); found {
			return true
		}
	}
	return false
}

// reshareClosing is the last round: all new members sign one transcript, and whoever leaves reads it too.
type reshareClosing struct {
	keygenClosing
	public quorum.PublicKey
}

// conclude checks that the key is the one that was to be handed over, before it is saved and signed for.
func (c *reshareClosing) conclude(result any) ([]byte, *Outcome) {
	if _, ok := result.(handedOver); ok {
		t, err := c.witness()
		if err != nil {
			return nil, unattributed(err.Error())
		}
		c.transcript = t
		return nil, nil
	}
	raw, ok := result.(*rawShare)
	if !ok || !raw.public.valid() || raw.public.compress() != c.public {
		return nil, unattributed("the library ended with another key")
	}
	// The library adds the dealers' shares up and leaves the sum as it is.
	raw.xi = new(big.Int).Mod(raw.xi, order())
	return c.keygenClosing.conclude(raw)
}

// witness is the transcript as a member that leaves knows it: from the request, and from the material that it read.
func (c *reshareClosing) witness() (quorum.Transcript, error) {
	all := make([]moduli, len(c.req.Members))
	for i, m := range c.req.Members {
		own, read := c.session.guard.known[m]
		if !read {
			return quorum.Transcript{}, fmt.Errorf("%w: none of %s", ErrModuli, m)
		}
		all[i] = own
	}
	return quorum.Transcript{
		Epoch: c.req.Epoch, Members: slices.Clone(c.req.Members), Threshold: uint64(c.req.Threshold),
		PublicKey: c.public, Moduli: moduliHash(c.req.Members, all), Session: c.req.Session,
	}, nil
}
