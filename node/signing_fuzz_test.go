package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// FuzzSigningMessage: whatever a member says in the protocol of signing and of ceremonies, before a key is made and after, is taken or
// refused, and no core stops of it.
func FuzzSigningMessage(f *testing.F) {
	fresh, founded := newLabOf(f, 4, 0), newLabOf(f, 4, 0)
	founded.found()
	for kind, body := range map[signKind][]byte{
		signStatement: founded.sayOf(f, quorum.Ready{Epoch: 1, Height: 2, Batch: common.Hash{1}}), signDone: marshal(doneMsg{Batch: common.Hash{1}}),
		signCanary:     marshal(canaryMsg{Canary: quorum.Canary{Set: quorum.Members{{1}}}}),
		signTranscript: marshal(transcriptMsg{Signatures: []quorum.Signature{{1}}}),
		signStanding:   marshal(standingMsg{Epoch: 1, Done: 2, Of: 4}),
		signFounding:   {0xc0}, signStart: {0xc0}, signDecision: {0xc0},
	} {
		f.Add(marshal(signMsg{kind, body}))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var m signMsg
		if unmarshal(frame, &m) != nil {
			return
		}
		require.Equal(t, frame, marshal(m), "one encoding")
		for _, l := range []*lab{fresh, founded} {
			_ = l.hearSigning(l.address(1), m)
			require.NoError(t, l.fatal)
		}
	})
}

func (l *lab) sayOf(f testing.TB, body quorum.Ready) []byte {
	s, err := quorum.Sign(l.keys[1], l.network, body)
	require.NoError(f, err)
	return s.Bytes()
}
