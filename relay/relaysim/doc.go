// Package relaysim is a Relay that speaks the wire contract of the real one, for the local network and for tests.
//
// What it does. [Sim] keeps a world: an account log, balances, withdrawal requests. The Go methods (CreditTask, PayTask,
// Deposit, …) make things happen in it as users and nodes would; its HTTP side serves what custodians and users call, with
// the real one's answers down to the wording of errors. Nothing here listens: [Sim] and [View] are http.Handlers, and
// [Transport] calls one without a socket. [User] is the other end, a wallet that signs what real users sign.
//
// What it promises. The same seed, clock and calls give the same answers. Fees, texts, digests and canonical JSON are
// computed here on their own, not with the custodian's code, so that an error in one shows against the other.
//
// What you owe. A BenefitOf that answers as the chain does. A clock that does not go back.
//
// What will hurt you. It is a simulator of a single, honest-at-heart process: the races of the real one (fulfil and reject
// both accepted) do not happen by themselves. Dishonesty is chosen: [View] shows one reader something else than another, by a
// [Mode] with a seed ([View.Misbehave]; [Modes] is the table) or by a lie of your own ([Hide], [Alter], [Insert], any
// [EventLie]); HoldNext keeps an id back until Release, Outage takes a view down. Slow and endless answers are made while
// they are read, with a socket and without. All keys and secrets in it are worthless.
package relaysim
