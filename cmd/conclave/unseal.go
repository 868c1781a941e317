package main

import (
	"fmt"
	"io"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/api"
	"conclave/node/config"
	"conclave/node/daemon"
	"conclave/quorum"
	"conclave/tss/vault"
)

// custodyWithin bounds an order to the vault, above what the node grants itself.
const custodyWithin = 200 * time.Second

// keeper is a home whose vault a verb is about.
type keeper struct {
	home, passwordFile string
	cfg                config.Config
	node               common.Address // of the home's node.key
}

func (k *keeper) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&k.passwordFile, "password-file", "", "file with the vault's password, mode 0600 (default: asked for)")
}

// open reads the home, and hardens the process before any secret is read.
func (k *keeper) open() error {
	if k.home == "" {
		return cli.Errorf(cli.Usage, "", "--home is required")
	}
	if err := vault.DisableCoreDumps(); err != nil {
		return err
	}
	var err error
	if k.cfg, err = config.Read(k.home); err != nil {
		return err
	}
	key, err := config.ReadKey(k.cfg.NodeKeyPath())
	if err != nil {
		return cli.With(cli.Usage, fmt.Errorf("node key: %w", err), "")
	}
	k.node = crypto.PubkeyToAddress(key.PublicKey)
	return nil
}

// password reads the given file, or asks.
func (k *keeper) password(prompt string) ([]byte, error) {
	return passwordFrom(k.passwordFile, func() ([]byte, error) { return askedPassword(prompt) })
}

func passwordFrom(file string, ask func() ([]byte, error)) ([]byte, error) {
	if file == "" {
		return ask()
	}
	password, err := config.ReadPassword(file)
	return password, cli.With(cli.Usage, wrapped("vault password", err), cli.HintOf(err))
}

func (k *keeper) target() target { return target{home: k.home} }

// send seals a request for the running node's one-time key and sends it. The key must be signed by this home's node, for this
// home's network: whoever else answers on the socket learns nothing.
func (k *keeper) send(method string, r vault.Request) error {
	g, err := daemon.ReadGenesis(k.cfg)
	if err != nil {
		return explained(err)
	}
	key, _, err := ask[api.UnsealKey](k.target(), "admin_unsealKey")
	if err != nil {
		return err
	}
	sealed, err := sealFor(key, g, k.node, r)
	if err != nil {
		return err
	}
	_, _, err = askWithin[api.Ack](k.target(), custodyWithin, method, hexutil.Encode(sealed))
	return err
}

func sealFor(key api.UnsealKey, network common.Hash, node common.Address, r vault.Request) ([]byte, error) {
	offer := vault.Offer{Node: key.Node, Expires: key.Expires}
	raw, err := hexutil.Decode(key.Key)
	if err != nil || len(raw) != len(offer.Key) {
		return nil, cli.Errorf(cli.Failed, "use the node's own version of conclave", "the node's one-time key is not %d bytes", len(offer.Key))
	}
	copy(offer.Key[:], raw)
	var sig quorum.Signature
	if err := sig.UnmarshalText([]byte(key.Signature)); err != nil {
		return nil, cli.With(cli.Refused, fmt.Errorf("%w: %w", vault.ErrOfferForged, err), "")
	}
	if err := offer.Verify(network, node, sig, time.Now()); err != nil {
		return nil, cli.With(cli.Refused, err, "who answers on this home's socket is not its node: no password was sent")
	}
	return offer.Seal(network, r)
}

func newUnseal(env *cli.Env) *cobra.Command {
	var k keeper
	cmd := &cobra.Command{
		Use: "unseal --home DIR", Short: "Give a running node its vault's password: it signs from then on", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error { return unseal(env, &k) }),
	}
	k.register(cmd)
	return cmd
}

func unseal(env *cli.Env, k *keeper) error {
	if err := k.open(); err != nil {
		return err
	}
	if !vault.Exists(k.cfg.VaultPath()) {
		return cli.Errorf(cli.Usage, "`conclave run` makes it under its first password", "%s in %s yet", vault.ErrNoVault, k.cfg.VaultPath())
	}
	s, _, err := ask[vaultState](k.target(), "custodian_status")
	if err != nil {
		return err
	}
	if s.Vault.State == string(vault.Unsealed) {
		return printState(env, string(vault.Unsealed), "unsealed already")
	}
	password, err := k.password("Vault password: ")
	if err != nil {
		return err
	}
	defer clear(password)
	if err := k.send("admin_unseal", vault.Request{For: vault.ForUnseal, Password: password}); err != nil {
		return err
	}
	return printState(env, string(vault.Unsealed), "unsealed: the node signs as soon as the others said how far it has spoken")
}

// vaultState is the part of a node's status that these verbs look at.
type vaultState struct {
	Vault struct {
		State string `json:"state"`
	} `json:"vault"`
}

func newSeal(env *cli.Env) *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use: "seal --home DIR --reason WHY", Short: "Make a running node forget its vault's key: it signs nothing until unsealed", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			if t.home == "" || reason == "" {
				return cli.Errorf(cli.Usage, "", "--home and --reason are required")
			}
			if _, _, err := askWithin[api.Ack](t, custodyWithin, "admin_seal", reason); err != nil {
				return err
			}
			return printState(env, string(vault.Sealed), "sealed: nothing is signed until `conclave unseal --home "+t.home+"`")
		}),
	}
	cmd.Flags().StringVar(&t.home, "home", "", "the node's home (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the node's log (required)")
	return cmd
}

func printState(env *cli.Env, state, text string) error {
	return env.Print(map[string]string{"vault": state}, func(w io.Writer) error { _, err := fmt.Fprintln(w, text); return err })
}
