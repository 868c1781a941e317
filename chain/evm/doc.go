// Package evm is the adapter between chain and real nodes: chain.Endpoint over JSON-RPC and HTTP.
//
// What it does. Each method is one or a few plain eth_ calls; blocks of state reads are named by hash (EIP-1898).
//
// What it promises. Every call ends with its context or its timeout, and no reply is read beyond MaxReply bytes. The
// chain id is checked before the first call and again after every failure of the connection, because what comes back
// may be another server. A transaction's hash and sender are computed from its bytes, a block must be the one that was
// asked for, logs must match their filter, and a broadcast must be answered with the hash of the bytes. URLs, which
// often hold a provider's key, appear in no error. Nothing is retried and nothing is cached.
//
// What you owe. Receipts, balances and logs are the server's word: configure two or more and use chain.Agreeing. Close
// ends idle connections.
//
// What will hurt you. Servers name the same refusal in many words; those that are not recognised are plain errors, which
// callers treat as "wait". A server without old state answers questions about the past with chain.ErrPruned at best. Behind
// one URL a provider may run many servers: one that lags can answer a search of logs with fewer than there are, and only a
// second provider notices.
package evm
