package payout_test

import (
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi/abigen"
	"github.com/stretchr/testify/require"
)

// The committed binding is what abigen makes of the committed ABI, but for the library that it names.
func TestBindingIsOfThisABI(t *testing.T) {
	made := bindingOf(t, "BatchPayout")
	file := filepath.Join("binding", "batch_payout.go")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(made), 0o644))
	}
	require.Equal(t, string(read(t, file)), made, "run make contract")
}

// bindingOf runs abigen. What it writes imports go-ethereum's accounts/abi/bind, and with it key stores and watchers of
// files, which a custodian must not hold: the small part that is used stands in package bind, and the rest is cut out.
func bindingOf(t *testing.T, name string) string {
	made, err := abigen.BindV2([]string{name}, []string{string(read(t, name+".abi.json"))},
		[]string{strings.TrimSpace(string(read(t, name+".bin")))}, "binding", nil, nil)
	require.NoError(t, err)

	const theirs, ours = `"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"`, `"conclave/chain/payout/binding/bind"`
	require.Equal(t, 1, strings.Count(made, theirs))
	made = strings.Replace(made, theirs, ours, 1)

	const mark = "\npackage binding\n" // its error texts are capitalized, and the linter reads them though they are generated
	require.Equal(t, 1, strings.Count(made, mark))
	made = strings.Replace(made, mark, "\n//lint:file-ignore ST1005 generated\n"+mark, 1)

	from := strings.Index(made, "// Instance creates a wrapper")
	require.Positive(t, from)
	end := strings.Index(made[from:], "\n}\n")
	require.Positive(t, end)
	out, err := format.Source([]byte(made[:from] + strings.TrimLeft(made[from+end+len("\n}\n"):], "\n")))
	require.NoError(t, err)
	return string(out)
}
