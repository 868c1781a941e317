package node

import (
	"conclave/quorum"
)

// policy is the policy in force: that of the genesis document until a decision replaces it. Ask anew for each use: what
// was read before a decision is another policy's.
func (n *Node) policy() quorum.Policy { return *n.inForce.Load() }
