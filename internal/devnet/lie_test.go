package devnet

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScenariosNeedTheOwnWorld(t *testing.T) {
	good := Options{Nodes: 4, Withdrawals: 8, Network: "devnet", Scenario: ScenarioLiar}
	require.NoError(t, good.Validate())
	for name, change := range map[string]func(*Options){
		"--scenario: want": func(o *Options) { o.Scenario = "another" },
		"needs the devnet": func(o *Options) { o.Relays, o.RelayKeyFile = []string{"http://127.0.0.1:1"}, "key" },
		"no --kills":       func(o *Options) { o.Kills = 1 },
		"four custodians":  func(o *Options) { o.Nodes = 3 },
		"a withdrawal":     func(o *Options) { o.Withdrawals = 0 },
		"scenario cancel":  func(o *Options) { o.Scenario, o.Nodes = ScenarioCancel, 3 },
	} {
		o := good
		change(&o)
		require.ErrorContains(t, o.Validate(), name)
	}
}

// One custodian is run by the devnet's own program, and only in the scenario.
func TestWhoLies(t *testing.T) {
	n := &Network{o: Options{Nodes: 4, Scenario: ScenarioLiar, Self: "devnet"}, bin: "conclave"}
	for i := range 4 {
		bin, verb := n.program(i)
		if i == 3 {
			require.Equal(t, []string{"devnet", LiarVerb}, []string{bin, verb})
			continue
		}
		require.Equal(t, []string{"conclave", "run"}, []string{bin, verb})
	}
	n.o.Scenario = ""
	bin, verb := n.program(3)
	require.Equal(t, []string{"conclave", "run"}, []string{bin, verb})
}
