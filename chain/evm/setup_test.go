package evm_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/chain/evm"
)

// A server that cannot simulate, in whichever words, is told from a token that cannot be moved.
func TestProbeNeedsAServerThatSimulates(t *testing.T) {
	words := func(n int) string { return "0x" + strings.Repeat(strings.Repeat("0", 63)+"1", n) }
	for name, c := range map[string]struct {
		answer any
		none   bool // it is ErrNoSimulation
		ok     bool
	}{
		"drops the argument":   {"0x", true, false},
		"refuses the argument": {failure{-32602, "too many arguments, want at most 2"}, true, false},
		"no such block":        {failure{-32000, "header not found"}, false, false},
		"the token refuses":    {failure{3, "execution reverted"}, false, false},
		"a word short":         {words(4), false, false},
		"a word more":          {words(6), false, false},
		"answers":              {words(5), false, true},
	} {
		asked := 0
		e := dial(t, server{"eth_call": func(params []json.RawMessage) any {
			asked = len(params)
			return c.answer
		}})
		p, err := e.ProbeToken(context.Background(), common.Address{1}, common.Address{2}, common.Address{3}, *uint256.NewInt(4), chain.Header{})
		require.Equal(t, 3, asked)
		switch {
		case c.ok:
			require.NoError(t, err)
			require.Equal(t, evm.Probe{Succeeds: true, Lost: *uint256.NewInt(1), Got: *uint256.NewInt(1), Gas: 1}, p)
		case c.none:
			require.ErrorIs(t, err, evm.ErrNoSimulation, name)
		default:
			require.Error(t, err, name)
			require.NotErrorIs(t, err, evm.ErrNoSimulation, name)
		}
	}
}

func TestCodeAtSaysWhatItCannot(t *testing.T) {
	e := dial(t, server{"eth_getCode": failure{-32000, "missing trie node"}})
	_, err := e.CodeAt(context.Background(), common.Address{1}, chain.Header{})
	require.ErrorIs(t, err, chain.ErrPruned)
	e = dial(t, server{"eth_getCode": nil})
	_, err = e.CodeAt(context.Background(), common.Address{1}, chain.Header{})
	require.ErrorIs(t, err, chain.ErrNotFound)
}
