// Package config is a custodian's home: what stands where, and the file config.toml with a section for each room.
//
// It promises that a key that nobody knows, a value out of bounds and a secret that others can read are errors of one line,
// which name the line, the key or the file; that every key has a default or is required; and that docs/config.md and
// `conclave config default` say the same as the code, because both are made from the struct tags here.
//
// You owe it nothing at rest: the package keeps no state. Paths in the file are relative to the home unless absolute;
// [Config.Home] and its methods give absolute ones.
//
// What will hurt you: the file is read once, at the start. Secrets never stand in it, only paths to them; endpoints' URLs may
// hold a provider's key, so the file is written for its owner alone.
package config
