package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"
)

func newNetwork(env *cli.Env) *cobra.Command {
	return env.Group("network", "The genesis document: found a network, join it, sign it, verify it",
		newNetworkNew(env), newNetworkJoin(env), newNetworkSign(env), newNetworkShow(env), newNetworkVerify(env))
}

// readGenesis reads a document. A damaged one is a fault of what was given, so the exit code is usage.
func readGenesis(path string) (quorum.Genesis, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return quorum.Genesis{}, cli.With(cli.Usage, fmt.Errorf("genesis: %w", err), "")
	}
	g, err := quorum.ParseGenesis(file)
	if err != nil {
		return quorum.Genesis{}, cli.With(cli.Usage, fmt.Errorf("%s: %w", path, err), "ask for the document again: this one is damaged or of another version")
	}
	return g, nil
}

// writeGenesis replaces a document by one with more signatures.
func writeGenesis(path string, g quorum.Genesis) error {
	file, err := governance.MarshalGenesis(g)
	if err != nil {
		return err
	}
	if err := config.Replace(path, file, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// expectID is --network-id: a document can be exchanged on its way, an id that was read out on the phone cannot.
func expectID(g quorum.Genesis, want string) error {
	if want == "" {
		return nil
	}
	if len(want) != 66 || !strings.HasPrefix(want, "0x") || len(common.FromHex(want)) != common.HashLength {
		return cli.Errorf(cli.Usage, "", "--network-id: want 0x and 64 hex digits, not %q", want)
	}
	if common.HexToHash(want) != g.ID() {
		return cli.Errorf(cli.Refused, "compare the documents with `conclave network show`", "this is network %s, not %s", g.ID(), want)
	}
	return nil
}

// signatureError gives errors of operator signatures their exit code: a rule refused, not the command line.
func signatureError(err error) error {
	switch {
	case errors.Is(err, governance.ErrNotOperator), errors.Is(err, governance.ErrTwice), errors.Is(err, governance.ErrOtherNetwork),
		errors.Is(err, quorum.ErrSignature):
		return cli.With(cli.Refused, err, "signatures belong to one document exactly: compare its id with the signer's")
	case errors.Is(err, governance.ErrTooFew):
		return cli.With(cli.Refused, err, "their operators run `conclave network sign`")
	}
	return err
}

type joinFlags struct{ home, genesis, invitation, id string }

func newNetworkJoin(env *cli.Env) *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:   "join --home DIR (GENESIS | --genesis GENESIS) [--invitation TEXT]",
		Short: "Check that a document has this node as a member exactly as its record says, or that it was invited, and store what was given in the home",
		Args:  cobra.MaximumNArgs(1),
		RunE: env.Run(func(cmd *cobra.Command, args []string) error {
			if f.home == "" {
				return cli.Errorf(cli.Usage, "", "network join: --home is required")
			}
			if (len(args) == 1) == (f.genesis != "") {
				return cli.Errorf(cli.Usage, "", "network join: give the genesis document, as an argument or with --genesis")
			}
			if len(args) == 1 {
				f.genesis = args[0]
			}
			return f.run(cmd.Context(), env)
		}),
	}
	cmd.Flags().StringVar(&f.home, "home", "", "this node's home (required)")
	cmd.Flags().StringVar(&f.genesis, "genesis", "", "the genesis document's file")
	cmd.Flags().StringVar(&f.invitation, "invitation", "", "for a network that runs already: what `conclave member invite` printed on a member's machine")
	cmd.Flags().StringVar(&f.id, "network-id", "", "refuse any other network")
	return cmd
}

// joined is the JSON of `network join`.
type joined struct {
	ID      common.Hash `json:"network_id"`
	Network string      `json:"network"`
	Signed  int         `json:"signed"`
	Need    int         `json:"need"`
}

