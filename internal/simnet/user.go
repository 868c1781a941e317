package simnet

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"conclave/relay/relaysim"
)

// User is somebody with a wallet: an account at the Relay and an address on the chain.
type User struct {
	Name    string
	Address common.Address
	To      common.Address // where the chain sends its withdrawals

	key  *ecdsa.PrivateKey
	wire *relaysim.User
}

// Request is a withdrawal that a user asked for.
type Request struct {
	Name   string
	ID     uint64
	Event  uint64 // of its type-6 row
	User   *User
	Amount *big.Int
	body   []byte // as it was posted

	Destination common.Address // as it was signed

	network string // empty: the first lane
}

func userKey(name string) *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave simnet user " + name + ", for tests only")))
	if err != nil {
		panic(err) // a hash that is no key: does not happen
	}
	return key
}

// AddressOf is the account of a user, also before there is a world: a policy may name it.
func AddressOf(name string) common.Address { return crypto.PubkeyToAddress(userKey(name).PublicKey) }

// User returns the user of a name, made at first mention with a coin for gas.
func (w *World) User(name string) *User {
	if u := w.users[name]; u != nil {
		return u
	}
	key := userKey(name)
	u := &User{Name: name, Address: crypto.PubkeyToAddress(key.PublicKey), key: key,
		wire: relaysim.NewUser(key, relayURL, relaysim.Transport(w.Relay.View(usersView)), nil)}
	u.To = u.Address
	w.users[name] = u
	w.Chain.Fund(u.Address, *uint256.MustFromBig(oneCoin))
	return u
}

// Deposit sends coins to the deposit address; the Relay credits them when a block holds the transfer.
func (w *World) Deposit(ctx context.Context, u *User, wei *big.Int) error {
	amount := *uint256.MustFromBig(wei)
	// With a coin for gas: a reorg may have taken the first one.
	w.Chain.Fund(u.Address, *new(uint256.Int).Add(&amount, uint256.MustFromBig(oneCoin)))
	tx, err := w.Chain.Transfer(u.key, w.Genesis.Lanes[0].DepositAddress, amount)
	if err != nil {
		return fmt.Errorf("deposit: %w", err)
	}
	if err := w.mined(ctx, tx); err != nil {
		return err
	}
	w.Relay.Deposit(Network, tx, u.Address, wei)
	return nil
}

// Bind binds a fresh benefit address on the chain and waits until a block holds it.
func (w *World) Bind(ctx context.Context, u *User) error { return w.BindTo(ctx, u, u.Name) }

// BindTo binds the benefit address of the user with that name.
func (w *World) BindTo(ctx context.Context, u *User, name string) error {
	to := place("benefit of " + name)
	tx, err := w.Chain.Bind(u.key, to)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	u.To = to
	return w.mined(ctx, tx)
}

func (w *World) mined(ctx context.Context, tx common.Hash) error {
	return w.Until(minedWithin, func() error {
		_, err := w.end.Receipt(ctx, tx)
		return err
	})
}

// Withdraw signs and posts a request under a name. lower spells the destination in lower case, as some wallets do.
func (w *World) Withdraw(ctx context.Context, u *User, wei *big.Int, name string, lower bool) (*Request, error) {
	at := u.To
	to := at.Hex()
	if lower {
		to = strings.ToLower(to)
	}
	body, err := u.wire.Sign(Network, wei, to)
	if err != nil {
		return nil, err
	}
	return w.post(ctx, &Request{Name: name, User: u, Amount: wei, body: body, Destination: at})
}

// Repeat posts the very body of an earlier request again.
func (w *World) Repeat(ctx context.Context, was *Request, name string) (*Request, error) {
	return w.post(ctx, &Request{Name: name, User: was.User, Amount: was.Amount, body: was.body, Destination: was.Destination})
}

func (w *World) post(ctx context.Context, r *Request) (*Request, error) {
	if w.requests[r.Name] != nil {
		return nil, fmt.Errorf("request %s stands already", r.Name)
	}
	var err error
	if r.ID, err = r.User.wire.Post(ctx, r.body); err != nil {
		return nil, err
	}
	row, _, _ := w.Relay.Withdrawal(r.ID)
	r.Event = row.EventID
	w.requests[r.Name], w.order = r, append(w.order, r.Name)
	return r, nil
}

// Request returns the request of a name.
func (w *World) Request(name string) (*Request, error) {
	if r := w.requests[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("no request is called %q", name)
}
