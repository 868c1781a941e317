package devnet

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/relay/relaysim"
)

// Volume is a load that is measured: many withdrawals of the chain's coin at an even pace, then some that come one by one.
type Volume struct {
	PerMinute int           // withdrawals that users ask for
	Settle    time.Duration // how long they have asked before what is measured begins
	For       time.Duration // how long it is measured
	Singles   int           // withdrawals that come alone, after the others are paid
	Apart     time.Duration // time between two of them
	Profile   string        // file for a processor profile of the first custodian while it is measured; empty: none
}

// crowd is how many accounts ask: few enough that each is known after a minute, many enough that none stands out.
const crowd = 100

// person is an account that asks for money.
type person struct {
	user *relaysim.User
	self common.Address
}

// people are accounts that have earned what they are going to ask for. Nobody acts on the chain.
func (w *world) people(n int, each *big.Int) ([]person, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: n}
	out := make([]person, n)
	for i := range out {
		key, err := crypto.GenerateKey()
		if err != nil {
			return nil, err
		}
		out[i] = w.person(key, transport)
		w.sim.CreditTask(out[i].self, each)
	}
	return out, nil
}

func (w *world) person(key *ecdsa.PrivateKey, over http.RoundTripper) person {
	return person{relaysim.NewUser(key, w.relay, over, time.Now), crypto.PubkeyToAddress(key.PublicKey)}
}

// ask makes one withdrawal to the account itself. Each number has an amount of its own.
func (w *world) ask(ctx context.Context, p person, lane string, number int) (request, error) {
	amount := new(big.Int).Add(coins(smallCoins), big.NewInt(int64(number)))
	id, err := p.user.Withdraw(ctx, lane, amount, p.self.Hex())
	if err != nil {
		return request{}, fmt.Errorf("withdraw: %w", err)
	}
	return request{id: id, user: p.self, lane: lane, to: p.self, amount: amount}, nil
}

// asking lets people ask at an even pace until n are made or ctx ends. Who falls behind the pace catches up at once.
func (w *world) asking(ctx context.Context, people []person, from, n int, apart time.Duration, made func(request)) error {
	began := time.Now()
	for i := range n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(began.Add(time.Duration(i) * apart))):
		}
		r, err := w.ask(ctx, people[(from+i)%len(people)], w.network, from+i)
		if err != nil {
			return err
		}
		made(r)
	}
	return nil
}
