package node

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/chain"
	"conclave/quorum"
)

// growingEnd is an endpoint whose final block is all that is asked for.
type growingEnd struct {
	chain.Endpoint
	final uint64
	err   error
	asked int
}

func (e *growingEnd) Final(context.Context) (chain.Header, error) {
	e.asked++
	return chain.Header{Number: e.final}, e.err
}

// Between two looks the chain is asked only while somebody waits for a block, and each block is told of once.
func TestGlance(t *testing.T) {
	end := &growingEnd{final: 7}
	j := newJudge(&Node{})
	w := &watcher{n: &Node{judge: j}, lane: quorum.Lane{Network: "lane"}, end: end, anchor: anchor{number: 7}}
	look := func(want bool, asked int) {
		t.Helper()
		require.Equal(t, want, w.glance(t.Context()))
		require.Equal(t, asked, end.asked)
	}
	end.final = 8
	look(false, 0) // nobody waits
	w.out = 1
	look(true, 1)
	look(false, 2) // the look that it asked for has not come through: a failing lane is not asked the faster
	end.final = 9
	end.err = errors.New("connection refused")
	look(false, 3)
	end.err = nil
	look(true, 4)
	w.out, w.anchor.number = 0, 9
	look(false, 4)
	j.early["other"] = true
	look(false, 4)
	j.early["lane"] = true
	look(false, 5)
	end.final = 10
	look(true, 6)
}
