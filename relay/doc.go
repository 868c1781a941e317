// Package relay is the intake door: everything that this custodian knows of the Relay comes in here, and everything that
// it tells the Relay goes out here.
//
// What it does. [Client] signs and sends the Relay's wallet-facing calls. wire.go, the only place where the Relay's JSON
// exists, turns answers into [ledger.Event], [ledger.Withdrawal] and [Tariff], or refuses them by name ([Refusal]).
// [Follower] reads the account log in order, keeps the set of missing ids and decides what is settled. [ListFollower] keeps
// the withdrawal list current. [Reporter] tells the Relay what was decided, from a durable outbox.
//
// What it promises. No byte of the Relay passes unparsed: addresses are 20 bytes, kinds and statuses are known ones, ids
// rise within a page and lie above what was asked for. Events are handed over once, in id order, when no unresolved gap
// lies below them; what comes after its gap expired is handed over as late. A gap expires only by an answer that shows a
// higher row and was asked for at least the grace after the gap was seen, where time without answers does not count. An
// outcome is sent only for an outbox entry, never two different ones for one id. Settled log is walked over again and again,
// one page every five seconds, so that what was rewritten or taken away is found; so is the whole withdrawal list, where a
// decided request may change behind everybody's back.
//
// What you owe. Give the followers books whose Record is one durable transaction: the rows and the follower's state go in
// together or not at all. Treat an error that carries a hostile [Refusal] as a reason to trip the node's fuse. Write outbox
// entries only for what the network decided.
//
// What will hurt you. The Relay serves short and empty pages in front of existing rows, shows lower ids after higher ones,
// skips ids for ever, answers 500 with no body, and says "Invalid signature" when a clock is off. A signed request can be
// replayed for two minutes and its method and path are not signed, so request URLs never appear in errors here. The amount
// of an event is passed on verbatim and may be malformed or negative: an ordinary user can cause that, and the books judge
// it. A withdrawal row that an ordinary user can spoil (an amount beyond 256 bits) is set aside alone; its page goes on.
package relay
