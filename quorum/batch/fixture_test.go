package batch_test

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"slices"

	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
)

// tb is what helpers need of a test; a property's *rapid.T has it too.
type tb interface {
	require.TestingT
	Helper()
}

// testPolicy allows two slots in flight and offers twice the base fee of 7 gwei plus a tip of 1: 15 gwei, capped at 60.
const testPolicy = `
version = 1
gap_grace = "60s"
uncovered_max = "1000"
hold_max = "10m"
batch_wait = "300ms"
in_flight = 2
bump_after = "30s"
[fees]
tip_floor = "1000000000"
offer_percent = 200
cap_percent = 400
ceiling = "500000000000"
gas_limit = 60000
token_gas_limit = 120000
[[tariff]]
network = "native"
fixed = "1"
minimum = "1"
[[tariff.tiers]]
from = "0"
ratio = "0.01"
[[tariff]]
network = "tokens"
fixed = "1"
minimum = "1"
[[tariff.tiers]]
from = "0"
ratio = "0.01"
[[tariff]]
network = "elsewhere"
fixed = "1"
minimum = "1"
[[tariff.tiers]]
from = "0"
ratio = "0.01"
`

// now is when everything in these tests happens, unix ms.
const now = 1_780_000_000_000

const gwei = 1_000_000_000

var token = common.HexToAddress("0x7000000000000000000000000000000000000007")

// testKey is made for tests from public words; it must never hold anything.
func testKey(word string, i int) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "conclave test key, holds nothing: %s %d", word, i)))
	if err != nil {
		panic(err)
	}
	return key
}

func compressed(key *ecdsa.PrivateKey) (p quorum.PublicKey) {
	copy(p[:], crypto.CompressPubkey(&key.PublicKey))
	return p
}

// world is a committee with its genesis document and one member's state. The threshold key is an ordinary key here.
type world struct {
	keys    []*ecdsa.PrivateKey // ascending by address
	payer   *ecdsa.PrivateKey
	genesis quorum.Genesis
	network common.Hash
	policy  quorum.PolicyRef
	s       *batch.State
}

func newWorld(t tb, n int) *world {
	t.Helper()
	w := &world{payer: testKey("payer", 0)}
	var members []quorum.Member
	for i := range n {
		key := testKey("member", i)
		w.keys = append(w.keys, key)
		members = append(members, quorum.Member{
			Name: fmt.Sprintf("custodian-%d", i), Address: crypto.PubkeyToAddress(key.PublicKey), PublicKey: compressed(key),
			Operator: crypto.PubkeyToAddress(testKey("operator", i).PublicKey), Multiaddrs: []string{"/ip4/127.0.0.1/tcp/7000"},
		})
	}
	slices.SortFunc(w.keys, func(a, b *ecdsa.PrivateKey) int {
		return crypto.PubkeyToAddress(a.PublicKey).Cmp(crypto.PubkeyToAddress(b.PublicKey))
	})
	slices.SortFunc(members, func(a, b quorum.Member) int { return bytes.Compare(a.Address[:], b.Address[:]) })
	lane := quorum.Lane{
		Network: "native", ChainID: 1337, Way: quorum.WaySingle, DepositAddress: common.Address{0xde}, Finality: 2, FirstNonce: 5,
		MinEndpoints: 1,
	}
	tokens, elsewhere := lane, lane
	tokens.Network, tokens.Token = "tokens", token
	elsewhere.Network, elsewhere.ChainID, elsewhere.FirstNonce = "elsewhere", 1338, 0
	w.genesis = quorum.Genesis{
		Version: quorum.GenesisVersion, Name: "testnet", Members: members, Lanes: []quorum.Lane{lane, tokens, elsewhere},
		FeeAddress: common.Address{0xfe}, DaoAddress: common.Address{0xda}, Policy: testPolicy,
	}
	require.NoError(t, w.genesis.Check())
	w.network = w.genesis.ID()
	w.s = w.state(t)
	w.policy = w.s.Policy.Ref()
	return w
}

