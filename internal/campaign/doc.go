// Package campaign writes random schedules for whole custodians, plays them, and makes those that fail small.
//
// What it does. [Generate] writes the schedule of a seed as a story of package scenario. The test TestSchedules plays many
// of them, each in a world of its own and in virtual time; [Shrink] leaves out of a failing one what it can do without.
//
// What it promises. A seed writes one text, for ever: the text, not the seed, is what a failure leaves. After each line
// and after the last one package simnet compares what was said, paid and stored with the invariants.
//
// What you owe it. Keep what Shrink leaves as a file of scenario's testdata, with a head that says which rule it guards.
//
// What will hurt you. A text does not fix everything: several goroutines of one custodian may be due at one moment, and
// which of them runs first is the Go scheduler's choice, so a schedule that fails may pass when it is played again. Shrink
// therefore keeps only what failed in front of it.
package campaign
