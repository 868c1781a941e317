// Package payout holds the contract that pays many recipients in one transaction: its Solidity source, what the compiler
// made of it, and what a node must know of it.
//
// What it does. BatchPayout.pay sends coins, BatchPayout.payToken moves a token, to at most 150 recipients; each item
// is a call of its own with a bound on its gas. An item that fails is credited and claimed later by BatchPayout.claim. Package
// binding speaks its ABI. TokenProbe is never deployed: chain/evm asks endpoints what a token would do with a transfer.
//
// What it promises. The committed bytecode is the compiler's output for the committed source: a test hashes the source into the
// metadata and the metadata into the bytecode's tail, and compiles again where the compiler is. The contract has no
// owner, no setter and no upgrade; it moves only what its caller sends along or allowed it to take; a payer's batch
// happens once; a transaction pays its batch whole, failing items credited, or reverts whole. The gas that
// quorum.DefaultBatchRule gives a batch is enough, whatever its recipients do; a token whose transfers use more than
// their limit when what failed is pulled in may lack some, and then the batch reverts.
//
// What you owe. Allow the contract to take tokens only of the lane's token, and only what you would lose to a mistake in
// it. After a change of a source run `make contract` and commit all that it writes: it is another contract then, with
// another code hash, and deployed ones stay as they are.
//
// What will hurt you. Tokens that take a fee of what arrives pay recipients less, without failing: such a token must have
// no lane. What is owed to a recipient that can never accept it stays in the contract for ever, and so does what is paid to the
// contract's own address. Chains older than the "paris" fork lack opcodes that the bytecode uses.
package payout
