package tss

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	libcommon "github.com/bnb-chain/tss-lib/v3/common"
	libcrypto "github.com/bnb-chain/tss-lib/v3/crypto"
	"github.com/bnb-chain/tss-lib/v3/crypto/paillier"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/keygen"
	"github.com/bnb-chain/tss-lib/v3/ecdsa/signing"
	tsslib "github.com/bnb-chain/tss-lib/v3/tss"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/quorum"
)

// digestBytes tells the library the length of the message, so that leading zeros of a digest survive.
const digestBytes = 32

// libraryParty is one run of the library's state machine. It is used by one goroutine at a time. The library writes to its
// channels while it holds its mutex, so both channels have room for everything that one run can say, and are emptied after
// each call.
type libraryParty struct {
	lib   tsslib.Party
	plan  plan
	ids   tsslib.SortedPartyIDs
	peers map[string]common.Address // by the library's key
	out   chan tsslib.Message
	done  func() (any, bool) // what the run ended with, once
}

// outgoing is one message of ours.
type outgoing struct {
	spec    spec
	to      common.Address // zero for a broadcast
	payload []byte
}

// step is what one call of the library came to.
type step struct {
	out    []outgoing
	result any // *rawShare or quorum.Signature, once the run is over
	err    *libraryError
}

// libraryError is an error of the library, in our words.
type libraryError struct {
	cause    error
	culprits []common.Address // whom the library blames
	suspect  common.Address   // whose message was being read when it panicked; zero otherwise
}

func (e *libraryError) Error() string { return e.cause.Error() }

// errStalled means that the library took a message and neither failed nor said so.
var errStalled = errors.New("the library did not accept a message that belongs to the round")

// start begins the run. Messages must not be fed before it returned: the library would keep but never look at them.
func (p *libraryParty) start() step {
	err := p.call(common.Address{}, func() (bool, *tsslib.Error) {
		err := p.lib.Start()
		return err == nil, err
	})
	if err != nil {
		return step{err: err}
	}
	return p.collect()
}

// feed gives the library all messages of a round, and stops at the first that it refuses.
func (p *libraryParty) feed(batch []checked) step {
	for _, m := range batch {
		if err := p.call(m.from, func() (bool, *tsslib.Error) { return p.lib.Update(m.msg) }); err != nil {
			return step{err: err}
		}
	}
	return p.collect()
}

// call makes one call of the library. A panic is an error with the message's sender as suspect; a wrapped nil is an error
// too, because the library returns those for failures.
func (p *libraryParty) call(sender common.Address, f func() (bool, *tsslib.Error)) (failed *libraryError) {
	defer func() {
		if r := recover(); r != nil {
			failed = &libraryError{cause: fmt.Errorf("panic in the library: %v", r), suspect: sender}
		}
	}()
	ok, err := f()
	switch {
	case err != nil:
		return p.translate(err)
	case !ok:
		return &libraryError{cause: errStalled}
	}
	return nil
}

// collect takes what the library has said since the last call.
func (p *libraryParty) collect() step {
	out, err := p.drain()
	if err != nil {
		return step{err: err}
	}
	s := step{out: out}
	if result, ok := p.done(); ok {
		s.result = result
	}
	return s
}

// translate names the blamed members by their ids. Whoever is unknown here was not a participant.
func (p *libraryParty) translate(err *tsslib.Error) *libraryError {
	e := &libraryError{cause: errors.New(err.Error())}
	for _, c := range err.Culprits() {
		if c == nil || c.MessageWrapper_PartyID == nil {
			continue
		}
		if a, ok := p.peers[string(c.Key)]; ok {
			e.culprits = append(e.culprits, a)
		}
	}
	return e
}

