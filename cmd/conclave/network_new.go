package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
)

// recommendedMembers is the smallest committee that pays while one of its nodes is down.
const recommendedMembers = 4

type newFlags struct {
	name, lanes, policy, fee, dao, out string
	members, vesting                   []string

	cutover, relay, relayKey, carried string
}

func newNetworkNew(env *cli.Env) *cobra.Command {
	var f newFlags
	cmd := &cobra.Command{
		Use:   "new --name N --members A.json,B.json,… --lanes lanes.toml --policy policy.toml --fee-address A --dao-address A --out FILE",
		Short: "Make the genesis document out of the members' records, the lanes and the policy",
		Args:  cobra.NoArgs,
		RunE:  env.Run(func(cmd *cobra.Command, _ []string) error { return runNew(cmd.Context(), env, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "the network's name (required)")
	flags.StringSliceVar(&f.members, "members", nil, "member records, separated by commas or repeated (required)")
	flags.StringVar(&f.lanes, "lanes", "", "TOML file with one [[lane]] per payout network: network, chain_id, token, deposit_address,\n"+
		"benefit_contract, finality (blocks on top, 0: the chain's finalized tag), first_nonce, min_endpoints (required), way (single or batch) and contract (of batches)")
	flags.StringVar(&f.policy, "policy", "", "the policy file, whose bytes become part of the document (required)")
	flags.StringVar(&f.fee, "fee-address", "", "the account that withdrawal fees are credited to (required)")
	flags.StringVar(&f.dao, "dao-address", "", "the DAO's account (required)")
	flags.StringSliceVar(&f.vesting, "vesting-admin", nil, "address that may sign vesting schedules, with :FROM-UNTIL only those of rows with these ids (either may be missing); repeatable")
	flags.StringVar(&f.out, "out", "", "the new file (required)")
	flags.StringVar(&f.cutover, "cutover", "", "for a Relay with a history: the event up to which its log counts at face value, or auto\n"+
		"for the newest one that is a day old. Replays the Relay's log; needs --relay and --relay-key-file")
	flags.StringVar(&f.relay, "relay", "", "the Relay's base URL, for --cutover")
	flags.StringVar(&f.relayKey, "relay-key-file", "", "file with the Relay's API key, for --cutover")
	flags.StringVar(&f.carried, "carried", "auto", "withdrawals of before the cut-over that this network pays: auto for all that are pending,\n"+
		"none, or ids separated by commas. One that the old wallet paid and did not report would be paid again")
	return cmd
}

func runNew(ctx context.Context, env *cli.Env, f newFlags) error {
	g, err := f.document()
	if err != nil {
		return err
	}
	if err := f.history(ctx, env, &g); err != nil {
		return err
	}
	file, err := governance.MarshalGenesis(g)
	if err != nil {
		return err
	}
	if err := writeNew(f.out, file); err != nil {
		return err
	}
	n := len(g.Members)
	if n < recommendedMembers {
		env.Note("%d members: safe, but one node down stops payouts; for pilots only", n)
	}
	env.Note("%s: %d members, %d operators must sign; send it to all of them", f.out, n, quorum.Size(n))
	out := joined{ID: g.ID(), Network: g.Name, Need: quorum.Size(n)}
	return env.Print(out, writeTo(fmt.Appendln(nil, out.ID)))
}

// writeNew never replaces a document: the one that is there may carry signatures. What it writes is there whole or not at all,
// for half a document would stand in the way of the next try.
func writeNew(path string, content []byte) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("%s exists", path)
		}
		return cli.With(cli.Usage, fmt.Errorf("write genesis: %w", err), "choose a new file")
	}
	if err := config.Replace(path, content, 0o644); err != nil {
		return fmt.Errorf("write genesis: %w", err)
	}
	return nil
}

func (f newFlags) document() (quorum.Genesis, error) {
	g := quorum.Genesis{Version: quorum.GenesisVersion, Name: f.name}
	if err := f.check(); err != nil {
		return g, err
	}
	g.FeeAddress, g.DaoAddress = common.HexToAddress(f.fee), common.HexToAddress(f.dao)
	for _, a := range f.vesting {
		admin, term, err := vestingAdmin(a)
		if err != nil {
			return g, err
		}
		g.VestingAdmins = append(g.VestingAdmins, admin)
		if term != nil {
			g.VestingTerms = append(g.VestingTerms, *term)
		}
	}
	slices.SortFunc(g.VestingTerms, func(a, b quorum.VestingTerm) int { return a.Admin.Cmp(b.Admin) })
	for _, path := range f.members {
		m, err := readRecord(path)
		if err != nil {
			return g, err
		}
		g.Members = append(g.Members, m.Member)
	}
	slices.SortFunc(g.Members, func(a, b quorum.Member) int { return a.Address.Cmp(b.Address) })

	policy, err := os.ReadFile(f.policy)
	if err != nil {
		return g, cli.With(cli.Usage, fmt.Errorf("policy: %w", err), "")
	}
	g.Policy = string(policy)
	if g.Lanes, err = readLanes(f.lanes); err != nil {
		return g, err
	}
	return g, cli.With(cli.Usage, g.Check(), "")
}

