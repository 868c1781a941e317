package chain_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/chain"
	"conclave/chain/memchain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ether = 1_000_000_000_000_000_000

// world is a chain on which the payer and one user have money.
type world struct {
	*memchain.Chain
	lane chain.Lane
	node *memchain.Endpoint
}

// userKey is made for tests from a fixed seed and holds nothing anywhere.
var userKey, _ = crypto.ToECDSA(crypto.Keccak256([]byte("chain test user")))

func user() common.Address { return crypto.PubkeyToAddress(userKey.PublicKey) }

func newWorld(t *testing.T) world {
	lane := nativeLane()
	c, err := memchain.New(memchain.Config{
		ChainID: lane.ChainID, Depth: lane.Finality.Depth, Genesis: 1000, BaseFee: wei(1_000_000_000), Benefit: lane.BenefitContract,
		Alloc: map[common.Address]uint256.Int{payer(): wei(5 * ether), user(): wei(5 * ether)},
	})
	require.NoError(t, err)
	return world{c, lane, c.Endpoint("own")}
}

func (w world) payment(nonce uint64, to common.Address, amount uint64) chain.Payment {
	return chain.Transfer(w.lane, payer(), nonce, to, wei(amount), 30_000, fees(4_000_000_000, 1_000_000_000, 40_000_000_000))
}

// pay signs and sends one step of a payment.
func (w world) pay(t *testing.T, p chain.Payment, k uint) chain.Signed {
	r, err := chain.Render(p, k)
	require.NoError(t, err)
	signature, err := crypto.Sign(r.Digest[:], testKey)
	require.NoError(t, err)
	s, err := r.Assemble(signature)
	require.NoError(t, err)
	require.NoError(t, w.SendRaw(s.Raw))
	return s
}

func TestDepositOnNativeLane(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	hash, err := w.Transfer(userKey, w.lane.Deposit, wei(77))
	require.NoError(t, err)
	verify := func(hash common.Hash, account common.Address, amount uint64) chain.Proof {
		t.Helper()
		f, err := chain.VerifyDeposit(ctx, w.node, w.lane, hash, account, wei(amount))
		require.NoError(t, err)
		require.Equal(t, f.Proof == chain.Proven, f.Reason == "")
		return f.Proof
	}

	require.Equal(t, chain.Unknown, verify(hash, user(), 77), "in the mempool only")
	w.Mine(1)
	require.Equal(t, chain.Pending, verify(hash, user(), 77))
	require.Equal(t, chain.Unknown, verify(hash, user(), 78), "no contradiction before it is final")
	w.Mine(1)
	require.Equal(t, chain.Pending, verify(hash, user(), 77))
	w.Mine(1)
	require.Equal(t, chain.Proven, verify(hash, user(), 77))
	require.Equal(t, chain.Contradicted, verify(hash, user(), 78))
	require.Equal(t, chain.Contradicted, verify(hash, payer(), 77))
	require.Equal(t, chain.Unknown, verify(common.Hash{1}, user(), 77), "not found is never a contradiction")

	elsewhere, err := w.Transfer(userKey, common.HexToAddress("0x99"), wei(77))
	require.NoError(t, err)
	bound, err := w.Bind(userKey, common.HexToAddress("0x98"))
	require.NoError(t, err)
	nothing, err := w.Transfer(userKey, w.lane.Deposit, wei(0))
	require.NoError(t, err)
	w.SetReverting(w.lane.Deposit)
	reverted, err := w.Transfer(userKey, w.lane.Deposit, wei(77))
	require.NoError(t, err)
	w.Mine(3)
	for _, hash := range []common.Hash{elsewhere, bound, nothing, reverted} {
		require.Equal(t, chain.Contradicted, verify(hash, user(), 77))
	}

	w.node.SetDown(true)
	f, err := chain.VerifyDeposit(ctx, w.node, w.lane, hash, user(), wei(77))
	require.ErrorIs(t, err, memchain.ErrDown)
	require.Equal(t, chain.Unknown, f.Proof)
}

