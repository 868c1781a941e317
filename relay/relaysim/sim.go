package relaysim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// The kinds of rows in the account log, by the Relay's numbers.
const (
	kindTaskIncome     = 0
	kindDaoShare       = 1
	kindFeeIncome      = 2
	kindDeposit        = 3
	kindTaskPayment    = 4
	kindTaskRefund     = 5
	kindWithdraw       = 6
	kindWithdrawRefund = 7
	kindDelegation     = 8
	kindVestingCreated = 9
	kindVestingRelease = 10
)

// Config is a Relay's configuration.
type Config struct {
	Seed       uint64           // of everything that looks random
	Now        func() time.Time // nil: time.Now
	APIKey     common.Address   // the one signer of wallet-facing calls
	FeeAddress common.Address   // earns the fees of fulfilled withdrawals
	DaoAddress common.Address   // pays no fee, like FeeAddress, and earns DaoPercent of task fees
	DaoPercent uint64           // 0 to 100
	Networks   []Network

	// BenefitOf is the destination that an account has bound on a network's chain, zero when none. nil: nobody has any.
	BenefitOf func(ctx context.Context, network string, account common.Address) (common.Address, error)

	// ProjectorDelay is how long a new row is pending; the real Relay's is 1 to 2 s. While the first unread row is pending,
	// nothing behind it is served.
	ProjectorDelay time.Duration

	// Compact leaves out the indentation of the real one's debug mode.
	Compact bool
}

// Sim is a simulated Relay. It is safe for concurrent use.
type Sim struct {
	cfg    Config
	secret []byte // signs session tokens
	public publicFacts

	mu       sync.Mutex // guards all below
	events   []*event   // by rising id
	lastID   uint64
	holdNext bool
	requests []*request // by rising id
	lastWID  uint64
	balances map[common.Address]*big.Int
	deposits map[string]bool // network and hash of what was credited
	views    map[int]*View
	invented map[Lie]invented // ids that lies stand under
	outage   Outage
}

// EventRow is a row of the account log as it is served.
type EventRow struct {
	ID        uint64 `json:"id"`
	CreatedAt int64  `json:"created_at"`
	Address   string `json:"address"`
	Amount    string `json:"amount"`
	Type      int    `json:"type"`
	Payload   string `json:"payload"`
}

// RequestRow is a row of the withdrawal list as it is served.
type RequestRow struct {
	ID             uint64 `json:"id"`
	CreatedAt      int64  `json:"created_at"`
	Address        string `json:"address"`
	BenefitAddress string `json:"benefit_address"`
	Amount         string `json:"amount"`
	Network        string `json:"network"`
	Status         int    `json:"status"` // 0 pending, 1 fulfilled, 2 rejected
	EventID        uint64 `json:"relay_account_event_id"`
	Fee            string `json:"withdrawal_fee"`
	Timestamp      int64  `json:"timestamp"`
	Signature      string `json:"signature"`
}

// event is a row with what is not served of it.
type event struct {
	EventRow
	ready time.Time // when the projector has done it; pending until then
	held  bool      // its transaction took the id and has not committed: invisible, and no head of line
}

type request struct {
	RequestRow
	ready  time.Time
	txHash string
	both   bool // the opposite outcome was booked as well
}

// New checks the configuration.
func New(cfg Config) (*Sim, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.APIKey == (common.Address{}) {
		return nil, errors.New("relaysim: no API key address")
	}
	if cfg.DaoPercent > 100 {
		return nil, errors.New("relaysim: DAO percent above 100")
	}
	cfg.Networks = slices.Clone(cfg.Networks)
	sort.Slice(cfg.Networks, func(i, j int) bool { return cfg.Networks[i].Name < cfg.Networks[j].Name })
	for i, n := range cfg.Networks {
		if err := n.check(); err != nil {
			return nil, fmt.Errorf("relaysim: %w", err)
		}
		if i > 0 && n.Name == cfg.Networks[i-1].Name {
			return nil, fmt.Errorf("relaysim: network %s stands twice", n.Name)
		}
	}
	random := rand.New(rand.NewPCG(cfg.Seed, 0))
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(random.Uint32())
	}
	return &Sim{
		cfg: cfg, secret: secret,
		balances: map[common.Address]*big.Int{}, deposits: map[string]bool{}, views: map[int]*View{}, invented: map[Lie]invented{},
	}, nil
}

// CreditTask books a node's income from a task and returns the row's id.
func (s *Sim) CreditTask(node common.Address, amount *big.Int) uint64 {
	return s.Emit(kindTaskIncome, node, amount)
}

// CreditDelegation books a delegator's share of a task.
func (s *Sim) CreditDelegation(delegator common.Address, amount *big.Int) uint64 {
	return s.Emit(kindDelegation, delegator, amount)
}

// Emit books a row of any kind whose payload is empty: debits (4 and 6) take from the account, the others give.
func (s *Sim) Emit(kind int, account common.Address, amount *big.Int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.emit(kind, account, amount, "{}").ID
}

// ErrBalance is the answer to a task that its creator cannot pay.
var ErrBalance = errors.New("insufficient balance")

// PayTask books a task's fee to its creator. As with the real Relay the fee is any decimal integer: a negative one
// credits the creator, in a row whose amount is negative.
func (s *Sim) PayTask(creator common.Address, fee string) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.payTask(creator, fee)
	if err != nil {
		return 0, err
	}
	return e.ID, nil
}