// drain takes the messages that the library has produced.
func (p *libraryParty) drain() ([]outgoing, *libraryError) {
	var out []outgoing
	for {
		select {
		case msg := <-p.out:
			bytes, _, err := msg.WireBytes()
			s, known := p.plan.byName(msg.Type())
			if err != nil || !known || s.broadcast != msg.IsBroadcast() {
				return nil, &libraryError{cause: fmt.Errorf("unexpected message %s of the library", msg.Type())}
			}
			o := outgoing{spec: s, payload: bytes}
			if !s.broadcast {
				o.to = p.peers[string(msg.GetTo()[0].Key)]
			}
			out = append(out, o)
		default:
			return out, nil
		}
	}
}

// newParty joins the parts that both protocols share.
func newParty(pl plan, sorted []common.Address, ids tsslib.SortedPartyIDs) *libraryParty {
	p := &libraryParty{plan: pl, ids: ids, peers: map[string]common.Address{}, out: make(chan tsslib.Message, pl.messages(len(sorted)))}
	for i, id := range ids {
		p.peers[string(id.Key)] = sorted[i]
	}
	return p
}

// construct makes the library's state machine; its constructors panic on arguments that they do not like.
func (p *libraryParty) construct(f func() tsslib.Party) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic in the library: %v", r)
		}
	}()
	p.lib = f()
	return nil
}

// named gives the library's name of each participant.
func (p *libraryParty) named() map[common.Address]partyID {
	out := map[common.Address]partyID{}
	for _, id := range p.ids {
		out[p.peers[string(id.Key)]] = id
	}
	return out
}

// parameters are the library's, with every proof on and bound to the session.
func parameters(ids tsslib.SortedPartyIDs, self int, session common.Hash, threshold int) *tsslib.Parameters {
	params := tsslib.NewParameters(tsslib.S256(), tsslib.NewPeerContext(ids), ids[self], len(ids), threshold-1)
	// Without a nonce, proofs of one session verify in another.
	params.SetSessionNonce(nonce(session))
	return params
}

// nonce is what the library binds the proofs of a session to.
func nonce(session common.Hash) *big.Int { return new(big.Int).SetBytes(crypto.Keccak256(session[:])) }

// rawShare is what a key generation leaves, before it is checked.
type rawShare struct {
	xi      *big.Int
	public  point
	parties []party // in the library's order
}

// newKeygenParty prepares a run of key generation; sorted is the library's order.
func newKeygenParty(sorted []common.Address, self int, req KeygenRequest) (*libraryParty, error) {
	ids := libraryIDs(sorted, req.Epoch)
	p := newParty(keygenPlan(), sorted, ids)
	end := make(chan *keygen.LocalPartySaveData, 1)
	err := p.construct(func() tsslib.Party {
		return keygen.NewLocalParty(parameters(ids, self, req.Session, req.Threshold), p.out, end, req.PreParams.library())
	})
	p.done = func() (any, bool) {
		select {
		case save := <-end:
			return rawShareOf(save), true
		default:
			return nil, false
		}
	}
	return p, err
}

func rawShareOf(save *keygen.LocalPartySaveData) *rawShare {
	raw := &rawShare{xi: save.Xi, public: point{save.ECDSAPub.X(), save.ECDSAPub.Y()}}
	for i, key := range save.Ks {
		raw.parties = append(raw.parties, party{
			key:    key,
			moduli: moduli{save.PaillierPKs[i].N, save.NTildej[i], save.H1j[i], save.H2j[i]},
			x:      point{save.BigXj[i].X(), save.BigXj[i].Y()},
		})
	}
	return raw
}

// newSignParty prepares a run of signing; sorted is the library's order of the signers.
func newSignParty(sorted []common.Address, self int, session, digest common.Hash, share *KeyShare) (*libraryParty, error) {
	ids := libraryIDs(sorted, share.epoch)
	p := newParty(signPlan(), sorted, ids)
	end := make(chan *libcommon.SignatureData, 1)
	message := new(big.Int).Mod(new(big.Int).SetBytes(digest[:]), order())
	err := p.construct(func() tsslib.Party {
		params := parameters(ids, self, session, share.threshold)
		return signing.NewLocalParty(message, params, share.library(), p.out, end, digestBytes)
	})
	p.done = func() (any, bool) {
		select {
		case data := <-end:
			var sig quorum.Signature
			copy(sig[:64], data.Signature)
			sig[64] = data.SignatureRecovery[0]
			return sig, true
		default:
			return nil, false
		}
	}
	return p, err
}

