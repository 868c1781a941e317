package quorum_test

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"conclave/internal/golden"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const signedAt = 1_780_000_600_000

func policyBytes(t tb) []byte {
	t.Helper()
	file, err := os.ReadFile("testdata/policy-plain.toml")
	require.NoError(t, err)
	return file
}

func resolvedContent() quorum.Content {
	return quorum.Content{WID: 7, Account: address(0xac), Network: "devnet", To: address(0x70), Amount: wei("2000000000000000000"),
		Fee: wei("1000000000000000"), EventID: 4001, Message: hash(0x3e)}
}

// bodies are one of each kind, every field set.
func bodies(t tb, c committee) map[string]quorum.ActionBody {
	t.Helper()
	var halts []quorum.Signed[quorum.Halt]
	for i, scope := range []quorum.Scope{quorum.ScopeAll, quorum.ScopeLane} {
		target := ""
		if scope == quorum.ScopeLane {
			target = "devnet"
		}
		s, err := quorum.Sign(c.keys[i], testNetwork, quorum.Halt{Epoch: 1, Counter: 16, Scope: scope, Target: target, Code: "operator", Reason: "strange debits", Time: 1_780_000_000_002})
		require.NoError(t, err)
		halts = append(halts, s)
	}
	return map[string]quorum.ActionBody{
		"action-resume":  quorum.NewResume(testNetwork, halts, "the Relay was repaired"),
		"action-policy":  quorum.PolicyChange{File: policyBytes(t)},
		"action-readmit": quorum.Readmit{Member: c.ids()[1], Height: 9, Since: 1_780_000_000_000, Counter: 1<<32 + 16, Reason: "its machine was put back"},
		"action-cancel":  quorum.CancelSlot{Lane: sampleLane(), Nonce: 5, Batch: hash(0x1d), Reason: "it sits at its cap"},
		"action-resolve": quorum.Resolve{
			File:     policyBytes(t),
			Contents: []quorum.Fate{{Content: resolvedContent(), Pay: true, Spent: []uint64{3, 5}}},
			Accounts: []quorum.Rewrite{{Account: address(0xac), UpTo: 4001, Debits: []quorum.Debit{
				{ID: 12, Kind: 4, Amount: "1000"}, {ID: 4001, Kind: 6, Amount: "2001000000000000000"}}}},
			Log:       []quorum.LogRow{{ID: 9, CreatedAt: 1_780_000_000, Account: address(0xac), Kind: 3, Amount: "55", Network: "devnet", TxHash: hash(0x77)}},
			Uncovered: wei("400"), Reason: "row 9 was deleted at the Relay",
		},
	}
}

func sampleAction(t tb, body quorum.ActionBody) quorum.Action {
	t.Helper()
	a, err := quorum.NewAction(1, 1, 4, body)
	require.NoError(t, err)
	return a
}

// endorse signs with the operators of the given members.
func endorse(t tb, c committee, a quorum.Action, at uint64, members ...int) quorum.SignedAction {
	t.Helper()
	s := quorum.SignedAction{Action: a}
	by := map[quorum.Endorsed]common.Address{}
	for _, i := range members {
		e, err := quorum.SignAction(testKey("operator", i), testNetwork, a, at)
		require.NoError(t, err)
		by[e] = crypto.PubkeyToAddress(testKey("operator", i).PublicKey)
		s.Signatures = append(s.Signatures, e)
	}
	slices.SortFunc(s.Signatures, func(x, y quorum.Endorsed) int { return by[x].Cmp(by[y]) })
	return s
}

// What is signed and stored is the protocol.
func TestGoldenActions(t *testing.T) {
	c := newCommittee(t, 4)
	for name, body := range bodies(t, c) {
		a := sampleAction(t, body)
		digest, err := a.Digest(testNetwork, signedAt)
		require.NoError(t, err)
		id := a.Hash(testNetwork)
		golden.Fields(t, goldenPath(name), golden.Field{Name: "action", Bytes: encode(t, a)}, golden.Field{Name: "action hash", Bytes: id[:]},
			golden.Field{Name: "typed data's digest", Bytes: digest[:]},
			golden.Field{Name: "signed by three operators", Bytes: endorse(t, c, a, signedAt, 0, 1, 2).Encode()})
	}
	a := sampleAction(t, quorum.PolicyChange{File: policyBytes(t)})
	id := a.Hash(testNetwork)
	golden.Fields(t, goldenPath("action"), golden.Field{Name: "body", Bytes: encode(t, a)}, golden.Field{Name: "digest", Bytes: id[:]})
}

