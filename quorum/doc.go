// Package quorum says who may decide, and what a decision is made of: members and epochs, digests and signatures, the
// statements that members sign, and the certificates that q of them add up to.
//
// It promises that nothing unchecked can be named: a [Signed] statement, a [Certificate], a [RefusalCertificate], an
// [OutcomeCertificate] and a [Committed] decision exist only after their signatures were verified against a [Roster].
// Everything here is pure: no clock, no disk, no network, no randomness but what secp256k1 signing derives itself.
//
// You owe it the right roster: a statement verified against the members of another epoch proves nothing in this one.
//
// What will hurt you: every body below is hashed as canonical RLP and signed, so its fields, their order and their types
// are the protocol. The golden files in testdata hold the bytes; changing one is a new protocol version.
package quorum
