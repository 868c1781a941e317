// Package batch says what one decision holds: the withdrawals that are paid together, the statements that it rests on,
// and the one rule by which every node tells a valid batch from an invalid one.
//
// It promises that [State.Valid] is a function of the decisions below a height and of the batch's bytes. Nothing local
// enters: no books, no clock, no endpoint. What the world says enters as VIEWs that members signed. Two nodes that hold
// the same decisions therefore never disagree about a batch, and agreement cannot stall on an opinion.
//
// You owe it decisions in order: [State.Apply] takes verified commitments of consecutive heights, from the first.
//
// What will hurt you: a rule that reads anything else. Tariffs, balances of accounts and risk belong before the
// certificates (package risk); by the time a certificate stands here, q members have already judged.
// The one rule of risk that stands here is the policy's governors: how much is paid within a time is a question to the
// decided history and the batches' own time, and everybody answers it alike.
//
// This version decides PAYOUT batches of one item or many, by the way of their lane, MEMBERS batches, and what operators decide:
// RESUME, POLICY, RESOLVE and CANCEL, which takes a nonce back from a batch before its transaction is final. A SWEEP is decided while an
// old payer is being emptied ([Retiring]), an ALLOW where a lane's contract may not take the payer's tokens yet.
package batch
