package simchain_test

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/internal/devnet/simchain"
	"conclave/quorum"
)

const (
	chainID = 61_337
	ether   = 1_000_000_000_000_000_000
)

var (
	// Keys are made for tests from fixed seeds and hold nothing anywhere.
	payerKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("simchain payer")))
	userKey, _  = crypto.ToECDSA(crypto.Keccak256([]byte("simchain user")))

	recipient = common.HexToAddress("0x00000000000000000000000000000000c0ffee01")
	deposits  = common.HexToAddress("0x00000000000000000000000000000000deb05170")
)

func addressOf(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func wei(n uint64) uint256.Int { return *uint256.NewInt(n) }

// world is a chain over HTTP, with the user's wallet and the node's endpoint.
type world struct {
	t    *testing.T
	ctx  context.Context
	sim  *simchain.Chain
	user *simchain.Wallet
	node *evm.Endpoint
	lane chain.Lane
}

func newWorld(t *testing.T) *world {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	sim, err := simchain.Start(simchain.Config{ChainID: chainID, Alloc: map[common.Address]uint256.Int{
		addressOf(payerKey): wei(5 * ether), addressOf(userKey): wei(5 * ether),
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	require.True(t, strings.HasPrefix(sim.URL(), "http://127.0.0.1:"))

	user, err := simchain.NewWallet(sim.URL(), chainID, userKey)
	require.NoError(t, err)
	t.Cleanup(user.Close)
	finality := chain.Finality{Depth: 2}
	node, err := evm.New(evm.Config{URL: sim.URL(), ChainID: chainID, Finality: finality})
	require.NoError(t, err)
	t.Cleanup(node.Close)

	w := &world{t: t, ctx: ctx, sim: sim, user: user, node: node, lane: chain.Lane{
		Network: "devnet", ChainID: chainID, Deposit: deposits, Finality: finality, Way: chain.WaySingle,
	}}
	faucet, err := sim.Faucet()
	require.NoError(t, err)
	t.Cleanup(faucet.Close)
	contract, hash, err := faucet.DeployBenefit(ctx)
	require.NoError(t, err)
	w.commit(1)
	require.NoError(t, faucet.Wait(ctx, hash))
	w.lane.BenefitContract, w.lane.BenefitSince = contract, 1
	require.NoError(t, w.lane.Validate())
	return w
}

func (w *world) commit(n int) {
	w.t.Helper()
	for range n {
		_, err := w.sim.Commit()
		require.NoError(w.t, err)
	}
}

func (w *world) head() chain.Header {
	h, err := w.node.Head(w.ctx)
	require.NoError(w.t, err)
	return h
}

// payment is what a decision would say, with fees from the rule that a devnet's policy holds.
func (w *world) payment(nonce, amount, gas uint64) chain.Payment {
	rule := quorum.FeeRule{TipFloor: wei(1_000_000_000), OfferPercent: 200, CapPercent: 1000, FeeCeiling: wei(1_000_000_000_000)}
	tip, offer, feeCap, ok := rule.Offer(w.head().BaseFee)
	require.True(w.t, ok)
	fees := chain.Fees{Offer: offer, Tip: tip, FeeCap: feeCap}
	return chain.Transfer(w.lane, addressOf(payerKey), nonce, recipient, wei(amount), gas, fees)
}

func (w *world) sign(p chain.Payment, k uint) chain.Signed {
	r, err := chain.Render(p, k)
	require.NoError(w.t, err)
	signature, err := crypto.Sign(r.Digest[:], payerKey)
	require.NoError(w.t, err)
	s, err := r.Assemble(signature)
	require.NoError(w.t, err)
	return s
}

func (w *world) balance(addr common.Address) uint64 {
	v, err := w.user.Balance(w.ctx, addr)
	require.NoError(w.t, err)
	return v.Uint64()
}

func TestPayoutIsMinedUnderItsHash(t *testing.T) {
	w := newWorld(t)
	p := w.payment(0, 12_345, 21_000)
	s := w.sign(p, 0)
	require.NoError(t, w.node.SendRaw(w.ctx, s.Raw))
	require.ErrorIs(t, w.node.SendRaw(w.ctx, s.Raw), chain.ErrKnown)
	w.commit(1)
	require.ErrorIs(t, w.node.SendRaw(w.ctx, s.Raw), chain.ErrNonceUsed)

	receipt, err := w.node.Receipt(w.ctx, s.Hash)
	require.NoError(t, err)
	require.EqualValues(t, 1, receipt.Status)
	require.EqualValues(t, 21_000, receipt.GasUsed, "a new account costs no more here than on a real chain")
	require.EqualValues(t, 12_345, w.balance(recipient))

	_, err = chain.OutcomeFor(w.ctx, w.node, addressOf(payerKey), 0, []common.Hash{s.Hash})
	require.ErrorIs(t, err, chain.ErrNotFinal)
	w.commit(2)
	for _, known := range [][]common.Hash{{s.Hash}, nil} {
		out, err := chain.OutcomeFor(w.ctx, w.node, addressOf(payerKey), 0, known)
		require.NoError(t, err)
		require.Equal(t, s.Hash, out.TxHash)
		require.Equal(t, receipt.BlockHash, out.BlockHash)
		k, ours := chain.Match(out.Payload, p)
		require.True(t, ours)
		require.Zero(t, k)
	}

	survey, err := chain.SurveyLane(w.ctx, w.node, w.lane, addressOf(payerKey))
	require.NoError(t, err)
	require.EqualValues(t, 1, survey.Nonce)
	require.EqualValues(t, w.balance(addressOf(payerKey)), survey.Gas.Uint64())
}

func TestOutcomeIsFoundByNonceAlone(t *testing.T) {
	w := newWorld(t)
	w.commit(20)
	p := w.payment(0, 1, 21_000)
	leaked := w.sign(p, 2) // somebody else's signature over one of the slot's payloads
	require.NoError(t, w.node.SendRaw(w.ctx, leaked.Raw))
	w.commit(40)

	look, err := chain.Observe(w.ctx, w.node, []common.Hash{w.sign(p, 0).Hash}, p)
	require.NoError(t, err)
	require.LessOrEqual(t, look.Seen.Block, look.Final)
	require.True(t, look.Seen.Ours)
	require.Equal(t, leaked.Hash, look.Seen.TxHash)
	require.EqualValues(t, 2, look.Seen.K)
}

func TestAStepReplacesTheOneBefore(t *testing.T) {
	w := newWorld(t)
	p := w.payment(0, 1, 21_000)
	first, second := w.sign(p, 0), w.sign(p, 1)
	require.NoError(t, w.node.SendRaw(w.ctx, first.Raw))
	require.NoError(t, w.node.SendRaw(w.ctx, second.Raw))
	require.ErrorIs(t, w.node.SendRaw(w.ctx, first.Raw), chain.ErrUnderpriced)
	w.commit(1)
	_, err := w.node.Receipt(w.ctx, second.Hash)
	require.NoError(t, err)
	_, err = w.node.Receipt(w.ctx, first.Hash)
	require.ErrorIs(t, err, chain.ErrNotFound)
	require.EqualValues(t, 1, w.balance(recipient))
}

func TestPayoutTooLargeIsRefused(t *testing.T) {
	w := newWorld(t)
	s := w.sign(w.payment(0, 6*ether, 21_000), 0)
	require.ErrorIs(t, w.node.SendRaw(w.ctx, s.Raw), chain.ErrFunds)
}

func TestDepositIsProvenAtDepth(t *testing.T) {
	w := newWorld(t)
	hash, err := w.user.Transfer(w.ctx, deposits, wei(777))
	require.NoError(t, err)
	proof := func(amount uint64) chain.Proof {
		t.Helper()
		f, err := chain.VerifyDeposit(w.ctx, w.node, w.lane, hash, addressOf(userKey), wei(amount))
		require.NoError(t, err)
		return f.Proof
	}
	require.Equal(t, chain.Unknown, proof(777))
	w.commit(1)
	require.Equal(t, chain.Pending, proof(777))
	w.commit(1)
	require.Equal(t, chain.Pending, proof(777))
	w.commit(1)
	require.Equal(t, chain.Proven, proof(777))
	require.Equal(t, chain.Contradicted, proof(776))
}

func TestBenefitAddressAtATime(t *testing.T) {
	w := newWorld(t)
	w.commit(5)
	before := w.head()
	_, err := w.user.Bind(w.ctx, w.lane.BenefitContract, recipient)
	require.NoError(t, err)
	w.commit(1)
	at := w.head()
	again, err := w.user.Bind(w.ctx, w.lane.BenefitContract, deposits)
	require.NoError(t, err)
	w.commit(1)
	_, err = chain.BenefitAt(w.ctx, w.node, w.lane, addressOf(userKey), at.Time)
	require.ErrorIs(t, err, chain.ErrNotFinal)
	w.commit(4)
	require.ErrorContains(t, w.user.Wait(w.ctx, again), "failed", "binding is once")

	for _, c := range []struct {
		time  uint64
		want  common.Address
		block chain.Header
	}{{before.Time, addressOf(userKey), before}, {before.Time + 1, recipient, at}, {at.Time, recipient, at}} {
		d, err := chain.BenefitAt(w.ctx, w.node, w.lane, addressOf(userKey), c.time)
		require.NoError(t, err)
		require.Equal(t, c.want, d.Address)
		require.Equal(t, c.block, d.Block)
		logged, err := chain.BenefitAt(w.ctx, prunedNode{w.node}, w.lane, addressOf(userKey), c.time)
		require.NoError(t, err)
		require.Equal(t, d, logged, "the logs say the same")
	}

	lane := w.lane
	lane.BenefitContract = recipient
	_, err = chain.BenefitAt(w.ctx, w.node, lane, addressOf(userKey), at.Time)
	require.ErrorIs(t, err, chain.ErrNoContract)
	_, err = w.node.BenefitAddress(w.ctx, w.lane.BenefitContract, addressOf(userKey), chain.Header{Hash: common.Hash{1}})
	require.ErrorIs(t, err, chain.ErrNotFound, "the name of a block that is unknown")
}

// prunedNode is a node without old state.
type prunedNode struct{ chain.Endpoint }

func (prunedNode) BenefitAddress(context.Context, common.Address, common.Address, chain.Header) (common.Address, error) {
	return common.Address{}, chain.ErrPruned
}

func TestReorganisedPayoutIsSentAgain(t *testing.T) {
	w := newWorld(t)
	p := w.payment(0, 5, 21_000)
	s := w.sign(p, 0)
	look := func() chain.Look {
		t.Helper()
		look, err := chain.Observe(w.ctx, w.node, []common.Hash{s.Hash}, p)
		require.NoError(t, err)
		return look
	}
	require.Nil(t, look().Seen)
	require.NoError(t, w.node.SendRaw(w.ctx, s.Raw))
	w.commit(1)
	require.Greater(t, look().Seen.Block, look().Final)

	require.NoError(t, w.sim.Reorg(w.ctx, 1, true))
	require.Nil(t, look().Seen)
	require.NoError(t, w.node.SendRaw(w.ctx, s.Raw), "the same bytes")
	w.commit(3)
	require.LessOrEqual(t, look().Seen.Block, look().Final)
	require.EqualValues(t, 5, w.balance(recipient), "paid once")
}

func TestReorganisedDepositIsUnknownAgain(t *testing.T) {
	w := newWorld(t)
	hash, err := w.user.Transfer(w.ctx, deposits, wei(777))
	require.NoError(t, err)
	w.commit(2)
	require.NoError(t, w.sim.Reorg(w.ctx, 2, true))
	w.commit(3)
	f, err := chain.VerifyDeposit(w.ctx, w.node, w.lane, hash, addressOf(userKey), wei(777))
	require.NoError(t, err)
	require.Equal(t, chain.Unknown, f.Proof)
}

func TestTokenLane(t *testing.T) {
	w := newWorld(t)
	token, _, err := w.user.DeployToken(w.ctx, wei(1_000_000))
	require.NoError(t, err)
	_, err = w.user.TransferToken(w.ctx, token, addressOf(payerKey), wei(1000))
	require.NoError(t, err)
	deposit, err := w.user.TransferToken(w.ctx, token, deposits, wei(33))
	require.NoError(t, err)
	w.commit(3)

	lane := w.lane
	lane.Token = token
	f, err := chain.VerifyDeposit(w.ctx, w.node, lane, deposit, addressOf(userKey), wei(33))
	require.NoError(t, err)
	require.Equal(t, chain.Proven, f.Proof)
	f, err = chain.VerifyDeposit(w.ctx, w.node, lane, deposit, addressOf(payerKey), wei(33))
	require.NoError(t, err)
	require.Equal(t, chain.Contradicted, f.Proof)

	w.lane = lane
	p := w.payment(0, 250, 65_000)
	require.NoError(t, w.node.SendRaw(w.ctx, w.sign(p, 0).Raw))
	w.commit(3)
	out, err := chain.OutcomeFor(w.ctx, w.node, addressOf(payerKey), 0, nil)
	require.NoError(t, err)
	require.EqualValues(t, 1, out.Status)
	_, ours := chain.Match(out.Payload, p)
	require.True(t, ours)
	got, err := w.node.BalanceAt(w.ctx, token, recipient, w.head())
	require.NoError(t, err)
	require.EqualValues(t, 250, got.Uint64())

	// More than the payer holds reverts: the nonce is spent and nothing is paid.
	require.NoError(t, w.node.SendRaw(w.ctx, w.sign(w.payment(1, 751, 65_000), 0).Raw))
	w.commit(3)
	out, err = chain.OutcomeFor(w.ctx, w.node, addressOf(payerKey), 1, nil)
	require.NoError(t, err)
	require.Zero(t, out.Status)
}

func TestTwoEndpointsAgree(t *testing.T) {
	w := newWorld(t)
	second, err := evm.New(evm.Config{URL: w.sim.URL(), ChainID: chainID, Finality: w.lane.Finality})
	require.NoError(t, err)
	t.Cleanup(second.Close)
	both, err := chain.NewAgreeing(2, w.node, second)
	require.NoError(t, err)
	hash, err := w.user.Transfer(w.ctx, deposits, wei(777))
	require.NoError(t, err)
	w.commit(3)
	f, err := chain.VerifyDeposit(w.ctx, both, w.lane, hash, addressOf(userKey), wei(777))
	require.NoError(t, err)
	require.Equal(t, chain.Proven, f.Proof)
	d, err := chain.BenefitAt(w.ctx, both, w.lane, addressOf(userKey), w.head().Time-5)
	require.NoError(t, err)
	require.Equal(t, addressOf(userKey), d.Address)
	_, err = both.Sent(w.ctx, addressOf(userKey), w.head())
	require.NoError(t, err)
}

func TestAnotherChainIsRefused(t *testing.T) {
	w := newWorld(t)
	other, err := evm.New(evm.Config{URL: w.sim.URL(), ChainID: 1, Finality: chain.Finality{Tag: true}})
	require.NoError(t, err)
	t.Cleanup(other.Close)
	_, err = other.Head(w.ctx)
	require.ErrorIs(t, err, evm.ErrWrongChain)

	// The finalized tag works where it is asked for; here it is still the genesis.
	tagged, err := evm.New(evm.Config{URL: w.sim.URL(), ChainID: chainID, Finality: chain.Finality{Tag: true}})
	require.NoError(t, err)
	t.Cleanup(tagged.Close)
	final, err := tagged.Final(w.ctx)
	require.NoError(t, err)
	require.Zero(t, final.Number)
}

func TestTwoChainsRunSideBySideAndClose(t *testing.T) {
	a, err := simchain.Start(simchain.Config{ChainID: 1})
	require.NoError(t, err)
	b, err := simchain.Start(simchain.Config{ChainID: 2})
	require.NoError(t, err)
	require.NotEqual(t, a.URL(), b.URL())
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "twice is fine")
	_, err = a.Commit()
	require.ErrorIs(t, err, simchain.ErrClosed)
	_, err = http.Post(a.URL(), "application/json", strings.NewReader("{}"))
	require.Error(t, err, "nothing answers any more")
	_, err = b.Commit()
	require.NoError(t, err)
	require.NoError(t, b.Close())

	_, err = simchain.Start(simchain.Config{})
	require.Error(t, err)
}

func TestRunEnds(t *testing.T) {
	sim, err := simchain.Start(simchain.Config{ChainID: chainID})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.NoError(t, sim.Run(ctx))
	require.NoError(t, sim.Close())
	require.True(t, errors.Is(sim.Run(context.Background()), simchain.ErrClosed))
	require.ErrorIs(t, sim.Reorg(context.Background(), 1, true), simchain.ErrClosed)
}

// Users are funded while others pay from the faucet too: two wallets of one key never take one nonce.
func TestFaucetsCountTogether(t *testing.T) {
	w := newWorld(t)
	var wallets [2]*simchain.Wallet
	for i := range wallets {
		var err error
		wallets[i], err = w.sim.Faucet()
		require.NoError(t, err)
		t.Cleanup(wallets[i].Close)
	}
	for i := range 6 { // each knows its nonce before the other sends
		_, err := wallets[i%2].Transfer(w.ctx, recipient, wei(1))
		require.NoError(t, err)
	}
	w.commit(1)
	require.EqualValues(t, 6, w.balance(recipient))
}

// However many blocks a setup made in one second: those that come by themselves carry no time that has not begun.
func TestNoBlockIsOfTheFuture(t *testing.T) {
	sim, err := simchain.Start(simchain.Config{ChainID: chainID})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sim.Close()) })
	for range 3 {
		_, err := sim.Commit()
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sim.Run(ctx) }()
	c, err := ethclient.Dial(sim.URL())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	require.Eventually(t, func() bool {
		newest, err := c.HeaderByNumber(ctx, nil)
		require.NoError(t, err)
		if newest.Number.Uint64() <= 3 {
			return false
		}
		require.LessOrEqual(t, newest.Time, uint64(time.Now().Unix()))
		return true
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}
