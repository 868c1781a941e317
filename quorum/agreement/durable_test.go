package agreement

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// rich is a record with every field in use: locked on A in round 1, past round 2, proposer of round 4 with a proof.
func rich(t *testing.T) (*seat, Own) {
	b := lockedOn(t).inRound(4)
	require.Len(t, b.props, 1)
	return b, Own{
		Proposals: []quorum.Signed[quorum.Proposal]{b.ring.propose(0, 4, valA, 2)},
		Votes:     []quorum.Signed[quorum.Vote]{b.ring.say(0, quorum.Prevote, 4, valA)},
	}
}

func TestResume(t *testing.T) {
	b, own := rich(t)
	d, err := DecodeDurable(b.s.Durable().Encode())
	require.NoError(t, err)
	require.Equal(t, b.s.Durable(), d)

	s, err := Resume(b.ring.config(0), d, own)
	require.NoError(t, err)
	require.Equal(t, d, s.Durable())

	fx := s.Step(Begin{}, b.now)
	require.True(t, fx.Commit.Empty(), "nothing is signed anew: %+v", fx.Commit)
	require.Equal(t, own.Proposals[0].Bytes(), fx.Send[0].Proposal.Bytes())
	require.Equal(t, valA, fx.Send[0].Pol.ID(), "with its proof")
	require.Equal(t, own.Votes[0].Bytes(), fx.Send[0].Votes[0].Bytes())

	// The lock works as before.
	c := &seat{t: t, ring: b.ring, s: s, now: b.now}
	c.inRound(5).proposed(5, valB, 0, quorum.QC{}).wants(quorum.Prevote, 5, none)
}

func TestResumeRefusesDamage(t *testing.T) {
	b, own := rich(t)
	for name, damage := range map[string]func(*Durable, *Own){
		"a vote without its step":  func(d *Durable, _ *Own) { d.Step = StepPropose },
		"a step without its vote":  func(_ *Durable, o *Own) { o.Votes = nil },
		"a later step":             func(d *Durable, _ *Own) { d.Step = StepPrecommit },
		"votes ahead of the round": func(d *Durable, _ *Own) { d.Round = 3 },
		"another height":           func(d *Durable, _ *Own) { d.Height++ },
		"no step":                  func(d *Durable, _ *Own) { d.Step = StepWaiting },
		"a forged certificate":     func(d *Durable, _ *Own) { d.Valid.ID = valB },
		"a certificate for nil":    func(d *Durable, _ *Own) { u := b.ring.qc(quorum.Prevote, 0, none, 1, 2, 3).Unchecked(); d.Valid = &u },
		"a forged ending":          func(d *Durable, _ *Own) { d.Ended = [][]byte{{1}} },
		"another's vote": func(_ *Durable, o *Own) {
			o.Votes = append(o.Votes, b.ring.say(1, quorum.Prevote, 1, none))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := must(DecodeDurable(b.s.Durable().Encode()))
			o := Own{Proposals: own.Proposals, Votes: own.Votes}
			damage(&d, &o)
			_, err := Resume(b.ring.config(0), d, o)
			require.ErrorIs(t, err, ErrRecord)
		})
	}
}

func TestConfigRefused(t *testing.T) {
	c := rings[4]().config(0)
	c.Self = rings[7]().ids[6]
	_, err := New(c)
	require.ErrorIs(t, err, quorum.ErrNotMember)
	c = rings[4]().config(0)
	c.Timeouts.VoteDelta = 0
	_, err = New(c)
	require.Error(t, err)
	_, err = Resume(c, Durable{}, Own{})
	require.Error(t, err)
}

// The record is stored: its bytes are the format.
func TestDurableGolden(t *testing.T) {
	b, _ := rich(t)
	got := hex.EncodeToString(b.s.Durable().Encode())
	if *rewrite { // a new format, on purpose
		require.NoError(t, os.WriteFile("testdata/durable.hex", []byte(got+"\n"), 0o644))
	}
	want, err := os.ReadFile("testdata/durable.hex")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), got)
}

func FuzzDecodeDurable(f *testing.F) {
	raw, err := os.ReadFile("testdata/durable.hex")
	require.NoError(f, err)
	seed, err := hex.DecodeString(strings.TrimSpace(string(raw)))
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDurable(b)
		if err != nil {
			require.ErrorIs(t, err, ErrRecord)
			return
		}
		require.Equal(t, b, d.Encode())
		if s, err := Resume(rings[4]().config(0), d, Own{}); err == nil {
			s.Step(Begin{}, time.UnixMilli(1))
		}
	})
}
