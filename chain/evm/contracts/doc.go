// Package contracts holds the Solidity sources of the project's own contracts with what the compiler made of them.
//
// What it does. BenefitAddress binds accounts to the addresses that their withdrawals are paid to; DevToken is an ERC-20
// token for development chains. The functions give the call data that deploys them.
//
// What it promises. The committed bytecode is the compiler's output for the committed sources: a test hashes the sources
// into the metadata and the metadata into the bytecode's tail.
//
// What you owe. After a change of a source run compile.js, as README.md says, and commit all that it writes.
//
// What will hurt you. A chain older than the "paris" fork lacks opcodes that the bytecode uses. DevToken gives its whole
// supply to whoever deploys it.
package contracts
