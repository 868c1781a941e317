package tss

import (
	"context"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"conclave/internal/devnet/devkeys"
	"conclave/quorum"
)

// handover is a resharing in one process: the fixtures' key goes from its dealers to other members.
type handover struct {
	hub     *hub
	shares  map[common.Address]*KeyShare // of the old epoch
	request ReshareRequest               // what all ask for
	// change lets a test ask for something else at one member.
	change map[common.Address]func(*ReshareRequest)
	saved  map[common.Address]*KeyShare
	fresh  int // the first set of preparameters that the new members use; the fixtures have 0 to 3
}

type reshareResult struct {
	key *Key
	out Outcome
}

// handoverOf prepares one from old shares; members are indices of test members.
func handoverOf(t testing.TB, h *hub, old []*KeyShare, dealers, members []int, q int) *handover {
	first := old[0]
	ids := func(of []int) (out quorum.Members) {
		for _, i := range of {
			out = append(out, addressOf(i))
		}
		slices.SortFunc(out, common.Address.Cmp)
		return out
	}
	hd := &handover{hub: h, fresh: 4, shares: map[common.Address]*KeyShare{}, saved: map[common.Address]*KeyShare{}, request: ReshareRequest{
		Session: sessionOf(t.Name()), Public: first.public, OldEpoch: first.epoch, OldMembers: first.members, OldThreshold: first.threshold,
		Dealers: ids(dealers), Epoch: first.epoch + 1, Members: ids(members), Threshold: q,
		RoundTimeout: 30 * time.Minute, // the machine may have other things to do
	}, change: map[common.Address]func(*ReshareRequest){}}
	for _, s := range old {
		hd.shares[s.self] = s
	}
	return hd
}

func (hd *handover) everyone() []common.Address {
	return distinctAscending(hd.request.Dealers, hd.request.Members)
}

// preParams are those of a new member.
func (hd *handover) preParams(t testing.TB, m common.Address) *PreParams {
	return devPreParams(t, (hd.fresh+slices.Index(hd.request.Members, m))%devkeys.Count)
}

// run lets everyone ask at once.
func (hd *handover) run(t testing.TB) map[common.Address]reshareResult {
	everyone := hd.everyone()
	saves := make([]*KeyShare, len(everyone))
	results := all(everyone, func(i int, m common.Address) reshareResult {
		req := hd.request
		req.Share = hd.shares[m]
		if slices.Contains(req.Members, m) {
			req.PreParams = hd.preParams(t, m)
			req.Save = func(s *KeyShare) error { saves[i] = s; return nil }
		}
		if change := hd.change[m]; change != nil {
			change(&req)
		}
		key, out := hd.hub.engines[m].Reshare(context.Background(), req)
		return reshareResult{key, out}
	})
	out := map[common.Address]reshareResult{}
	for i, m := range everyone {
		out[m] = results[i]
		if saves[i] != nil {
			hd.saved[m] = saves[i]
		}
	}
	return out
}

// succeeds runs it and returns the new shares, members ascending.
func (hd *handover) succeeds(t testing.TB) []*KeyShare {
	start := time.Now()
	results := hd.run(t)
	t.Logf("resharing by %d to %d of %d: %s", len(hd.request.Dealers), hd.request.Threshold, len(hd.request.Members), time.Since(start))
	var shares []*KeyShare
	var transcript quorum.Transcript
	for _, m := range hd.everyone() {
		r := results[m]
		require.Equal(t, Generated, r.out.Ending, "%s: %s", m, r.out)
		if transcript.Epoch == 0 {
			transcript = r.key.Transcript
		}
		require.Equal(t, transcript, r.key.Transcript)
		require.Equal(t, hd.request.Public, r.key.Transcript.PublicKey)
		require.Equal(t, hd.request.Epoch, r.key.Transcript.Epoch)
		require.Len(t, r.key.Signatures, len(hd.request.Members))
		for j, sig := range r.key.Signatures {
			signer, err := sig.Recover(quorum.Digest(quorum.KindTranscript, testNetwork, transcript))
			require.NoError(t, err)
			require.Equal(t, hd.request.Members[j], signer)
		}
		if !slices.Contains(hd.request.Members, m) {
			require.Nil(t, r.key.Share, "whoever leaves has no new share")
			continue
		}
		require.Same(t, hd.saved[m], r.key.Share)
		require.Equal(t, m, r.key.Share.Self())
		shares = append(shares, r.key.Share)
	}
	for _, s := range hd.shares {
		_, err := s.checked()
		require.NoError(t, err, "old shares are left alone: they are the key until the new epoch rules")
	}
	slices.SortFunc(shares, func(a, b *KeyShare) int { return a.self.Cmp(b.self) })
	return shares
}

