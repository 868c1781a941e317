// Package node is the daemon: the one room that knows all others. It wires them, and decides nothing by itself.
//
// What it does. Intake follows the Relay into the books, the judge turns open withdrawals into verdicts, the core drives
// agreement and signing, the watchers follow the chains, the reporter tells the Relay what was decided. wiring.go is the
// architecture: it reads as one list of what is started, in order.
//
// What it promises. One goroutine, the core, owns what the protocol remembers between messages: the batch state, the
// agreement of the current height, the pool of statements and the signing machines. Everything that this node signs is
// recorded in the ledger, in the same transaction, before its bytes leave. A failure to write the ledger stops the node
// before anything is sent.
//
// What you owe. One process per home: a second one with the same key and another database is a twin, which the protocol
// counts among its f.
//
// What will hurt you. Never call the network, a chain or the Relay from the core: hand the work to a goroutine and let
// its answer come back as a task. Never sign outside a ledger transaction.
package node
