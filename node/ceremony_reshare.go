package node

import (
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"conclave/tss"
)

func (f *ceremony) reshare(c *core, session common.Hash, pre *tss.PreParams) func() (*tss.Key, tss.Outcome) {
	return func() (*tss.Key, tss.Outcome) {
		return nil, tss.Outcome{Ending: tss.NotStarted, Session: session, Err: errors.New("resharing is not wired yet")}
	}
}
