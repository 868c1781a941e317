package memnet_test

import (
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"conclave/p2p"
	"conclave/p2p/internal/conform"
	"conclave/p2p/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNodeConforms(t *testing.T) {
	for _, c := range conform.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := memnet.New(memnet.Options{})
				c.Run(t, func(cfg p2p.Config, h p2p.Handlers) (conform.Endpoint, error) { return hub.Join(cfg, h) })
			})
		})
	}
}
