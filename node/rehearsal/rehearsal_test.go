package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
)

var network = common.HexToHash("0x01")

func account(n byte) common.Address { return common.Address{19: n} }

const day = 86_400

// start is a Monday, midnight UTC.
const start = 1_799_020_800

func policy(t *testing.T, more string) quorum.Policy {
	raw, err := os.ReadFile("../../quorum/testdata/policy-plain.toml")
	require.NoError(t, err)
	p, err := quorum.ParsePolicy(append(raw, "\n"+more...))
	require.NoError(t, err)
	return p
}

// history is a stopped node's database with three accounts' rows and requests.
func history(t *testing.T) *ledger.Ledger {
	dir := t.TempDir()
	l, err := ledger.Open(dir, network)
	require.NoError(t, err)
	row := func(id uint64, a byte, kind ledger.EventKind, coins uint64, at uint64) ledger.Event {
		return ledger.Event{ID: id, CreatedAt: start + at, Account: account(a), Kind: kind, Amount: fmt.Sprintf("%d000000000000000000", coins)}
	}
	require.NoError(t, l.Update(func(tx *ledger.Tx) error {
		_, err := tx.Append([]ledger.Event{
			row(1, 1, ledger.TaskIncome, 60, 100), row(2, 1, ledger.TaskIncome, 60, 200), row(3, 2, ledger.TaskIncome, 110, 300),
			row(4, 1, ledger.Withdraw, 50, 3*3600), row(5, 2, ledger.Withdraw, 20, 12*3600), row(6, 3, ledger.TaskIncome, 500, 13*3600),
		}, ledger.Intake{Now: 1, Policy: quorum.Policy{UncoveredMax: *uint256.NewInt(1)}})
		if err != nil {
			return err
		}
		for i, w := range []ledger.Withdrawal{
			{ID: 11, Account: account(1), To: account(1), EventID: 4, Amount: coins(49), Fee: coins(1)},
			{ID: 12, Account: account(2), To: account(9), EventID: 5, Amount: coins(19), Fee: coins(1)},
		} {
			w.Network, w.Timestamp, w.Spelling = "devnet", uint64(i)+1, w.To.Hex()
			if _, err := tx.PutWithdrawal(w); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, l.Close())
	l, err = ledger.OpenRead(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func coins(n uint64) uint256.Int {
	return *new(uint256.Int).Mul(uint256.NewInt(n), uint256.NewInt(1e18))
}

func counts(r Report) map[string]uint64 {
	out := map[string]uint64{}
	for _, f := range r.Rules {
		out[f.Rule+" "+f.Effect] = f.Count
	}
	delete(out, "fee waiting") // the made-up fees are nobody's tariff
	return out
}

func TestEachRuleIsRehearsed(t *testing.T) {
	l := history(t)
	for name, tc := range map[string]struct {
		more string
		want map[string]uint64
	}{
		"nothing":   {"", map[string]uint64{}},
		"deny":      {"[limits]\ndeny = [\"0x0000000000000000000000000000000000000009\"]", map[string]uint64{"deny-list refused": 1}},
		"allow":     {"[limits]\nallow = [\"0x0000000000000000000000000000000000000009\"]", map[string]uint64{"allow-list waiting": 1}},
		"cool-down": {"[limits]\ncool_down = \"24h\"", map[string]uint64{"cool-down waiting": 2}},
		"large":     {"[limits]\nlarge_above = \"20000000000000000000\"\nlarge_delay = \"1h\"", map[string]uint64{"large-withdrawal waiting": 1}},
		"hours":     {"[limits]\nhours = [\"08:00-20:00\"]", map[string]uint64{"hours waiting": 1}},
		"accrual":   {"[limits]\naccrual_window = \"1h\"\naccrual_ceiling = \"115000000000000000000\"", map[string]uint64{"accrual frozen": 2}},
		"rows":      {"[watch]\nwindow = \"1h\"\nlogs_max = 2", map[string]uint64{"rows-in-window tripped": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Run(t.Context(), Config{Policy: policy(t, tc.more), Ledger: l})
			require.NoError(t, err)
			require.Equal(t, tc.want, counts(r))
			require.Equal(t, uint64(6), r.Events)
			require.Equal(t, uint64(2), r.Withdrawals)
			for _, f := range r.Rules {
				require.NotEmpty(t, f.Examples)
				require.NotZero(t, f.Examples[0].ID)
			}
		})
	}
}

func TestAnExportIsRehearsedByTheRulesOfRows(t *testing.T) {
	l := history(t)
	var out bytes.Buffer
	_, err := l.Export(&out, nil)
	require.NoError(t, err)
	p := policy(t, "[limits]\naccrual_window = \"1h\"\naccrual_ceiling = \"115000000000000000000\"\ncool_down = \"24h\"")
	r, err := Run(t.Context(), Config{Policy: p, Export: bytes.NewReader(out.Bytes())})
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"accrual frozen": 2}, counts(r))
	out.Bytes()[out.Len()/2] ^= 1
	_, err = Run(t.Context(), Config{Policy: p, Export: bytes.NewReader(out.Bytes())})
	require.ErrorIs(t, err, ledger.ErrCorrupt)
	_, err = Run(t.Context(), Config{Policy: p})
	require.Error(t, err)
}

func TestAStoppedRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := rehearsal{report: Report{Events: progressEvery - 1}}
	require.ErrorIs(t, r.row(ctx, ledger.Event{}), context.Canceled)
}

// TestInjectedDrift: ten weeks of steady income; the surplus begins when the watch has learned.
func TestInjectedDrift(t *testing.T) {
	p := policy(t, "[watch]\ndrift_allowance_percent = 5\ndrift_alarm_percent = 200\ndrift_sustained = \"24h\"")
	var steady []ledger.Event
	for hour := range uint64(10 * 7 * 24) {
		steady = append(steady, ledger.Event{ID: hour + 1, CreatedAt: start + hour*3600, Account: account(byte(hour % 5)),
			Kind: ledger.TaskIncome, Amount: "100000000000000000000"})
	}
	run := func(percent uint64, rows []ledger.Event) *Drift {
		d := newInjected(p.Watch, percent)
		for _, e := range rows {
			d.row(e)
		}
		return d.report()
	}
	fast, slow := run(50, steady), run(20, steady)
	require.NotNil(t, fast.Alerted)
	require.NotNil(t, slow.Alerted)
	require.Less(t, fast.Alerted.Hours, slow.Alerted.Hours, "more is seen sooner")
	require.NotEqual(t, "0", fast.Alerted.Lost)
	require.Nil(t, run(3, steady).Alerted, "within the allowance nothing is seen")
	require.Nil(t, run(50, steady[:7*24]).From, "too short to learn")
	require.Equal(t, uint64(start+28*day), uint64(fast.From.Unix())/day*day)
}
