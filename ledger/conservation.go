package ledger

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
)

// bucketFlows maps chain ‖ payer ‖ token to a Flow, bucketOutflow one key to what decisions paid out.
var (
	bucketFlows   = []byte("flows")
	bucketOutflow = []byte("outflow")
)

// AssetKey is what one payer holds of one token on one chain; the zero token is the chain's coin.
type AssetKey struct {
	ChainID uint64
	Payer   common.Address
	Token   common.Address
}

func (k AssetKey) String() string {
	if k.Token == (common.Address{}) {
		return fmt.Sprintf("the coin of chain %d", k.ChainID)
	}
	return fmt.Sprintf("token %s on chain %d", k.Token, k.ChainID)
}

func (k AssetKey) bytes() []byte { return join(be64(k.ChainID), k.Payer[:], k.Token[:]) }

// Flow is the running account of an asset at a final block, by this node's own endpoints:
//
//	initial + inflow = wallet + paid + fees + lost
//
// What a batch's recipient did not take and may claim at the lane's contract has left the payer: it is of what is paid, and
// [Tx.Claimable] tells how much of it. Amounts are the asset's smallest unit. Totals never fall.
type Flow struct {
	Key       AssetKey
	Initial   uint256.Int // of the wallet, where this node first looked
	Inflow    uint256.Int // what raised the wallet since
	Paid      uint256.Int // by final payer transactions of decided slots
	Fees      uint256.Int // gas of final payer transactions; of the coin only
	Lost      uint256.Int // what left and nothing explains
	Wallet    uint256.Int
	FromNonce uint64 // how many of the payer's transactions were final where this node first looked
	FromBlock uint64
	Nonce     uint64 // how many are final at Block
	Block     uint64
	BlockHash common.Hash
}

// Sighting is an asset at a later final block, and what the payer's transactions between the two cost.
type Sighting struct {
	Block     uint64
	BlockHash common.Hash
	Nonce     uint64
	Wallet    uint256.Int
	Paid      uint256.Int // by transactions with nonces from the flow's up to this one's
	Fees      uint256.Int // by their receipts
	FeesMost  uint256.Int // by their decisions: gas limit × fee cap
}

// ErrFlow means that a sighting does not follow a flow, or that a flow does not add up.
var ErrFlow = errors.New("the flow of an asset does not add up")

// Begin starts a flow where a node first looks.
func Begin(key AssetKey, s Sighting) Flow {
	return Flow{Key: key, Initial: s.Wallet, Wallet: s.Wallet, FromNonce: s.Nonce, Nonce: s.Nonce, FromBlock: s.Block,
		Block: s.Block, BlockHash: s.BlockHash}
}

// Next books a sighting. What raised the wallet is inflow; what lowered it beyond payouts and fees is lost, and returned.
// Some chains charge what no receipt says: up to what the decisions allowed for gas, that is a fee, not a loss. A loss
// behind a larger inflow of the same blocks is not seen here.
func (f Flow) Next(s Sighting) (next Flow, lost uint256.Int, err error) {
	if s.Block < f.Block || s.Nonce < f.Nonce {
		return f, lost, fmt.Errorf("%w: block %d with nonce %d after block %d with nonce %d", ErrFlow, s.Block, s.Nonce, f.Block, f.Nonce)
	}
	next = f
	next.Block, next.BlockHash, next.Nonce, next.Wallet = s.Block, s.BlockHash, s.Nonce, s.Wallet
	over := addTo(&next.Paid, s.Paid) || addTo(&next.Fees, s.Fees)

	// had = wallet before; left = wallet now and what is explained. The larger of the two says which way the rest went.
	left := s.Wallet
	over = over || addTo(&left, s.Paid) || addTo(&left, s.Fees)
	if left.Lt(&f.Wallet) {
		lost.Sub(&f.Wallet, &left)
		var allowed uint256.Int
		if _, under := allowed.SubOverflow(&s.FeesMost, &s.Fees); !under && !lost.Gt(&allowed) {
			over = over || addTo(&next.Fees, lost)
			lost.Clear()
		}
		over = over || addTo(&next.Lost, lost)
	} else {
		var inflow uint256.Int
		inflow.Sub(&left, &f.Wallet)
		over = over || addTo(&next.Inflow, inflow)
	}
	if over {
		return f, lost, fmt.Errorf("%w: %s overflows", ErrFlow, f.Key)
	}
	return next, lost, next.Balanced()
}

