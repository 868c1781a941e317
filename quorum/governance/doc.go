// Package governance is what operators sign, as opposed to nodes: EIP-712 typed data, so that a hardware wallet shows in
// words what its owner agrees to.
//
// It promises that a [VerifiedGenesis] exists only after q distinct operators of the document's own members signed it. The
// digest binds the network id twice, as the domain's salt and as a field: a signature for one document means nothing for
// another that differs in a byte, also in those parts that the wallet does not show.
//
// You owe it the comparison that no signature makes: an operator signs after its own node has replayed the Relay's history
// to the document's cut-over and arrived at the same root.
//
// What will hurt you: the typed data's types, names and order are the protocol; testdata holds them. A wallet that shows
// only hashes ("blind signing") proves that its owner signed, not what the owner read.
package governance
