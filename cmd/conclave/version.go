package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"conclave/cmd/conclave/internal/cli"

	"github.com/spf13/cobra"
)

// version is what `conclave version` prints.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision"` // of the source, "" when it was not recorded
	Modified bool   `json:"modified"` // the source had changes that were not committed
	Go       string `json:"go"`
	Protocol int    `json:"protocol"` // of signed and stored bytes
}

// protocolVersion is the one in every digest's prefix.
const protocolVersion = 1

func buildVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), Protocol: protocolVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func newVersion(env *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print what this binary was built from", Args: cobra.NoArgs,
		RunE: env.Run(func(*cobra.Command, []string) error {
			v := buildVersion()
			return env.Print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "conclave %s protocol %d %s %s\n", v.Version, v.Protocol, v.Go, v.Revision)
				return err
			})
		}),
	}
}
