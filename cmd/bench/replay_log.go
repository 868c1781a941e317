package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"

	"conclave/ledger"
)

// logMix is how often an event of each kind stands in the recorded log, per thousand. It follows what a Relay writes while
// nodes work and are paid: a payment gives several incomes and shares, now and then a refund, a deposit, a withdrawal.
var logMix = []struct {
	kind ledger.EventKind
	of   int
}{
	{ledger.TaskIncome, 480}, {ledger.TaskPayment, 270}, {ledger.DaoTaskShare, 90}, {ledger.TaskRefund, 40}, {ledger.UserDelegation, 30},
	{ledger.Withdraw, 35}, {ledger.Deposit, 35}, {ledger.WithdrawalFeeIncome, 15}, {ledger.WithdrawRefund, 4}, {ledger.VestingRelease, 1},
}

// logSeed makes every run measure the same log.
const logSeed = 20260701

// busyShare of the events are of the busiest tenth of the accounts.
const busyShare = 0.5

var benchFeeAccount = common.HexToAddress("0xfee0000000000000000000000000000000000fee")

// benchAccount spreads accounts over the keys as hashes do.
func benchAccount(n int) (a common.Address) {
	v := (uint64(n) + 1) * 0x9E3779B97F4A7C15
	binary.BigEndian.PutUint64(a[:], v)
	binary.BigEndian.PutUint64(a[12:], uint64(n)+1)
	return a
}

// generate gives the events of a log over so many accounts.
func generate(events, accounts int) iter.Seq2[ledger.Event, error] {
	return func(yield func(ledger.Event, error) bool) {
		r := rand.New(rand.NewPCG(logSeed, 0))
		id := uint64(0)
		for i := range events {
			id++
			if r.IntN(200) == 0 {
				id += uint64(1 + r.IntN(3)) // a transaction that was rolled back leaves its ids unused
			}
			e := ledger.Event{ID: id, CreatedAt: 1_735_689_600 + id/8, Kind: drawKind(r)}
			switch {
			case i < accounts:
				e.Account = benchAccount(i) // so that there are exactly so many
			case r.Float64() < busyShare:
				e.Account = benchAccount(r.IntN(max(1, accounts/10)))
			default:
				e.Account = benchAccount(r.IntN(accounts))
			}
			e.Amount = strconv.FormatUint(uint64(1+r.IntN(1000)), 10) + "000000000000000"
			switch e.Kind {
			case ledger.Deposit:
				e.Deposit.Network = "base"
				binary.BigEndian.PutUint64(e.Deposit.TxHash[:], r.Uint64())
				binary.BigEndian.PutUint64(e.Deposit.TxHash[24:], r.Uint64())
			case ledger.WithdrawalFeeIncome:
				e.Account, e.Amount = benchFeeAccount, "1000000000000000"
			case ledger.VestingRelease:
				e.Vesting.ID = uint64(1 + r.IntN(100))
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func drawKind(r *rand.Rand) ledger.EventKind {
	at := r.IntN(1000)
	for _, m := range logMix {
		if at -= m.of; at < 0 {
			return m.kind
		}
	}
	return ledger.TaskIncome
}

// record writes a log to a file, as RLP items one after the other.
func record(path string, log iter.Seq2[ledger.Event, error]) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	for e, err := range log {
		if err == nil {
			err = rlp.Encode(w, e)
		}
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(w.Flush(), f.Close())
}

// recorded reads what record wrote.
func recorded(path string) iter.Seq2[ledger.Event, error] {
	return func(yield func(ledger.Event, error) bool) {
		f, err := os.Open(path)
		if err != nil {
			yield(ledger.Event{}, err)
			return
		}
		defer func() { _ = f.Close() }()
		r := bufio.NewReaderSize(f, 1<<20)
		s := rlp.NewStream(r, 0)
		for {
			var e ledger.Event
			err := s.Decode(&e)
			if errors.Is(err, io.EOF) || !yield(e, err) || err != nil {
				return
			}
		}
	}
}
