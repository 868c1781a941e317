package simnet

import (
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"conclave/node"
)

// TestCanaryFindsEverySpelling: wherever a secret stands in a text, in whatever spelling.
func TestCanaryFindsEverySpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.SliceOfN(rapid.Byte(), 32, 160)
		secret := new(big.Int).SetBytes(bytes.Draw(t, "secret"))
		if secret.BitLen() < 250 {
			t.Skip("a number that is short in decimal")
		}
		h := newHaystack(map[string]*big.Int{"it": secret})
		before, after := rapid.SliceOfN(rapid.Byte(), 0, 100), rapid.SliceOfN(rapid.Byte(), 0, 100)
		for spelling, text := range spellings(secret) {
			whole := append(append(before.Draw(t, "before"), text...), after.Draw(t, "after")...)
			require.Contains(t, h.search(whole), "it, ", "%s", spelling)
			require.Empty(t, h.search(text[:len(text)-1]), "%s without its end", spelling)
			require.Empty(t, h.search(text[1:]), "%s without its begin", spelling)
		}
	})
}

// TestCanaryKnowsHowThingsPrint: what careless code would write.
func TestCanaryKnowsHowThingsPrint(t *testing.T) {
	key := committee()[0]
	d := numberOf(key)
	h := newHaystack(map[string]*big.Int{"it": d})
	for _, text := range []string{
		fmt.Sprintf("%v", key), fmt.Sprintf("%+v", *key), fmt.Sprintf("0x%x", d), fmt.Sprintf("%X", d.Bytes()), fmt.Sprint(d.Bytes()),
		fmt.Sprintf("%#v", d.Bytes()), string(d.Bytes()), d.String(),
	} {
		require.NotEmpty(t, h.search([]byte("key: "+text+" end")), text)
	}
}

// TestNothingSecretLeaves: of a run with payments, on every way out.
func TestNothingSecretLeaves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *World) {
		payOne(t, w)
		require.NoError(t, w.CheckNow())
		require.NoError(t, w.Close())
		_, err := w.Check()
		require.NoError(t, err)
		for _, way := range []string{"the log of n0", "the wire", "a request of n0", "an answer of n0", "the metrics of n0", "the disk of n0: " + booksFile} {
			require.Greater(t, w.canary.looked[way], 500, "%s: %v", way, w.canary.looked)
		}
	})
}

// TestSecretsAreFound: on every way out, once it is there.
func TestSecretsAreFound(t *testing.T) {
	key := fmt.Sprintf("%x", numberOf(committee()[2]))
	for way, leak := range map[string]func(*testing.T, *World){
		"the disk of n1: notes": func(t *testing.T, w *World) {
			require.NoError(t, os.WriteFile(filepath.Join(w.Custodians[1].dir, "notes"), []byte("n2: "+key), 0o600))
		},
		"an alert of n1": func(t *testing.T, w *World) {
			require.NoError(t, w.Custodians[1].Notices.Notify(t.Context(), node.Notice{Text: "the key " + strings.ToUpper(key) + " leaked"}))
		},
		"the wire": func(t *testing.T, w *World) {
			p, err := w.Puppet(3)
			require.NoError(t, err)
			require.NoError(t, w.Until(time.Second, func() error { return p.net.Send(w.Custodians[0].Address, "facts", numberOf(committee()[2]).Bytes()) }))
		},
	} {
		t.Run(way, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *World) {
				leak(t, w)
				require.NoError(t, w.Close())
				_, err := w.Check()
				require.ErrorContains(t, err, "I15: "+way+" shows the identity of n2")
			})
		})
	}
}