// addTo reports overflow.
func addTo(sum *uint256.Int, v uint256.Int) bool {
	_, over := sum.AddOverflow(sum, &v)
	return over
}

// Balanced checks the identity.
func (f Flow) Balanced() error {
	in, out := f.Initial, f.Wallet
	over := addTo(&in, f.Inflow)
	for _, v := range []uint256.Int{f.Paid, f.Fees, f.Lost} {
		over = addTo(&out, v) || over
	}
	if over || in != out {
		return fmt.Errorf("%w: %s: initial and inflow are %s, wallet, paid, fees and lost are %s", ErrFlow, f.Key, in.Dec(), out.Dec())
	}
	return nil
}

// Flow returns the running account of an asset. ok is false before the first look.
func (tx *Tx) Flow(k AssetKey) (f Flow, ok bool, err error) {
	ok, err = tx.get(bucketFlows, k.bytes(), &f)
	return f, ok, err
}

// Flows calls fn for every asset, by chain, payer and token ascending.
func (tx *Tx) Flows(fn func(Flow) error) error {
	return tx.each(bucketFlows, nil, func(_, raw []byte) error {
		var f Flow
		if err := decode(raw, &f); err != nil {
			return err
		}
		return fn(f)
	})
}

// PutFlow stores what [Begin] or [Flow.Next] gave. It fails with [ErrFlow] when the account does not add up or goes back.
func (tx *Tx) PutFlow(f Flow) error {
	if err := f.Balanced(); err != nil {
		return err
	}
	was, ok, err := tx.Flow(f.Key)
	if err != nil {
		return err
	}
	if ok && (f.Block < was.Block || f.Nonce < was.Nonce || f.Initial != was.Initial || f.FromNonce != was.FromNonce ||
		f.Inflow.Lt(&was.Inflow) || f.Paid.Lt(&was.Paid) || f.Fees.Lt(&was.Fees) || f.Lost.Lt(&was.Lost)) {
		return fmt.Errorf("%w: %s goes back", ErrFlow, f.Key)
	}
	if f.Lost != was.Lost {
		err = tx.Audit("lost", fmt.Sprintf("%s: %s in all, at block %d", f.Key, f.Lost.Dec(), f.Block))
	}
	return errors.Join(err, tx.put(bucketFlows, f.Key.bytes(), f))
}

// outflow is what the decisions up to a height pay, with fees.
type outflow struct {
	Height uint64
	Sum    uint256.Int
}

var keyOutflow = []byte("sum")

// Outflow is the withdrawals that decisions pay, against the books' credits, in the Relay's one coin: whatever network
// pays, the books know one unit.
type Outflow struct {
	Sum     uint256.Int // amounts and fees of decided items
	Counted uint256.Int // credits that count, of all accounts
	Pending uint256.Int
	Behind  bool // the books lack the debit of something decided: this node reads on before it judges
	Height  uint64
	Stale   bool // there are decisions that [Tx.BookOutflow] has not added up yet
}

// Exceeds reports whether more is paid than was ever credited.
func (o Outflow) Exceeds() bool {
	credits := o.Counted
	return !addTo(&credits, o.Pending) && o.Sum.Gt(&credits)
}

// Outflow reads the sums.
func (tx *Tx) Outflow() (Outflow, error) {
	var sum outflow
	if _, err := tx.get(bucketOutflow, keyOutflow, &sum); err != nil {
		return Outflow{}, err
	}
	t, err := tx.totals()
	if err != nil {
		return Outflow{}, err
	}
	missing, _ := tx.b.Bucket(bucketSpentMissing).Cursor().First()
	return Outflow{Sum: sum.Sum, Counted: t.Counted, Pending: t.Pending, Behind: missing != nil, Height: sum.Height,
		Stale: sum.Height < tx.LastHeight()}, nil
}

