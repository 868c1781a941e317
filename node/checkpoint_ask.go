package node

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
)

// Questions about ranges, beside those of decide.go.
const (
	syncRanges   syncWhat = 4 // what proves the state of ranges from range Height on, as rangesMsg
	syncSections syncWhat = 5 // the sums of the sections of range Height, as []ledger.SectionSum
	syncRows     syncWhat = 6 // the rows of the section that begins with id Height, as []ledger.Event
)

// maxRanges bounds the ranges of one answer: with sixteen members' words on each, a megabyte.
const maxRanges = 64

// maxRow bounds the RLP of one row in an answer: more than the Relay's door lets in.
const maxRow = 8 << 10

// rangesMsg shows the state of ranges: certificates, and words on what is not certified or not agreed.
type rangesMsg struct {
	Certificates []quorum.UncheckedCheckpoint
	Words        [][]byte
	Next         uint64 // the range to go on with, 0 at the end
}

// shownRanges is a rangesMsg whose signatures were verified.
type shownRanges struct {
	certs []quorum.CheckpointCertificate
	words []quorum.Signed[quorum.Checkpoint]
}

var errRanges = errors.New("a wrong answer about ranges")

// answerRange serves the questions about ranges. It reads the ledger and changes nothing.
func (c *core) answerRange(req syncReq) (reply []byte, err error) {
	err = c.led.View(func(tx *ledger.Tx) error {
		switch req.What {
		case syncRanges:
			var m rangesMsg
			m.Certificates, m.Words, m.Next, err = tx.CheckpointsFrom(req.Height, maxRanges)
			reply = marshal(m)
		case syncSections:
			if req.Height > quorum.MaxRange {
				return errUnknownRequest
			}
			var rows []ledger.Event
			rows, err = tx.RangeRows(req.Height*ledger.RangeSize, ledger.RangeSize)
			sums := make([]ledger.SectionSum, 0, ledger.Sections)
			for _, section := range ledger.SectionsOf(req.Height, rows) {
				sums = append(sums, ledger.SumRows(section))
			}
			reply = marshal(sums)
		case syncRows:
			if req.Height%ledger.SectionSize != 0 {
				return errUnknownRequest
			}
			var rows []ledger.Event
			rows, err = tx.RangeRows(req.Height, ledger.SectionSize)
			reply = marshal(rows)
		default:
			return errUnknownRequest
		}
		return err
	})
	return reply, err
}

// askRanges asks a member for the state of ranges and verifies every signature, off the core.
func (c *core) askRanges(peer common.Address, from uint64, roster quorum.Roster) (out shownRanges, next uint64, err error) {
	var m rangesMsg
	if err := c.request(peer, syncReq{What: syncRanges, Height: from}, &m); err != nil {
		return out, 0, err
	}
	return openRanges(c.network, roster, m, from)
}

// openRanges verifies an answer. One wrong signature spoils all of it: honest members show only what they verified.
func openRanges(network common.Hash, roster quorum.Roster, m rangesMsg, from uint64) (out shownRanges, next uint64, err error) {
	if len(m.Certificates) > maxRanges || len(m.Words) > maxRanges*quorum.MaxMembers || (m.Next != 0 && m.Next <= from) {
		return out, 0, fmt.Errorf("%w: %d certificates, %d words, next is %d", errRanges, len(m.Certificates), len(m.Words), m.Next)
	}
	for _, u := range m.Certificates {
		if u.Checkpoint.Epoch != roster.Epoch {
			continue // of another epoch than this node is in: one of the two is behind
		}
		cert, err := u.Verify(network, roster)
		if err != nil {
			return shownRanges{}, 0, fmt.Errorf("%w: %w", errRanges, err)
		}
		out.certs = append(out.certs, cert)
	}
	for _, raw := range m.Words {
		w, err := quorum.Open[quorum.Checkpoint](network, roster.IDs(), raw)
		if err != nil {
			return shownRanges{}, 0, fmt.Errorf("%w: %w", errRanges, err)
		}
		out.words = append(out.words, w)
	}
	return out, m.Next, nil
}

