// Package campaign writes random schedules for whole custodians, plays them, and makes those that fail small.
//
// What it does. [Generate] writes the schedule of a seed as a story of package scenario. The test TestSchedules plays many
// of them, each in a world of its own and in virtual time; [Shrink] leaves out of a failing one what it can do without.
//
// What it promises. A seed writes one text, and a text runs one way, to the last message: what failed fails again, and what is
// smaller is another run only because it is another text. The text, not the seed, is what a failure leaves. After each line
// and after the last one package simnet compares what was said, paid and stored with the invariants.
//
// What you owe it. Keep what Shrink leaves as a file of scenario's testdata, with a head that says which rule it guards.
//
// What will hurt you. A change of the nodes or of the generator makes every seed another run: a failure is kept as a story and
// its trace. When plays of one seed differ, something acts in an order that is not the clock's: TestASeedRunsOneWay shows the
// first line, `make repeat` more seeds, and package simnet's docs what to do.
package campaign
