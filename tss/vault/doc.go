// Package vault keeps a member's key shares and preparameters on disk, sealed under a password.
//
// A vault is a directory (0700) with one header and a file (0600) per record:
//
//	password ─ Argon2id ─▶ slot key ─ unwraps ─▶ root key ─ HKDF per record ─▶ XChaCha20-Poly1305
//
//	vault.header                               scheme, node, vault id, slots that wrap the root key, tag, checksum
//	preparams-FINGERPRINT.sealed               one set of preparameters
//	share-eEPOCH-PUBLICKEY-SESSION.sealed      one share: key, epoch and the key generation that made it
//	vault.attempts                             wrong passwords since the last right one; absent without any
//	vault.lock                                 held by the process that may write
//
// Every file is RLP with a scheme number in front. A record is bound to its vault, its id, its epoch and its node; a slot
// can be wrapped anew under another password, or another kind of slot be added, without touching a record. A vault of an
// earlier scheme is written anew, file by file, when it is opened.
//
// A running node stands before its vault as before a [Door]: sealed, unsealed, or locked out. The password reaches it sealed
// for a one-time key that the node signed: [Offer]. A backup is the shares, encrypted to recipients of age: [Vault.WriteBackup].
//
// It promises that
//   - a changed, shortened or misplaced byte in any file is an error, and damage is told from a wrong password;
//   - a write that returned nil is on disk, and one that a crash interrupted left the old file, also between two files;
//   - a share is never overwritten: each key generation has a file of its own, so that the share of the present epoch
//     stays when a later key generation ends badly; it is destroyed only on purpose, and only once its successor is whole;
//   - preparameters are not handed out again once a share that was made with them is saved, wherever a crash falls;
//   - nothing is read from files or directories that others can enter, and a hostile header cannot make this process
//     spend more than the bounds of [Params];
//   - after five wrong passwords the next must wait, whatever process is asked and however often it is restarted;
//   - the root key and one-time keys lie in memory that is locked, left out of dumps, and wiped when they end.
//
// You owe it
//   - [DisableCoreDumps] before the first secret is read;
//   - clearing the password after [Create], [Open] or [Door.Unseal], and Close at the end;
//   - quarantine for a node whose share is restored: a backup knows nothing of what the node said since.
//
// What will hurt you: a forgotten password is a lost share. The root key is all that is locked: shares in use are numbers
// of Go's heap, and so is what the ciphers derive; they are wiped where we hold them, which is an effort and no promise.
// Whoever can write to the directory can delete records and the count of wrong passwords, and put an older copy of all
// files back; the vault notices changes, not absence.
package vault
