package quorum_test

import (
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sampleCheckpoint() quorum.Checkpoint {
	return quorum.Checkpoint{Epoch: 1, Counter: 18, Range: 2, Count: 4095, Hash: hash(0x2a)}
}

// checkpoints lets the first n members sign one range.
func checkpoints(t tb, c committee, n int, change func(i int, b *quorum.Checkpoint)) []quorum.Signed[quorum.Checkpoint] {
	return signAll(t, c, n, func(i int) quorum.Checkpoint {
		b := sampleCheckpoint()
		b.Counter = uint64(30 + i)
		if change != nil {
			change(i, &b)
		}
		return b
	})
}

func checkpointCertificate(t tb, c committee) quorum.CheckpointCertificate {
	t.Helper()
	cert, ok := quorum.CertifyCheckpoint(c.roster, checkpoints(t, c, c.roster.Q(), nil))
	require.True(t, ok)
	return cert
}

func TestCheckpointShape(t *testing.T) {
	empty := crypto.Keccak256Hash()
	for name, c := range map[string]struct {
		body quorum.Checkpoint
		ok   bool
	}{
		"a range":                  {sampleCheckpoint(), true},
		"a full range":             {quorum.Checkpoint{Range: quorum.MaxRange, Count: quorum.RangeSpan, Hash: hash(1)}, true},
		"an empty range":           {quorum.Checkpoint{Hash: empty}, true},
		"beyond the last id":       {quorum.Checkpoint{Range: quorum.MaxRange + 1, Count: 1, Hash: hash(1)}, false},
		"more rows than ids":       {quorum.Checkpoint{Count: quorum.RangeSpan + 1, Hash: hash(1)}, false},
		"rows and the empty hash":  {quorum.Checkpoint{Count: 1, Hash: empty}, false},
		"no rows and another hash": {quorum.Checkpoint{Hash: hash(1)}, false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.ok, c.body.Check() == nil) })
	}
}

// Of several certified states of a range the one with most rows stands; below q nothing does.
func TestCertifyCheckpoint(t *testing.T) {
	c := newCommittee(t, 4)
	less := checkpoints(t, c, 4, func(_ int, b *quorum.Checkpoint) { b.Count, b.Hash = 10, hash(0x10) })
	more := checkpoints(t, c, 4, func(_ int, b *quorum.Checkpoint) { b.Counter += 10 })
	cert, ok := quorum.CertifyCheckpoint(c.roster, append(less, more...))
	require.True(t, ok)
	require.Equal(t, uint64(4095), cert.Checkpoint().Count)
	_, err := cert.Unchecked().Verify(testNetwork, c.roster)
	require.NoError(t, err)
	require.Len(t, cert.Signers(), 3)

	_, ok = quorum.CertifyCheckpoint(c.roster, append(less[:2:2], more[2:]...))
	require.False(t, ok, "two and two are no quorum")
	_, ok = quorum.CertifyCheckpoint(c.roster, append(less[:2:2], less[1]))
	require.False(t, ok, "nobody counts twice")
	other := c.roster
	other.Epoch = 2
	_, ok = quorum.CertifyCheckpoint(other, more)
	require.False(t, ok, "an epoch's members speak for it alone")
	u := cert.Unchecked()
	u.Checkpoint.Count--
	_, err = u.Verify(testNetwork, c.roster)
	require.ErrorIs(t, err, quorum.ErrCertificate)
}

func FuzzUncheckedCheckpoint(f *testing.F) {
	c := newCommittee(f, 4)
	fuzzDecode(f, certificates(f, c)["checkpoint-certificate"], func(u quorum.UncheckedCheckpoint) error {
		_, err := u.Verify(testNetwork, c.roster)
		return err
	})
}

