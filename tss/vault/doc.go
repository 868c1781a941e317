// Package vault keeps a member's key shares and preparameters on disk, sealed under a password.
//
// A vault is a directory (0700) with one header and a file (0600) per record:
//
//	password ─ Argon2id ─▶ slot key ─ unwraps ─▶ root key ─ HKDF per record ─▶ XChaCha20-Poly1305
//
//	vault.header                               scheme, node, vault id, slots that wrap the root key, tag, checksum
//	preparams-FINGERPRINT.sealed               one set of preparameters
//	share-eEPOCH-PUBLICKEY-SESSION.sealed      one share: key, epoch and the key generation that made it
//
// Every file is RLP with a scheme number in front. A record is bound to its vault, its id, its epoch and its node; a slot
// can be wrapped anew under another password, or another kind of slot be added, without touching a record.
//
// It promises that
//   - a changed, shortened or misplaced byte in any file is an error, and damage is told from a wrong password;
//   - a write that returned nil is on disk, and one that a crash interrupted left the old file;
//   - a share is never overwritten: each key generation has a file of its own, so that the share of the present epoch
//     stays when a later key generation ends badly;
//   - preparameters are not handed out again once a share that was made with them is saved, wherever a crash falls;
//   - nothing is read from files or directories that others can enter, and a hostile header cannot make this process
//     spend more than the bounds of [Params];
//   - the root key lies in memory that is locked, left out of dumps, and wiped by [Vault.Close].
//
// You owe it
//   - one process, and one [Vault] in it, per directory;
//   - [DisableCoreDumps] before the first secret is read;
//   - clearing the password after [Create] or [Open], and Close at the end.
//
// What will hurt you: a forgotten password is a lost share. The root key is all that is locked: shares in use are numbers
// of Go's heap, and so is what the ciphers derive; they are wiped where we hold them, which is an effort and no promise.
// Whoever can write to the directory can delete records; the vault notices changes, not absence.
package vault
