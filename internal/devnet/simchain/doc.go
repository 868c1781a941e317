// Package simchain is the development network's chain: go-ethereum's simulated backend, served over HTTP on loopback,
// with the wallets of those who use it.
//
// What it does. Start runs a chain with an id of its own and one rich faucet. Run mines a block a second; tests call
// Commit instead, and Reorg to replace the newest blocks. A Wallet signs and sends for one key, on this chain or on any
// other that answers at a URL: transfers, which are how users deposit, bindings of benefit addresses, deployments.
//
// What it promises. It listens on 127.0.0.1 only, at a free port unless asked for one, and Close leaves nothing behind.
// It is a real EVM: what is mined here is valid on a real chain of the same rules.
//
// What you owe. Close it. Call Commit, Run and Reorg as you like: they take turns.
//
// What will hurt you. `finalized` moves at multiples of 32 only: use a depth. Empty blocks let the base fee fall by
// 12.5 % each. A tip below 1,000,000 wei is taken into the mempool and never mined. Keys made here are for development
// and worth nothing.
package simchain
