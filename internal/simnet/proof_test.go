package simnet

import (
	"bytes"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"conclave/node"
)

// proofStride is so many bytes of each part of a proof between two that are changed: trying them all costs minutes of verifying.
const proofStride = 23

// TestAProofProvesOneThing: what a custodian hands to an auditor proves the payment by the genesis document alone, and with any byte
// changed it proves nothing, or no more than the part of it that is left as it was.
func TestAProofProvesOneThing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		payOne(t, w)
		synctest.Wait()
		c := w.Custodians[0]
		good, err := c.Node.Payment(1)
		require.NoError(t, err)
		proven, err := node.VerifyProof(w.Genesis, good)
		require.NoError(t, err)
		require.Equal(t, node.ProvesPaid, proven.Proves)
		require.Equal(t, "10500000000000000000", proven.Amount)
		require.Len(t, proven.Voted, 3)
		require.Len(t, proven.Decided, 3)
		require.Len(t, proven.Final, 3)
		require.Len(t, proven.Trusts, 1)

		misnamed(t, w, good)
		garbled(t, w, good)
		lessProves(t, w, good)
		otherProofs(t, w, c)
	})
}

// misnamed: a proof is of what it says.
func misnamed(t *testing.T, w *World, good node.Proof) {
	for name, change := range map[string]func(p *node.Proof){
		"another withdrawal": func(p *node.Proof) { p.ID++ },
		"another height":     func(p *node.Proof) { p.Height++ },
		"another network":    func(p *node.Proof) { p.Network = common.Hash{1} },
		"another kind":       func(p *node.Proof) { p.Kind = node.ProofWithdrawal },
		"no kind":            func(p *node.Proof) { p.Kind = "" },
		"a decision of it":   func(p *node.Proof) { p.Kind = node.ProofDecision },
		"a false committee":  func(p *node.Proof) { p.Successions = []string{p.RLP} },
		"no transaction, and another's outcome": func(p *node.Proof) {
			p.Transaction, p.Outcome = "", p.Transaction
		},
	} {
		bad := good
		change(&bad)
		_, err := node.VerifyProof(w.Genesis, bad)
		require.ErrorIs(t, err, node.ErrProof, name)
	}
}

// garbled: each byte is signed, or is a signature.
func garbled(t *testing.T, w *World, good node.Proof) {
	for _, part := range []string{"RLP", "Transaction", "Outcome"} {
		raw, err := hexutil.Decode(reflect.ValueOf(good).FieldByName(part).String())
		require.NoError(t, err)
		for i := 0; i < len(raw); i += proofStride {
			bad, changed := good, bytes.Clone(raw)
			changed[i] ^= 1 << (i % 8)
			reflect.ValueOf(&bad).Elem().FieldByName(part).SetString(hexutil.Encode(changed))
			_, err := node.VerifyProof(w.Genesis, bad)
			require.ErrorIs(t, err, node.ErrProof, "%s, byte %d", part, i)
		}
	}
}

// lessProves: what is left out is not claimed.
func lessProves(t *testing.T, w *World, good node.Proof) {
	less := good
	less.Outcome = ""
	proven, err := node.VerifyProof(w.Genesis, less)
	require.NoError(t, err)
	require.Equal(t, node.ProvesSigned, proven.Proves)
	less.Transaction = ""
	proven, err = node.VerifyProof(w.Genesis, less)
	require.NoError(t, err)
	require.Equal(t, node.ProvesDecided, proven.Proves)

}

func otherProofs(t *testing.T, w *World, c *Custodian) {
	for height := range uint64(3) {
		d, err := c.Node.Decision(height)
		if height == 0 {
			require.ErrorIs(t, err, node.ErrUnknown)
			continue
		}
		require.NoError(t, err)
		proven, err := node.VerifyProof(w.Genesis, d)
		require.NoError(t, err)
		require.Equal(t, node.ProvesDecided, proven.Proves)
		require.Equal(t, height, proven.Height)
	}
	cert, err := c.Node.Certificate(1)
	require.NoError(t, err)
	proven, err := node.VerifyProof(w.Genesis, cert)
	require.NoError(t, err)
	require.Equal(t, node.ProvesOwed, proven.Proves)
	_, err = c.Node.Payment(2)
	require.ErrorIs(t, err, node.ErrUnknown)
}