// BookOutflow adds what was decided since it was called last.
func (tx *Tx) BookOutflow() error {
	var sum outflow
	if _, err := tx.get(bucketOutflow, keyOutflow, &sum); err != nil {
		return err
	}
	paid, err := tx.itemsValue(sum.Height, tx.LastHeight())
	if err != nil {
		return err
	}
	if addTo(&sum.Sum, paid) {
		return fmt.Errorf("%w: what decisions pay overflows", ErrFlow)
	}
	sum.Height = tx.LastHeight()
	return tx.put(bucketOutflow, keyOutflow, sum)
}

// itemsValue sums amounts and fees of the items that heights above from, up to to, decided.
func (tx *Tx) itemsValue(from, to uint64) (sum uint256.Int, err error) {
	c := tx.b.Bucket(bucketSlotHeight).Cursor()
	for k, raw := c.Seek(be64(from + 1)); k != nil && readBE64(k) <= to; k, raw = c.Next() {
		slot, ok, err := tx.Slot(slotKeyOf(raw))
		if err != nil || !ok {
			return sum, errors.Join(err, fmt.Errorf("%w: %s is indexed and missing", ErrCorrupt, slotKeyOf(raw)))
		}
		if slot.Released != 0 {
			continue
		}
		for _, wid := range slot.Items {
			s, ok, err := tx.SpentWID(wid)
			if err != nil || !ok {
				return sum, errors.Join(err, fmt.Errorf("%w: withdrawal %d of %s is not spent", ErrCorrupt, wid, slot.Key))
			}
			if addTo(&sum, s.Content.Amount) || addTo(&sum, s.Content.Fee) {
				return sum, fmt.Errorf("%w: what decisions pay overflows", ErrFlow)
			}
		}
	}
	return sum, nil
}

// conservation is I9 as far as one node can see: every asset's account adds up, what it calls paid is what its closed slots
// paid and at most what its slots hold, and the sum of all decided items is what the decisions say.
func (c *protocolCheck) conservation() error {
	err := c.tx.Flows(func(f Flow) error {
		if err := f.Balanced(); err != nil {
			return violation("I9", "%v", err)
		}
		least, most, err := c.tx.paidBetween(f)
		if err != nil {
			return err
		}
		if f.Paid.Lt(&least) || f.Paid.Gt(&most) {
			return violation("I9", "%s: paid is %s, its slots paid at least %s and at most %s", f.Key, f.Paid.Dec(), least.Dec(), most.Dec())
		}
		return nil
	})
	if err != nil {
		return err
	}
	var stored outflow
	if _, err := c.tx.get(bucketOutflow, keyOutflow, &stored); err != nil {
		return err
	}
	sum, err := c.tx.itemsValue(0, stored.Height)
	if err == nil && sum != stored.Sum {
		err = violation("I9", "decisions up to height %d pay %s, %s is stored", stored.Height, sum.Dec(), stored.Sum.Dec())
	}
	return err
}

// paidBetween is the least and the most that the slots from the flow's first nonce up to its last one can have paid of its
// asset: what no certificate closed may have reverted.
func (tx *Tx) paidBetween(f Flow) (least, most uint256.Int, err error) {
	for n := f.FromNonce; n < f.Nonce; n++ {
		key := SlotKey{f.Key.ChainID, f.Key.Payer, n}
		slot, ok, err := tx.Slot(key)
		if err != nil {
			return least, most, err
		}
		if !ok || slot.Token != f.Key.Token {
			continue // of another asset, or nobody's: then the payer's nonce was used by a stranger
		}
		p, _, err := tx.Payout(key)
		if err != nil {
			return least, most, err
		}
		if p.Stage == StageSettled {
			addTo(&least, slot.Value)
		}
		if p.Stage != StageFailed && p.Stage != StageCancelled {
			addTo(&most, slot.Value)
		}
	}
	return least, most, nil
}
