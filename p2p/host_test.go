package p2p_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/p2p"
	"conclave/p2p/internal/conform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHostConforms(t *testing.T) {
	for _, c := range conform.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, func(cfg p2p.Config, h p2p.Handlers) (conform.Endpoint, error) {
				host, err := p2p.New(cfg, h)
				if err == nil {
					t.Cleanup(func() { require.NoError(t, host.Close()) })
				}
				return host, err
			})
		})
	}
}
