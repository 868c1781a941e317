// Package simnet runs whole custodians inside one process: the real package node, on a network, a chain and a Relay that a
// test rules over.
//
// What it does. A [World] is a committee of four with the published fixture key, a chain that mines a block a second, a
// simulated Relay with a view for each custodian, and users with wallets. Custodians are started, crashed, restarted on
// their own disk, cut off, halted, shown another Relay; a [Puppet] is a member without a node behind it, which says
// whatever a test makes it say. [World.Check] then compares every disk with every other and with the chain.
//
// What it promises. Nothing here is a stand-in for a rule: ledgers are bbolt files with all their syncs, and a custodian that
// is killed closes nothing by its own will. Signing is ideal unless Config.Shares is set: the frames go over the wire, a
// signature comes of warrants of one session and of all its signers alone, and only the mathematics is left out. No sockets, and only
// package time's clock: inside a testing/synctest bubble an hour of waiting costs nothing, while computing takes no time. Nothing
// happens at a moment at which something else does, so a world whose signing is ideal runs one way: each message is delivered, each
// goroutine of a custodian that was woken acts, at a moment of virtual time that is given to nobody else, and time passes
// when all that it led to has ended. Who of several is first is drawn from Config.Turns.
//
// What you owe it. Make the World inside the bubble that uses it, call it from one goroutine, and Close it before the
// bubble ends.
//
// What will hurt you. The key is published and the network is born founded: the ceremony is package tss's to test. Each link has
// a latency of its own, and Config.Stagger keeps apart what custodians do every second. What a custodian's goroutines do to each
// other at the very same moment does not come up: the race detector and real processes are for that. A goroutine that is
// new in package node takes a turn (node.Turns) when it is woken, and what leaves a map leaves sorted, or runs differ. A power cut is a
// model of a disk: the database as its last sync left it, and any part of the commit that was interrupted.
//
// Which invariant is compared where. "Disk" is what a node's own check command runs too, ledger's CheckBooks, CheckProtocol and
// Rollback, on each custodian's disk; "all disks" is [World.Check]; "wire" is every statement at the moment at which it is
// sent, and "outside" the chain and the Relay's true log, both asked by [World.CheckNow] while custodians run.
//
//	I1  disk; all disks: one decision per height
//	I2  disk; wire; all disks hold every counted statement that was sent
//	I3  wire; all disks: a prevote against a lock has its certificate, and the record holds the lock
//	I4  disk; wire; all disks: nobody approved another content than the decided one
//	I5  all disks: a decided item's honest approvals stand on their signers' disks, at least q−f of them
//	I6  disk; all disks: one item per withdrawal
//	I7  disk; all disks: one batch per slot, one payload per fee step
//	I8  outside: one payment per request, no more than was truly earned; all disks: no more than q−f of them count
//	I9  disk; all disks: the payer's balance to the wei
//	I10 all disks: every transaction of the payer was decided
//	I11 disk; outside; all disks: no nonce is missing
//	I12 disk; wire: one statement per counter; each time a process ends, its disk has not gone back
//	I13 disk; all disks: equal logs, decisions and freezes, equal books
//	I14 all disks: no verdict and no READY between a halt of everything and its end; quarantine is for stories to watch
//	I15 all ways out: logs, frames, requests, answers, metrics, alerts and files are searched for what custodians hold
//	I16 for stories with strangers and puppets
//	I17 for stories and schedules, by waiting; all disks: a bound of sessions per fee step
//	I18 each running custodian's named bounds, and the queues in front of it
package simnet
