// Package binding speaks the ABI of BatchPayout: calls, answers, events and errors as Go types.
//
// What it does and promises. It packs and unpacks, nothing else; batch_payout.go is written by go-ethereum's abigen out of
// the compiler's ABI, and a test of package payout writes it again and compares.
//
// What you owe. Change the contract, not this; `make contract` writes both.
//
// What will hurt you. Events carry no payer but Paid: an event Failed belongs to the batch of the transaction it stands in,
// because the contract cannot be entered twice.
package binding
