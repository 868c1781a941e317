package quorum_test

import (
	"strings"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"

	"github.com/stretchr/testify/require"
)

// The code of a fixed document never changes: members that run other versions must read out the same.
func TestFingerprintIsFixed(t *testing.T) {
	g := sampleGenesis(t)
	g.Policy = "fixed"
	f := g.Fingerprint()
	golden.Fields(t, goldenPath("fingerprint"), golden.Field{Name: "digest", Bytes: f[:]}, golden.Field{Name: "code", Bytes: []byte(f.Code())})
}

// Whatever a person should look at before the key is made changes the code; signatures, which come one by one, do not.
func TestFingerprintStandsForTheWholeDocument(t *testing.T) {
	code := sampleGenesis(t).Fingerprint().Code()
	for name, change := range map[string]func(g *quorum.Genesis){
		"name":     func(g *quorum.Genesis) { g.Name += "x" },
		"policy":   func(g *quorum.Genesis) { g.Policy += " " },
		"member":   func(g *quorum.Genesis) { g.Members[3].Address[19]++ },
		"operator": func(g *quorum.Genesis) { g.Members[0].Operator[0]++ },
		"fewer":    func(g *quorum.Genesis) { g.Members = g.Members[:3] },
		"nonce":    func(g *quorum.Genesis) { g.Lanes[0].FirstNonce++ },
	} {
		g := sampleGenesis(t)
		change(&g)
		require.NotEqual(t, code, g.Fingerprint().Code(), name)
		require.False(t, g.Fingerprint().Is(code), name)
	}
	g := sampleGenesis(t)
	g.Signatures = []quorum.Signature{{1}}
	require.Equal(t, code, g.Fingerprint().Code())
}

func TestFingerprintIsTypedInManyWays(t *testing.T) {
	f := sampleGenesis(t).Fingerprint()
	code := f.Code()
	require.Regexp(t, `^[0-9a-f]{4}( [0-9a-f]{4}){4}$`, code)
	for _, typed := range []string{
		code, " " + code + "\n", strings.ToUpper(code), strings.ReplaceAll(code, " ", ""), strings.ReplaceAll(code, " ", "-"), strings.ReplaceAll(code, " ", ". "),
	} {
		require.True(t, f.Is(typed), "%q", typed)
	}
	for _, typed := range []string{"", code[:len(code)-1], code + "0", "y", "yes", strings.Replace(code, code[:1], "g", 1), code + " " + code} {
		require.False(t, f.Is(typed), "%q", typed)
	}
}
