package main

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"
)

// memberFile is the member record's name in a home.
const memberFile = "member.json"

type initFlags struct {
	home, operator, newOperatorKey string
	name, passwordFile, relayKey   string
	vault                          vaultFlags
	multiaddrs                     []string
}

func newInit(env *cli.Env) *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init --home DIR (--operator ADDRESS | --new-operator-key FILE)",
		Short: "Make a home: identity, configuration, vault; print the member record to send to the others",
		Args:  cobra.NoArgs,
		RunE:  env.Run(func(*cobra.Command, []string) error { return runInit(env, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.home, "home", "", "the folder to make (required)")
	flags.StringVar(&f.operator, "operator", "", "address of the operator's key, which stays off this machine")
	flags.StringVar(&f.newOperatorKey, "new-operator-key", "", "make an operator's key in this new file; move it off this machine")
	flags.StringVar(&f.name, "name", "", "what the others see (default: custodian- and the start of the address)")
	flags.StringVar(&f.passwordFile, "password-file", "", "file with the vault's password, mode 0600; its path goes into the configuration")
	flags.StringVar(&f.relayKey, "relay-key-file", "", "file with the Relay's API key, mode 0600, to copy into the home")
	flags.StringArrayVar(&f.multiaddrs, "multiaddr", nil, "where the others reach this node, like /ip4/203.0.113.7/tcp/9370; repeatable")
	flags.Uint32Var(&f.vault.memory, "kdf-memory", 512, "memory in MiB that each guess of the vault's password costs, 64 to 2048")
	flags.StringArrayVar(&f.vault.preparams, "preparams", nil, "file with preparameters that were made ahead, repeatable: one for each ceremony; the published development sets work on devnets only")
	return cmd
}

// founding is everything that init will write, checked before the first byte is written.
type founding struct {
	config   config.Config
	node     *ecdsa.PrivateKey
	operator *ecdsa.PrivateKey // nil: the operator's key is elsewhere
	relay    *ecdsa.PrivateKey // nil: to be put there later
	password []byte            // nil: to be given at the start
	record   []byte            // member.json
}

func runInit(env *cli.Env, f initFlags) error {
	plan, err := planInit(f)
	if err != nil {
		return err
	}
	if err := plan.write(f); err != nil {
		return err
	}
	home := plan.config.Home()
	env.Note("home %s is ready; send %s to the other operators", home, filepath.Join(home, memberFile))
	if plan.operator != nil {
		env.Note("the operator's key is in %s: move it off this machine", f.newOperatorKey)
	}
	if len(f.multiaddrs) == 0 {
		env.Note("others reach this node on this machine only; give --multiaddr for more")
	}
	env.Note("next: fill in [relay] and [[lane]] of %s, then `conclave network new` or `conclave network join`",
		filepath.Join(home, config.FileName))
	_, err = env.Stdout.Write(plan.record)
	return err
}

func planInit(f initFlags) (founding, error) {
	var plan founding
	if err := f.check(); err != nil {
		return plan, err
	}
	var err error
	if plan.node, err = crypto.GenerateKey(); err != nil {
		return plan, fmt.Errorf("make the node's key: %w", err)
	}
	operator := common.HexToAddress(f.operator)
	if f.newOperatorKey != "" {
		if plan.operator, err = crypto.GenerateKey(); err != nil {
			return plan, fmt.Errorf("make the operator's key: %w", err)
		}
		operator = crypto.PubkeyToAddress(plan.operator.PublicKey)
	}
	if f.relayKey != "" {
		if plan.relay, err = config.ReadKey(f.relayKey); err != nil {
			return plan, cli.With(cli.Usage, fmt.Errorf("relay key: %w", err), "")
		}
	}
	if plan.config, err = f.configuration(plan.node); err != nil {
		return plan, err
	}
	if f.passwordFile != "" {
		if plan.password, err = config.ReadPassword(plan.config.PasswordPath()); err != nil {
			return plan, cli.With(cli.Usage, fmt.Errorf("vault password: %w", err), "")
		}
	}
	plan.record, err = memberRecord(plan.node, operator, plan.config, f.multiaddrs)
	return plan, err
}

func (f initFlags) check() error {
	switch {
	case f.home == "":
		return cli.Errorf(cli.Usage, "", "init: --home is required")
	case (f.operator == "") == (f.newOperatorKey == ""):
		return cli.Errorf(cli.Usage, "the operator's key signs governance and stays off this machine",
			"init: give either --operator or --new-operator-key")
	}
	if f.operator != "" {
		if err := checkAddress("--operator", f.operator); err != nil {
			return err
		}
	}
	for _, a := range f.multiaddrs {
		if _, port, ok := config.SplitMultiaddr(a); !ok || port == 0 {
			return cli.Errorf(cli.Usage, fmt.Sprintf("like /ip4/203.0.113.7/tcp/%d", config.DefaultP2PPort), "init: --multiaddr %q cannot be dialled", a)
		}
	}
	if f.newOperatorKey != "" {
		return f.checkOperatorFile()
	}
	return nil
}

// checkOperatorFile keeps the cold key out of the home, and an older key from being overwritten.
func (f initFlags) checkOperatorFile() error {
	home, err1 := filepath.Abs(f.home)
	file, err2 := filepath.Abs(f.newOperatorKey)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if strings.HasPrefix(file, home+string(filepath.Separator)) {
		return cli.Errorf(cli.Usage, "choose a place that you will take off this machine", "init: the operator's key must not be in the node's home")
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return cli.Errorf(cli.Usage, "choose a new file", "init: %s exists", f.newOperatorKey)
	}
	return nil
}

// checkAddress wants 0x and 40 hex digits, and the right EIP-55 checksum when the spelling has one.
func checkAddress(flag, text string) error {
	if !strings.HasPrefix(text, "0x") || !common.IsHexAddress(text) || common.HexToAddress(text) == (common.Address{}) {
		return cli.Errorf(cli.Usage, "", "%s: want an address of 0x and 40 hex digits, not %q", flag, text)
	}
	digits := text[2:]
	mixed := strings.ToLower(digits) != digits && strings.ToUpper(digits) != digits
	if mixed && common.HexToAddress(text).Hex() != text {
		return cli.Errorf(cli.Usage, "copy it again from where it was shown", "%s: %s has a wrong checksum: a digit is mistyped", flag, text)
	}
	return nil
}

// configuration is the defaults with what the flags say.
func (f initFlags) configuration(node *ecdsa.PrivateKey) (config.Config, error) {
	c := config.Default()
	c.Node.Name = f.name
	if f.name == "" {
		c.Node.Name = "custodian-" + strings.ToLower(crypto.PubkeyToAddress(node.PublicKey).Hex()[2:8])
	}
	if len(f.multiaddrs) > 0 {
		c.P2P.Listen = listenFor(f.multiaddrs)
	}
	if f.passwordFile != "" {
		path, err := filepath.Abs(f.passwordFile)
		if err != nil {
			return c, err
		}
		c.Vault.PasswordFile = path
	}
	return c.In(f.home)
}

// listenFor is where to listen so that others reach the announced addresses: a loopback one as it is, for any other its
// port on all interfaces, because the announced address may be a router's.
func listenFor(multiaddrs []string) []string {
	var out []string
	for _, a := range multiaddrs {
		host, port, _ := config.SplitMultiaddr(a)
		listen := fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port)
		switch ip := net.ParseIP(host); {
		case ip != nil && ip.IsLoopback():
			listen = a
		case ip != nil && ip.To4() == nil:
			listen = fmt.Sprintf("/ip6/::/tcp/%d", port)
		}
		if !slices.Contains(out, listen) {
			out = append(out, listen)
		}
	}
	return out
}