func TestActionsRoundTrip(t *testing.T) {
	c := newCommittee(t, 4)
	for name, body := range bodies(t, c) {
		s := endorse(t, c, sampleAction(t, body), signedAt, 0, 2, 3)
		again, err := quorum.DecodeSignedAction(s.Encode())
		require.NoError(t, err, name)
		require.Equal(t, s, again)
		v, err := again.Verify(testNetwork, c.roster)
		require.NoError(t, err, name)
		require.Len(t, v.Operators(), 3)
		require.Equal(t, uint64(signedAt), v.Time())
		opened, err := s.Action.Open()
		require.NoError(t, err)
		require.Equal(t, encode(t, body), encode(t, opened))
	}
}

func TestActionsThatNobodySigned(t *testing.T) {
	c := newCommittee(t, 4)
	a := sampleAction(t, quorum.PolicyChange{File: policyBytes(t)})
	good := endorse(t, c, a, signedAt, 0, 1, 2)
	swapped := slices.Clone(good.Signatures)
	swapped[0], swapped[1] = swapped[1], swapped[0]
	twice, err := quorum.SignAction(testKey("operator", 0), testNetwork, a, signedAt+1)
	require.NoError(t, err)
	stranger, err := quorum.SignAction(testKey("stranger", 0), testNetwork, a, signedAt)
	require.NoError(t, err)
	node, err := quorum.SignAction(c.keys[0], testNetwork, a, signedAt)
	require.NoError(t, err)
	for name, sigs := range map[string][]quorum.Endorsed{
		"none":                nil,
		"too few":             good.Signatures[:2],
		"not ascending":       swapped,
		"one twice":           {good.Signatures[0], good.Signatures[0], good.Signatures[1]},
		"one at two times":    append(endorse(t, c, a, signedAt, 0).Signatures, twice, good.Signatures[1]),
		"a stranger's":        {good.Signatures[0], good.Signatures[1], stranger},
		"a node's key":        {good.Signatures[0], good.Signatures[1], node},
		"more than exactly q": endorse(t, c, a, signedAt, 0, 1, 2, 3).Signatures,
		"of another time":     {good.Signatures[0], good.Signatures[1], {Time: signedAt + 1, Sig: good.Signatures[2].Sig}},
		"with the higher s":   {good.Signatures[0], good.Signatures[1], {Time: signedAt, Sig: malleated(good.Signatures[2].Sig)}},
	} {
		_, err := quorum.SignedAction{Action: a, Signatures: sigs}.Verify(testNetwork, c.roster)
		require.ErrorIs(t, err, quorum.ErrAction, name)
	}
	_, err = good.Verify(hash(0x01), c.roster)
	require.ErrorIs(t, err, quorum.ErrAction, "another network")
}

func malleated(s quorum.Signature) quorum.Signature {
	s[32] |= 0x80 // above half the order, whatever it was
	return s
}

// Nobody can be framed, one signature never counts twice, and none means anything at another epoch, policy version, serial,
// network or time, or under another body.
func TestSignaturesMeanOneAction(t *testing.T) {
	c := newCommittee(t, 4)
	all := bodies(t, c)
	names := []string{"action-policy", "action-resolve", "action-resume"}
	rapid.Check(t, func(t *rapid.T) {
		a, err := quorum.NewAction(rapid.Uint64Range(1, 3).Draw(t, "epoch"), rapid.Uint64Range(1, 3).Draw(t, "policy"),
			rapid.Uint64Range(1, 4).Draw(t, "serial"), all[rapid.SampledFrom(names).Draw(t, "body")])
		require.NoError(t, err)
		b, err := quorum.NewAction(rapid.Uint64Range(1, 3).Draw(t, "epoch'"), rapid.Uint64Range(1, 3).Draw(t, "policy'"),
			rapid.Uint64Range(1, 4).Draw(t, "serial'"), all[rapid.SampledFrom(names).Draw(t, "body'")])
		require.NoError(t, err)
		who := rapid.IntRange(0, 3).Draw(t, "who")
		at := rapid.Uint64Range(1, 3).Draw(t, "time")
		e, err := quorum.SignAction(testKey("operator", who), testNetwork, a, at)
		require.NoError(t, err)
		if at != e.Time {
			t.Fatal("the time is what was asked for")
		}
		shown := quorum.Endorsed{Time: rapid.Uint64Range(1, 3).Draw(t, "time'"), Sig: e.Sig}
		network := rapid.SampledFrom([]common.Hash{testNetwork, hash(0x01)}).Draw(t, "network")
		same := bytes.Equal(encodeAny(a), encodeAny(b)) && shown.Time == at && network == testNetwork
		by, err := b.Operator(network, shown)
		if same {
			require.NoError(t, err)
			require.Equal(t, crypto.PubkeyToAddress(testKey("operator", who).PublicKey), by)
			return
		}
		require.False(t, err == nil && c.roster.Operators().Has(by), "a signature under one action counts under another")
	})
}

