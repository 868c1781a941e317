// Package cutover finds out what a genesis document must say of the time before its network, and whether it says so.
//
// What it does. Replay reads the Relay's account log from its first row into a ledger of its own and its withdrawal list
// as it stands, and returns the log's root at the cut-over, the vesting records whose signatures today's rows no longer
// prove, and the withdrawals that are still pending. Compare names what a document has otherwise.
//
// What it promises. It books by the very rules by which a running node books, so that equal rows give equal roots. It
// changes nothing but the folder it is given.
//
// What you owe. An own view of the Relay: a root that another operator read out proves nothing. A new, empty folder with
// room for the log.
//
// What will hurt you. A cut-over that is too young: rows below it may still come, and every node that sees them later than
// the operators signed will not count them. Nothing here can say whether a pending withdrawal was paid by hand.
package cutover