// memberRecord signs what the others need to know of this node.
func memberRecord(node *ecdsa.PrivateKey, operator common.Address, c config.Config, multiaddrs []string) ([]byte, error) {
	if len(multiaddrs) == 0 {
		multiaddrs = []string{fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", config.DefaultP2PPort)}
	}
	m := quorum.Member{
		Name: c.Node.Name, Address: crypto.PubkeyToAddress(node.PublicKey), Operator: operator, Multiaddrs: multiaddrs,
	}
	copy(m.PublicKey[:], crypto.CompressPubkey(&node.PublicKey))
	if err := m.Check(); err != nil {
		return nil, cli.Errorf(cli.Usage, "", "init: %w", err)
	}
	sig, err := quorum.SignDigest(node, quorum.MemberDigest(m))
	if err != nil {
		return nil, fmt.Errorf("sign the member record: %w", err)
	}
	record, err := json.MarshalIndent(quorum.SignedMember{Member: m, Signature: sig}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the member record: %w", err)
	}
	return append(record, '\n'), nil
}

// write makes the home, or leaves nothing behind.
func (p founding) write(f initFlags) (err error) {
	home := p.config.Home()
	made, err := claim(home)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make home: %w", err), made.undo())
		}
	}()
	secret := func(path string, key *ecdsa.PrivateKey) error {
		if key == nil {
			return nil
		}
		// Noted after it was made: what stood there before is not ours to take back.
		err := config.WriteKey(path, key)
		if err == nil {
			made.add(path)
		}
		return err
	}
	public := func(path string, content []byte, mode fs.FileMode) error {
		made.add(path) // inside the home, which was empty
		return config.Replace(path, content, mode)
	}
	if err := secret(p.config.NodeKeyPath(), p.node); err != nil {
		return err
	}
	if err := secret(p.config.RelayKeyPath(), p.relay); err != nil {
		return err
	}
	if err := secret(f.newOperatorKey, p.operator); err != nil {
		return err
	}
	made.add(p.config.VaultPath())
	if err := prepareVault(p.config.VaultPath(), crypto.PubkeyToAddress(p.node.PublicKey), p.password, f.vault); err != nil {
		return err
	}
	if err := public(filepath.Join(home, memberFile), p.record, 0o644); err != nil {
		return err
	}
	// Last, because its presence is what makes a folder a home.
	return public(filepath.Join(home, config.FileName), config.Write(p.config), 0o600)
}

// undoList is what was made so far, for taking it back.
type undoList []string

func (u *undoList) add(path string) { *u = append(*u, path) }

func (u undoList) undo() error {
	var errs []error
	for _, path := range slices.Backward(u) {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// claim makes the home's folder, or takes an empty one that is there. Anything in it belongs to somebody.
func claim(home string) (undoList, error) {
	const hint = "choose another folder; a home is never made over another one"
	entries, err := os.ReadDir(home)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(home, 0o700); err != nil {
			return nil, cli.With(cli.Usage, fmt.Errorf("make home: %w", err), "the folder above it must exist and be writable")
		}
		return undoList{home}, nil
	case err != nil:
		return nil, cli.With(cli.Usage, fmt.Errorf("make home: %w", err), hint)
	case len(entries) > 0:
		return nil, cli.Errorf(cli.Usage, hint, "make home: %s is not empty", home)
	}
	return nil, os.Chmod(home, 0o700)
}

// writeTo is for verbs whose text is one document.
func writeTo(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}
