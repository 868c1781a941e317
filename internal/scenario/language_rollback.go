package scenario

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/internal/simnet"
	"conclave/node"
	"conclave/quorum"
)

// rollbacks is what operators do to disks, and what a node then may not say.
func rollbacks() []command {
	all := []command{
		{"back up N", false, disk(func(_ *player, c *simnet.Custodian) error { return c.Backup() })},
		{"put the database of N back", false, disk(func(p *player, c *simnet.Custodian) error { return p.reborn(c, c.RestoreDatabase) })},
		{"put the whole disk of N back", false, disk(func(p *player, c *simnet.Custodian) error { return p.reborn(c, c.RestoreDisk) })},
		// It is custodian 4 from then on.
		{"copy the machine of N and start both", false, disk(func(p *player, c *simnet.Custodian) error { return p.w.CopyMachine(c) })},
		{"watch N", false, disk(func(p *player, c *simnet.Custodian) error { p.watch(c); return nil })},
		{"expect nothing new of N", false, ofWatched(func(s *spoken, _ args) error {
			if len(s.fresh) > 0 {
				return fmt.Errorf("it signed %d statements, first a %s", len(s.fresh), s.fresh[0].Says)
			}
			return nil
		})},
		{"expect N repeated itself", false, ofWatched(func(s *spoken, _ args) error {
			if s.repeated == 0 {
				return errors.New("it sent nothing that it had said before")
			}
			return nil
		})},
		{"expect N voted first in height HEIGHT", false, ofWatched(func(s *spoken, a args) error { return s.votedFirst(a) })},
		{"expect no verdict of N", false, ofWatched(func(s *spoken, _ args) error { return s.never(quorum.KindApprove, quorum.KindRefuse) })},
		{"expect a verdict of N", false, ofWatched(func(s *spoken, _ args) error { return s.ever(quorum.KindApprove, quorum.KindRefuse) })},
		{"operators readmit N from height HEIGHT by WHO…", false, signed(readmission)},
		{"operators are refused to readmit N from height HEIGHT by WHO…", false, func(p *player, a args) error {
			err := signed(readmission)(p, a)
			if errors.Is(err, node.ErrAction) {
				return nil
			}
			return errors.Join(err, errors.New("they were not refused"))
		}},
		{"expect no READY of N", false, ofWatched(func(s *spoken, _ args) error { return s.never(quorum.KindReady) })},
	}
	for what, is := range map[string]func(*node.SilenceStatus) bool{
		"asking WHO…":      func(s *node.SilenceStatus) bool { return s != nil && s.Asking },
		"speaking WHO…":    func(s *node.SilenceStatus) bool { return s == nil || !s.Asking },
		"quarantined WHO…": func(s *node.SilenceStatus) bool { return s != nil && s.Quarantined },
		"lost WHO…":        func(s *node.SilenceStatus) bool { return s != nil && s.Quarantined && s.VotesFrom == nil },
		"found WHO…":       func(s *node.SilenceStatus) bool { return s != nil && s.Quarantined && s.VotesFrom != nil },
		"silence over WHO…": func(s *node.SilenceStatus) bool {
			return s == nil
		},
	} {
		all = append(all, expectation(what, func(p *player, a args) error {
			return p.each(a, func(c *simnet.Custodian) error {
				s, err := c.Node.Status(p.ctx)
				if err == nil && !is(s.Silence) {
					err = fmt.Errorf("it is not %q: %+v", what, s.Silence)
				}
				return err
			})
		})...)
	}
	return all
}

// readmission is the operators' word on the return of a custodian from the quarantine that it is in.
func readmission(p *player, a args) (quorum.ActionBody, error) {
	c, err := p.asked(a)
	if err != nil {
		return nil, err
	}
	height, err := a.number("HEIGHT")
	if err != nil {
		return nil, err
	}
	return c.Readmission(p.ctx, uint64(height))
}

func disk(do func(*player, *simnet.Custodian) error) func(*player, args) error {
	return func(p *player, a args) error {
		n, err := a.number("N")
		if err != nil {
			return err
		}
		c, err := p.w.Custodian(n)
		if err == nil {
			err = do(p, c)
		}
		return err
	}
}

// reborn starts a custodian on what was put back; from then on it is watched.
func (p *player) reborn(c *simnet.Custodian, restore func() error) error {
	if err := restore(); err != nil {
		return err
	}
	p.watch(c)
	return c.Start()
}

// spoken is what a member's own nodes sent since a story watches it.
type spoken struct {
	known    map[common.Hash]bool // said before
	fresh    []simnet.Heard
	repeated int
}

// watch begins to tell what a member repeats from what it says anew.
func (p *player) watch(c *simnet.Custodian) {
	s := &spoken{known: p.w.SaidBy(c.Index)}
	if p.spoken == nil {
		p.spoken = map[int]*spoken{}
	}
	p.spoken[c.Index] = s
	index, address := c.Index, c.Address
	p.w.Hear(func(h simnet.Heard) {
		if h.FromIndex != index || h.Signer != address {
			return
		}
		id := crypto.Keccak256Hash(h.Statement)
		if h.Says == quorum.KindView { // which nobody signs twice, and which binds nobody
			return
		}
		if s.known[id] {
			s.repeated++
			return
		}
		s.known[id] = true
		s.fresh = append(s.fresh, h)
	})
}

func ofWatched(is func(*spoken, args) error) func(*player, args) error {
	return func(p *player, a args) error {
		n, err := a.number("N")
		if err != nil {
			return err
		}
		s := p.spoken[n]
		if s == nil {
			return fmt.Errorf("nobody watches %d", n)
		}
		return p.w.Quietly(func() error { return is(s, a) })
	}
}

// votedFirst: new votes begin in one height, no lower and no higher.
func (s *spoken) votedFirst(a args) error {
	want, err := a.number("HEIGHT")
	if err != nil {
		return err
	}
	lowest := uint64(0)
	for _, h := range s.fresh {
		if h.Height > 0 && (lowest == 0 || h.Height < lowest) {
			lowest = h.Height
		}
	}
	if lowest != uint64(want) {
		return fmt.Errorf("its first vote is of height %d", lowest)
	}
	return nil
}

func (s *spoken) ever(kinds ...quorum.Kind) error {
	for _, h := range s.fresh {
		for _, k := range kinds {
			if h.Says == k {
				return nil
			}
		}
	}
	return fmt.Errorf("it signed %d statements, none of them a %v", len(s.fresh), kinds)
}

func (s *spoken) never(kinds ...quorum.Kind) error {
	if s.ever(kinds...) == nil {
		return fmt.Errorf("it signed a %v", kinds)
	}
	return nil
}
