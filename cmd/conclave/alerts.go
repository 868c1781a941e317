package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/api"

	"github.com/spf13/cobra"
)

func newAlerts(env *cli.Env) *cobra.Command {
	var open bool
	cmd := question(env, "alerts", "What called for people: what stands first, the worst on top; docs/alerts.md explains each code", cobra.NoArgs,
		func(t target, _ []string) error {
			alerts, raw, err := ask[[]api.Alert](t, "custodian_alerts")
			if err != nil {
				return err
			}
			if open {
				alerts = slices.DeleteFunc(alerts, func(a api.Alert) bool { return a.Over })
				if raw, err = json.Marshal(alerts); err != nil {
					return err
				}
			}
			return env.Print(raw, func(w io.Writer) error { return writeAlerts(env, w, alerts, open) })
		})
	cmd.Flags().BoolVar(&open, "open", false, "only those whose cause still stands")
	return cmd
}

func writeAlerts(env *cli.Env, w io.Writer, alerts []api.Alert, open bool) error {
	if len(alerts) == 0 && open {
		_, err := fmt.Fprintln(w, "no alert stands")
		return err
	}
	slices.SortStableFunc(alerts, func(a, b api.Alert) int { return urgency(a) - urgency(b) })
	var rows [][]string
	for _, a := range alerts {
		state := "stands"
		if a.Over {
			state = "over"
		}
		rows = append(rows, []string{a.Severity, a.Code, state, a.First.Format(time.RFC3339), fmt.Sprint(a.Count), a.Text, a.Hint})
	}
	return env.Table(w, []string{"SEVERITY", "CODE", "STATE", "SINCE", "COUNT", "WHAT", "WHAT TO DO"}, rows)
}

// urgency orders alerts for reading: what stands, then what is over, the worst on top of each.
func urgency(a api.Alert) int {
	n := slices.Index([]string{"critical", "warning", "info"}, a.Severity)
	if n < 0 {
		n = 0 // a severity that this program does not know is shown on top
	}
	if a.Over {
		n += 10
	}
	return n
}