func TestDepositWithCallDataIsNone(t *testing.T) {
	w := newWorld(t)
	p := w.payment(0, w.lane.Deposit, 77)
	p.Data = []byte{1}
	s := w.pay(t, p, 0)
	w.Mine(3)
	f, err := chain.VerifyDeposit(context.Background(), w.node, w.lane, s.Hash, payer(), wei(77))
	require.NoError(t, err)
	require.Equal(t, chain.DepositFinding{Proof: chain.Contradicted, Reason: "it carries call data", Block: 1}, f)
}

// tokenView adds logs to a receipt: the chain in memory has no tokens.
type tokenView struct {
	chain.Endpoint
	logs []chain.Log
}

func (v tokenView) Receipt(ctx context.Context, hash common.Hash) (chain.Receipt, error) {
	r, err := v.Endpoint.Receipt(ctx, hash)
	r.Logs = v.logs
	return r, err
}

func TestDepositOnTokenLane(t *testing.T) {
	w := newWorld(t)
	lane := tokenLane()
	hash, err := w.Transfer(userKey, lane.Token, wei(0))
	require.NoError(t, err)
	w.Mine(3)

	log := func(token, from, to common.Address, amount uint64) chain.Log {
		word := wei(amount)
		data := word.Bytes32()
		return chain.Log{Address: token, Data: data[:], Topics: []common.Hash{
			chain.TransferTopic(), chain.AddressTopic(from), chain.AddressTopic(to),
		}}
	}
	good := log(lane.Token, user(), lane.Deposit, 77)
	short, dirty, approval := good, good, good
	short.Data = good.Data[1:]
	dirty.Topics = []common.Hash{chain.TransferTopic(), {1}, chain.AddressTopic(lane.Deposit)}
	approval.Topics = []common.Hash{chain.BenefitTopic(), chain.AddressTopic(user()), chain.AddressTopic(lane.Deposit)}
	noise := []chain.Log{
		{}, short, dirty, approval, log(user(), user(), lane.Deposit, 77), log(lane.Token, user(), user(), 77),
		log(lane.Token, common.Address{}, lane.Deposit, 77), log(lane.Token, user(), lane.Deposit, 0),
	}

	for name, c := range map[string]struct {
		logs []chain.Log
		want chain.Proof
	}{
		"the transfer":        {[]chain.Log{good}, chain.Proven},
		"after noise":         {append(append([]chain.Log{}, noise...), good), chain.Proven},
		"noise alone":         {noise, chain.Contradicted},
		"the first counts":    {[]chain.Log{log(lane.Token, user(), lane.Deposit, 1), good}, chain.Contradicted},
		"somebody else's":     {[]chain.Log{log(lane.Token, payer(), lane.Deposit, 77)}, chain.Contradicted},
		"a second one is not": {[]chain.Log{good, log(lane.Token, user(), lane.Deposit, 1)}, chain.Proven},
	} {
		f, err := chain.VerifyDeposit(context.Background(), tokenView{w.node, c.logs}, lane, hash, user(), wei(77))
		require.NoError(t, err)
		require.Equal(t, c.want, f.Proof, name)
	}
}

func TestBenefitAtTheTimeOfTheSignature(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	benefit := common.HexToAddress("0xfeed")
	w.Mine(20) // block n is of second 1000 + n
	_, err := w.Bind(userKey, benefit)
	require.NoError(t, err)
	w.Mine(20)

	check := func(e chain.Endpoint) {
		t.Helper()
		for _, c := range []struct {
			time, block uint64
			want        common.Address
		}{{0, 0, user()}, {1000, 0, user()}, {1001, 1, user()}, {1020, 20, user()}, {1021, 21, benefit}, {1037, 37, benefit}, {1038, 38, benefit}} {
			d, err := chain.BenefitAt(ctx, e, w.lane, user(), c.time)
			require.NoError(t, err)
			require.Equal(t, c.want, d.Address, "at %d", c.time)
			require.Equal(t, c.want == benefit, d.Bound)
			require.Equal(t, c.block, d.Block.Number)
		}
		_, err := chain.BenefitAt(ctx, e, w.lane, user(), 1039)
		require.ErrorIs(t, err, chain.ErrNotFinal, "block 39 is mined and not final")
	}
	check(w.node)
	w.node.SetKept(1)
	check(w.node) // by the logs

	lane := w.lane
	lane.BenefitContract = common.Address{}
	d, err := chain.BenefitAt(ctx, w.node, lane, user(), 1030)
	require.NoError(t, err)
	require.Equal(t, user(), d.Address, "a lane without a contract knows no bindings")
	lane.BenefitContract = common.HexToAddress("0x404")
	_, err = chain.BenefitAt(ctx, w.node, lane, user(), 1030)
	require.ErrorIs(t, err, chain.ErrNoContract)
	lane = w.lane
	lane.BenefitSince = 30
	_, err = chain.BenefitAt(ctx, w.node, lane, user(), 1010)
	require.ErrorIs(t, err, chain.ErrNoContract, "logs from before the contract say nothing")
}

