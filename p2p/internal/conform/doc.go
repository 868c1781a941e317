// Package conform is the contract of p2p.Network as tests: each implementation runs every case of [Cases].
//
// A case uses only channels, timers and package time, so it runs on real sockets as well as inside a testing/synctest bubble.
package conform
