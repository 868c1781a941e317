package main

import "os"

// prepareVault makes the vault's folder, which is all that a new home holds of the vault: the first key generation seals the
// shares into it. password is the vault's password, nil when none was given.
func prepareVault(dir string, password []byte) error {
	clear(password) // read and checked by the caller; nothing is sealed yet
	return os.Mkdir(dir, 0o700)
}