func TestOutcomeByHashAndByNonce(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	w.Mine(30)
	p := w.payment(0, common.HexToAddress("0x1234"), 5)
	w.pay(t, p, 0)
	s := w.pay(t, p, 3) // replaces it
	w.Mine(2)
	_, err := chain.OutcomeFor(ctx, w.node, payer(), 0, []common.Hash{s.Hash})
	require.ErrorIs(t, err, chain.ErrNotFinal)
	w.Mine(30)

	for name, known := range map[string][]common.Hash{"known": {s.Hash}, "unknown": nil, "another": {{1}}} {
		out, err := chain.OutcomeFor(ctx, w.node, payer(), 0, known)
		require.NoError(t, err, name)
		require.Equal(t, s.Hash, out.TxHash)
		require.EqualValues(t, 31, out.Block)
		require.EqualValues(t, 1, out.Status)
		k, ok := chain.Match(out.Payload, p)
		require.True(t, ok)
		require.EqualValues(t, 3, k)
	}
	_, err = chain.OutcomeFor(ctx, w.node, payer(), 1, nil)
	require.ErrorIs(t, err, chain.ErrNotFinal)

	w.node.SetKept(10)
	_, err = chain.OutcomeFor(ctx, w.node, payer(), 0, nil)
	require.ErrorIs(t, err, chain.ErrPruned, "the search needs old state")
	_, err = chain.OutcomeFor(ctx, w.node, payer(), 0, []common.Hash{s.Hash})
	require.NoError(t, err)
}

// noSenders hides who sent what: a chain that breaks its rules.
type noSenders struct{ chain.Endpoint }

func (noSenders) Sent(context.Context, common.Address, chain.Header) ([]chain.Transaction, error) {
	return nil, nil
}

func TestUnexplainedNonce(t *testing.T) {
	w := newWorld(t)
	w.pay(t, w.payment(0, common.HexToAddress("0x1234"), 5), 0)
	w.Mine(3)
	_, err := chain.OutcomeFor(context.Background(), noSenders{w.node}, payer(), 0, nil)
	require.ErrorIs(t, err, chain.ErrUnexplained)
}

// look is what the chain shows at a payment's nonce.
func (w world) look(t *testing.T, p chain.Payment, signed ...common.Hash) chain.Look {
	t.Helper()
	look, err := chain.Observe(context.Background(), w.node, signed, p)
	require.NoError(t, err)
	return look
}

func TestObserveThroughAReorganisation(t *testing.T) {
	w := newWorld(t)
	to := common.HexToAddress("0x1234")
	p := w.payment(0, to, 5)
	s := w.pay(t, p, 0)
	require.ErrorIs(t, w.node.SendRaw(context.Background(), s.Raw), chain.ErrKnown)
	require.Nil(t, w.look(t, p, s.Hash).Seen)
	w.Mine(2)
	require.Greater(t, w.look(t, p, s.Hash).Seen.Block, w.look(t, p, s.Hash).Final)

	require.NoError(t, w.Reorg(2, true))
	require.Nil(t, w.look(t, p, s.Hash).Seen)
	require.NoError(t, w.node.SendRaw(context.Background(), s.Raw), "the same bytes go out again")
	w.Mine(1)
	require.NotNil(t, w.look(t, p, s.Hash).Seen)
	w.Mine(2)
	look := w.look(t, p, s.Hash)
	require.LessOrEqual(t, look.Seen.Block, look.Final)
	require.True(t, look.Seen.Ours)
	require.Equal(t, s.Hash, look.Seen.TxHash)
	balance := w.Balance(to)
	require.EqualValues(t, 5, balance.Uint64(), "paid once")
}

