package metrics

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metric is one row of the catalogue.
type metric struct {
	name   string // without prefix
	kind   prometheus.ValueType
	help   string
	labels []string
}

const prefix = "conclave_"

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// catalogue is every metric of this package, in the order of docs/metrics.md. A collector that names another one panics.
func catalogue() []metric {
	member, lane, flow := []string{"member"}, []string{"lane"}, []string{"lane", "token"}
	return []metric{
		{"up", gauge, "1 when the node's core answered, else 0 and most others are absent.", nil},
		{"info", gauge, "Always 1; the labels say which node this is.", []string{"version", "network", "network_id", "address", "name"}},
		{"uptime_seconds", gauge, "How long the node has run.", nil},
		{"epoch", gauge, "The epoch of the members in force.", nil},
		{"quorum", gauge, "How many members decide.", nil},
		{"height", gauge, "The last decided height.", nil},
		{"agreement_round", gauge, "The round of the running height; above 0, a proposer was silent or refused.", nil},
		{"halted", gauge, "1 while this node's fuse or f+1 halts stop verdicts and signing.", nil},
		{"founded", gauge, "1 once the committee has a key.", nil},
		{"reasons", gauge, "Why something does not go on, by code: how many.", []string{"code"}},
		{"alerts", gauge, "Alerts whose cause still stands.", []string{"code", "severity"}},
		{"alerts_open", gauge, "Alerts whose cause still stands, by severity; 0 when there are none.", []string{"severity"}},
		{"alerts_raised_total", counter, "How often alerts were raised since the process began, repetitions counted.", []string{"code", "severity"}},

		{"member_connected", gauge, "1 while the member is connected.", member},
		{"member_last_seen_timestamp_seconds", gauge, "When the member was last heard, unix seconds.", member},
		{"member_height", gauge, "The last height that the member says it holds.", member},
		{"member_settled_id", gauge, "Up to which event the member says that its books are settled.", member},
		{"member_halted", gauge, "1 while a halt of the member stands.", member},
		{"peer_refused_total", counter, "Messages of the member that broke their contract.", member},
		{"peer_throttled_total", counter, "Messages of the member beyond throttle_max.", member},
		{"peer_dropped_total", counter, "Frames to and gossip from the member that were lost to a full queue or a broken stream.", member},

		{"books_last_id", gauge, "The highest event id that was read.", nil},
		{"books_settled_id", gauge, "The event id up to which the log is booked.", nil},
		{"books_gaps", gauge, "Ids that are missing below the highest one.", nil},
		{"books_events_total", counter, "Events in the books.", nil},
		{"books_accounts", gauge, "Accounts in the books.", nil},
		{"books_frozen_accounts", gauge, "Accounts that are frozen.", nil},
		{"books_liabilities_wei", gauge, "What all accounts are owed.", nil},
		{"books_uncovered_wei", gauge, "Debits without credit.", nil},
		{"books_intake_held", gauge, "1 while no further event is booked.", nil},

		{"lane_balance_wei", gauge, "The payer's balance of the lane's token at the final block.", lane},
		{"lane_gas_wei", gauge, "The payer's balance of the chain's coin at the final block.", lane},
		{"lane_nonce", gauge, "How many of the payer's transactions are final.", lane},
		{"lane_next_nonce", gauge, "The nonce of the next decision.", lane},
		{"lane_in_flight", gauge, "Decided payments that are not final yet.", lane},
		{"lane_queue", gauge, "Certified withdrawals that are not decided yet.", lane},
		{"lane_final_block", gauge, "The number of the final block that was last read.", lane},
		{"flow_initial_wei", gauge, "What the payer held of the token where this node first looked. Initial and inflow equal wallet, paid, fees and lost.", flow},
		{"flow_inflow_wei", gauge, "What came into the payer since.", flow},
		{"flow_wallet_wei", gauge, "What the payer holds, at the final block at which it last changed.", flow},
		{"flow_paid_wei", gauge, "What final payouts took.", flow},
		{"flow_fees_wei", gauge, "What gas took; of the chain's coin only.", flow},
		{"flow_lost_wei", gauge, "What left and nothing explains: any rise halts the node.", flow},

		{"signing_attempt", gauge, "The attempt at the slot that is being signed; absent between slots.", nil},
		{"signing_ready", gauge, "How many members are ready to sign that slot; absent between slots.", nil},
	}
}

// Markdown is docs/metrics.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Metrics\n\nGenerated from the code by `go test ./node/metrics -update`; do not edit.\n\n" +
		"`GET /metrics` on the API's listener, in Prometheus' text format. The node is asked at most once a second. Amounts are\n" +
		"floating-point numbers, for graphs and margins; the exact ones are in custodian_status.\n\n" +
		"| name | type | labels | what |\n|---|---|---|---|\n")
	for _, m := range catalogue() {
		kind := "gauge"
		if m.kind == counter {
			kind = "counter"
		}
		fmt.Fprintf(&b, "| %s%s | %s | %s | %s |\n", prefix, m.name, kind, strings.Join(m.labels, ", "), m.help)
	}
	b.WriteString("\nBeside them stand the client library's own: `conclave_process_*` (CPU seconds, resident memory, open files, start\n" +
		"time) and `conclave_go_*` (goroutines, heap, garbage collection).\n")
	return b.String()
}
