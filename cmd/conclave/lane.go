package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"conclave/chain"
	"conclave/chain/evm"
	"conclave/cmd/conclave/internal/cli"
	"conclave/node"
	"conclave/node/config"
	"conclave/quorum"

	"github.com/spf13/cobra"
)

func newLane(env *cli.Env) *cobra.Command {
	return env.Group("lane", "Payout networks: what their payers hold, deploy the contract that pays batches, check a lane before it is used",
		newLaneList(env), newLaneDeploy(env), newLaneCheck(env))
}

func newLaneList(env *cli.Env) *cobra.Command {
	return question(env, "list", "The lanes, their payers, and how their endpoints do", cobra.NoArgs, func(t target, _ []string) error {
		s, raw, err := ask[node.Status](t, "custodian_status")
		if err != nil {
			return err
		}
		var as struct { // as the node wrote them
			Lanes json.RawMessage `json:"lanes"`
		}
		if err := json.Unmarshal(raw, &as); err != nil {
			return err
		}
		return env.Print(as.Lanes, func(w io.Writer) error { return writeLanes(env, w, s.Lanes) })
	})
}

// laneSource is where the lanes are described: a home's document, or the file that a document will be made of.
type laneSource struct{ home, network, lanes string }

func (s *laneSource) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.home, "home", "", "the home whose config.toml names the endpoints (required)")
	cmd.Flags().StringVar(&s.network, "network", "", "the lane's network name (default: every lane)")
	cmd.Flags().StringVar(&s.lanes, "lanes", "", "the lanes file, before there is a genesis document")
}

// open reads the configuration and the lanes that are meant.
func (s laneSource) open() (config.Config, []quorum.Lane, error) {
	if s.home == "" {
		return config.Config{}, nil, cli.Errorf(cli.Usage, "", "--home is required")
	}
	cfg, err := config.Read(s.home)
	if err != nil {
		return cfg, nil, err
	}
	lanes, err := s.described(cfg)
	if err != nil {
		return cfg, nil, err
	}
	if s.network != "" {
		lanes = slices.DeleteFunc(slices.Clone(lanes), func(l quorum.Lane) bool { return l.Network != s.network })
	}
	if len(lanes) == 0 {
		return cfg, nil, cli.Errorf(cli.Usage, "`conclave network show` lists them", "no lane is called %q", s.network)
	}
	return cfg, lanes, nil
}

func (s laneSource) described(cfg config.Config) ([]quorum.Lane, error) {
	if s.lanes != "" {
		return readLanes(s.lanes)
	}
	g, err := readGenesis(cfg.GenesisPath())
	if err != nil {
		return nil, cli.With(cli.Usage, err, "before there is a document, --lanes names the file that it will be made of")
	}
	return g.Lanes, nil
}

// endpoints are those of the configuration for a lane. end closes them.
func endpoints(cfg config.Config, lane quorum.Lane) (out []*evm.Endpoint, end func(), err error) {
	end = func() {
		for _, e := range out {
			e.Close()
		}
	}
	i := slices.IndexFunc(cfg.Lanes, func(l config.Lane) bool { return l.Network == lane.Network })
	if i < 0 {
		return nil, end, cli.Errorf(cli.Usage, "add a [[lane]] to config.toml", "config.toml names no endpoints for lane %q", lane.Network)
	}
	finality := chain.Finality{Tag: lane.Finality == 0, Depth: lane.Finality}
	for _, url := range cfg.Lanes[i].Endpoints {
		e, err := evm.New(evm.Config{URL: url, ChainID: lane.ChainID, Finality: finality})
		if err != nil {
			end()
			return nil, end, cli.With(cli.Usage, fmt.Errorf("lane %q: %w", lane.Network, err), "see [[lane]] of config.toml")
		}
		out = append(out, e)
	}
	return out, end, nil
}