// Three of four deal: one stays, two leave, one joins. Then the new shares sign, and old and new ones never together.
func TestReshare(t *testing.T) {
	h, _ := newHub(t, 5)
	old := testShares(t)
	hd := handoverOf(t, h, old, []int{0, 1, 2}, []int{1, 4}, 2)
	rounds := map[common.Address][]int{}
	for _, m := range hd.everyone() {
		hd.change[m] = func(r *ReshareRequest) {
			r.Progress = func(round, of int) {
				h.mu.Lock()
				defer h.mu.Unlock()
				rounds[m] = append(rounds[m], round, of)
			}
		}
	}
	record := recorder{from: addressOf(1), to: addressOf(4)}
	h.tamper = record.pass
	shares := hd.succeeds(t)
	for _, m := range hd.everyone() {
		require.Equal(t, []int{1, 5, 2, 5, 3, 5, 4, 5, 5, 5}, rounds[m])
	}
	if *update {
		record.write(t, "reshare")
	}
	hd.canarySignsBesidesPayment(t, old, shares)
	mixedMakeNoKey(t, old, shares)
	mixedDoNotSign(t, h, old, shares)
}

// canarySigns has the first q new members sign the canary of the key that they hold now.
func (hd *handover) canarySigns(t testing.TB, shares []*KeyShare) {
	first := shares[0]
	digest := quorum.Digest(quorum.KindTranscript, testNetwork, first.Transcript())
	_, keys := testMembers(8)
	var sigs []quorum.Signature
	for _, m := range first.members {
		sig, err := quorum.SignDigest(keys[m], digest)
		require.NoError(t, err)
		sigs = append(sigs, sig)
	}
	set := first.members[:first.threshold]
	w, err := NewCanaryWarrant(testNetwork, first.Transcript(), sigs, set, 0)
	require.NoError(t, err)
	for _, o := range all(set, func(i int, m common.Address) Outcome {
		return hd.hub.engines[m].Sign(t.Context(), w, shares[i], time.Minute)
	}) {
		require.Equal(t, Signed, o.Ending, o.String())
		signer, err := o.Signature.Recover(first.Transcript().CanaryDigest(testNetwork, set))
		require.NoError(t, err)
		require.Equal(t, first.Payer(), signer, "the address stays")
	}
}

// canarySignsBesidesPayment has the old shares make a payment's signature while the new ones are tried, a member of both committees
// in both. No frame arrives before each session has sent one, so neither can end before the other has begun.
func (hd *handover) canarySignsBesidesPayment(t testing.TB, old, shares []*KeyShare) {
	h := hd.hub
	type held struct {
		from, to common.Address
		frame    []byte
	}
	var waiting []held
	begun := map[common.Hash]bool{}
	h.tamper = func(from, to common.Address, frame []byte) [][]byte {
		if env, err := parseFrame(frame); err == nil {
			begun[env.Header.Session] = true
		}
		if len(begun) < 2 {
			waiting = append(waiting, held{from, to, frame})
			return nil
		}
		for _, w := range waiting {
			h.engines[w.to].Receive(w.from, w.frame)
		}
		waiting = nil
		return [][]byte{frame}
	}
	defer func() { h.tamper = nil }()
	paid := make(chan []Outcome, 1)
	go func() { paid <- h.signAll(old[:old[0].threshold], "paid meanwhile", time.Minute) }()
	hd.canarySigns(t, shares)
	for _, o := range <-paid {
		require.Equal(t, Signed, o.Ending, o.String())
		signer, err := o.Signature.Recover(crypto.Keccak256Hash([]byte("digest of paid meanwhile")))
		require.NoError(t, err)
		require.Equal(t, old[0].Payer(), signer)
	}
	require.Len(t, begun, 2)
}