// Copies that travel in any order and any split add up to one, and to no more signatures than operators.
func TestJoinedCopiesAreOne(t *testing.T) {
	c := newCommittee(t, 4)
	a := sampleAction(t, quorum.PolicyChange{File: policyBytes(t)})
	rapid.Check(t, func(t *rapid.T) {
		latest := map[int]uint64{}
		var have quorum.VerifiedAction
		for i := range rapid.IntRange(1, 8).Draw(t, "copies") {
			who, at := rapid.IntRange(0, 3).Draw(t, "who"), rapid.Uint64Range(1, 5).Draw(t, "time")
			v, err := endorse(quietly{t}, c, a, at, who).Open(testNetwork, c.roster)
			require.NoError(t, err)
			if i == 0 {
				have = v
			} else {
				joined, added := have.Join(v)
				require.Equal(t, at > latest[who], added)
				have = joined
			}
			latest[who] = max(latest[who], at)
		}
		require.Len(t, have.Operators(), len(latest))
		again, err := have.Signed().Open(testNetwork, c.roster)
		require.NoError(t, err, "a joined copy is a copy")
		require.Equal(t, have, again)
		q, ok := have.Quorum(c.roster.Q())
		require.Equal(t, len(latest) >= c.roster.Q(), ok)
		if ok {
			_, err := q.Verify(testNetwork, c.roster)
			require.NoError(t, err)
		}
	})
}

func TestSerials(t *testing.T) {
	a := quorum.Action{Epoch: 1, Policy: 2, Serial: 5}
	require.NoError(t, a.Serialised(2, 4))
	require.NoError(t, a.Serialised(2, 1), "a later serial gives an earlier one up")
	require.ErrorIs(t, a.Serialised(2, 5), quorum.ErrAction)
	require.ErrorIs(t, a.Serialised(3, 4), quorum.ErrAction)
	a.Serial = 4 + quorum.MaxSerialStep + 1
	require.ErrorIs(t, a.Serialised(2, 4), quorum.ErrAction)
}

