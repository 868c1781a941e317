// Package archtest keeps the house in order: who may import whom, which library lives in which room, and a few habits that
// reviews forget. Its one test reads every Go file of the module and says a sentence for each violation.
//
// It promises that docs/structure.md's table is what the compiler sees, that the custodian's binary can reach no simulated
// chain, no simulated Relay and no development key material, and that the proofs of the signing library are never switched
// off.
//
// You owe it a line in rooms when a new room is built, and a reason when a rule moves.
//
// What will hurt you: a rule with an exception for convenience is no rule. An exception below has its reason beside it.
package archtest
