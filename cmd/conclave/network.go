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

func newNetworkJoin(env *cli.Env) *cobra.Command {
	var home, id string
	cmd := &cobra.Command{
		Use:   "join --home DIR GENESIS",
		Short: "Check that a document has this node as a member exactly as its record says, and store it in the home",
		Args:  cobra.ExactArgs(1),
		RunE: env.Run(func(cmd *cobra.Command, args []string) error {
			if home == "" {
				return cli.Errorf(cli.Usage, "", "network join: --home is required")
			}
			return runJoin(cmd.Context(), env, home, args[0], id)
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "this node's home (required)")
	cmd.Flags().StringVar(&id, "network-id", "", "refuse any other network")
	return cmd
}

// joined is the JSON of `network join`.
type joined struct {
	ID      common.Hash `json:"network_id"`
	Network string      `json:"network"`
	Signed  int         `json:"signed"`
	Need    int         `json:"need"`
}

func runJoin(ctx context.Context, env *cli.Env, home, path, id string) error {
	c, err := config.Read(home)
	if err != nil {
		return err
	}
	g, err := readGenesis(path)
	if err != nil {
		return err
	}
	if err := expectID(g, id); err != nil {
		return err
	}
	if err := isMember(c, g); err != nil {
		return err
	}
	if g, err = mergeWithHome(c, g); err != nil {
		return err
	}
	tally, err := governance.Count(g)
	if err != nil {
		return signatureError(err)
	}
	if err := compareHistory(ctx, env, c, g); err != nil {
		return err
	}
	if err := writeGenesis(c.GenesisPath(), g); err != nil {
		return err
	}
	if tally.Enough() {
		env.Note("joined; %d operators signed, which is enough: `conclave keygen` when all members are up", len(tally.Signed))
	} else {
		env.Note("joined; %d of the %d operators needed signed: yours signs with `conclave network sign`", len(tally.Signed), tally.Need)
	}
	out := joined{g.ID(), g.Name, len(tally.Signed), tally.Need}
	return env.Print(out, writeTo(fmt.Appendln(nil, out.ID)))
}

// isMember wants the document to hold this node's record, and nothing else under its key.
func isMember(c config.Config, g quorum.Genesis) error {
	key, err := config.ReadKey(c.NodeKeyPath())
	if err != nil {
		return cli.With(cli.Usage, fmt.Errorf("node key: %w", err), cli.HintOf(err))
	}
	own, err := readRecord(filepath.Join(c.Home(), memberFile))
	if err != nil {
		return err
	}
	address := crypto.PubkeyToAddress(key.PublicKey)
	if own.Address != address {
		return cli.Errorf(cli.Usage, "the home was put together from two", "member record is of %s, the node's key of %s", own.Address, address)
	}
	for _, m := range g.Members {
		if m.Address != address {
			continue
		}
		if field := differs(m, own.Member); field != "" {
			return cli.Errorf(cli.Refused, "ask for a document with the record in "+memberFile, "the document has another %s for this node", field)
		}
		return nil
	}
	return cli.Errorf(cli.Refused, "send "+filepath.Join(c.Home(), memberFile)+" to whoever makes the document",
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
