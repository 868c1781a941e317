package scenario

import (
	"strings"

	"conclave/internal/simnet"
)

// wishes is what operators of a schedule ask for: it does not know who is awake, who rules, or what came of the last one.
func wishes() []command {
	return []command{
		// Whoever of LIST does not exist yet starts. What a custodian refuses is over.
		{"operators would have members LIST", false, (*player).wish},
	}
}

func (p *player) wish(a args) error {
	members, err := numbers(strings.ReplaceAll(a["LIST"], ",", " "))
	if err != nil {
		return err
	}
	for _, i := range members {
		if i != len(p.w.Custodians) {
			continue
		}
		c, err := p.w.Newcomer()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			return err
		}
	}
	what, err := p.w.Change(members, "the schedule says so")
	if err != nil {
		return err
	}
	desk, shown, ruling, err := p.w.Ruling(p.ctx)
	if err == nil {
		p.w.Serial(p.wished) // above every wish before
		p.wished++
		err = p.w.Meet(desk.Index)
	}
	if err == nil {
		p.decree, err = p.w.Decree(p.ctx, what, ruling[:shown.Need])
		_ = p.w.Meet(-1)
	}
	p.w.Serial(0)
	if err != nil {
		p.w.Tracef("nobody takes it: %v", err)
	}
	return nil
}

// rulers are the honest custodians that run and sit in the latest committee: who left is told nothing any more.
func (p *player) rulers() (out []*simnet.Custodian, operators []int, err error) {
	_, shown, ruling, err := p.w.Ruling(p.ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range p.w.Honest() {
		for _, i := range ruling {
			if c.Index == i {
				out = append(out, c)
			}
		}
	}
	return out, ruling[:shown.Need], nil
}