func TestObserveFindsAForeignTransaction(t *testing.T) {
	w := newWorld(t)
	w.pay(t, w.payment(0, common.HexToAddress("0xbad"), 9), 0) // the same key, and no decision of ours
	w.Mine(3)
	look := w.look(t, w.payment(0, common.HexToAddress("0x1234"), 5))
	require.LessOrEqual(t, look.Seen.Block, look.Final)
	require.False(t, look.Seen.Ours)
}

func TestSurvey(t *testing.T) {
	w := newWorld(t)
	w.pay(t, w.payment(0, common.HexToAddress("0x1234"), 5), 0)
	w.Mine(2)
	s, err := chain.SurveyLane(context.Background(), w.node, w.lane, payer())
	require.NoError(t, err)
	require.Equal(t, chain.Survey{Final: s.Final, Nonce: 0, Token: wei(5 * ether), Gas: wei(5 * ether)}, s)
	w.Mine(1)
	s, err = chain.SurveyLane(context.Background(), w.node, w.lane, payer())
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Nonce)
	require.EqualValues(t, 1, s.Final.Number)
	_, err = chain.SurveyLane(context.Background(), w.node, tokenLane(), payer())
	require.ErrorIs(t, err, chain.ErrNoContract)
}

func TestAgreeingWaitsForTheOneThatLags(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	other := w.Endpoint("other")
	both, err := chain.NewAgreeing(2, w.node, other)
	require.NoError(t, err)
	hash, err := w.Transfer(userKey, w.lane.Deposit, wei(77))
	require.NoError(t, err)
	w.Mine(3)
	proof := func() chain.Proof {
		f, err := chain.VerifyDeposit(ctx, both, w.lane, hash, user(), wei(77))
		require.NoError(t, err)
		return f.Proof
	}
	require.Equal(t, chain.Proven, proof())
	other.SetLag(1)
	require.Equal(t, chain.Pending, proof())
	other.SetLag(3)
	require.Equal(t, chain.Unknown, proof())
	other.SetLag(0)
	other.SetDown(true)
	_, err = chain.VerifyDeposit(ctx, both, w.lane, hash, user(), wei(77))
	require.ErrorIs(t, err, memchain.ErrDown)

	one, err := chain.NewAgreeing(1, w.node, other)
	require.NoError(t, err)
	f, err := chain.VerifyDeposit(ctx, one, w.lane, hash, user(), wei(77))
	require.NoError(t, err)
	require.Equal(t, chain.Proven, f.Proof, "by configuration one answer is enough")
}

// liar answers everything as told by whoever writes the test.
type liar struct {
	chain.Endpoint
	benefit common.Address
	final   uint64
}

func (l liar) Name() string { return "liar" }

func (l liar) Final(context.Context) (chain.Header, error) {
	return chain.Header{Number: l.final, Hash: common.Hash{9}}, nil
}

func (l liar) HeaderAt(_ context.Context, n uint64) (chain.Header, error) {
	return chain.Header{Number: n, Hash: common.Hash{9}}, nil
}

func (l liar) BenefitAddress(context.Context, common.Address, common.Address, chain.Header) (common.Address, error) {
	return l.benefit, nil
}

