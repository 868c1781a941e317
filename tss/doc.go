// Package tss holds the key: key generation, signing by q of n members, each with one share, and resharing, which hands the
// key over to other members, over links that carry bytes and nothing else.
//
// It promises that
//   - a session ends in a typed [Outcome]: signed or generated, timed out (who was silent), aborted (who, which round,
//     which evidence) or unattributed; never in silence, a panic or a goroutine that stays;
//   - no message reaches the library before the guard read it (guard.go), and no broadcast before all participants showed
//     each other the signed broadcasts that they hold (echo.go);
//   - a signature leaves a session only after it was verified here against the key's address;
//   - key material is checked when it is made and again each time it is loaded: the library checks less.
//   - a resharing keeps the public key, leaves the old shares whole, and ends as generated only with the signatures of all new
//     members over one transcript, each made after the member's share was checked and saved.
//
// You owe it
//   - an authenticated `from` with each frame, and a [Transport] that keeps the order per peer and never blocks;
//   - a session id that never served before, on this node or any other, recorded before the session starts;
//   - links that nobody else reads: shares of shares travel over them as they are;
//   - one engine per identity key.
//
// What will hurt you: the library computes in goroutines of its own, and a panic there cannot be recovered. What could make
// those goroutines panic is refused by the guard before it is fed; a rule that looks redundant there may be the one that
// keeps the process alive. A session ends when its context does, but the library call under way cannot be interrupted: it runs
// to its end, some seconds in key generation, and is then thrown away. The next session of the key computes after it.
package tss
