package main

import (
	"fmt"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

type signFlags struct {
	keyFile, signature, id string
	typedData              bool
}

func newNetworkSign(env *cli.Env) *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign (--key-file F | --typed-data | --signature 0x…) GENESIS",
		Short: "Add an operator's signature to the document, with a key file or with a wallet elsewhere",
		Args:  cobra.ExactArgs(1),
		RunE:  env.Run(func(_ *cobra.Command, args []string) error { return runSign(env, f, args[0]) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.keyFile, "key-file", "", "the operator's key, mode 0600")
	flags.BoolVar(&f.typedData, "typed-data", false, "print the EIP-712 document for a wallet (eth_signTypedData_v4); change nothing")
	flags.StringVar(&f.signature, "signature", "", "what the wallet answered")
	flags.StringVar(&f.id, "network-id", "", "refuse any other network")
	return cmd
}

// signed is the JSON of `network sign`.
type signed struct {
	ID       common.Hash    `json:"network_id"`
	Operator common.Address `json:"operator"`
	Member   string         `json:"member"`
	Signed   int            `json:"signed"`
	Need     int            `json:"need"`
}

func runSign(env *cli.Env, f signFlags, path string) error {
	ways := 0
	for _, given := range []bool{f.keyFile != "", f.typedData, f.signature != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		return cli.Errorf(cli.Usage, "", "network sign: give one of --key-file, --typed-data and --signature")
	}
	g, err := readGenesis(path)
	if err != nil {
		return err
	}
	if err := expectID(g, f.id); err != nil {
		return err
	}
	if f.typedData {
		doc, err := governance.TypedDataJSON(g)
		if err != nil {
			return err
		}
		env.Note("sign this with the operator's wallet, then `conclave network sign --signature 0x… %s`", path)
		_, err = env.Stdout.Write(append(doc, '\n'))
		return err
	}
	sig, err := f.sign(g)
	if err != nil {
		return err
	}
	return addSignature(env, path, g, sig)
}

func (f signFlags) sign(g quorum.Genesis) (quorum.Signature, error) {
	if f.signature != "" {
		sig, err := governance.ParseSignature(f.signature)
		return sig, cli.With(cli.Usage, err, "paste what the wallet answered, 0x and 130 hex digits")
	}
	key, err := config.ReadKey(f.keyFile)
	if err != nil {
		return quorum.Signature{}, cli.With(cli.Usage, fmt.Errorf("operator's key: %w", err), cli.HintOf(err))
	}
	sig, err := governance.Sign(key, g)
	return sig, signatureError(err)
}

func addSignature(env *cli.Env, path string, g quorum.Genesis, sig quorum.Signature) error {
	g, member, err := governance.AddSignature(g, sig)
	if err != nil {
		return signatureError(err)
	}
	tally, err := governance.Count(g)
	if err != nil {
		return signatureError(err)
	}
	if err := writeGenesis(path, g); err != nil {
		return err
	}
	out := signed{g.ID(), member.Operator, member.Name, len(tally.Signed), tally.Need}
	return env.Print(out, writeTo(fmt.Appendf(nil, "signed by the operator of %s; %d of the %d needed\n", out.Member, out.Signed, out.Need)))
}