func (w *world) state(t tb) *batch.State {
	t.Helper()
	s, err := batch.NewState(w.genesis)
	require.NoError(t, err)
	return s
}

// founded is a world in which the committee has its key: height 1 is decided.
func founded(t tb, n int) *world {
	t.Helper()
	return foundedAs(t, n, func(*quorum.Genesis) {})
}

// foundedWith is founded on a history.
func foundedWith(t tb, n int, history quorum.Cutover) *world {
	t.Helper()
	return foundedAs(t, n, func(g *quorum.Genesis) { g.Cutover = history })
}

// foundedAs is founded by another document.
func foundedAs(t tb, n int, change func(*quorum.Genesis)) *world {
	t.Helper()
	w := newWorld(t, n)
	change(&w.genesis)
	s, err := batch.NewState(w.genesis)
	require.NoError(t, err)
	w.s, w.network, w.policy = s, w.genesis.ID(), s.Policy.Ref()
	b, err := w.s.BuildMembers(w.action(t), w.views(t, 0))
	require.NoError(t, err)
	_, err = w.s.Apply(w.commit(t, b.Encode()))
	require.NoError(t, err)
	return w
}

func (w *world) members() quorum.Members { return w.s.Roster.IDs() }

func (w *world) q() int { return w.s.Roster.Q() }

// action is the ceremony's proofs.
func (w *world) action(t tb) quorum.MembersAction {
	t.Helper()
	a := quorum.MembersAction{
		Epoch: 1, Members: w.genesis.Members,
		Transcript: quorum.Transcript{
			Epoch: 1, Session: common.Hash{0x5e}, PublicKey: compressed(w.payer), Members: w.members(), Threshold: uint64(w.q()),
			Moduli: common.Hash{0x30},
		},
	}
	w.prove(t, &a)
	return a
}

func (w *world) lane(network string) quorum.LaneKey {
	l, _ := w.genesis.LaneOf(network)
	return l.Key(crypto.PubkeyToAddress(w.payer.PublicKey))
}

// laneView is what every member sees of a lane: a hundred coins, a thousand tokens, a base fee of 7 gwei.
func (w *world) laneView(network string) quorum.LaneView {
	l, _ := w.genesis.LaneOf(network)
	v := quorum.LaneView{Lane: w.lane(network), Block: 100, Nonce: l.FirstNonce, BaseFee: *uint256.NewInt(7 * gwei)}
	v.Gas = coins(100)
	v.Balance = v.Gas
	if l.Token != (common.Address{}) {
		v.Balance = coins(1000)
	}
	return v
}

func coins(n uint64) uint256.Int {
	var v uint256.Int
	v.Mul(uint256.NewInt(n), uint256.NewInt(1e18))
	return v
}

func (w *world) view() quorum.View {
	v := quorum.View{Epoch: w.s.Roster.Epoch, Time: now, Height: w.s.Height}
	for _, l := range w.genesis.Lanes {
		v.Lanes = append(v.Lanes, w.laneView(l.Network))
	}
	return v
}

// views are the VIEWs of the members from..n, each as the changes say.
func (w *world) views(t tb, from int, change ...func(i int, v *quorum.View)) []quorum.Signed[quorum.View] {
	t.Helper()
	var out []quorum.Signed[quorum.View]
	for i := from; i < len(w.keys); i++ {
		v := w.view()
		for _, c := range change {
			c(i, &v)
		}
		out = append(out, sign(t, w, i, v))
	}
	return out
}

func sign[T quorum.Body](t tb, w *world, member int, body T) quorum.Signed[T] {
	t.Helper()
	s, err := quorum.Sign(w.keys[member], w.network, body)
	require.NoError(t, err)
	return s
}

