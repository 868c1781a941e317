package tss

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/quorum"
)

// DefaultKeygenTimeout is a round's deadline in key generation. A round takes five seconds of two cores in the smallest
// committee, and members are not equally fast.
const DefaultKeygenTimeout = 2 * time.Minute

// KeygenRequest asks for a new key. All members must ask for the same, with preparameters of their own.
type KeygenRequest struct {
	Session   common.Hash
	Epoch     uint64
	Members   quorum.Members // ascending
	Threshold int            // q: how many sign
	PreParams *PreParams
	// RoundTimeout is the deadline of each round; zero means DefaultKeygenTimeout.
	RoundTimeout time.Duration
	// Save makes the share durable. It is called before this member signs the transcript, so that a transcript with all
	// signatures means that every member can sign; an error ends the session. Nil saves nothing.
	Save func(*KeyShare) error
	// Progress is called as rounds end, from the session's goroutine; it must not block.
	Progress func(round, of int)
}

// ceremonyKey is the name under which all ceremonies of one node exclude each other.
const ceremonyKey = "keygen"

// Key is what a member holds after a key generation or a resharing.
type Key struct {
	Share      *KeyShare // nil for a member that has left
	Transcript quorum.Transcript
	// Signatures are the members' over the transcript's digest, in the order of members.
	Signatures []quorum.Signature
}

// Errors of a session that does not start.
var (
	// ErrBusy means that a session is live here which has for itself what this one needs; see [Warrant.Claims].
	ErrBusy = errors.New("another session of this key is live")
	// ErrSessionUsed means that the session id has served before.
	ErrSessionUsed = errors.New("session id was used before")
	// ErrDevelopment means that the preparameters are published with this project, and the network is not a devnet.
	ErrDevelopment = errors.New("development preparameters on a network that is not a devnet")
)

// Keygen makes a key with the other members. The key is nil unless the outcome is Generated, and then all members have
// signed its transcript.
func (e *Engine) Keygen(ctx context.Context, req KeygenRequest) (*Key, Outcome) {
	refuse := func(err error) (*Key, Outcome) {
		return nil, Outcome{Ending: NotStarted, Session: req.Session, Err: fmt.Errorf("keygen: %w", err)}
	}
	if err := checkMembers(req.Members, req.Threshold, req.Epoch); err != nil {
		return refuse(err)
	}
	if req.PreParams == nil {
		return refuse(fmt.Errorf("%w: none given", ErrPreParams))
	}
	if !e.development && req.PreParams.Development() {
		return refuse(ErrDevelopment)
	}
	sorted, err := partyOrder(req.Members, req.Epoch)
	if err != nil {
		return refuse(err)
	}
	me := slices.Index(sorted, e.self)
	if me < 0 {
		return refuse(fmt.Errorf("%s is not a member", e.self))
	}

	run, err := newKeygenParty(sorted, me, req)
	if err != nil {
		return refuse(err)
	}
	s := e.newSession(req.Session, keygenPlan(), sorted, orDefault(req.RoundTimeout, DefaultKeygenTimeout))
	s.machine, s.progress = run, req.Progress
	s.guard = &guard{
		plan: s.plan, threshold: req.Threshold, self: e.self, ids: run.named(), sieve: newSieve(), devModuli: e.development,
		known: map[common.Address]moduli{e.self: req.PreParams.moduli()},
	}
	c := &keygenClosing{session: s, req: req}
	s.conclude, s.closing = c.conclude, c.close
	s.across = func(round uint8) *Outcome {
		if round != 1 {
			return nil
		}
		return s.compareMaterial(typeKeygen1, sorted)
	}

	// Key generations of one node exclude each other, whatever the epoch.
	out := e.run(ctx, s, ceremonyKey, ceremonyKey)
	return c.key, out
}

// keygenClosing is the last round: all members sign one transcript.
type keygenClosing struct {
	session    *session
	req        KeygenRequest
	key        *Key // set when the outcome is Generated
	share      *KeyShare
	transcript quorum.Transcript
}

// transcriptNotice is the payload of the closing round.
type transcriptNotice struct {
	Transcript common.Hash
	Sig        quorum.Signature
}

// conclude checks the key as every later load will, and signs its transcript.
func (c *keygenClosing) conclude(result any) ([]byte, *Outcome) {
	raw, ok := result.(*rawShare)
	if !ok {
		return nil, unattributed("the library ended with something else than a key")
	}
	share, err := c.assemble(raw)
	if err != nil {
		// Every message passed its proofs, and the key is bad all the same: the proofs say nothing about who.
		return nil, unattributed(err.Error())
	}
	if c.req.Save != nil {
		if err := c.req.Save(share); err != nil {
			return nil, unattributed("save the share: " + err.Error())
		}
	}
	transcript := share.Transcript()
	digest := quorum.Digest(quorum.KindTranscript, c.session.network, transcript)
	sig, err := quorum.SignDigest(c.session.key, digest)
	if err != nil {
		return nil, unattributed(err.Error())
	}
	payload, err := rlp.EncodeToBytes(&transcriptNotice{digest, sig})
	if err != nil {
		return nil, unattributed(err.Error())
	}
	c.share, c.transcript = share, transcript
	return payload, nil
}

// assemble builds the share from what the library left.
func (c *keygenClosing) assemble(raw *rawShare) (*KeyShare, error) {
	if !raw.public.valid() {
		return nil, fmt.Errorf("%w: the public key is no point", ErrShare)
	}
	s := &KeyShare{
		self: c.session.self, epoch: c.req.Epoch, members: slices.Clone(c.req.Members), threshold: c.req.Threshold,
		session: c.req.Session, public: raw.public.compress(), xi: raw.xi, p: c.req.PreParams.p, q: c.req.PreParams.q,
	}
	sorted, err := partyOrder(c.req.Members, c.req.Epoch)
	if err != nil {
		return nil, err
	}
	for _, m := range s.members {
		i := slices.Index(sorted, m)
		if i < 0 || i >= len(raw.parties) || !raw.parties[i].x.valid() {
			return nil, fmt.Errorf("%w: member %s has no point", ErrShare, m)
		}
		p := raw.parties[i]
		// The material that the guard read is what we vouch for, whatever the library kept.
		p.moduli, p.key = c.session.guard.known[m], partyKey(m, c.req.Epoch)
		s.parties = append(s.parties, p)
	}
	return s.checked()
}

// close compares all members' transcripts and keeps their signatures.
func (c *keygenClosing) close(payloads map[common.Address][]byte) *Outcome {
	digest := quorum.Digest(quorum.KindTranscript, c.session.network, c.transcript)
	var sigs []quorum.Signature
	var differ []common.Address

	for _, m := range c.req.Members {
		var n transcriptNotice
		err := rlp.DecodeBytes(payloads[m], &n)
		if signer, bad := n.Sig.Recover(digest); err != nil || bad != nil || signer != m {
			differ = append(differ, m)
		}
		sigs = append(sigs, n.Sig)
	}
	if len(differ) > 0 {
		return unattributed("members hold different transcripts", differ...)
	}
	c.key = &Key{Share: c.share, Transcript: c.transcript, Signatures: sigs}
	return &Outcome{Ending: Generated}
}

// orDefault is the given deadline, or the default when none is given.
func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