func (s *Sim) payTask(creator common.Address, fee string) (*event, error) {
	amount, ok := new(big.Int).SetString(fee, 10)
	if !ok {
		return nil, fmt.Errorf("task fee %q is no integer", fee)
	}
	if s.balance(creator).Cmp(amount) < 0 {
		return nil, ErrBalance
	}
	return s.emit(kindTaskPayment, creator, amount, "{}"), nil
}

// RunTask books a whole task: the creator pays, the DAO gets its share (a row of 0 when it has none), the node the rest.
// It returns the three ids.
func (s *Sim) RunTask(creator, node common.Address, fee string) (ids [3]uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paid, err := s.payTask(creator, fee)
	if err != nil {
		return ids, err
	}
	amount, _ := new(big.Int).SetString(fee, 10)
	share := new(big.Int).Mul(amount, new(big.Int).SetUint64(s.cfg.DaoPercent))
	share.Quo(share, big.NewInt(100))
	dao := s.emit(kindDaoShare, s.cfg.DaoAddress, share, "{}")
	income := s.emit(kindTaskIncome, node, new(big.Int).Sub(amount, share), "{}")
	return [3]uint64{paid.ID, dao.ID, income.ID}, nil
}

// RefundTask gives a task's fee back.
func (s *Sim) RefundTask(creator common.Address, fee *big.Int) uint64 {
	return s.Emit(kindTaskRefund, creator, fee)
}

// Deposit credits an on-chain transfer to its sender, once per network and transaction; the second time it returns 0.
func (s *Sim) Deposit(network string, tx common.Hash, from common.Address, amount *big.Int) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := network + tx.Hex()
	if s.deposits[key] {
		return 0
	}
	s.deposits[key] = true
	payload, err := json.Marshal(struct {
		Network string `json:"network"`
		TxHash  string `json:"tx_hash"`
	}{network, tx.Hex()})
	if err != nil {
		panic("relaysim: marshal deposit: " + err.Error())
	}
	return s.emit(kindDeposit, from, amount, string(payload)).ID
}

// Burn takes n event ids as rolled-back transactions do: they never appear.
func (s *Sim) Burn(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID += n
}

// HoldNext makes the next row one whose transaction took its id but does not commit until Release: rows behind it are
// served before it.
func (s *Sim) HoldNext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holdNext = true
}

// Release commits a held row: it is pending for a moment, then served, below what readers have already seen.
func (s *Sim) Release(id uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.event(id)
	if e == nil || !e.held {
		return fmt.Errorf("event %d is not held", id)
	}
	e.held = false
	e.ready = s.cfg.Now().Add(s.cfg.ProjectorDelay)
	return nil
}

// Balance is what the Relay believes an account to have, pending rows included.
func (s *Sim) Balance(account common.Address) *big.Int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return new(big.Int).Set(s.balance(account))
}

// Events returns all rows, held and pending ones too.
func (s *Sim) Events() []EventRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]EventRow, len(s.events))
	for i, e := range s.events {
		rows[i] = e.EventRow
	}
	return rows
}

// Withdrawal returns a request and the transaction that it was fulfilled with, verbatim.
func (s *Sim) Withdrawal(id uint64) (row RequestRow, txHash string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.request(id)
	if r == nil {
		return RequestRow{}, "", false
	}
	return r.RequestRow, r.txHash, true
}

// Served is the moment from which on the list shows a request.
func (s *Sim) Served(id uint64) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.request(id)
	if r == nil {
		return time.Time{}, false
	}
	return r.ready, true
}

// Withdrawals returns all requests, pending ones too.
func (s *Sim) Withdrawals() []RequestRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make([]RequestRow, len(s.requests))
	for i, r := range s.requests {
		rows[i] = r.RequestRow
	}
	return rows
}

// emit appends a row and moves the balance. The caller holds mu.
func (s *Sim) emit(kind int, account common.Address, amount *big.Int, payload string) *event {
	now := s.cfg.Now()
	s.lastID++
	e := &event{
		EventRow: EventRow{ID: s.lastID, CreatedAt: now.Unix(), Address: account.Hex(), Amount: amount.String(), Type: kind, Payload: payload},
		ready:    now.Add(s.cfg.ProjectorDelay),
		held:     s.holdNext,
	}
	s.holdNext = false
	s.events = append(s.events, e)
	if kind == kindTaskPayment || kind == kindWithdraw {
		amount = new(big.Int).Neg(amount)
	}
	b := s.balance(account)
	b.Add(b, amount)
	return e
}

func (s *Sim) balance(account common.Address) *big.Int {
	b := s.balances[account]
	if b == nil {
		b = new(big.Int)
		s.balances[account] = b
	}
	return b
}

func (s *Sim) event(id uint64) *event {
	i := sort.Search(len(s.events), func(i int) bool { return s.events[i].ID >= id })
	if i == len(s.events) || s.events[i].ID != id {
		return nil
	}
	return s.events[i]
}

func (s *Sim) request(id uint64) *request {
	i := sort.Search(len(s.requests), func(i int) bool { return s.requests[i].ID >= id })
	if i == len(s.requests) || s.requests[i].ID != id {
		return nil
	}
	return s.requests[i]
}

func (s *Sim) network(name string) (Network, bool) {
	for _, n := range s.cfg.Networks {
		if n.Name == name {
			return n, true
		}
	}
	return Network{}, false
}
