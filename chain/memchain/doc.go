// Package memchain is a small EVM-like chain in memory, for tests of whole nodes in virtual time, where no sockets are
// allowed.
//
// What it does. It takes raw signed EIP-1559 transactions, recovers their signer, keeps a mempool with geth's rules of
// replacement, mines blocks when told to (Mine) or one a second (Run), moves the base fee by EIP-1559, charges gas,
// transfers the coin, keeps the bindings of one BenefitAddress contract, pays batches as the payout contract does, with
// recipients that refuse or burn their gas, and forks (Reorg). Endpoint is a view of it
// that implements chain.Endpoint and can be down, lag or lose old state.
//
// What it promises. It is deterministic: equal calls give equal blocks and hashes. It checks chain id, signature,
// nonce, balance and gas as a real node does, so that what it accepts, a real chain would. Every block keeps its state.
//
// What you owe. It is for tests and development only: memory grows with the chain.
//
// What will hurt you. It has no virtual machine: call data to anything but these two contracts is ignored, and there are no
// tokens. Gas of the contracts is in round figures.
package memchain
