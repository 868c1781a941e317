package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"conclave/quorum/agreement"
)

// Rhythms of what looks after waits.
const (
	waitsEvery   = 10 * time.Second
	waitsTimeout = 5 * time.Second // for the core's answer; a core that gives none misses its own pulse
)

// Budgets: how long each wait may last before a person is called. Each is several times what a healthy network needs.
const (
	budgetQuorum    = 2 * time.Minute // members restart within it
	budgetCeremony  = 15 * time.Minute
	budgetSigning   = 10 * time.Minute // sets of signers are tried one after the other, a minute or so each
	budgetAgreement = 10 * time.Minute
)

// wait is one thing that the node waits for without end: what status shows of it, and how long it may last.
type wait struct {
	code   string
	budget time.Duration
	// look returns what is waited for now, the same for one wait, and in words why it goes on; empty: nothing.
	look func(Status) (subject, why string)
}

// waits is every wait on other members. Those on the Relay, on a chain, on a part of this node and of each withdrawal are
// looked at where they happen.
func waits() []wait {
	return []wait{
		{codeQuorumLost, budgetQuorum, func(s Status) (string, string) {
			// Nobody keeps a connection with who is no member, and it decides nothing: another word says that it is out.
			if up := upIn(s); s.Member && up < s.Quorum {
				return "members", fmt.Sprintf("%d of %d members are connected, %d are needed; away: %s", up, len(s.Members), s.Quorum, awayIn(s))
			}
			return "", ""
		}},
		{codeCeremonyWaits, budgetCeremony, func(s Status) (string, string) {
			if s.Keygen == nil {
				return "", ""
			}
			return "key", fmt.Sprintf("attempt %d, round %d of %d; who does not take part: %d of %d", s.Keygen.Attempt, s.Keygen.Round, s.Keygen.Rounds,
				len(s.Keygen.Missing), len(s.Members))
		}},
		{codeSigningLate, budgetSigning, func(s Status) (string, string) {
			if s.Signing == nil {
				return "", ""
			}
			return fmt.Sprint(s.Signing.Height), fmt.Sprintf("height %d, nonce %d, attempt %d; ready: %d, %d are needed", s.Signing.Height, s.Signing.Nonce,
				s.Signing.Attempt, len(s.Signing.Ready), s.Quorum)
		}},
		{codeAgreementLate, budgetAgreement, func(s Status) (string, string) {
			if s.Round.Step == agreement.StepWaiting.String() || s.Keygen != nil {
				return "", ""
			}
			return fmt.Sprint(s.Round.Height), fmt.Sprintf("height %d, round %d, %s; silent: %d of %d", s.Round.Height, s.Round.Round, s.Round.Step,
				len(s.Round.Silent), len(s.Members))
		}},
	}
}

func upIn(s Status) (n int) {
	for _, m := range s.Members {
		if m.Connected {
			n++
		}
	}
	return n
}

func awayIn(s Status) string {
	var out []string
	for _, m := range s.Members {
		if !m.Connected {
			out = append(out, m.Name)
		}
	}
	return strings.Join(out, ", ")
}

// patience watches the waits of one process.
type patience struct {
	alerts  *alerts
	now     func() time.Time
	subject map[string]string    // what each is waited for now, by code
	since   map[string]time.Time // and since when
	seen    map[uint64]time.Time // open withdrawals, since when this process knows of them
	reasons map[uint64]reasonHeld
	looked  uint64 // the late withdrawal whose reason was asked for last
}

func newPatience(a *alerts, now func() time.Time) *patience {
	return &patience{alerts: a, now: now, subject: map[string]string{}, since: map[string]time.Time{}, seen: map[uint64]time.Time{},
		reasons: map[uint64]reasonHeld{}}
}

// check raises what waited beyond its budget and ends what waits no more.
func (p *patience) check(s Status) {
	now := p.now()
	for _, w := range waits() {
		subject, why := w.look(s)
		if subject != p.subject[w.code] {
			p.subject[w.code], p.since[w.code] = subject, now
		}
		switch waited := now.Sub(p.since[w.code]); {
		case subject == "":
			p.alerts.recover(w.code)
		case waited >= w.budget:
			p.alerts.raise(Alert{Code: w.code, Text: fmt.Sprintf("for %s: %s", waited.Round(time.Second), why)})
		}
	}
}

// watchWaits looks at every wait until ctx ends.
func (n *Node) watchWaits(ctx context.Context) error {
	p := newPatience(n.alerts, n.now)
	tick := time.NewTicker(waitsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		look, cancel := context.WithTimeout(ctx, waitsTimeout)
		s, err := n.Status(look)
		cancel()
		if err == nil {
			p.check(s)
			err = n.watchLate(ctx, p)
		}
		if err != nil && ctx.Err() == nil {
			n.log.Debug("waits not looked at", zap.Error(err))
		}
	}
}
