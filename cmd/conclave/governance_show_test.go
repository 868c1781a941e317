package main

import (
	"fmt"
	"strings"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The changes make the new text of the old one, whatever the two are, and say nothing of what stays.
func TestChangesMakeOneOfTheOther(t *testing.T) {
	require.Equal(t, []string{"-b", "+x", "+d"}, changes([]string{"a", "b", "c"}, []string{"a", "x", "c", "d"}))
	require.Empty(t, changes([]string{"a"}, []string{"a"}))
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.SampledFrom([]string{"a", "b", "", "-", "+"})
		was, now := rapid.SliceOfN(line, 0, 12).Draw(t, "was"), rapid.SliceOfN(line, 0, 12).Draw(t, "now")
		var gone, come []string
		for _, c := range changes(was, now) {
			if c[0] == '-' {
				gone = append(gone, c[1:])
			} else {
				come = append(come, c[1:])
			}
		}
		rest := func(all, without []string) (out []string) {
			n := map[string]int{}
			for _, w := range without {
				n[w]++
			}
			for _, a := range all {
				if n[a]--; n[a] < 0 {
					out = append(out, a)
				}
			}
			return out
		}
		require.Len(t, rest(was, gone), len(was)-len(gone))
		require.ElementsMatch(t, rest(was, gone), rest(now, come))
	})
	long := make([]string, maxCompared+1)
	require.Len(t, changes(append(long, "x"), []string{"y"}), maxCompared+3)
}

// What a wallet shows as a count is shown line by line: each debit, each row, each changed line of the policy.
func TestAResolveIsSpeltOut(t *testing.T) {
	var b strings.Builder
	spell(&b, "version = 1\nin_flight = 4", quorum.Resolve{File: []byte("version = 2\nin_flight = 4"),
		Contents: []quorum.Fate{{Content: quorum.Content{WID: 7, EventID: 31}, Pay: true, Spent: []uint64{5}}},
		Accounts: []quorum.Rewrite{{Account: common.Address{1}, UpTo: 9, Debits: []quorum.Debit{{ID: 3, Kind: 4, Amount: "12"}}}},
		Log:      []quorum.LogRow{{ID: 8, Kind: 3, Amount: "5", Network: "base"}, {ID: 9, Kind: 9, Vesting: quorum.LogVesting{ID: 2, Total: "77"}}},
	})
	for _, want := range []string{"withdrawal 7: pay against event 31", "while spent are [5]", "debit 3 of type 4, 12 wei", `row 8 of type 3, "5"`, `"base"`, `vesting 2: "77"`,
		`- "version = 1"`, `+ "version = 2"`} {
		require.Contains(t, b.String(), want)
	}
	require.NotContains(t, b.String(), "in_flight")
	b.Reset()
	spell(&b, "x", quorum.Resume{})
	require.Empty(t, b.String())
}

// One member that halts without end keeps nobody else's halts out of a RESUME.
func TestResumeTakesTheHaltsOfManyFirst(t *testing.T) {
	network := common.Hash{1}
	var all []quorum.Signed[quorum.Halt]
	for i := range 100 {
		word := "loud"
		if i >= 98 {
			word = fmt.Sprint("quiet ", i)
		}
		key, err := crypto.ToECDSA(crypto.Keccak256([]byte("test key, holds nothing: " + word)))
		require.NoError(t, err)
		s, err := quorum.Sign(key, network, quorum.Halt{Counter: uint64(i), Code: "x", Time: 1})
		require.NoError(t, err)
		all = append(all, s)
	}
	quiet := []common.Address{all[98].Signer(), all[99].Signer()}
	got := fewest(all)
	require.Len(t, got, quorum.MaxResumed)
	require.ElementsMatch(t, quiet, []common.Address{got[0].Signer(), got[1].Signer()})
	require.Len(t, fewest(got[:3]), 3)
}