func (f joinFlags) run(ctx context.Context, env *cli.Env) error {
	c, err := config.Read(f.home)
	if err != nil {
		return err
	}
	g, err := readGenesis(f.genesis)
	if err != nil {
		return err
	}
	if err := expectID(g, f.id); err != nil {
		return err
	}
	invited, err := f.invited(g)
	if err != nil {
		return err
	}
	founder, err := isMember(c, g, invited)
	if err != nil {
		return err
	}
	if g, err = mergeWithHome(c, g); err != nil {
		return err
	}
	tally, err := governance.Count(g)
	if err != nil {
		return signatureError(err)
	}
	if !founder && !tally.Enough() {
		return cli.Errorf(cli.Refused, "a network that runs has one that they signed: ask for that", "%d of the %d operators needed signed this document", len(tally.Signed), tally.Need)
	}
	if err := compareHistory(ctx, env, c, g); err != nil {
		return err
	}
	if invited {
		if err := config.Replace(c.InvitationPath(), []byte(f.invitation+"\n"), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", c.InvitationPath(), err)
		}
	}
	if err := writeGenesis(c.GenesisPath(), g); err != nil {
		return err
	}
	switch {
	case !founder:
		env.Note("joined as a newcomer: send %s to an operator, who proposes it with `conclave member propose add`; then `conclave run`", filepath.Join(c.Home(), memberFile))
	case tally.Enough():
		env.Note("joined; %d operators signed, which is enough: `conclave keygen` when all members are up", len(tally.Signed))
	default:
		env.Note("joined; %d of the %d operators needed signed: yours signs with `conclave network sign`", len(tally.Signed), tally.Need)
	}
	out := joined{g.ID(), g.Name, len(tally.Signed), tally.Need}
	return env.Print(out, writeTo(fmt.Appendln(nil, out.ID)))
}

// invited checks the invitation, if there is one: of this network, and whole.
func (f *joinFlags) invited(g quorum.Genesis) (bool, error) {
	if f.invitation = strings.TrimSpace(f.invitation); f.invitation == "" {
		return false, nil
	}
	i, err := quorum.ParseInvitation(f.invitation)
	if err != nil {
		return false, cli.With(cli.Usage, fmt.Errorf("--invitation: %w", err), "copy it whole, in one line, from `conclave member invite`")
	}
	if i.Network != g.ID() {
		return false, cli.Errorf(cli.Refused, "ask for the document and the invitation of one network", "the invitation is to network %s, the document is of %s", i.Network, g.ID())
	}
	return true, nil
}

// isMember wants the document to hold this node's record, and nothing else under its key. Who was invited need not stand in it: the
// members in force may be others than the founders.
func isMember(c config.Config, g quorum.Genesis, invited bool) (founder bool, err error) {
	key, err := config.ReadKey(c.NodeKeyPath())
	if err != nil {
		return false, cli.With(cli.Usage, fmt.Errorf("node key: %w", err), cli.HintOf(err))
	}
	own, err := readRecord(filepath.Join(c.Home(), memberFile))
	if err != nil {
		return false, err
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	if own.Address != address {
		return false, cli.Errorf(cli.Usage, "the home was put together from two", "member record is of %s, the node's key of %s", own.Address, address)
	}
	for _, m := range g.Members {
		if m.Address != address {
			continue
		}
		if field := differs(m, own.Member); field != "" && invited {
			break // the record may have been replaced since
		} else if field != "" {
			return false, cli.Errorf(cli.Refused, "ask for a document with the record in "+memberFile, "the document has another %s for this node", field)
		}
		return true, nil
	}
	if invited {
		return false, nil
	}
	return false, cli.Errorf(cli.Refused, "send "+filepath.Join(c.Home(), memberFile)+" to whoever makes the document",
		"this node (%s) is not a member of network %s", address, g.Name)
}

// differs names the first field in which two records differ, "" for none.
func differs(a, b quorum.Member) string {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			return va.Type().Field(i).Tag.Get("json")
		}
	}
	return ""
}

// mergeWithHome adds the signatures of the document that the home holds already, and refuses another network.
func mergeWithHome(c config.Config, g quorum.Genesis) (quorum.Genesis, error) {
	if _, err := os.Stat(c.GenesisPath()); errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	held, err := readGenesis(c.GenesisPath())
	if err != nil {
		return g, err
	}
	if held.ID() != g.ID() {
		return g, cli.Errorf(cli.Refused, "a home belongs to one network: `conclave init` makes another home",
			"this home is of network %s, the document is of %s", held.ID(), g.ID())
	}
	merged, err := governance.Merge(held, g)
	return merged, signatureError(err)
}

// readRecord reads and verifies a member record.
func readRecord(path string) (quorum.SignedMember, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return quorum.SignedMember{}, cli.With(cli.Usage, fmt.Errorf("member record: %w", err), "`conclave init` writes it")
	}
	m, err := quorum.ParseMember(file)
	if err != nil {
		return m, cli.With(cli.Usage, fmt.Errorf("%s: %w", path, err), "ask its operator for it again")
	}
	return m, nil
}
