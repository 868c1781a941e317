package ledger

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var drawUint64 = rapid.OneOf(rapid.Uint64Max(300), rapid.Uint64())

func drawInt(t *rapid.T, name string) (v uint256.Int) {
	v.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, name))
	return v
}

func drawAddress(t *rapid.T) (a common.Address) {
	copy(a[:], rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "address"))
	return a
}

func drawHash(t *rapid.T, name string) (h common.Hash) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	return h
}

func drawEvent(t *rapid.T) Event {
	e := Event{ID: drawUint64.Draw(t, "id"), CreatedAt: drawUint64.Draw(t, "created"), Account: drawAddress(t),
		Kind: EventKind(rapid.Byte().Draw(t, "kind")), Amount: rapid.OneOf(rapid.StringN(0, 3, 3), rapid.StringN(0, 90, 300)).Draw(t, "amount")}
	if rapid.Bool().Draw(t, "deposit") {
		e.Deposit = DepositRef{rapid.StringN(0, 10, 20).Draw(t, "network"), drawHash(t, "tx")}
	}
	if rapid.Bool().Draw(t, "vesting") {
		e.Vesting = VestingRef{ID: drawUint64.Draw(t, "vesting id"), Spelling: rapid.StringN(0, 5, 5).Draw(t, "spelling"), Start: drawUint64.Draw(t, "start")}
		if rapid.Bool().Draw(t, "signed") {
			e.Vesting.Signature = rapid.SliceOfN(rapid.Byte(), 1, 70).Draw(t, "signature")
		}
	}
	return e
}

// TestCodedByHand compares with what reflection writes and reads.
func TestCodedByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := drawEvent(t)
		want := encode(e)
		require.Equal(t, want, encodeEvent(&e))
		var back Event
		require.NoError(t, decodeEvent(want, &back))
		var same Event
		require.NoError(t, decode(want, &same))
		require.Equal(t, same, back)

		a := acct{Counted: drawInt(t, "counted"), Pending: drawInt(t, "pending"), Debits: drawInt(t, "debits"), Seq: drawUint64.Draw(t, "seq"),
			Head: drawHash(t, "head"), Last: drawUint64.Draw(t, "last")}
		raw := encode(a)
		require.Equal(t, raw, a.encode())
		var again acct
		require.NoError(t, again.decode(raw))
		require.Equal(t, a, again)

		d := debit{EventKind(rapid.Byte().Draw(t, "debit kind")), drawInt(t, "amount"), drawUint64.Draw(t, "number"), drawHash(t, "link"), drawInt(t, "sum")}
		require.Equal(t, encode(d), d.encode())
	})
}

// FuzzCodedByHand: whatever bytes are stored, both ways of reading them agree.
func FuzzCodedByHand(f *testing.F) {
	for _, e := range []Event{event(1, testAccount(1), TaskIncome, "5"), deposit(2, testAccount(1), "5", 1), {ID: 3, Vesting: VestingRef{ID: 4, Signature: []byte{1}}}} {
		f.Add(encode(e))
	}
	f.Add(encode(acct{Seq: 7}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e, same Event
		require.Equal(t, rlp.DecodeBytes(raw, &same) == nil, decodeEvent(raw, &e) == nil)
		require.Equal(t, same.ID, e.ID)
		if decodeEvent(raw, &e) == nil {
			require.Equal(t, same, e)
			require.Equal(t, raw, encodeEvent(&e))
		}
		var a, b acct
		ok := rlp.DecodeBytes(raw, &a) == nil
		require.Equal(t, ok, b.decode(raw) == nil)
		if ok {
			require.Equal(t, a, b)
			require.Equal(t, raw, b.encode())
		}
	})
}
