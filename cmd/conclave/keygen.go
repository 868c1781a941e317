package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/daemon"
	"conclave/quorum"
	"conclave/quorum/batch"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/spf13/cobra"
)

const (
	// stayFor bounds how long a member that is done stays for those that are not.
	stayFor = 30 * time.Second
	// stayLook is how often it looks whether they are.
	stayLook = 500 * time.Millisecond
)

// founded is what keygen prints: what every member should compare with the others.
type founded struct {
	Payer      string      `json:"payer"`
	Network    string      `json:"network"`
	NetworkID  common.Hash `json:"network_id"`
	Epoch      uint64      `json:"epoch"`
	Threshold  uint64      `json:"threshold"`
	Members    []string    `json:"members"`
	PublicKey  string      `json:"public_key"`
	Transcript common.Hash `json:"transcript"` // the digest that every member signed
	Canaries   int         `json:"canaries"`   // signatures of the new key over it
}

func newKeygen(env *cli.Env) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "keygen --home DIR", Short: "Make the committee's key with all other members online; end when it is decided", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			ctx, stop, err := f.begin(env)
			if err != nil {
				return err
			}
			defer stop()
			if err := f.confirm(env); err != nil {
				return err
			}
			d, err := f.open(ctx, env, "warn")
			if err != nil {
				return explained(err)
			}
			result, err := ceremony(ctx, env, d)
			if err != nil {
				return explained(err)
			}
			return env.Print(result, result.write(env))
		}),
	}
	f.register(cmd)
	return cmd
}

// ceremony runs the node until the committee has a key and the members that are here know it.
func ceremony(ctx context.Context, env *cli.Env, d *daemon.Daemon) (founded, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()

	var result founded
	var err error
	select {
	case <-d.Started():
		result, err = found(ctx, env, d)
	case err = <-ran:
		return result, err
	}
	end()
	if failed := <-ran; failed != nil {
		return result, failed // the node's own reason says more than what it did to the question
	}
	return result, err
}

func found(ctx context.Context, env *cli.Env, d *daemon.Daemon) (founded, error) {
	var said, failed string
	payer, err := d.Node().Founded(ctx, func(k node.KeygenStatus) {
		if k.Failed != "" && k.Failed != failed {
			env.Note("an attempt failed and left nothing behind: %s", k.Failed)
		}
		failed = k.Failed
		if text := progress(k); text != said {
			said = text
			env.Note("%s", text)
		}
	})
	if err != nil {
		if ctx.Err() != nil {
			return founded{}, cli.Errorf(cli.Failed, "run it again, at the same time as the other members", "ended before the committee had a key")
		}
		return founded{}, err
	}
	env.Note("the committee has its key; waiting for the members that are here to know it")
	stay(ctx, d.Node())
	return summary(d, payer)
}

// progress is one line about the ceremony, in words: the members by how far they are.
func progress(k node.KeygenStatus) string {
	if k.Done {
		return "the key is made and tried; its members are being decided"
	}
	var order []string
	who := map[string][]string{}
	for _, m := range k.Members {
		words := m.Words()
		if who[words] == nil {
			order = append(order, words)
		}
		who[words] = append(who[words], m.Name)
	}
	var parts []string
	for _, words := range order {
		parts = append(parts, words+": "+strings.Join(who[words], ", "))
	}
	return fmt.Sprintf("attempt %d · %s", k.Attempt, strings.Join(parts, " · "))
}

// stay serves the decision to the members that are connected until they have it: who leaves at once may leave the last
// one without it.
func stay(ctx context.Context, n *node.Node) {
	ctx, cancel := context.WithTimeout(ctx, stayFor)
	defer cancel()
	tick := time.NewTicker(stayLook)
	defer tick.Stop()
	for {
		s, err := n.Status(ctx)
		if err != nil {
			return
		}
		behind := 0
		for _, m := range s.Members {
			if m.Connected && !m.Self && m.Height == 0 {
				behind++
			}
		}
		if behind == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// summary reads the transcript out of the decision of height 1.
func summary(d *daemon.Daemon, payer common.Address) (founded, error) {
	var out founded
	proof, err := d.Node().Decision(1)
	if err != nil {
		return out, err
	}
	raw, err := hexutil.Decode(proof.RLP)
	if err != nil {
		return out, err
	}
	var decision quorum.UncheckedDecision
	if err := rlp.DecodeBytes(raw, &decision); err != nil {
		return out, err
	}
	b, err := batch.Decode(decision.Value)
	if err != nil {
		return out, err
	}
	var action quorum.MembersAction
	if err := rlp.DecodeBytes(b.Action, &action); err != nil {
		return out, err
	}
	g := d.Genesis()
	t := action.Transcript
	out = founded{
		Payer: payer.Hex(), Network: g.Name, NetworkID: g.ID(), Epoch: t.Epoch, Threshold: t.Threshold,
		PublicKey: hexutil.Encode(t.PublicKey[:]), Transcript: quorum.Digest(quorum.KindTranscript, g.ID(), t), Canaries: len(action.Canaries),
	}
	for _, m := range t.Members {
		out.Members = append(out.Members, m.Hex())
	}
	return out, nil
}

func (f founded) write(env *cli.Env) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "payer       %s\nnetwork     %s %s\nepoch       %d, %d of %d sign\npublic key  %s\ntranscript  %s, signed by all %d members, %d canary signatures\n",
			env.Paint(cli.Bold, f.Payer), f.Network, f.NetworkID, f.Epoch, f.Threshold, len(f.Members), f.PublicKey, f.Transcript, len(f.Members), f.Canaries)
		return err
	}
}
