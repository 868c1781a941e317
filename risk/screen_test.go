package risk

import (
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

func TestScreenEvent(t *testing.T) {
	p := quorum.Policy{MaxPerEvent: map[uint8]uint256.Int{0: *uint256.NewInt(100), 2: *uint256.NewInt(0)}}
	for _, tc := range []struct {
		kind   ledger.EventKind
		amount string
		breach bool
	}{
		{ledger.TaskIncome, "100", false},
		{ledger.TaskIncome, "101", true},
		{ledger.TaskIncome, "1000000000000000000000000000000", true},
		{ledger.WithdrawalFeeIncome, "0", false},
		{ledger.WithdrawalFeeIncome, "1", true},
		{ledger.Deposit, "101", false}, // no maximum of its own
		{ledger.TaskIncome, "-101", false},
		{ledger.TaskIncome, "", false},
	} {
		b, ok := ScreenEvent(p, ledger.Event{ID: 9, Kind: tc.kind, Amount: tc.amount})
		require.Equal(t, tc.breach, ok, "%v", tc)
		if ok {
			require.Equal(t, []uint64{9}, b.Explanation.Evidence)
			require.Equal(t, ledger.Critical, b.Alert.Severity)
			require.Contains(t, b.Alert.Text, tc.amount)
			require.Nil(t, b.Freeze, "it stops the node")
			p := p
			p.Limits.FreezeAboveMax = []uint8{uint8(tc.kind)}
			b, _ = ScreenEvent(p, ledger.Event{ID: 9, Kind: tc.kind, Amount: tc.amount})
			require.Equal(t, ledger.FreezeMaximum, b.Freeze.Code)
			require.Equal(t, uint64(9), b.Freeze.Ref, "each row is a reason of its own, in any order")
		}
	}
}

func TestExamplePolicyIsWhatItsCommentsSay(t *testing.T) {
	p := examplePolicy(t)
	require.Equal(t, uint64(4), p.InFlight)
	require.Equal(t, coins(1000), p.UncoveredMax)
	require.Equal(t, coins(4), p.Tariffs["devnet"].Minimum)
	require.NotContains(t, p.MaxPerEvent, uint8(ledger.Withdraw), "a debit above a maximum would be a user's way to stop the network")
}
