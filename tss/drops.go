package tss

import (
	"maps"
	"sync"
)

// Drop names why a frame was not looked at further. Dropped frames change nothing; who sends many is worth a look.
type Drop string

// Reasons to drop a frame.
const (
	DropOversized      Drop = "oversized"       // above the bound of its session
	DropMalformed      Drop = "malformed"       // not an envelope, or its payload is not the header's
	DropLate           Drop = "late"            // its session has ended
	DropDuplicate      Drop = "duplicate"       // the same bytes again
	DropNotParticipant Drop = "not_participant" // the sender has no part in the session
	DropSignature      Drop = "signature"       // not signed by the peer that it came from
	DropUnknownType    Drop = "unknown_type"    // no message of this protocol, or of another round
	DropClass          Drop = "class"           // a broadcast to one, a direct message to all or to another, or not the sender's to say
	DropUnknownSession Drop = "unknown_session" // held for a session that never started here, and displaced
	DropQueue          Drop = "queue"           // the sender's queue is full
	DropBadDone        Drop = "bad_done"        // a final signature that does not verify
	DropBadAbort       Drop = "bad_abort"       // an abort that cannot be read
	DropSend           Drop = "send"            // the transport refused a frame of ours
)

// drops counts dropped frames by name.
type drops struct {
	mu    sync.Mutex // guards count
	count map[Drop]uint64
}

func (d *drops) add(name Drop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.count == nil {
		d.count = map[Drop]uint64{}
	}
	d.count[name]++
}

func (d *drops) snapshot() map[Drop]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.count)
}
