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
// package time's clock: inside a testing/synctest bubble an hour of waiting costs nothing, while computing takes no time.
//
// What you owe it. Make the World inside the bubble that uses it, call it from one goroutine, and Close it before the
// bubble ends.
//
// What will hurt you. The key is published and the network is born founded: the ceremony is package tss's to test. Each link has a latency of its own, so that little happens
// at one moment; of what does, the order is the scheduler's, so a run is not repeatable to the byte: expect outcomes,
// never exact times.
package simnet
