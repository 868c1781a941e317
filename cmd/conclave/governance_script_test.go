package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"conclave/node"
	"conclave/node/api"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"
)

// TestGovernanceScripts runs testdata/governance/*.txtar: what operators sign, against the API of a committee of four that
// is founded, in which nothing is ever decided.
func TestGovernanceScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "governance"),
		Setup: func(e *testscript.Env) error {
			root, err := filepath.Abs(filepath.Join("..", ".."))
			e.Setenv("ROOT", root)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "jsonhas": jsonHas, "committee": committee, "walletaction": walletAction, "walletchange": walletChange, "rlpof": rlpOf, "capture": capture, "setid": setID,
		},
	})
}

// seat is a founded committee as its API shows it. Actions are opened and joined by the rules of package quorum.
type seat struct {
	api.Backend // answers nothing in these scripts
	network     common.Hash
	roster      quorum.Roster
	view        node.CommitteeView

	mu   sync.Mutex // guards held
	held map[common.Hash]quorum.VerifiedAction
}

// scriptKey is made for these scripts; it must never hold anything.
func scriptKey(ts *testscript.TestScript, word string, i int) []byte {
	return crypto.Keccak256(fmt.Appendf(nil, "conclave script key, holds nothing: %s %d", word, i))
}

// committee URLVAR [HALTED]: four members, their operators' keys as op0.key to op3.key, two halts that stand since HALTED (unix ms,
// default 1), and the API.
func committee(ts *testscript.TestScript, neg bool, args []string) {
	s := &seat{network: crypto.Keccak256Hash([]byte("a network of scripts")), held: map[common.Hash]quorum.VerifiedAction{}}
	file := ts.ReadFile(filepath.Join(ts.Getenv("ROOT"), "quorum", "testdata", "policy.toml"))
	policy, err := quorum.ParsePolicy([]byte(file))
	ts.Check(err)
	s.view = node.CommitteeView{Network: s.network, Name: "scripts", Epoch: 1, Height: 9, Need: 3, PolicyVersion: policy.Version,
		PolicyHash: policy.Hash, PolicyFile: file, Serial: 4, Members: []node.OperatorView{}, Decided: []node.DecidedView{}}
	s.roster.Epoch = 1
	halted := uint64(1)
	if len(args) > 1 {
		halted, err = strconv.ParseUint(args[1], 10, 64)
		ts.Check(err)
	}
	for i := range 4 {
		op, err := crypto.ToECDSA(scriptKey(ts, "operator", i))
		ts.Check(err)
		ts.Check(config.WriteKey(ts.MkAbs(fmt.Sprintf("op%d.key", i)), op))
		key, err := crypto.ToECDSA(scriptKey(ts, "member", i))
		ts.Check(err)
		m := quorum.Member{Name: fmt.Sprintf("m%d", i), Address: crypto.PubkeyToAddress(key.PublicKey), Operator: crypto.PubkeyToAddress(op.PublicKey),
			Multiaddrs: []string{fmt.Sprintf("/ip4/192.0.2.%d/tcp/9370", i+1)}}
		copy(m.PublicKey[:], crypto.CompressPubkey(&key.PublicKey))
		s.view.Records = append(s.view.Records, node.ViewRecord(m))
		s.roster.Members = append(s.roster.Members, m)
		s.view.Members = append(s.view.Members, node.OperatorView{Name: m.Name, Member: m.Address, Operator: m.Operator})
		if i > 1 {
			continue
		}
		h := quorum.Halt{Epoch: 1, Counter: 3, Code: "operator", Reason: "strange debits", Time: halted}
		halt, err := quorum.Sign(key, s.network, h)
		ts.Check(err)
		s.view.Halts = append(s.view.Halts, node.HaltView{ID: h.ID(s.network, m.Address), Member: m.Address, Name: m.Name, Scope: "all",
			Code: h.Code, Reason: h.Reason, Statement: "0x" + hex.EncodeToString(halt.Bytes())})
		ts.Setenv(fmt.Sprintf("HALT%d", i), h.ID(s.network, m.Address).Hex())
	}
	stranger, err := crypto.ToECDSA(scriptKey(ts, "stranger", 0))
	ts.Check(err)
	ts.Check(config.WriteKey(ts.MkAbs("stranger.key"), stranger))
	ts.Setenv("NETWORK", s.network.Hex())

	server, err := api.New(api.Config{Listen: "127.0.0.1:0", Socket: ts.MkAbs("s"), Backend: s, Govern: s, Log: zap.NewNop()})
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	ts.Defer(func() { cancel(); ts.Check(<-done) })
	ts.Setenv(args[0], server.URL())
}

// Status is that of member m1, which is quarantined.
func (s *seat) Status(context.Context) (node.Status, error) {
	since := time.UnixMilli(1_780_000_000_123).UTC()
	return node.Status{Node: node.NodeStatus{Name: "m1"}, Silence: &node.SilenceStatus{Quarantined: true, Since: since, Counter: 4294967312}}, nil
}

func (s *seat) Committee(context.Context) (node.CommitteeView, error) { return s.view, nil }

func (s *seat) Proposals(context.Context) ([]node.ProposalView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []node.ProposalView{}
	for _, v := range s.held {
		out = append(out, s.show(v))
	}
	return out, nil
}

func (s *seat) Proposal(_ context.Context, hash common.Hash) (node.ProposalView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.held[hash]
	if !ok {
		return node.ProposalView{}, fmt.Errorf("action %s: %w", hash, node.ErrUnknown)
	}
	return s.show(v), nil
}

