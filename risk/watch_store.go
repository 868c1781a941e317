package risk

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
)

// Rebuild bounds: what a start reads of the log and of the requests to fill the windows again.
const (
	// RebuildRows is how many ids below the last one are read again. A window that held more begins with fewer.
	RebuildRows = 1 << 16
	// RebuildRequests is the same for requests.
	RebuildRequests = maxPairs
)

// Flush stores what must survive a restart and changed since the last flush: the hours and sums of the drift watch, and who
// is young. Do it in the transaction that books the rows; when that fails, load the watches anew.
func (s *Watches) Flush(put Put) error {
	if err := s.ages.flush(put); err != nil {
		return err
	}
	return s.drift.Flush(put)
}

// Judged reports whether time alone changed what must survive a restart.
func (s *Watches) Judged() bool { return s.drift.Judged() }

// Load reads what was stored into watches that have seen nothing.
func (s *Watches) Load(each Each) (err error) {
	if err := s.ages.load(each); err != nil {
		return err
	}
	if s.drift, err = LoadDrift(each); err != nil {
		return err
	}
	return nil
}

// Remember fills the windows by log time with rows of before a start. Nothing is found in them: it was told when they came.
func (s *Watches) Remember(e ledger.Event, now uint64) {
	at := s.dated(e, now)
	if s.w.Window == 0 {
		return
	}
	// A first row that was dated before the window was counted later than its own date.
	first, known := s.ages.first[e.Account]
	unseen := known && first >= at && !s.counted[e.Account]
	if unseen {
		s.counted[e.Account], at = true, first
	}
	ofAccount := s.logTime.add(at, e.Account, unseen)
	if above(ofAccount, s.w.AccountLogsMax) {
		s.rise(nil, s.ofAccount(e.Account, ofAccount, byLogTime), now)
	}
}

// Remembered ends the filling.
func (s *Watches) Remembered(now uint64) {
	s.counted = map[common.Address]bool{}
	s.rise(nil, s.rowsIn(s.logTime, byLogTime), now)
	s.rise(nil, s.newIn(s.logTime, byLogTime), now)
}

// Young is how many accounts are remembered as young.
func (s *Watches) Young() int { return len(s.ages.first) }

// String names a standing in logs.
func (s Standing) String() string {
	return fmt.Sprintf("%s %s: %s, at most %s", s.Rule, s.Subject, s.Observed, s.Threshold)
}
