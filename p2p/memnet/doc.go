// Package memnet is a network inside one process, under the control of a test.
//
// What it does. A [Hub] yields endpoints ([Node], a p2p.Network) that share p2p's configuration, handlers, bounds, throttle and
// conformance tests. The test rules over what happens between them: Drop loses, Double delivers twice, Delay retards
// (virtual time in a testing/synctest bubble), Hold and Release reorder, Partition and Heal, Unplug and Plug cut and mend; a node crashes by
// ending its Run and restarts by joining anew; two nodes of one key are twins. Records tells the fate of every message.
//
// What it promises. Only channels, timers and package time; every goroutine ends with the Run it serves. Frames of one
// stream keep their order under every delay and release, as TCP keeps it; everything else may be reordered. With no delays,
// messages reach one stream of one node in the order in which they were sent; with Options.Serial, a node handles all its messages
// one after the other in the order in which they were sent to it.
//
// What you owe it. Rules (Drop, Double, Delay, Hold) are called with the hub locked: they look at the message and return. Make the hub
// and its nodes inside the bubble that uses them.
//
// What will hurt you. Gossip goes straight from its publisher to everyone linked with it; nobody relays it, so a rule that drops it
// on one link loses it there, where gossipsub would find a way round. A partition is noticed at once by both sides, as a closed
// connection is; for a silent loss use Drop. What is sent to an address with twins reaches all of them that are linked (a
// request: the first). Messages of a node that crashed are still delivered, if they had left it.
package memnet
