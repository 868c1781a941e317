package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"go.uber.org/zap"

	"conclave/ledger"
)

// NoticeVersion is the version of [Notice]. Fields are added within a version; what changes or goes takes the next one.
const NoticeVersion = 1

// Bounds of delivery.
const (
	notifyTimeout = 20 * time.Second // for one try, whatever the notifier does
	notifyPause   = 5 * time.Second  // after a failure; doubles
	notifyMost    = 5 * time.Minute  // up to this
	notifyTries   = 10               // of one message, about half an hour: then others have their turn
	notifyDown    = 3                // failures in a row that are an alert
	// maxExtra bounds summaries and heartbeats that wait for delivery: a summary a minute, for a quarter of an hour.
	maxExtra = 16
)

// NoticeKind says what a message tells.
type NoticeKind string

// The kinds of messages.
const (
	NoticeNone      NoticeKind = ""
	NoticeAlert     NoticeKind = "alert"     // it begins, or grew more severe
	NoticeReminder  NoticeKind = "reminder"  // it still stands
	NoticeRecovered NoticeKind = "recovered" // its cause has gone
	NoticeSummary   NoticeKind = "summary"   // what a storm held back
	NoticeHeartbeat NoticeKind = "heartbeat" // every part of the node did its work since the last one
)

// Sender says which node speaks.
type Sender struct {
	Network   string         `json:"network" doc:"the network's name"`
	NetworkID common.Hash    `json:"network_id" doc:"the network's id"`
	Node      string         `json:"node" doc:"the member's name"`
	Address   common.Address `json:"address" doc:"the member's address"`
}

// Notice is one message of the alert path, as it leaves the node.
type Notice struct {
	Version int    `json:"version" doc:"1; fields are added within a version"`
	ID      string `json:"id" doc:"of the message; the same when it is tried again"`
	Sender
	Kind     NoticeKind `json:"kind" doc:"alert, reminder, recovered, summary or heartbeat"`
	Code     string     `json:"code" doc:"of the tables above"`
	Severity string     `json:"severity" doc:"info, warning or critical"`
	Key      string     `json:"key" doc:"of the alert; the same from its beginning to its end"`
	Text     string     `json:"text" doc:"what happened; may quote strangers"`
	Hint     string     `json:"hint" doc:"what to do"`
	Since    time.Time  `json:"since" doc:"when the alert began"`
	Time     time.Time  `json:"time" doc:"when the message was made"`
	Count    uint64     `json:"count" doc:"how often it happened"`
	Open     int        `json:"open" doc:"alerts that stand on the node when the message leaves"`
}

// Notifier carries a message to people, once. An error means that it may not have arrived: the node tries again, so one may
// arrive twice, with one id. It must return when ctx ends.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// local reports whether a code stays on this machine: that the way out is blocked cannot be told on the way out.
func (k AlertKind) local() bool { return k.Code == codeWebhook }

// also owes a message that belongs to no alert. A newer heartbeat replaces an older one.
func (a *alerts) also(n Notice) {
	if a.out == nil {
		return
	}
	for i := range a.extra {
		if n.Kind == NoticeHeartbeat && a.extra[i].Kind == NoticeHeartbeat {
			a.extra = append(a.extra[:i], a.extra[i+1:]...)
			break
		}
	}
	if len(a.extra) == maxExtra {
		a.extra = a.extra[1:]
	}
	a.seq++
	a.extra = append(a.extra, a.signedBy(n))
	a.ring()
}

// signedBy fills who speaks and the message's id.
func (a *alerts) signedBy(n Notice) Notice {
	n.Version, n.Sender, n.Open = NoticeVersion, a.from, a.open()
	n.Since, n.Time = n.Since.UTC(), n.Time.UTC()
	id := crypto.Keccak256([]byte(n.Address.Hex()), []byte(n.Key), []byte{0}, []byte(n.Kind), binaryTime(n.Time))
	n.ID = hex.EncodeToString(id[:16])
	return n
}

func binaryTime(t time.Time) []byte { return fmt.Appendf(nil, "%d", t.UnixNano()) }