func (s *seat) Submit(_ context.Context, text string) (node.ProposalView, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return node.ProposalView{}, err
	}
	signed, err := quorum.DecodeSignedAction(raw)
	if err != nil {
		return node.ProposalView{}, err
	}
	v, err := signed.Open(s.network, s.roster)
	if err != nil {
		return node.ProposalView{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := v.Action().Hash(s.network)
	if was, ok := s.held[hash]; ok {
		v, _ = was.Join(v)
	}
	s.held[hash] = v
	return s.show(v), nil
}

func (s *seat) show(v quorum.VerifiedAction) node.ProposalView {
	a := v.Action()
	out := node.ProposalView{Hash: a.Hash(s.network), Kind: a.Kind.String(), Epoch: a.Epoch, Policy: a.Policy, Serial: a.Serial, Need: 3,
		Missing: []node.OperatorView{}, Change: s.change(v), RLP: "0x" + hex.EncodeToString(v.Signed().Encode())}
	for _, by := range v.Operators() {
		for _, m := range s.view.Members {
			if m.Operator == by {
				out.Signed = append(out.Signed, m)
			}
		}
	}
	out.Waits = fmt.Sprintf("%d of 3 operators signed", len(out.Signed))
	return out
}

func (s *seat) Endorse(ctx context.Context, hash common.Hash, at uint64, sig quorum.Signature) (node.ProposalView, error) {
	s.mu.Lock()
	v := s.held[hash]
	s.mu.Unlock()
	one := quorum.SignedAction{Action: v.Action(), Signatures: []quorum.Endorsed{{Time: at, Sig: sig}}}
	return s.Submit(ctx, hex.EncodeToString(one.Encode()))
}

func (s *seat) Case(q node.CaseQuery) (node.CaseView, error) {
	out := node.CaseView{Contents: []node.FateView{}, Accounts: []node.RewriteView{}}
	for _, wid := range q.Withdrawals {
		if wid == 404 {
			return out, fmt.Errorf("withdrawal %d: %w", wid, node.ErrUnknown)
		}
		out.Contents = append(out.Contents, node.FateView{WID: wid, Account: common.Address{0xac}, Network: "devnet", To: common.Address{0x70},
			Amount: "1000", Fee: "5", EventID: wid + 100, Spent: []uint64{1}})
	}
	for _, a := range q.Accounts {
		out.Accounts = append(out.Accounts, node.RewriteView{Account: a, UpTo: max(q.UpTo, 50), Debits: []node.DebitView{{ID: 7, Kind: 4, Amount: "9"}}})
	}
	return out, nil
}

// Slot is a payment at nonce 7, and one at nonce 6 that is final.
func (s *seat) Slot(_ context.Context, q node.SlotQuery) (node.SlotView, error) {
	if q.Lane != "devnet" || q.Nonce < 6 || q.Nonce > 7 {
		return node.SlotView{}, fmt.Errorf("nonce %d: %w", q.Nonce, node.ErrUnknown)
	}
	payer := common.Address{0xbb}
	if q.Payer != nil {
		payer = *q.Payer
	}
	return node.SlotView{Network: q.Lane, ChainID: 1337, Payer: payer, Nonce: q.Nonce, Height: 9, Items: []uint64{41, 42}, Value: "2000000000000000000",
		Last: common.Hash{0x1d}, FeeCap: "60000000000", Cancels: []uint64{}, Stage: map[uint64]string{6: "settled", 7: "broadcast"}[q.Nonce], Closed: q.Nonce == 6}, nil
}

// walletAction KEYFILE TYPED POLICY: sets SIG and TIME to what a wallet answers to the typed data of a proposed policy.
func walletAction(ts *testscript.TestScript, neg bool, args []string) {
	var typed struct{ Message map[string]any }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &typed))
	number := func(key string) uint64 {
		v, err := strconv.ParseUint(fmt.Sprint(typed.Message[key]), 10, 64)
		ts.Check(err)
		return v
	}
	a, err := quorum.NewAction(number("epoch"), number("policyVersion"), number("serial"), quorum.PolicyChange{File: []byte(ts.ReadFile(args[2]))})
	ts.Check(err)
	signWith(ts, args[0], a, typed.Message["signedAt"])
}

// signWith sets SIG and TIME to a wallet's answer: v is 27 or 28.
func signWith(ts *testscript.TestScript, keyFile string, a quorum.Action, at any) {
	key, err := readTestKey(ts.MkAbs(keyFile))
	ts.Check(err)
	time, err := strconv.ParseUint(fmt.Sprint(at), 10, 64)
	ts.Check(err)
	e, err := quorum.SignAction(key, common.HexToHash(ts.Getenv("NETWORK")), a, time)
	ts.Check(err)
	e.Sig[64] += 27
	ts.Setenv("SIG", e.Sig.String())
	ts.Setenv("TIME", strconv.FormatUint(e.Time, 10))
}

// capture VAR PATTERN: the variable is the hash on the first line of stdout that holds the pattern.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	for _, line := range strings.Split(ts.ReadFile("stdout"), "\n") {
		if !strings.Contains(line, args[1]) {
			continue
		}
		for _, word := range strings.Fields(line) {
			if len(word) == 66 && strings.HasPrefix(word, "0x") {
				ts.Setenv(args[0], word)
				return
			}
		}
	}
	ts.Fatalf("no hash beside %q", args[1])
}
