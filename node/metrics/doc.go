// Package metrics shows a custodian to Prometheus.
//
// It promises that the node is asked at most once in a second whatever the number of scrapers; that a node that does not
// answer still yields a scrape, with conclave_up 0; and that docs/metrics.md lists exactly what is exported, because both
// come from one table.
//
// You owe it a registry of your own: there is no package state.
//
// What will hurt you: amounts are exported as floating-point numbers, as Prometheus has no other. They are for graphs and
// alerts with margins; the books are in custodian_status, exact.
package metrics