// parcel is the message that is delivered next.
type parcel struct {
	notice Notice
	key    string // of the alert; empty for an extra one
	seq    uint64
	tries  int
}

// next chooses the message that leaves next: what is critical first, then the oldest.
func (a *alerts) next() (parcel, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var best *entry
	for _, e := range a.all {
		if e.Owed != NoticeNone && (best == nil || leavesBefore(e, best)) {
			best = e
		}
	}
	if len(a.extra) > 0 && (best == nil || (best.Severity != ledger.Critical && best.OwedAt.After(a.extra[0].Time))) {
		return parcel{notice: a.extra[0]}, true
	}
	if best == nil {
		return parcel{}, false
	}
	n := a.signedBy(Notice{Kind: best.Owed, Code: best.Code, Severity: best.Severity.String(), Key: best.Key, Text: best.Text, Hint: best.Hint,
		Since: best.First, Time: best.OwedAt, Count: best.Count})
	return parcel{n, best.Key, best.seq, best.tries}, true
}

func leavesBefore(e, other *entry) bool {
	switch {
	case e.tries != other.tries:
		return e.tries < other.tries // a message that nobody takes does not block those behind it
	case e.Severity != other.Severity:
		return e.Severity > other.Severity
	case !e.OwedAt.Equal(other.OwedAt):
		return e.OwedAt.Before(other.OwedAt)
	}
	return e.Key < other.Key
}

// done records how a delivery ended, and returns how long to wait before the next one.
func (a *alerts) done(p parcel, failed error) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settle(p, failed)
	now := a.now()
	if failed == nil {
		if a.fails >= notifyDown {
			a.arrivedAgain(now)
		}
		a.fails = 0
		return 0
	}
	a.fails++
	a.log.Warn("alert not delivered", zap.String("code", p.notice.Code), zap.Int("in_a_row", a.fails), zap.Error(failed))
	if a.fails >= notifyDown {
		a.begin(a.completed(Alert{Code: codeWebhook, Text: fmt.Sprintf("%s were not delivered, one after the other: %v", count(a.fails, "message"), failed)}), now)
	}
	return min(notifyPause<<min(a.fails-1, 10), notifyMost)
}

// settle takes a message off what is owed once it arrived, or once it was tried often enough.
func (a *alerts) settle(p parcel, failed error) {
	if p.key == "" {
		// Heartbeats and summaries are worth one try: the next one says more.
		if len(a.extra) > 0 && a.extra[0].ID == p.notice.ID {
			a.extra = a.extra[1:]
		}
		return
	}
	e := a.all[p.key]
	if e == nil || e.seq != p.seq {
		return // something newer is to be told about it
	}
	e.tries++
	if failed == nil || e.tries >= notifyTries {
		e.Owed, e.Missed = NoticeNone, failed != nil
		a.store()
	}
}

// arrivedAgain ends the alert about the way out, and tells what it had kept from arriving.
func (a *alerts) arrivedAgain(now time.Time) {
	if e := a.all[codeWebhook]; e != nil && !e.Over {
		a.finish(e)
	}
	for _, e := range a.sorted() {
		if e.Missed {
			e.Missed = false
			kind := NoticeReminder
			if e.Over {
				kind = NoticeRecovered
			}
			a.tell(e, kind, now)
		}
	}
}

// deliver carries what is owed to the notifier until ctx ends.
func (a *alerts) deliver(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var wait <-chan time.Time
		p, ok := a.next()
		if ok {
			try, cancel := context.WithTimeout(ctx, notifyTimeout)
			err := a.out.Notify(try, p.notice)
			cancel()
			if ctx.Err() != nil {
				return // still owed: the next start delivers it
			}
			pause := a.done(p, err)
			if pause == 0 {
				continue
			}
			timer.Reset(pause)
			wait = timer.C
		}
		bell := a.bell
		if ok {
			bell = nil // a raised alert does not shorten the pause after a failure
		}
		select {
		case <-ctx.Done():
			return
		case <-bell:
			a.turns.wait("deliver")
		case <-wait:
		}
	}
}

// Body is the message as JSON, the bytes that a signature is over.
func (n Notice) Body() ([]byte, error) { return json.Marshal(n) }
