package tss

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

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
	hd := &handover{hub: h, shares: map[common.Address]*KeyShare{}, saved: map[common.Address]*KeyShare{}, request: ReshareRequest{
		Session: sessionOf(t.Name()), Public: first.public, OldEpoch: first.epoch, OldMembers: first.members, OldThreshold: first.threshold,
		Dealers: ids(dealers), Epoch: first.epoch + 1, Members: ids(members), Threshold: q,
	}, change: map[common.Address]func(*ReshareRequest){}}
	for _, s := range old {
		hd.shares[s.self] = s
	}
	return hd
}

func (hd *handover) everyone() []common.Address {
	return distinctAscending(hd.request.Dealers, hd.request.Members)
}

// run lets everyone ask at once. Set 4 on of the development preparameters are fresh: the fixtures have the first four.
func (hd *handover) run(t testing.TB) map[common.Address]reshareResult {
	everyone := hd.everyone()
	saves := make([]*KeyShare, len(everyone))
	results := all(everyone, func(i int, m common.Address) reshareResult {
		req := hd.request
		req.Share = hd.shares[m]
		if at := slices.Index(req.Members, m); at >= 0 {
			req.PreParams = devPreParams(t, 4*int(req.OldEpoch)+at)
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

func TestReshare(t *testing.T) {
	h, _ := newHub(t, 5)
	old := testShares(t)
	// Three of four deal: one stays, the others leave, one joins.
	hd := handoverOf(t, h, old, []int{0, 1, 2}, []int{1, 4}, 2)
	shares := hd.succeeds(t)

	outs := h.signAll(shares[:2], "after resharing", time.Minute)
	for _, o := range outs {
		require.Equal(t, Signed, o.Ending, o.String())
	}
}
