// Package p2p is the wire: it carries bytes between the members of one network and never looks at what they mean.
//
// What it does. [Network] has four ways to speak: Publish gossips to every member; Send puts frames, in order, on one
// long-lived stream per peer and protocol (opening a stream per message costs about fifty times as much); Request asks one
// peer one question; Peers tells who is there. [Host] does it over libp2p (TCP, Noise, yamux, gossipsub), package memnet does
// it inside one process under test control. Both share [Config], [Handlers], the bounds and the [Door] that counts and throttles.
//
// What it promises. A member's secp256k1 key is its libp2p identity, so the `from` of a frame or a request is proven by the
// Noise handshake. Only members get past that handshake, and only members of the same network id share a protocol with us.
// No gossiped byte is delivered or forwarded before [Handlers.Check] named its author. Every queue, frame, body and
// connection count has a named bound; a length above its bound is refused before anything is allocated. Members are
// redialled for ever, first within a second, at most every ten seconds. SetMembers closes the connections of removed members.
//
// What you owe it. Run must be called once and ends with its context; New already holds the listening sockets, so Close a Host
// that never runs. Handlers are called from many goroutines, at once for different peers and one at a time for one peer
// and protocol; a handler that does not return holds back that peer's stream and the end of Run. Do not keep handlers waiting for
// the network they serve.
//
// What will hurt you. Delivery is at most once: a broken connection loses what was in flight, and a full queue is an error
// of Send, not a wait. Whoever needs certainty sends again. The same bytes published twice within [RepublishAfter] are
// sent once. A peer that was just connected may miss gossip for a moment, until subscriptions have crossed: gossip that matters
// is gossiped again. Bytes that a member signed in an earlier life, or that its twin signed, do come back to it by gossip:
// Check decides what is known already. The throttle counts what a peer sends, forwarded gossip included, so ThrottleMax must
// cover the whole network's gossip rate, not one member's.
//
// Three properties of gossipsub shape gossip.go. Its seen cache forgets only once a minute, whatever its TTL, so identical
// bytes would not get through again to a peer that just restarted; each message therefore carries the publisher's time slot in
// front. And it marks a message as seen before validating it, so a throttle inside the validator would let one flooding
// member censor others by forwarding their messages first; the throttle therefore stands before the seen cache. It also gives a peer
// up whose streams broke a few times, for as long as the connection stands; it is therefore told again of every connected
// member that it does not speak with.
package p2p
