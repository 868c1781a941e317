package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"
)

// shown is the JSON of `network show` and `network verify`.
type shown struct {
	ID     common.Hash `json:"network_id"`
	Name   string      `json:"name"`
	Digest common.Hash `json:"digest"` // what operators sign
	// Fingerprint is what members read out to each other and confirm before they make the key.
	Fingerprint string `json:"fingerprint"`

	Quorum  int            `json:"quorum"`
	Faults  int            `json:"faults"`
	Members []shownMember  `json:"members"`
	Lanes   []quorum.Lane  `json:"lanes"`
	Fee     common.Address `json:"fee_address"`
	Dao     common.Address `json:"dao_address"`
	Vesting []shownVester  `json:"vesting_admins"`
	Policy  shownPolicy    `json:"policy"`
	Cutover quorum.Cutover `json:"cutover"`
	Signed  int            `json:"signed"`
	Valid   bool           `json:"valid"` // q operators signed
}

type shownMember struct {
	Name       string         `json:"name"`
	Address    common.Address `json:"address"`
	Operator   common.Address `json:"operator"`
	Multiaddrs []string       `json:"multiaddrs"`
	Signed     bool           `json:"signed"`
}

// shownVester is one who may sign vesting schedules, and for which rows of the Relay's log; Until 0 has no end.
type shownVester struct {
	Address common.Address `json:"address"`
	From    uint64         `json:"from"`
	Until   uint64         `json:"until"`
}

type shownPolicy struct {
	Version uint64      `json:"version"`
	Hash    common.Hash `json:"hash"`
	File    string      `json:"file"`
}

func newNetworkShow(env *cli.Env) *cobra.Command {
	var home string
	var policy bool
	cmd := &cobra.Command{
		Use: "show (--home DIR | GENESIS)", Short: "Show a genesis document and who signed it", Args: cobra.MaximumNArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			g, err := genesisOf(home, args)
			if err != nil {
				return err
			}
			s, err := show(g)
			if err != nil {
				return err
			}
			if policy {
				return env.Print(s.Policy, writeTo([]byte(s.Policy.File)))
			}
			return env.Print(s, s.write(env))
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "show the document that this home joined")
	cmd.Flags().BoolVar(&policy, "policy", false, "print the policy file in the document, byte for byte")
	return cmd
}

