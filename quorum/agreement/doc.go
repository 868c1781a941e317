// Package agreement decides one value per height among mutually distrusting members: a BFT state machine in the manner of
// Tendermint, as a pure function from (state, event, now) to effects.
package agreement
