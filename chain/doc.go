// Package chain is the payout door: what a payment looks like on an EVM chain, byte for byte, and what the chain's own
// endpoints say about deposits, destinations and payments.
//
// What it does. Lane is a payout network. Payment is all
// that a decided slot says about its transaction, Render gives the exact bytes of its k-th fee step, Assemble joins them
// with the payer's signature, and Match recognises them on the chain. Step is the state machine of one slot from decided
// to settled. Endpoint is one RPC server, Agreeing several of them; VerifyDeposit, BenefitAt, OutcomeFor, Observe and
// SurveyLane ask them. The adapter to real nodes is chain/evm; chain/memchain is a chain in memory for tests.
//
// What it promises. Rendering, fees and Step are pure: equal arguments give equal bytes on every node. Between the fee
// steps of a payment only the two prices differ. Assemble returns nothing that the payer did not sign. A single lying or
// lagging endpoint among several makes an Agreeing wait, with a *Disagreement as evidence, and never proves anything; one that
// does not answer, or stopped long ago, costs a look once and is then left out while the others are enough (Health).
// VerifyDeposit says Contradicted only when a final block holds the transaction and it is not as claimed.
//
// What you owe. Store a Track before you do what Step asked for. Store signed bytes before the first broadcast. Take
// nonces from decisions, never from an endpoint. Treat every error of an endpoint as "wait". Alert on a *Disagreement.
//
// What will hurt you. A final block is final by configuration: with a depth of 1 on a chain that reorganises by 2 a
// payout can vanish after its outcome was stated, and Step then raises an Alarm. Match compares payloads because hashes
// are not enough: one payload has as many hashes as somebody made signatures. A gas limit of 21,000 towards an address
// that holds code fails and still spends the nonce. Destinations of the distant past need an archive node or logs.
package chain