func TestAgreeingNamesTheDisagreement(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	head := w.Mine(5)
	both, err := chain.NewAgreeing(1, w.node, liar{w.node, common.HexToAddress("0xbad"), 1000})
	require.NoError(t, err)

	_, err = both.BenefitAddress(ctx, w.lane.BenefitContract, user(), head)
	var d *chain.Disagreement
	require.ErrorAs(t, err, &d)
	require.Equal(t, []string{"own", "liar"}, d.Names)
	require.Contains(t, err.Error(), "endpoints disagree about the benefit address")

	_, err = both.Final(ctx)
	require.ErrorAs(t, err, &d, "a final block that the other does not hold")
	_, err = chain.BenefitAt(ctx, both, w.lane, user(), 1001)
	require.ErrorAs(t, err, &d)
	require.Equal(t, "own+liar", both.Name())
}

func TestAgreeingBroadcastsThroughAnyone(t *testing.T) {
	w := newWorld(t)
	dead := w.Endpoint("dead")
	dead.SetDown(true)
	both, err := chain.NewAgreeing(1, dead, w.node)
	require.NoError(t, err)
	r, err := chain.Render(w.payment(0, common.HexToAddress("0x1234"), 5), 0)
	require.NoError(t, err)
	signature, err := crypto.Sign(r.Digest[:], testKey)
	require.NoError(t, err)
	s, err := r.Assemble(signature)
	require.NoError(t, err)

	require.NoError(t, both.SendRaw(context.Background(), s.Raw))
	err = both.SendRaw(context.Background(), s.Raw)
	require.ErrorIs(t, err, chain.ErrKnown)
	require.ErrorIs(t, err, memchain.ErrDown)

	for _, bad := range [][]chain.Endpoint{{}, make([]chain.Endpoint, chain.MaxEndpoints+1)} {
		_, err := chain.NewAgreeing(1, bad...)
		require.Error(t, err)
	}
	for _, least := range []int{0, 2} {
		_, err := chain.NewAgreeing(least, w.node)
		require.Error(t, err)
	}
}

func TestReadsEndWithTheirContext(t *testing.T) {
	w := newWorld(t)
	both, err := chain.NewAgreeing(2, w.node, w.Endpoint("other"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = both.Head(ctx)
	require.True(t, errors.Is(err, context.Canceled))
	_, err = both.NonceAt(ctx, payer(), chain.Header{})
	require.ErrorIs(t, err, context.Canceled)
}

// forkView shows receipts of a block that is not on the chain.
type forkView struct{ chain.Endpoint }

func (v forkView) Receipt(ctx context.Context, hash common.Hash) (chain.Receipt, error) {
	r, err := v.Endpoint.Receipt(ctx, hash)
	r.BlockHash[0]++
	return r, err
}

func TestReceiptsOfAnotherForkProveNothing(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	s := w.pay(t, w.payment(0, w.lane.Deposit, 5), 0)
	_, err := w.Transfer(userKey, w.lane.Deposit, wei(1))
	require.NoError(t, err)
	w.Mine(5)
	f, err := chain.VerifyDeposit(ctx, forkView{w.node}, w.lane, s.Hash, payer(), wei(5))
	require.NoError(t, err)
	require.Equal(t, chain.DepositFinding{Reason: "its block is not on the final chain", Block: 1}, f)
	f, err = chain.VerifyDeposit(ctx, forkView{w.node}, w.lane, s.Hash, payer(), wei(6))
	require.NoError(t, err)
	require.Equal(t, chain.Unknown, f.Proof, "nor do they contradict")
	_, err = chain.OutcomeFor(ctx, forkView{w.node}, payer(), 0, []common.Hash{s.Hash})
	require.ErrorIs(t, err, chain.ErrNotFinal)
}

func TestKnownHashesMustBeOfTheSlot(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	first := w.pay(t, w.payment(0, common.HexToAddress("0x1234"), 5), 0)
	w.pay(t, w.payment(1, common.HexToAddress("0x1234"), 6), 0)
	foreign, err := w.Transfer(userKey, w.lane.Deposit, wei(1))
	require.NoError(t, err)
	w.Mine(3)
	for _, hash := range []common.Hash{first.Hash, foreign} {
		_, err = chain.OutcomeFor(ctx, w.node, payer(), 1, []common.Hash{hash})
		require.ErrorContains(t, err, "at nonce 0")
	}
}
