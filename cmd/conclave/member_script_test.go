package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"conclave/node"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// change is what a node of the committee says of a proposed change of members: three operators make it active.
func (s *seat) change(v quorum.VerifiedAction) *node.ChangeView {
	change, ok := v.Body().(quorum.MemberChange)
	if !ok {
		return nil
	}
	view := func(ids quorum.Members, members []quorum.Member) []node.OperatorView {
		out := []node.OperatorView{}
		for _, m := range members {
			if ids.Has(m.Address) {
				out = append(out, node.OperatorView{Name: m.Name, Member: m.Address, Operator: m.Operator})
			}
		}
		return out
	}
	joins, leaves, changed := change.Differs(s.roster)
	out := &node.ChangeView{State: "waiting", Reason: change.Reason, Members: len(change.Members), Quorum: quorum.Size(len(change.Members)),
		Joins: view(joins, change.Members), Leaves: view(leaves, s.roster.Members), Changed: view(changed, change.Members)}
	if len(v.Operators()) >= 3 {
		hash := v.Action().Hash(s.network)
		out.State, out.Ceremony = "active", &node.KeygenStatus{Epoch: 2, Change: &hash, Attempt: 4, Round: 2, Rounds: 5, Missing: joins, Failed: "timed out"}
	}
	return out
}

// walletChange KEYFILE TYPED RLPFILE: sets SIG and TIME to what a wallet with that key answers to the typed data of the action in
// RLPFILE, as `governance_proposal` shows it.
func walletChange(ts *testscript.TestScript, neg bool, args []string) {
	var typed struct{ Message map[string]any }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &typed))
	var shown node.ProposalView
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[2])), &shown))
	s, err := quorum.DecodeSignedAction(common.FromHex(shown.RLP))
	ts.Check(err)
	signWith(ts, args[0], s.Action, typed.Message["signedAt"])
}

func TestSameRulesChangeTheVersionAlone(t *testing.T) {
	view := func(file string) node.CommitteeView {
		p, err := quorum.ParsePolicy([]byte(file))
		require.NoError(t, err)
		return node.CommitteeView{PolicyVersion: p.Version, PolicyHash: p.Hash, PolicyFile: file}
	}
	content, err := os.ReadFile(filepath.Join("..", "..", "quorum", "testdata", "policy.toml"))
	require.NoError(t, err)
	file := string(content)
	for _, was := range []string{file, "# version = 8\n" + file} {
		c := view(was)
		now, err := sameRules(c)
		require.NoError(t, err)
		diff := changes(strings.Split(was, "\n"), strings.Split(string(now), "\n"))
		require.Len(t, diff, 2, "one line goes, one comes")
		p, err := quorum.ParsePolicy(now)
		require.NoError(t, err)
		require.Equal(t, c.PolicyVersion+1, p.Version)
	}
	lying := view(file)
	lying.PolicyHash[0]++
	_, err = sameRules(lying)
	require.ErrorContains(t, err, "is not the one")
}

// textof VAR FILE: the variable is the file's one line.
func textOf(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], strings.TrimSuffix(ts.ReadFile(args[1]), "\n"))
}

// rlpOf FILE OUT: writes the bytes of the action that a JSON answer shows, as a signing verb prints them.
func rlpOf(ts *testscript.TestScript, neg bool, args []string) {
	var shown node.ProposalView
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &shown))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(shown.RLP+"\n"), 0o600))
}

func TestStatusSaysWhetherThisNodeRules(t *testing.T) {
	change := common.Hash{0xc4}
	for _, c := range []struct {
		s    node.Status
		want string
	}{
		{node.Status{Member: true}, ""},
		{node.Status{Epoch: 4, Removed: true}, "this node is out: it is no member of epoch 4, signs nothing, and the members close their connections\n\n"},
		{node.Status{}, "this node is no member yet\n\n"},
		{node.Status{Member: true, Keygen: &node.KeygenStatus{Epoch: 1, Attempt: 1, Round: 2, Rounds: 4}},
			"key generation: ceremony of epoch 1: attempt 1, round 2 of 4\n\n"},
		{node.Status{Member: true, Members: []node.MemberStatus{{Name: "bob", Address: common.Address{1}}},
			Keygen: &node.KeygenStatus{Epoch: 2, Change: &change, Missing: []common.Address{{1}, {2}}, Failed: "timed out"}},
			"change of members " + change.Hex() + ": ceremony of epoch 2: attempt 0, round 0 of 0, missing: bob, " + common.Address{2}.Hex() + "; the attempt before: timed out\n\n"},
		{node.Status{Member: true, Keygen: &node.KeygenStatus{Epoch: 2, Change: &change, Shares: true}},
			"change of members " + change.Hex() + ": ceremony of epoch 2: the new shares are made and tried; signed have: nobody\n\n"},
		{node.Status{Member: true, Keygen: &node.KeygenStatus{Epoch: 2, Change: &change, Shares: true, Done: true}},
			"change of members " + change.Hex() + ": ceremony of epoch 2: all proofs are here, put to the vote\n\n"},
	} {
		var b strings.Builder
		require.NoError(t, writeChange(&b, c.s))
		require.Equal(t, c.want, b.String())
	}
}
