package simnet

import (
	"context"
	"fmt"

	"conclave/quorum"
)

// Readmission is what operators sign about the quarantine that the custodian is in.
func (c *Custodian) Readmission(ctx context.Context, height uint64) (quorum.Readmit, error) {
	s, err := c.Node.Status(ctx)
	if err != nil {
		return quorum.Readmit{}, err
	}
	if s.Silence == nil || !s.Silence.Quarantined {
		return quorum.Readmit{}, fmt.Errorf("%s is not quarantined", c.Name)
	}
	return quorum.Readmit{Member: c.Address, Height: height, Since: uint64(s.Silence.Since.UnixMilli()), Counter: s.Silence.Counter, Reason: "the story says so"}, nil
}
