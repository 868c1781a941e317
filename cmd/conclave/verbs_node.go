package main

import (
	"conclave/cmd/conclave/internal/cli"

	"github.com/spf13/cobra"
)

// nodeVerbs run a custodian and ask it.
func nodeVerbs() []func(*cli.Env) *cobra.Command {
	return []func(*cli.Env) *cobra.Command{
		newKeygen,
		newRun,
		newStatus,
		newWithdrawals,
		newAccount,
		newBatches,
		newPeers,
		newAlerts,
		newRisk,
		newObjections,
		newEvidence,
		newAudit,
		newHalt,
		newResume,
		newCancel,
		newLedger,
		newGovernance,
		newMember,
		newLane,
		newDoctor,
		newPolicy,
		newResolve,
		newUnseal,
		newSeal,
		newVault,
	}
}