func TestBodiesThatAreNone(t *testing.T) {
	file := policyBytes(t)
	base := quorum.Resolve{File: file, Uncovered: wei("1"), Reason: "r"}
	with := func(change func(*quorum.Resolve)) quorum.Resolve { r := base; change(&r); return r }
	for name, body := range map[string]quorum.ActionBody{
		"resume of nothing":     quorum.Resume{Reason: "r"},
		"resume without reason": quorum.Resume{Halts: [][]byte{{1}}},
		"resume of too many":    quorum.Resume{Halts: make([][]byte, quorum.MaxResumed+1), Reason: "r"},
		"no policy":             quorum.PolicyChange{File: []byte("version = 1")},
		"return of nobody":      quorum.Readmit{Height: 2, Since: 1, Counter: 1, Reason: "r"},
		"return to height 1":    quorum.Readmit{Member: address(1), Height: 1, Since: 1, Counter: 1, Reason: "r"},
		"return at no time":     quorum.Readmit{Member: address(1), Height: 2, Counter: 1, Reason: "r"},
		"return to any counter": quorum.Readmit{Member: address(1), Height: 2, Since: 1, Reason: "r"},
		"return without reason": quorum.Readmit{Member: address(1), Height: 2, Since: 1, Counter: 1},
		"cancel of no chain":    quorum.CancelSlot{Lane: quorum.LaneKey{Payer: address(1)}, Batch: hash(1), Reason: "r"},
		"cancel of no payer":    quorum.CancelSlot{Lane: quorum.LaneKey{ChainID: 1}, Batch: hash(1), Reason: "r"},
		"cancel of no batch":    quorum.CancelSlot{Lane: sampleLane(), Reason: "r"},
		"cancel without reason": quorum.CancelSlot{Lane: sampleLane(), Batch: hash(1)},
		"resolve of nothing":    with(func(r *quorum.Resolve) { r.Uncovered.Clear() }),
		"control characters":    with(func(r *quorum.Resolve) { r.Reason = "a\nb" }),
		"one withdrawal twice": with(func(r *quorum.Resolve) {
			r.Contents = []quorum.Fate{{Content: resolvedContent()}, {Content: resolvedContent()}}
		}),
		"spent not ascending": with(func(r *quorum.Resolve) {
			r.Contents = []quorum.Fate{{Content: resolvedContent(), Spent: []uint64{5, 3}}}
		}),
		"spent twice": with(func(r *quorum.Resolve) {
			r.Contents = []quorum.Fate{{Content: resolvedContent(), Spent: []uint64{3, 3}}}
		}),
		"debit above the end": with(func(r *quorum.Resolve) {
			r.Accounts = []quorum.Rewrite{{Account: address(1), UpTo: 3, Debits: []quorum.Debit{{ID: 4, Kind: 4, Amount: "1"}}}}
		}),
		"debit of a credit": with(func(r *quorum.Resolve) {
			r.Accounts = []quorum.Rewrite{{Account: address(1), UpTo: 9, Debits: []quorum.Debit{{ID: 4, Kind: 0, Amount: "1"}}}}
		}),
		"negative debit": with(func(r *quorum.Resolve) {
			r.Accounts = []quorum.Rewrite{{Account: address(1), UpTo: 9, Debits: []quorum.Debit{{ID: 4, Kind: 4, Amount: "-1"}}}}
		}),
		"debits not ascending": with(func(r *quorum.Resolve) {
			r.Accounts = []quorum.Rewrite{{Account: address(1), UpTo: 9, Debits: []quorum.Debit{{ID: 4, Kind: 4, Amount: "1"}, {ID: 4, Kind: 4, Amount: "1"}}}}
		}),
		"accounts twice": with(func(r *quorum.Resolve) {
			r.Accounts = []quorum.Rewrite{{Account: address(1), UpTo: 9}, {Account: address(1), UpTo: 9}}
		}),
		"rows not ascending": with(func(r *quorum.Resolve) { r.Log = []quorum.LogRow{{ID: 2}, {ID: 1}} }),
		"row of no kind":     with(func(r *quorum.Resolve) { r.Log = []quorum.LogRow{{ID: 2, Kind: 11}} }),
	} {
		_, err := quorum.NewAction(1, 1, 1, body)
		require.ErrorIs(t, err, quorum.ErrAction, name)
	}
}

// quietly is a rapid test where helpers are wanted.
type quietly struct{ *rapid.T }

func encodeAny(a quorum.Action) []byte { return quorum.SignedAction{Action: a}.Encode() }

// Any bytes at the door: what decodes is the one encoding, opens, hashes without a panic, and counts nobody who did not sign.
func FuzzSignedAction(f *testing.F) {
	c := newCommittee(f, 4)
	for _, body := range bodies(f, c) {
		raw := endorse(f, c, sampleAction(f, body), signedAt, 0, 1, 2).Encode()
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := quorum.DecodeSignedAction(raw)
		if err != nil {
			require.ErrorIs(t, err, quorum.ErrAction)
			return
		}
		require.Equal(t, raw, s.Encode())
		_, _ = s.Action.Digest(testNetwork, 1)
		v, err := s.Open(testNetwork, c.roster)
		if err != nil {
			return
		}
		for i, e := range v.Signed().Signatures {
			by, err := s.Action.Operator(testNetwork, e)
			require.NoError(t, err)
			require.Equal(t, v.Operators()[i], by)
		}
	})
}
