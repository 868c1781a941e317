package tss

import (
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Who is silent? A participant that keeps us waiting may itself wait for another that speaks to us and not to it. So nobody
// is named by one who waits alone: whoever runs out of patience says so, all who hear it say for whom they wait, and a short
// while later each names those that it missed and that said nothing at all. An honest participant always says something.

// Patience of a round: its deadline holds the time in which the participants compare for whom they wait.
const (
	settleShare = 10          // of the deadline
	maxSettle   = time.Second // a message between two continents, several times over
)

// settleTime is that part of a round's deadline.
func settleTime(timeout time.Duration) time.Duration { return min(timeout/settleShare, maxSettle) }

// patience starts the deadline of what is waited for now.
func (s *session) patience() {
	s.since = time.Now()
	s.timer.Reset(s.timeout - settleTime(s.timeout))
}

// expire is what the timer's end means. Our own computing is not the others' silence: its result starts the deadline anew.
func (s *session) expire() *Outcome {
	switch {
	case s.waiting != nil:
		return s.silence()
	case s.worker.busy:
		return nil
	}
	s.settle(common.Address{})
	return nil
}

// settle tells the others for whom we wait, and gives them the time to do the same. The session moves no further. impatient
// is who made us, if it was not our own patience: where that has hardly begun, it is him that we name.
func (s *session) settle(impatient common.Address) {
	s.waiting = map[common.Address][]common.Address{}
	if time.Since(s.since) >= s.timeout/2 {
		s.missed = s.missing()
		s.tell(&Outcome{Ending: TimedOut, Silent: s.missed})
	} else {
		s.tell(&Outcome{Ending: TimedOut, Suspects: []common.Address{impatient}})
	}
	s.timer.Reset(settleTime(s.timeout))
}

// hearWaiting notes for whom another participant waits, and says for whom we do.
func (s *session) hearWaiting(from common.Address, named []common.Address) {
	if s.waiting == nil {
		s.settle(from)
	}
	s.waiting[from] = named
}

// silence is the outcome of waiting in vain. Those that kept us waiting for most of a deadline and said nothing at all are
// silent; those that said for whom they wait, and these, are near the failure, and none of them can be told from the others.
func (s *session) silence() *Outcome {
	out := &Outcome{Ending: TimedOut, Reason: "a round's deadline passed"}
	for _, a := range s.missed {
		if _, spoke := s.waiting[a]; !spoke {
			out.Silent = append(out.Silent, a)
		}
	}
	if len(out.Silent) > 0 {
		return out
	}
	for _, a := range s.others() {
		if named, spoke := s.waiting[a]; spoke {
			out.Suspects = append(append(out.Suspects, a), named...)
		}
	}
	out.Suspects = slices.DeleteFunc(distinct(out.Suspects), func(a common.Address) bool { return a == s.self })
	return out
}
