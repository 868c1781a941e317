// Command mutants proves that the tests of the rules can fail.
//
// Each file of rules/ holds mutants: a rule, the lines of the real source that keep it, the lines that break it, and the
// tests that must notice. Every mutant is built beside the source (with the Go tool's overlay: no file of the tree changes)
// and its tests are run alone. One that passes them has survived, and the command ends with 1.
//
//	go run ./cmd/mutants               all of them
//	go run ./cmd/mutants -rotate 4     four, others each day
//	go run ./cmd/mutants -only 'R[0-8]'
//	go run ./cmd/mutants -list
//
// The last line is `N mutants, N killed, S survived`. That every mutant still applies to the source, and that its tests
// exist, is itself a test.
package main
