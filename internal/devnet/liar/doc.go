// Package liar is a custodian that lies to the others while they sign: first its share of the signature is wrong, then it
// falls silent in the middle, then it tells two of them different things. Everything else in it is the custodian's own code.
//
// It promises that it makes the key honestly, and that it lies in every signature that it is asked for. What will hurt you:
// it signs with the key of its home. Never run it where the others are not there to be lied to.
package liar