// content is withdrawal wid of two coins.
func (w *world) content(wid uint64, network string) quorum.Content {
	l, _ := w.genesis.LaneOf(network)
	return quorum.Content{
		WID: wid, Account: common.BigToAddress(uint256.NewInt(wid + 1000).ToBig()), Network: network, Token: l.Token,
		To: common.Address{0x70, byte(wid)}, Amount: coins(2), Fee: *uint256.NewInt(9), EventID: 10_000 + wid,
		Message: crypto.Keccak256Hash(fmt.Appendf(nil, "message %d", wid)),
	}
}

func (w *world) approvals(t tb, c quorum.Content, change ...func(*quorum.Approve)) []quorum.Signed[quorum.Approve] {
	t.Helper()
	var out []quorum.Signed[quorum.Approve]
	for i := range w.keys {
		a := quorum.Approve{
			Epoch: w.s.Roster.Epoch, Policy: w.policy, Counter: uint64(i + 1), WID: c.WID, Content: c.Hash(w.network), Account: c.Account,
			Seq: 1, Head: common.Hash{0x4e}, Time: now,
		}
		for _, f := range change {
			f(&a)
		}
		out = append(out, sign(t, w, i, a))
	}
	return out
}

// pay is a certified withdrawal.
func (w *world) pay(t tb, c quorum.Content, change ...func(*quorum.Approve)) batch.Candidate {
	t.Helper()
	as := w.approvals(t, c, change...)
	r := w.s.Roster
	r.Epoch = as[0].Body().Epoch
	cert, ok := quorum.Certify(r, as)
	require.True(t, ok)
	return batch.Candidate{Content: c, Pay: &cert}
}

// refuse is a withdrawal that is certified never to be paid.
func (w *world) refuse(t tb, c quorum.Content, change ...func(*quorum.Refuse)) batch.Candidate {
	t.Helper()
	var all []quorum.Signed[quorum.Refuse]
	for i := range w.keys {
		r := quorum.Refuse{
			Epoch: w.s.Roster.Epoch, Policy: w.policy, Counter: uint64(i + 1), WID: c.WID, Content: c.Hash(w.network),
			Reason: quorum.ReasonDestination, Time: now,
		}
		for _, f := range change {
			f(&r)
		}
		all = append(all, sign(t, w, i, r))
	}
	r := w.s.Roster
	r.Epoch = all[0].Body().Epoch
	cert, ok := quorum.CertifyRefusal(r, all)
	require.True(t, ok)
	return batch.Candidate{Content: c, Refuse: &cert}
}

// build is Build that must find something.
func (w *world) build(t tb, views []quorum.Signed[quorum.View], candidates ...batch.Candidate) batch.Batch {
	t.Helper()
	b, ok := w.s.Build(candidates, views)
	require.True(t, ok)
	require.NoError(t, w.s.Valid(b))
	return b
}

// commit is the decision of value by the first q members, at the next height.
func (w *world) commit(t tb, value []byte) quorum.Committed {
	return w.commitAt(t, value, w.s.Height+1)
}

func (w *world) commitAt(t tb, value []byte, height uint64) quorum.Committed {
	t.Helper()
	id := quorum.ValueID(w.network, value)
	var votes []quorum.Signed[quorum.Vote]
	for i := range w.q() {
		votes = append(votes, sign(t, w, i, quorum.Vote{
			Epoch: w.s.Roster.Epoch, Height: height, Phase: quorum.Precommit, ID: id, Counter: 9,
		}))
	}
	qc, ok := quorum.NewQC(w.s.Roster, height, 0, quorum.Precommit, id, votes)
	require.True(t, ok)
	c, err := quorum.NewCommitted(w.network, qc, value)
	require.NoError(t, err)
	return c
}

// decide builds and applies.
func (w *world) decide(t tb, candidates ...batch.Candidate) batch.Effects {
	t.Helper()
	fx, err := w.s.Apply(w.commit(t, w.build(t, w.views(t, 0), candidates...).Encode()))
	require.NoError(t, err)
	return fx
}

func encode(t tb, v any) []byte {
	t.Helper()
	raw, err := rlp.EncodeToBytes(v)
	require.NoError(t, err)
	return raw
}