// takeRanges keeps what is new of an answer, in one commit; nothing new costs none. It returns how much was new.
func (c *core) takeRanges(in shownRanges) (taken int) {
	fresh, err := c.freshOf(in)
	if err != nil {
		c.stop(err)
		return 0
	}
	if len(fresh.certs)+len(fresh.words) == 0 {
		return 0
	}
	c.update("keep shown ranges", func(tx *ledger.Tx) error {
		taken = 0
		for _, cert := range fresh.certs {
			added, err := tx.PutRangeCertificate(cert)
			if err != nil {
				return err
			}
			if added {
				taken++
			}
		}
		for _, w := range fresh.words {
			added, _, err := tx.PutCheckpoint(w)
			if err != nil && !isRule(err) {
				return err
			}
			if added {
				taken++
			}
		}
		return nil
	})
	return taken
}

// freshOf is what of an answer the ledger does not hold. Own words among it are compared with what was ever signed.
func (c *core) freshOf(in shownRanges) (out shownRanges, err error) {
	var own []quorum.Signed[quorum.Checkpoint]
	err = c.led.View(func(tx *ledger.Tx) error {
		for _, cert := range in.certs {
			was, ok, err := tx.RangeCertificate(cert.Checkpoint().Range)
			if err != nil {
				return err
			}
			if !ok || was.Checkpoint != cert.Checkpoint() {
				out.certs = append(out.certs, cert)
			}
		}
		for _, w := range in.words {
			known, err := tx.HasCheckpoint(w)
			switch {
			case err != nil:
				return err
			case w.Signer() == c.self:
				own = append(own, w)
			case !known:
				out.words = append(out.words, w)
			}
		}
		return nil
	})
	for _, w := range own {
		c.foreign(w.Body().Counter, 0, w.Bytes())
	}
	return out, err
}

// versionOf gets a member's rows of a range: it compares the sums of sections with the own ones, fetches the sections that
// differ, and puts them in place of the own ones. What comes out must be what was signed: a member that shows anything else
// is refused, so that it does not matter how it was found.
func (c *core) versionOf(peer common.Address, want quorum.Checkpoint, own []ledger.Event) ([]ledger.Event, error) {
	var sums []ledger.SectionSum
	if err := c.request(peer, syncReq{What: syncSections, Height: want.Range}, &sums); err != nil {
		return nil, err
	}
	if len(sums) != ledger.Sections {
		return nil, fmt.Errorf("%w: %d sections", errRanges, len(sums))
	}
	var theirs []ledger.Event
	for i, mine := range ledger.SectionsOf(want.Range, own) {
		if ledger.SumRows(mine) == sums[i] {
			theirs = append(theirs, mine...)
			continue
		}
		first := want.Range*ledger.RangeSize + uint64(i)*ledger.SectionSize
		var rows []ledger.Event
		if err := c.request(peer, syncReq{What: syncRows, Height: first}, &rows); err != nil {
			return nil, err
		}
		if err := checkRows(rows, first); err != nil {
			return nil, err
		}
		theirs = append(theirs, rows...)
	}
	if sum := ledger.SumRows(theirs); sum.Count != want.Count || sum.Hash != want.Hash {
		return nil, fmt.Errorf("%w: the rows of range %d are %d, %s; signed was %d, %s", errRanges, want.Range, sum.Count, sum.Hash, want.Count, want.Hash)
	}
	return theirs, nil
}

// checkRows looks at the rows of one section as they came.
func checkRows(rows []ledger.Event, first uint64) error {
	for i, e := range rows {
		switch {
		case e.ID < first || e.ID-first >= ledger.SectionSize || (i > 0 && e.ID <= rows[i-1].ID):
			return fmt.Errorf("%w: row %d does not belong into the section from %d", errRanges, e.ID, first)
		case e.Kind > ledger.MaxEventKind:
			return fmt.Errorf("%w: row %d is of the unknown kind %d", errRanges, e.ID, e.Kind)
		case len(marshal(e)) > maxRow:
			return fmt.Errorf("%w: row %d is too long", errRanges, e.ID)
		}
	}
	return nil
}
