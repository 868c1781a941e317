// Package agreement decides one value per height among members who do not trust each other: Byzantine agreement in the
// manner of Tendermint, as a pure function from (state, event, now) to effects. No clock, disk, socket, goroutine or
// randomness is in here, and nothing depends on the order of a map.
//
// # What it does
//
// A height runs in rounds; in round r of height h the member (h + r) mod n proposes. With q = ⌊2n/3⌋ + 1 of n members:
//
//	R0 start     the proposer sends the valid value if it has one, with its certificate, else a new one
//	R1 prevote   a proposal without valid round: for it iff unlocked or locked on it (and not a halted node's PAYOUT). With
//	             valid round vr: once its prevote certificate is known, for it iff locked on it or lockedRound ≤ vr.
//	             Otherwise, and when none comes in time: nil
//	R2 lock      prevoting, a prevote certificate of this round, its value held: lock, valid value and precommit at once
//	R3 learn     any prevote certificate above the valid round, its value held, renews the valid value, never the lock
//	R4 nil       q nil prevotes, or q prevotes of any value and no certificate in time: precommit nil
//	R5 next      q precommits of any value and no decision in time: next round. f+1 members at r' or beyond: r'
//	R6 decide    q precommits of one round for one value, held: decided, in whatever round we are
//	R7 help      the driver's: any message of a decided height is answered with the decision, once per peer and second
//	R8 resend    every second the own messages of the round; to members behind, the q precommits that ended an earlier one
//
// The steps of [State], as an operator asks about them:
//
//	step       what it means                               what it waits for                     ends by itself after
//	waiting    nobody had work, or too few said so         Begin, or f+1 members speaking        never
//	propose    the round's proposal is awaited             the proposer, its value or its proof  2 s + 1 s·r
//	prevote    own prevote is out                          q prevotes ([Status].Silent: whose)   1 s + 0.5 s·r, from q on
//	precommit  own precommit is out                        q precommits, or a value to fetch     1 s + 0.5 s·r, from q on
//	decided    over                                        nothing; answer others by R7          -
//
// A node that stays in prevote or precommit hears fewer than q members: look at its peers, not at its disk.
//
// # What it promises
//
// While at most f members lie: one decision per height; after the network heals, a decision within f + 2 rounds. One
// statement per height, round and kind, for ever: a step is left by the same transaction that signs its statement. Nothing
// of ours is sent before the disk holds it: a [Send] carries only statements that came in as events, and ours come
// in after they were committed. Memory is bounded by members and rounds kept, whatever is sent.
//
// # What you owe it
//
// After each Step, in this order: make [Effects].Commit durable in one transaction; give the statements that it signed
// back as [ProposalSeen] and [VoteSeen], before any other event; then act on the rest, and call again with [Tick] at Wake.
// A crash may come anywhere in between; start again with [Resume] and [Begin]. If the transaction fails, drop
// the State: it is ahead of the disk.
//
// Keep the value of every proposal and vote of ours, and the valid value of the record, until the height is decided, and serve
// it by id. Judge each value before giving it in, by the decisions below this height alone. Give a certificate that came
// beside a message in before the message. Give only own statements back that this State asked for; what else bears our name
// shows up as Foreign.
//
// # What will hurt you
//
// Two States of one height, or a State used after a failed commit, sign twice. Time must not jump: use one monotonic
// clock. A height does not begin because one member has work; gossip the work, so that the others begin too. Members
// who are silent in a new round look as if they were behind, and get the old round's precommits once a second.
package agreement
