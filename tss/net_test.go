package tss

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/internal/devnet/devkeys"
)

var update = flag.Bool("update", false, "write the key share fixtures of a fresh key generation")

func TestMain(m *testing.M) {
	// The logger of a library of a library has one for ever.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"))
}

// testNetwork is the network id of these tests.
var testNetwork = crypto.Keccak256Hash([]byte("conclave-test-network"))

const fixtures = "tsstest/testdata"

// testKey is the identity of test member i; the fixtures belong to 0 to 3.
func testKey(i int) *ecdsa.PrivateKey {
	k, err := crypto.ToECDSA(crypto.Keccak256([]byte(fmt.Sprintf("conclave-test-member-%d", i))))
	if err != nil {
		panic(err)
	}
	return k
}

func testMembers(n int) (members []common.Address, keys map[common.Address]*ecdsa.PrivateKey) {
	keys = map[common.Address]*ecdsa.PrivateKey{}
	for i := range n {
		k := testKey(i)
		a := crypto.PubkeyToAddress(k.PublicKey)
		members, keys[a] = append(members, a), k
	}
	slices.SortFunc(members, common.Address.Cmp)
	return members, keys
}

func devPreParams(t testing.TB, i int) *PreParams {
	p, err := UnmarshalPreParams(devkeys.Set(i))
	require.NoError(t, err)
	return p
}

// testShares gives the fixtures: the shares of a 3-of-4 key, members ascending. They are immutable, so one load serves all.
func testShares(t testing.TB) []*KeyShare {
	shares, err := loadShares()
	require.NoError(t, err)
	return slices.Clone(shares)
}

var loadShares = sync.OnceValues(func() ([]*KeyShare, error) {
	var out []*KeyShare
	for i := range 4 {
		b, err := os.ReadFile(filepath.Join(fixtures, fmt.Sprintf("share-%d.rlp", i)))
		if err != nil {
			return nil, err
		}
		s, err := LoadKeyShare(b)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
})

// hub connects engines in one process. tamper may change, drop (nil) or multiply what goes from one to another.
type hub struct {
	mu      sync.Mutex // guards tamper's own state: it runs under it
	engines map[common.Address]*Engine
	tamper  func(from, to common.Address, frame []byte) [][]byte
}

type link struct {
	hub  *hub
	from common.Address
}

func (l link) Send(to common.Address, frame []byte) error {
	frames := [][]byte{frame}
	if l.hub.tamper != nil {
		l.hub.mu.Lock()
		frames = l.hub.tamper(l.from, to, frame)
		l.hub.mu.Unlock()
	}
	for _, f := range frames {
		l.hub.engines[to].Receive(l.from, f)
	}
	return nil
}

func newHub(t testing.TB, n int) (*hub, []common.Address) {
	members, keys := testMembers(n)
	h := &hub{engines: map[common.Address]*Engine{}}
	for _, m := range members {
		e, err := New(Config{Key: keys[m], Network: testNetwork, Transport: link{h, m}, Development: true})
		require.NoError(t, err)
		h.engines[m] = e
		t.Cleanup(e.Wait)
	}
	return h, members
}

// all runs f for each member at once and collects what it returns.
func all[T any](members []common.Address, f func(i int, m common.Address) T) []T {
	out := make([]T, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { out[i] = f(i, m) })
	}
	wg.Wait()
	return out
}

// signAll signs one digest with the participants, each with its share.
func (h *hub) signAll(shares []*KeyShare, name string, timeout time.Duration) []Outcome {
	var members []common.Address
	for _, s := range shares {
		members = append(members, s.self)
	}
	return all(members, func(i int, m common.Address) Outcome {
		return h.engines[m].sign(context.Background(), signRequest{
			session: crypto.Keccak256Hash([]byte(name)), digest: crypto.Keccak256Hash([]byte("digest of " + name)),
			participants: members, share: shares[i], roundTimeout: timeout,
		})
	})
}

func writeFixtures(t *testing.T, keys []*Key) {
	require.NoError(t, os.MkdirAll(fixtures, 0o755))
	for i, k := range keys {
		b, err := k.Share.MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(fixtures, fmt.Sprintf("share-%d.rlp", i)), b, 0o644))
	}
	t.Logf("payer %s, key %s", keys[0].Share.Payer(), hex.EncodeToString(keys[0].Transcript.PublicKey[:]))
}

// recorder keeps what one member sends to another; its frames are fixtures for the guard.
type recorder struct {
	from, to common.Address
	frames   [][]byte
}

func (r *recorder) pass(from, to common.Address, frame []byte) [][]byte {
	if from == r.from && to == r.to {
		r.frames = append(r.frames, frame)
	}
	return [][]byte{frame}
}

func (r *recorder) write(t *testing.T, name string) {
	b, err := rlp.EncodeToBytes(r.frames)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	require.NoError(t, os.WriteFile(filepath.Join("testdata", name+"-frames.rlp"), b, 0o644))
}

// recorded returns the fixtures' payloads by type, from members[1] to members[0], and the frames.
func recorded(t testing.TB, name string) (map[uint8][]byte, [][]byte) {
	b, err := os.ReadFile(filepath.Join("testdata", name+"-frames.rlp"))
	require.NoError(t, err)
	var frames [][]byte
	require.NoError(t, rlp.DecodeBytes(b, &frames))
	payloads := map[uint8][]byte{}
	for _, f := range frames {
		env, err := parseFrame(f)
		require.NoError(t, err)
		payloads[env.Header.Type] = env.Payload
	}
	return payloads, frames
}

// addressOf is the id of test member i.
func addressOf(i int) common.Address { return crypto.PubkeyToAddress(testKey(i).PublicKey) }