func (f newFlags) check() error {
	for _, flag := range [][2]string{{"--name", f.name}, {"--lanes", f.lanes}, {"--policy", f.policy}, {"--out", f.out}} {
		if flag[1] == "" {
			return cli.Errorf(cli.Usage, "`conclave network new --help`", "network new: %s is required", flag[0])
		}
	}
	if len(f.members) == 0 {
		return cli.Errorf(cli.Usage, "`conclave network new --help`", "network new: --members is required")
	}
	for _, flag := range [][2]string{{"--fee-address", f.fee}, {"--dao-address", f.dao}} {
		if err := checkAddress(flag[0], flag[1]); err != nil {
			return err
		}
	}
	if _, err := os.Lstat(f.out); !errors.Is(err, fs.ErrNotExist) {
		return cli.Errorf(cli.Usage, "choose a new file: the one that is there may carry signatures", "write genesis: %s exists", f.out)
	}
	return nil
}

// vestingAdmin reads ADDRESS or ADDRESS:FROM-UNTIL.
func vestingAdmin(text string) (admin common.Address, term *quorum.VestingTerm, err error) {
	address, span, limited := strings.Cut(text, ":")
	if err := checkAddress("--vesting-admin", address); err != nil {
		return admin, nil, err
	}
	admin = common.HexToAddress(address)
	if !limited {
		return admin, nil, nil
	}
	term = &quorum.VestingTerm{Admin: admin}
	from, until, ok := strings.Cut(span, "-")
	for _, end := range []struct {
		text string
		id   *uint64
	}{{from, &term.From}, {until, &term.Until}} {
		if end.text == "" || !ok {
			continue
		}
		if *end.id, err = strconv.ParseUint(end.text, 10, 64); err != nil {
			ok = false
		}
	}
	if !ok || span == "-" {
		return admin, nil, cli.Errorf(cli.Usage, "", "--vesting-admin: want ADDRESS or ADDRESS:FROM-UNTIL with ids of rows, not %q", text)
	}
	return admin, term, nil
}

// lanesFile is the file of --lanes.
type lanesFile struct {
	Lanes []struct {
		Network         string `toml:"network"`
		ChainID         uint64 `toml:"chain_id"`
		Token           string `toml:"token"` // empty: the native coin
		DepositAddress  string `toml:"deposit_address"`
		BenefitContract string `toml:"benefit_contract"` // empty: the chain binds no benefit addresses
		Way             string `toml:"way"`              // empty: single
		Contract        string `toml:"contract"`         // pays batches; empty on a lane of the way "single"
		Finality        uint64 `toml:"finality"`
		FirstNonce      uint64 `toml:"first_nonce"`
		MinEndpoints    uint64 `toml:"min_endpoints"`
	} `toml:"lane"`
}

func readLanes(path string) ([]quorum.Lane, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("lanes: %w", err), "")
	}
	var f lanesFile
	if err := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields().Decode(&f); err != nil {
		return nil, cli.With(cli.Usage, fmt.Errorf("%s: %w", path, config.AtLine(err)), "`conclave network new --help` names the keys")
	}
	var lanes []quorum.Lane
	for i, l := range f.Lanes {
		lane := quorum.Lane{
			Network: l.Network, ChainID: l.ChainID, Way: cmp.Or(l.Way, quorum.WaySingle), Finality: l.Finality, FirstNonce: l.FirstNonce, MinEndpoints: l.MinEndpoints,
		}
		for _, field := range []struct {
			key, text string
			into      *common.Address
		}{
			{"token", l.Token, &lane.Token}, {"deposit_address", l.DepositAddress, &lane.DepositAddress},
			{"benefit_contract", l.BenefitContract, &lane.BenefitContract}, {"contract", l.Contract, &lane.Contract},
		} {
			if field.text == "" {
				continue
			}
			if err := checkAddress(fmt.Sprintf("%s: lane[%d].%s", path, i, field.key), field.text); err != nil {
				return nil, err
			}
			*field.into = common.HexToAddress(field.text)
		}
		lanes = append(lanes, lane)
	}
	return lanes, nil
}
