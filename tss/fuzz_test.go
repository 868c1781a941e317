package tss

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"conclave/quorum"
)

// maxNumber is above every number that the guard lets pass, in bytes: the widest response of a factor proof has 4,866 bits.
// The library computes with what passes, so this bounds what a message costs.
const maxNumber = 640

// FuzzMessageFields puts any bytes into any field of an honest message of every type, of all three protocols. What passes is
// within bounds; whatever comes, the guard refuses by a named rule or passes.
func FuzzMessageFields(f *testing.F) {
	kg, sign, from := guards(f)
	handed, dealer := recordedReshare(f, true)
	protocols := []struct {
		name string
		*guard
		from common.Address
	}{{"keygen", kg, from}, {"sign", sign, from}, {"reshare", handed.guard, dealer}}
	honest := map[uint8][]byte{}
	for _, p := range protocols {
		payloads, _ := recorded(f, p.name)
		for _, s := range p.plan.specs {
			if s.name == "" {
				continue
			}
			honest[s.kind] = payloads[s.kind]
			for _, b := range [][]byte{nil, {0}, {1}, num(order()), num(lsh(2048)), num(lsh(9000))} {
				f.Add(s.kind, uint8(0), uint8(0), b)
				f.Add(s.kind, uint8(1), uint8(3), b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind, field, at uint8, value []byte) {
		payload, ok := honest[kind]
		if !ok {
			return
		}
		changed := withField(t, payload, field, at, value)
		for _, p := range protocols {
			s, ok := p.plan.find(kind)
			if !ok {
				continue
			}
			m, bad := p.check(s, p.from, changed)
			if bad != nil {
				require.NotEmpty(t, bad.rule)
				continue
			}
			eachNumber(m.msg.Content().ProtoReflect(), func(b []byte) { require.LessOrEqual(t, len(b), maxNumber) })
		}
	})
}

// withField is a payload with one of its byte strings replaced.
func withField(t testing.TB, payload []byte, field, at uint8, value []byte) []byte {
	var box anypb.Any
	require.NoError(t, proto.Unmarshal(payload, &box))
	m, err := box.UnmarshalNew()
	require.NoError(t, err)
	r := m.ProtoReflect()
	if fields := r.Descriptor().Fields(); fields.Len() > 0 {
		fd := fields.Get(int(field) % fields.Len())
		switch {
		case fd.IsList():
			if list := r.Mutable(fd).List(); list.Len() > 0 {
				list.Set(int(at)%list.Len(), protoreflect.ValueOfBytes(value))
			}
		case fd.Kind() == protoreflect.BytesKind:
			r.Set(fd, protoreflect.ValueOfBytes(value))
		}
	}
	out, err := anypb.New(m)
	require.NoError(t, err)
	b, err := proto.Marshal(out)
	require.NoError(t, err)
	return b
}

// eachNumber visits every byte string of a message.
func eachNumber(m protoreflect.Message, visit func([]byte)) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsList():
			for i := range v.List().Len() {
				visit(v.List().Get(i).Bytes())
			}
		case fd.Kind() == protoreflect.BytesKind:
			visit(v.Bytes())
		}
		return true
	})
}

// FuzzStart: what a coordinator sends is followed only when it is the draw of signed READYs, which nobody can make up.
func FuzzStart(f *testing.F) {
	b := newBench(f, 0)
	genuine := b.startOf(0, 0, 1, 2)
	seed, err := rlp.EncodeToBytes(&genuine)
	require.NoError(f, err)
	f.Add(seed)
	genuine.Evidence = []Evidence{{Kind: Equivocation, Culprit: b.members[1], Envelopes: []Envelope{{}, {}}}}
	more, err := rlp.EncodeToBytes(&genuine)
	require.NoError(f, err)
	f.Add(more)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s Start
		if rlp.DecodeBytes(raw, &s) != nil {
			return
		}
		a := newBench(t, 0)
		fx, err := a.Follow(a.coordinatorOf(s.Attempt), s, a.now)
		if err != nil {
			require.ErrorIs(t, err, ErrStart)
			require.Nil(t, fx.Join)
			return
		}
		require.GreaterOrEqual(t, len(s.Readies), a.cfg.Members.Q())
		require.Len(t, s.Set, a.cfg.Members.Q())
		require.Equal(t, fx.Join != nil, s.Set.Has(a.cfg.Self))
		require.Empty(t, a.evidence, "nobody's signature was made")
	})
}

// FuzzEndings: a final signature is taken over only when it verifies, and a closing round's notice only when it is signed.
func FuzzEndings(f *testing.F) {
	share := testShares(f)[0]
	digest := crypto.Keccak256Hash([]byte("digest"))
	f.Add(make([]byte, 65))
	notice, err := rlp.EncodeToBytes(&transcriptNotice{digest, quorum.Signature{1}})
	require.NoError(f, err)
	f.Add(notice)
	f.Fuzz(func(t *testing.T, b []byte) {
		require.Nil(t, takeOverSigned(share.payer, digest)(b))
		var n transcriptNotice
		if rlp.DecodeBytes(b, &n) == nil {
			again, err := rlp.EncodeToBytes(&n)
			require.NoError(t, err)
			require.Equal(t, b, again)
			signer, err := n.Sig.Recover(quorum.Digest(quorum.KindTranscript, testNetwork, share.Transcript()))
			require.False(t, err == nil && share.Members().Has(signer), "nobody's signature was made")
		}
	})
}