func newNetworkVerify(env *cli.Env) *cobra.Command {
	var home, id string
	cmd := &cobra.Command{
		Use: "verify (--home DIR | GENESIS)", Short: "Succeed only if q operators signed the document", Args: cobra.MaximumNArgs(1),
		RunE: env.Run(func(_ *cobra.Command, args []string) error {
			g, err := genesisOf(home, args)
			if err != nil {
				return err
			}
			if err := expectID(g, id); err != nil {
				return err
			}
			if _, err := governance.Verify(g); err != nil {
				return signatureError(err)
			}
			s, err := show(g)
			if err != nil {
				return err
			}
			return env.Print(s, writeTo(fmt.Appendf(nil, "%s network %s, %d of %d operators signed, %d needed\n",
				env.Paint(cli.Good, "valid:"), s.ID, s.Signed, len(s.Members), s.Quorum)))
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "verify the document that this home joined")
	cmd.Flags().StringVar(&id, "network-id", "", "refuse any other network")
	return cmd
}

// genesisOf reads the document that the command line names.
func genesisOf(home string, args []string) (quorum.Genesis, error) {
	if (home == "") == (len(args) == 0) {
		return quorum.Genesis{}, cli.Errorf(cli.Usage, "", "give either --home or a genesis document")
	}
	if home == "" {
		return readGenesis(args[0])
	}
	c, err := config.Read(home)
	if err != nil {
		return quorum.Genesis{}, err
	}
	return readGenesis(c.GenesisPath())
}

func show(g quorum.Genesis) (shown, error) {
	tally, err := governance.Count(g)
	if err != nil {
		return shown{}, signatureError(err)
	}
	digest, err := governance.Digest(g)
	if err != nil {
		return shown{}, err
	}
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return shown{}, err
	}
	s := shown{
		ID: g.ID(), Name: g.Name, Digest: digest, Fingerprint: g.Fingerprint().Code(), Quorum: tally.Need, Faults: quorum.Faults(len(g.Members)), Lanes: g.Lanes,
		Fee: g.FeeAddress, Dao: g.DaoAddress, Policy: shownPolicy{policy.Version, policy.Hash, g.Policy}, Cutover: g.Cutover, Signed: len(tally.Signed), Valid: tally.Enough(),
	}
	for _, m := range g.Members {
		has := slices.ContainsFunc(tally.Signed, func(x quorum.Member) bool { return x.Address == m.Address })
		s.Members = append(s.Members, shownMember{m.Name, m.Address, m.Operator, m.Multiaddrs, has})
	}
	for _, admin := range g.VestingAdmins {
		v := shownVester{Address: admin}
		for _, t := range g.VestingTerms {
			if t.Admin == admin {
				v.From, v.Until = t.From, t.Until
			}
		}
		s.Vesting = append(s.Vesting, v)
	}
	return s, nil
}

// write shows everything that a signature under the document agrees to, but the policy's text, which --policy prints.
func (s shown) write(env *cli.Env) func(io.Writer) error {
	return func(w io.Writer) error {
		state := env.Paint(cli.Bad, "not valid yet")
		if s.Valid {
			state = env.Paint(cli.Good, "valid")
		}
		_, err := fmt.Fprintf(w, "network   %s\nid        %s\ncode      %s, the fingerprint that members confirm before they make the key\nquorum    %d of %d members, %d may fail\npolicy    version %d, %s\nfee       %s\n"+
			"dao       %s\nvesting   %s\nsigned    %d of the %d needed: %s\n\n",
			s.Name, s.ID, s.Fingerprint, s.Quorum, len(s.Members), s.Faults, s.Policy.Version, s.Policy.Hash, s.Fee, s.Dao, vesters(s.Vesting), s.Signed, s.Quorum, state)
		if err != nil {
			return err
		}
		var members [][]string
		for _, m := range s.Members {
			members = append(members, []string{m.Name, m.Address.Hex(), m.Operator.Hex(), yesNo(m.Signed), strings.Join(m.Multiaddrs, " ")})
		}
		if err := env.Table(w, []string{"MEMBER", "NODE", "OPERATOR", "SIGNED", "REACHED AT"}, members); err != nil {
			return err
		}
		for _, l := range s.Lanes {
			if err := writeLane(w, l); err != nil {
				return err
			}
		}
		if s.Cutover.Event == 0 {
			return nil
		}
		_, err = fmt.Fprintf(w, "\ncut-over  event %d, root %s\ncarried   %d withdrawals: %v\nvesting   %d records without a signature that today's rows prove\n",
			s.Cutover.Event, s.Cutover.Root, len(s.Cutover.Carried), s.Cutover.Carried, len(s.Cutover.Vesting))
		return err
	}
}

// writeLane is one lane in full: what is wrong here loses money.
func writeLane(w io.Writer, l quorum.Lane) error {
	benefit := "none: each account is paid itself"
	if l.BenefitContract != (common.Address{}) {
		benefit = l.BenefitContract.Hex()
	}
	pays := "each withdrawal by a transaction of its own"
	if l.Way == quorum.WayBatch {
		pays = "many withdrawals by one call of " + l.Contract.Hex()
	}
	_, err := fmt.Fprintf(w, "\nlane      %s\nchain     %d\nasset     %s\npays      %s\ndeposits  %s\nbenefit   %s\nfinal     %s\nasks      %d endpoints, which must agree\nnonce     %d is the payer's first\n",
		l.Network, l.ChainID, asset(l.Token), pays, l.DepositAddress, benefit, finality(l.Finality), l.MinEndpoints, l.FirstNonce)
	return err
}

// vesters names who may sign vesting schedules, and for which rows.
func vesters(all []shownVester) string {
	if len(all) == 0 {
		return "nobody signs schedules"
	}
	var out []string
	for _, v := range all {
		text := v.Address.Hex()
		switch {
		case v.Until != 0:
			text += fmt.Sprintf(" (events %d to %d)", v.From, v.Until)
		case v.From != 0:
			text += fmt.Sprintf(" (from event %d)", v.From)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func asset(token common.Address) string {
	if token == (common.Address{}) {
		return "native"
	}
	return token.Hex()
}

func finality(blocks uint64) string {
	if blocks == 0 {
		return "finalized tag"
	}
	return fmt.Sprintf("%d blocks on top", blocks)
}
