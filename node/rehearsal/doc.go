// Package rehearsal runs a policy over recorded history: what would it have refused, kept waiting, queued, frozen or tripped?
// A policy is tried before it is proposed.
//
// What it does. Run walks a stopped node's database, or an export of its log, once, with log time as the clock, and counts
// for each rule what it would have held back, with examples. With a drift it injects a slow inflation of credits and says
// when the policy's watches would have noticed, and what it had cost by then.
//
// What it promises. It asks the same code that judges: package risk's rules and watches, and the governors of package
// batch. It writes nothing.
//
// What will hurt you. History is what happened under the policy of its day: payouts that a stricter policy would have
// queued are taken as paid when their bucket had refilled, and a withdrawal that waits for hours is counted at the moment it
// was asked for. Arrival rates are not in the record, so rates are those of log time. An export holds the log alone: the
// rules about withdrawals and payouts need the database.
package rehearsal