// copied is a number of the library's own: it zeroes and shifts what it is given.
func copied(x *big.Int) *big.Int { return new(big.Int).Set(x) }

// paillierKey rebuilds the private key from its factors.
func paillierKey(p, q *big.Int) *paillier.PrivateKey {
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	phi := new(big.Int).Mul(p1, q1)
	return &paillier.PrivateKey{
		PublicKey: paillier.PublicKey{N: new(big.Int).Mul(p, q)},
		LambdaN:   new(big.Int).Div(phi, new(big.Int).GCD(nil, nil, p1, q1)),
		PhiN:      phi,
		P:         copied(p),
		Q:         copied(q),
	}
}

// library gives the preparameters in the library's form.
func (p *PreParams) library() keygen.LocalPreParams {
	m := p.moduli()
	return keygen.LocalPreParams{
		PaillierSK: paillierKey(p.p, p.q),
		NTildei:    m.NTilde, H1i: copied(p.h1), H2i: copied(p.h2),
		Alpha: copied(p.alpha), Beta: copied(p.beta), P: copied(p.ringP), Q: copied(p.ringQ),
	}
}

// fromLibrary takes preparameters that the library has found or stored.
func fromLibrary(pre *keygen.LocalPreParams) *PreParams {
	return &PreParams{
		p: pre.PaillierSK.P, q: pre.PaillierSK.Q, ringP: pre.P, ringQ: pre.Q,
		h1: pre.H1i, h2: pre.H2i, alpha: pre.Alpha, beta: pre.Beta,
	}
}

// library gives the share in the library's form: copies, with the curve set on every point.
func (s *KeyShare) library() keygen.LocalPartySaveData {
	curve := tsslib.S256()
	save := keygen.NewLocalPartySaveData(len(s.parties))
	save.Xi, save.PaillierSK = copied(s.xi), paillierKey(s.p, s.q)
	for i, p := range s.parties {
		if s.members[i] == s.self {
			save.ShareID, save.NTildei, save.H1i, save.H2i = copied(p.key), copied(p.NTilde), copied(p.H1), copied(p.H2)
		}
		save.Ks[i], save.NTildej[i] = copied(p.key), copied(p.NTilde)
		save.H1j[i], save.H2j[i] = copied(p.H1), copied(p.H2)
		save.PaillierPKs[i] = &paillier.PublicKey{N: copied(p.N)}
		save.BigXj[i] = libcrypto.NewECPointNoCurveCheck(curve, copied(p.x.x), copied(p.x.y))
	}
	public, _ := decompress(s.public) // checked when the share was loaded
	save.ECDSAPub = libcrypto.NewECPointNoCurveCheck(curve, public.x, public.y)
	return save
}

// GeneratePreParams finds fresh preparameters. It takes 10 to 90 seconds of two cores; progress, which may be nil, is called
// every second with the time spent. It fails when ctx ends.
func GeneratePreParams(ctx context.Context, progress func(spent time.Duration)) (*PreParams, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type found struct {
		pre *keygen.LocalPreParams
		err error
	}
	ended := make(chan found, 1)
	go func() {
		pre, err := keygen.GeneratePreParamsWithContext(ctx)
		ended <- found{pre, err}
	}()

	start, tick := time.Now(), time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case f := <-ended:
			if err := context.Cause(ctx); err != nil {
				return nil, fmt.Errorf("generate preparameters: %w", err)
			}
			if f.err != nil {
				return nil, fmt.Errorf("generate preparameters: %w", f.err)
			}
			p := fromLibrary(f.pre)
			if err := p.check(); err != nil {
				return nil, fmt.Errorf("generate preparameters: %w", err)
			}
			return p, nil
		case <-tick.C:
			if progress != nil {
				progress(time.Since(start))
			}
		}
	}
}
