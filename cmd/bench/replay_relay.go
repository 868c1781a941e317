package main

import (
	"context"
	"errors"
	"iter"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"conclave/ledger"
	"conclave/relay"
	"conclave/relay/relaysim"
)

// relayLog is the log of a simulated Relay that serves on loopback, read over HTTP in pages of the usual size. The next page
// is asked for while the one before is taken.
func relayLog(ctx context.Context, events, accounts int) (iter.Seq2[ledger.Event, error], func(), error) {
	key, err := crypto.GenerateKey() // made for this measurement
	if err != nil {
		return nil, nil, err
	}
	sim, err := relaysim.New(relaysim.Config{APIKey: crypto.PubkeyToAddress(key.PublicKey), FeeAddress: benchFeeAccount, Compact: true})
	if err != nil {
		return nil, nil, err
	}
	for e := range generate(events, accounts) {
		amount, _ := new(big.Int).SetString(e.Amount, 10)
		if e.Kind == ledger.Deposit {
			sim.Deposit(e.Deposit.Network, e.Deposit.TxHash, e.Account, amount)
		} else if e.Kind != ledger.VestingRelease {
			sim.Emit(int(e.Kind), e.Account, amount)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := &http.Server{Handler: sim, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
	client, err := relay.NewClient(relay.Config{URL: "http://" + listener.Addr().String(), Key: key})
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	return func(yield func(ledger.Event, error) bool) {
		for p := range pagesAhead(ctx, client) {
			for _, e := range p.rows {
				if !yield(e, nil) {
					return
				}
			}
			if p.err != nil {
				yield(ledger.Event{}, p.err)
				return
			}
		}
	}, func() { _ = server.Close() }, nil
}

type relayPage struct {
	rows []ledger.Event
	err  error
}

// pagesAhead asks for one page after the other until a short one.
func pagesAhead(ctx context.Context, client *relay.Client) <-chan relayPage {
	pages := make(chan relayPage, 2)
	go func() {
		defer close(pages)
		for after := uint64(0); ; {
			rows, err := client.Events(ctx, after, relay.DefaultPage)
			select {
			case <-ctx.Done():
				return
			case pages <- relayPage{rows, err}:
			}
			if err != nil || len(rows) < relay.DefaultPage {
				return
			}
			after = rows[len(rows)-1].ID
		}
	}()
	return pages
}
