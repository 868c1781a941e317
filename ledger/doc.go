// Package ledger is one custodian's database: the books of every account, everything that this node ever signed, and every
// decision. It is the only package that touches bbolt.
//
// What it does. Events of the Relay's settled log go in by Tx.Append, requests by Tx.PutWithdrawal; sums, chains and
// matches follow from them and from the decisions. Each account has counted credits and debits, two sums that only grow,
// and a chain: a hash over its debits in id order that signatures refer to. A credit without proof counts nothing: a
// deposit waits for Tx.SetProof, a fee for a payment of its amount (Tx.BookPaid), a refund for a decided reject that the
// books debited, a vesting release for its signed schedule and this node's own clock. Tx.Standing is all that a verdict
// asks of the books. Statements, votes, decisions, slots, the outbox and halts are recorded beside the books, each by the
// rule that makes a second, different one impossible. Members' words on ranges of the log are kept until q equal ones
// certify them; what differs stands as a dispute, with both sides, until the range agrees (Tx.OpenRanges).
//
// What it promises. Ledger.Update is the one commit point: when it returns nil, what was written is on disk, and so is the
// high-water mark of what this node has said. Equal logs, proofs and decisions give equal books, however pages were cut.
// Arithmetic is exact and cannot overflow: an amount counts only below 2^192, and ids are 64 bits. A malformed amount
// counts nothing; on a debit it freezes that account alone. Late rows end where their id belongs, or, behind an approval of
// this node, freeze the account. Debits without credit, summed over all accounts, never pass the policy's maximum by
// booking a row: the rows wait, stored, in id order (Hold). CheckBooks and CheckProtocol derive everything again and name
// the first difference. Every record carries a checksum: one that is not what was written fails the transaction that reads
// it with a CorruptRecord, and CheckFile finds it, and every other flip in what is stored, by page, bucket and key. Replay
// and Rebuild book a recorded log, many events to a durable commit; Export writes the log so that VerifyExport can prove it.
//
// What you owe. Save the follower's state in the transaction that appends its events. Fail the transaction after any
// error. Raise the alerts that calls return. Trip the fuse on ErrHostile, on a Hold older than the policy allows, and stop
// on ErrCorrupt. Call Tx.BookPaid when a payment is final, and Tx.Append or Tx.Tick every few seconds: time makes vesting
// due. Send bytes only after Update returned. Ask Ledger.Rollback at start, before anything is signed.
//
// What will hurt you. Update is one writer and an fsync: book a page per transaction, not an event. A View that stays open
// keeps freed pages from being used again, so the file grows. Values are read inside a transaction and copied out. The
// Relay's times and statuses are stored and never decide. A restored copy of the database is an older self that may sign
// against its later word: only the high-water file beside it, and the peers, can tell.
package ledger
