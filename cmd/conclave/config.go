package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/config"
	"conclave/quorum"
	"conclave/quorum/governance"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/spf13/cobra"
)

func newConfig(env *cli.Env) *cobra.Command {
	return env.Group("config", "The configuration of a home",
		&cobra.Command{
			Use: "default", Short: "Print every key with its default and what it means", Args: cobra.NoArgs,
			RunE: env.Run(func(*cobra.Command, []string) error {
				text := config.Write(config.Default())
				return env.Print(map[string]string{"config": string(text)}, writeTo(text))
			}),
		},
		newConfigCheck(env),
	)
}

func newConfigCheck(env *cli.Env) *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use: "check --home DIR", Short: "Check a home: configuration, secrets, genesis document", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			if home == "" {
				return cli.Errorf(cli.Usage, "", "config check: --home is required")
			}
			found, err := checkHome(home)
			if err != nil {
				return err
			}
			return env.Print(found, found.write(env))
		}),
	}
	cmd.Flags().StringVar(&home, "home", "", "the home to check (required)")
	return cmd
}

// checkedHome is what `config check` found in a home without a fault.
type checkedHome struct {
	Home     string            `json:"home"`
	Address  common.Address    `json:"address"`
	Network  string            `json:"network"`    // "" before `network join`
	ID       *common.Hash      `json:"network_id"` // null before `network join`
	Signed   bool              `json:"signed"`     // q operators signed
	Password bool              `json:"password_file"`
	Lanes    []checkedHomeLane `json:"lanes"`
}

type checkedHomeLane struct {
	Network   string `json:"network"`
	Endpoints int    `json:"endpoints"`
}

func (c checkedHome) write(env *cli.Env) func(io.Writer) error {
	return func(w io.Writer) error {
		network := "none yet: `conclave network join`"
		if c.ID != nil {
			network = fmt.Sprintf("%s %s", c.Network, c.ID)
			if !c.Signed {
				network += ", too few operators signed yet"
			}
		}
		_, err := fmt.Fprintf(w, "home      %s\naddress   %s\nnetwork   %s\nlanes     %d\n%s\n",
			c.Home, c.Address, network, len(c.Lanes), env.Paint(cli.Good, "no fault found"))
		return err
	}
}

func checkHome(home string) (checkedHome, error) {
	var found checkedHome
	c, err := config.Load(home)
	if err != nil {
		return found, err
	}
	key, err := config.ReadKey(c.NodeKeyPath())
	if err != nil {
		return found, cli.With(cli.Usage, fmt.Errorf("node key: %w", err), cli.HintOf(err))
	}
	if _, err := config.ReadKey(c.RelayKeyPath()); err != nil {
		return found, cli.With(cli.Usage, fmt.Errorf("relay key: %w", err), cli.HintOf(err))
	}
	if path := c.PasswordPath(); path != "" {
		password, err := config.ReadPassword(path)
		if err != nil {
			return found, cli.With(cli.Usage, fmt.Errorf("vault password: %w", err), cli.HintOf(err))
		}
		clear(password)
		found.Password = true
	}
	if path := c.WebhookSecretPath(); path != "" {
		secret, err := config.ReadPassword(path)
		if err != nil {
			return found, cli.With(cli.Usage, fmt.Errorf("webhook secret: %w", err), cli.HintOf(err))
		}
		clear(secret)
	}
	found.Home, found.Address = c.Home(), crypto.PubkeyToAddress(key.PublicKey)
	for _, l := range c.Lanes {
		found.Lanes = append(found.Lanes, checkedHomeLane{l.Network, len(l.Endpoints)})
	}
	return found, found.checkGenesis(c)
}

func (c *checkedHome) checkGenesis(cfg config.Config) error {
	file, err := os.ReadFile(cfg.GenesisPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	g, err := quorum.ParseGenesis(file)
	if err != nil {
		return cli.With(cli.Usage, err, "")
	}
	tally, err := governance.Count(g)
	if err != nil {
		return cli.With(cli.Refused, err, "")
	}
	if err := lanesServe(cfg, g); err != nil {
		return err
	}
	id := g.ID()
	c.Network, c.ID, c.Signed = g.Name, &id, tally.Enough()
	return nil
}

// lanesServe wants each lane of the document to have the endpoints here that the document demands, and no others.
func lanesServe(cfg config.Config, g quorum.Genesis) error {
	have := map[string]int{}
	for _, l := range cfg.Lanes {
		have[l.Network] = len(l.Endpoints)
		if _, ok := g.LaneOf(l.Network); !ok {
			return &config.KeyError{Key: "lane", Why: fmt.Sprintf("%q is not a lane of network %s", l.Network, g.Name)}
		}
	}
	for _, l := range g.Lanes {
		if n := have[l.Network]; uint64(n) < l.MinEndpoints {
			return &config.KeyError{Key: "lane", Why: fmt.Sprintf("%q has %d endpoints, network %s demands %d", l.Network, n, g.Name, l.MinEndpoints)}
		}
	}
	return nil
}