// combined is the public key of what these shares make together, each of its own epoch.
func combined(shares []*KeyShare) quorum.PublicKey {
	secret, keys := new(big.Int), []*big.Int{}
	for _, s := range shares {
		keys = append(keys, partyKey(s.self, s.epoch))
	}
	for i, s := range shares {
		secret.Add(secret, new(big.Int).Mul(s.xi, weight(keys, i)))
	}
	return baseTimes(secret.Mod(secret, order())).compress()
}

// mixedMakeNoKey tries every set of old and new shares with fewer than the threshold of each: none makes the key, and neither
// does one of a single epoch that is too small.
func mixedMakeNoKey(t testing.TB, old, new []*KeyShare) {
	require.Equal(t, old[0].public, combined(old[:old[0].threshold]))
	require.Equal(t, old[0].public, combined(new[:new[0].threshold]))
	every := append(slices.Clone(old), new...)
	tried := 0
	for set := range 1 << len(every) {
		var some []*KeyShare
		ofOld := 0
		for i, s := range every {
			if set>>i&1 == 1 {
				some = append(some, s)
				if s.epoch == old[0].epoch {
					ofOld++
				}
			}
		}
		if len(some) == 0 || ofOld >= old[0].threshold || len(some)-ofOld >= new[0].threshold {
			continue
		}
		tried++
		require.NotEqual(t, old[0].public, combined(some))
	}
	require.Greater(t, tried, 10)
}

// mixedDoNotSign has a member put its new secret in the place of the old one and sign with holders of old shares, who are
// one too few without it.
func mixedDoNotSign(t testing.TB, h *hub, old, new []*KeyShare) {
	at := slices.IndexFunc(old, func(s *KeyShare) bool { return s.self == addressOf(1) })
	crossed := *old[at]
	crossed.xi = new[slices.IndexFunc(new, func(s *KeyShare) bool { return s.self == crossed.self })].xi
	set := []*KeyShare{&crossed}
	for _, s := range old {
		if s.self != crossed.self && len(set) < crossed.threshold {
			set = append(set, s)
		}
	}
	for _, o := range h.signAll(set, "mixed", time.Minute) {
		require.Contains(t, []Ending{Aborted, Unattributed}, o.Ending, o.String())
		require.Zero(t, o.Signature)
		for _, c := range o.Culprits {
			require.Equal(t, crossed.self, c)
		}
	}
}

// The key moves through every kind of change, one after the other: the address stays, each committee signs, and no old shares
// sign with new ones. Some minutes.
func TestMemberChanges(t *testing.T) {
	if !*everyReshare {
		t.Skip("make reshare runs it")
	}
	h, _ := newHub(t, 8)
	shares := testShares(t)
	for i, c := range []struct {
		name             string
		dealers, members []int
		fresh            int
	}{
		{"4 to 5: one is added", []int{0, 1, 2}, []int{0, 1, 2, 3, 4}, 4},
		{"5 to 4: one is removed, and all deal", []int{0, 1, 2, 3, 4}, []int{0, 1, 2, 4}, 9},
		{"4 to 4: one is replaced, and deals", []int{1, 2, 4}, []int{0, 1, 2, 5}, 13},
		{"4 to 4: fresh shares", []int{0, 2, 5}, []int{0, 1, 2, 5}, 17},
		{"4 to 4: half is replaced", []int{0, 1, 5}, []int{0, 1, 6, 7}, 21},
	} {
		hd := handoverOf(t, h, shares, c.dealers, c.members, quorum.Members(make([]common.Address, len(c.members))).Q())
		hd.request.Session[0] ^= byte(i)
		hd.fresh = c.fresh
		t.Log(c.name)
		next := hd.succeeds(t)
		hd.canarySigns(t, next)
		mixedMakeNoKey(t, shares, next)
		shares = next
	}
}
