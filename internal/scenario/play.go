package scenario

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/simnet"
	"conclave/quorum"
	"conclave/relay/relaysim"
)

// player is a story under way.
type player struct {
	ctx     context.Context
	cfg     simnet.Config
	w       *simnet.World // nil until the custodians are called
	last    uint64        // id of the last row that a user or the Relay caused
	request *simnet.Request
	puppets map[int]*simnet.Puppet
	spoken  map[int]*spoken     // what watched members say
	decree  quorum.SignedAction // what operators signed last
	tx      common.Hash         // the transaction that the story remembers
	kept    []byte              // signed bytes that somebody keeps
	decreed time.Time           // when operators last signed the end of halts
	wished  uint64              // members that operators asked for, so often

	histories map[int][]relaysim.Lie // that custodians are shown of one account, for good
}

// Run plays the story in a fresh world and checks what is left of it.
func (s Script) Run(ctx context.Context, cfg simnet.Config) (simnet.Report, error) {
	p := &player{ctx: ctx, cfg: cfg, puppets: map[int]*simnet.Puppet{}, histories: map[int][]relaysim.Lie{}}
	p.cfg.Policy = map[string]string{}
	err := p.lines(s)
	if p.w == nil {
		return simnet.Report{}, fmt.Errorf("%s: the story calls no custodians: %w", s.Name, err)
	}
	if err != nil {
		p.w.Close()
		return simnet.Report{}, err
	}
	time.Sleep(pause)
	if err := p.w.Close(); err != nil {
		return simnet.Report{}, fmt.Errorf("%s: %w", s.Name, err)
	}
	report, err := p.w.Check()
	if err != nil {
		return report, fmt.Errorf("%s: %w", s.Name, err)
	}
	p.w.Tracef("end: %d decisions, %d paid, %d statements sent stand on disk, %d pairs of books are equal",
		report.Decisions, report.Paid, report.Said, report.Equal)
	return report, nil
}

func (p *player) lines(s Script) error {
	for _, l := range s.Lines {
		c, a, err := l.does, maps.Clone(l.args), error(nil)
		if p.w == nil && !c.before {
			err = fmt.Errorf("the custodians are not called yet")
		}
		if p.w != nil {
			p.w.Tracef("> %s", l.Text)
		}
		if err == nil {
			err = c.do(p, a)
		}
		if err == nil {
			err = p.alive()
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", s.Name, l.Number, l.Text, err)
		}
	}
	return nil
}

// alive fails when a custodian died of itself.
func (p *player) alive() error {
	if p.w == nil {
		return nil
	}
	if p.cfg.Strict {
		if err := p.w.CheckNow(); err != nil {
			return err
		}
	}
	for _, c := range p.w.Custodians {
		if meant, err := c.Broken(); err != nil {
			return err
		} else if meant {
			continue
		}
		if err, dead := c.Died(); dead {
			return fmt.Errorf("%s died: %w", c.Name, err)
		}
	}
	return nil
}

// command is one way to begin a line.
type command struct {
	pattern string
	before  bool // may stand before the custodians are called
	do      func(*player, args) error
}

// find looks a line up in the language.
func find(words []string) (command, args, error) { return findIn(language(), words) }

func findIn(all []command, words []string) (command, args, error) {
	for _, c := range all {
		if a, ok := match(c.pattern, words); ok {
			return c, a, nil
		}
	}
	return command{}, nil, fmt.Errorf("not understood: %v", words)
}

// pause is how long the world gets where a person would wait a moment: after the start, and after the last line, so that
// everybody has heard everything.
const pause = 2 * time.Second
