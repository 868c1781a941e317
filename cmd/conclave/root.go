package main

import (
	"conclave/cmd/conclave/internal/cli"

	"github.com/spf13/cobra"
)

// verbs is every verb of the command, in the order of an operator's first hour.
func verbs() []func(*cli.Env) *cobra.Command {
	return append([]func(*cli.Env) *cobra.Command{
		newInit,
		newNetwork,
		newConfig,
		newVersion,
	}, nodeVerbs()...)
}

func newRoot(env *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "conclave",
		Short: "A custodian of the Relay's withdrawals: nothing is paid that q of the members' own books do not owe",
	}
	root.CompletionOptions.DisableDefaultCmd = true
	for _, verb := range verbs() {
		root.AddCommand(verb(env))
	}
	return root
}