func TestConflict(t *testing.T) {
	c := newCommittee(t, 4)
	key, other := c.keys[0], c.keys[1]
	say := func(b quorum.Body) []byte {
		switch b := b.(type) {
		case quorum.Approve:
			return sign(t, key, b).Bytes()
		case quorum.Refuse:
			return sign(t, key, b).Bytes()
		case quorum.Vote:
			return sign(t, key, b).Bytes()
		case quorum.Proposal:
			return sign(t, key, b).Bytes()
		case quorum.Checkpoint:
			return sign(t, key, b).Bytes()
		case quorum.View:
			return sign(t, key, b).Bytes()
		}
		panic("unknown body")
	}
	approve := sampleApprove()
	elsewhere, nextHead := approve, approve
	elsewhere.Content, elsewhere.Counter = hash(0xc1), 8
	nextHead.WID, nextHead.Head, nextHead.Counter = 78, hash(0x4f), 9
	refuse := quorum.Refuse{Epoch: 1, Policy: approve.Policy, Counter: 10, WID: 77, Content: approve.Content, Reason: quorum.ReasonMinimum}
	vote := quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Prevote, ID: hash(1), Counter: 11}
	nay, precommit := vote, vote
	nay.ID, nay.Counter = hash(2), 12
	precommit.Phase, precommit.Counter = quorum.Precommit, 13
	mark := sampleCheckpoint()
	late := mark
	late.Count, late.Hash, late.Counter = 4096, hash(3), 19
	twin := late
	twin.Counter = mark.Counter
	founding := vote
	founding.Counter = 0

	for name, k := range map[string]struct {
		a, b []byte
		rule quorum.Rule
	}{
		"another content":           {say(approve), say(elsewhere), quorum.RuleVerdicts},
		"approved and refused":      {say(approve), say(refuse), quorum.RuleVerdicts},
		"another head":              {say(approve), say(nextHead), quorum.RuleHeads},
		"two values":                {say(vote), say(nay), quorum.RuleVotes},
		"one count":                 {say(mark), say(twin), quorum.RuleCounter},
		"a prevote and a precommit": {say(vote), say(precommit), ""},
		"the same twice":            {say(vote), say(vote), ""},
		"a late row":                {say(mark), say(late), ""},
		"views carry no counter":    {say(sampleView()), say(mark), ""},
		"of two members":            {say(vote), sign(t, other, nay).Bytes(), ""},
		"counter zero is nobody's":  {say(founding), sign(t, key, quorum.Halt{Code: "x", Epoch: 1}).Bytes(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, order := range [][2][]byte{{k.a, k.b}, {k.b, k.a}} {
				rule, who, err := quorum.Conflict(testNetwork, c.ids().InEveryEpoch(), order[0], order[1])
				require.Equal(t, k.rule, rule)
				if k.rule == "" {
					require.Error(t, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, c.ids()[0], who)
			}
		})
	}
}

// Nobody can be framed: bytes that a member's key did not sign accuse nobody, however near they are to what it signed.
func TestNobodyIsFramed(t *testing.T) {
	c := newCommittee(t, 4)
	victim := c.keys[2]
	a := sign(t, victim, quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Prevote, ID: hash(1), Counter: 11}).Bytes()
	stranger := testKey("stranger", 0)
	rapid.Check(t, func(r *rapid.T) {
		var b []byte
		switch rapid.IntRange(0, 3).Draw(r, "forgery") {
		case 0: // any bytes
			b = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "bytes")
		case 1: // the member's own statement, bent
			b = append([]byte(nil), a...)
			at := rapid.IntRange(0, len(b)-1).Draw(r, "at")
			b[at] ^= byte(rapid.IntRange(1, 255).Draw(r, "by"))
		case 2: // the statement that would convict, by somebody without a seat
			b = sign(r, stranger, quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Prevote, ID: hash(2), Counter: 11}).Bytes()
		case 3: // the member's own word to another network
			s, err := quorum.Sign(victim, hash(byte(rapid.IntRange(0, 0x40).Draw(r, "network"))), quorum.Vote{Epoch: 1, Height: 9, Round: 3, Phase: quorum.Prevote, ID: hash(2), Counter: 11})
			require.NoError(r, err)
			b = s.Bytes()
		}
		_, _, err := quorum.Conflict(testNetwork, c.ids().InEveryEpoch(), a, b)
		require.Error(r, err)
		_, _, err = quorum.Conflict(testNetwork, c.ids().InEveryEpoch(), b, a)
		require.Error(r, err)
	})
}

// Whoever is convicted signed both statements: a member that signs whatever it likes convicts nobody but itself.
func FuzzConflict(f *testing.F) {
	c := newCommittee(f, 4)
	all := statements(c)
	for i, s := range all {
		f.Add(uint8(i), encode(f, s.body), uint8(i), encode(f, s.body))
	}
	honest := sign(f, c.keys[2], sampleApprove()).Bytes()
	f.Fuzz(func(t *testing.T, one uint8, a []byte, two uint8, b []byte) {
		if len(a) > quorum.MaxStatement/2 || len(b) > quorum.MaxStatement/2 {
			return
		}
		first := signRaw(t, c, all[int(one)%len(all)].kind, a)
		second := signRaw(t, c, all[int(two)%len(all)].kind, b)
		if _, who, err := quorum.Conflict(testNetwork, c.ids().InEveryEpoch(), first, second); err == nil {
			_, signer, err := quorum.Authenticate(testNetwork, c.ids(), first)
			require.NoError(t, err)
			require.Equal(t, signer, who)
			require.NotEqual(t, first, second)
		}
		_, who, err := quorum.Conflict(testNetwork, c.ids().InEveryEpoch(), honest, first)
		require.Error(t, err, "%s was framed", who)
	})
}
