package api

import (
	"context"

	"conclave/node"
)

// Exhibitor shows evidence. *node.Node is one.
type Exhibitor interface {
	// Evidence lists what an id's prefix in hex chooses, everything when it is empty.
	Evidence(id string) ([]node.EvidenceView, error)
}

var _ Exhibitor = (*node.Node)(nil)

// evidenceMethod describes custodian_evidence.
var evidenceMethod = described{
	"Evidence", "What this node can show against members and the Relay, with both sides as bytes: signed ones prove themselves offline.",
	[]string{"id"}, []int{CodeUnknown},
}

// Evidence is custodian_evidence.
func (c *custodian) Evidence(ctx context.Context, id *string) (answer[[]node.EvidenceView], error) {
	return ask(ctx, c.log, func(context.Context) ([]node.EvidenceView, error) {
		if id == nil {
			return c.b.Evidence("")
		}
		return c.b.Evidence(*id)
	})
}
