package main

import (
	"os"
	"path/filepath"

	"conclave/node/config"
	"conclave/tss/tsstest"
	"conclave/tss/vault"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"
)

// holder HOME PASSWORDFILE OPERATORKEY: makes a home's node the one for which the fixtures hold a share: its key, its record, and an empty vault. It is
// for scripts that need a share without a key generation.
func holder(ts *testscript.TestScript, neg bool, args []string) {
	home := ts.MkAbs(args[0])
	c, err := config.Read(home)
	ts.Check(err)
	password, err := config.ReadPassword(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(os.Remove(c.NodeKeyPath()))
	ts.Check(config.WriteKey(c.NodeKeyPath(), tsstest.MemberKey(0)))
	operator, err := config.ReadKey(ts.MkAbs(args[2]))
	ts.Check(err)
	record, err := memberRecord(tsstest.MemberKey(0), crypto.PubkeyToAddress(operator.PublicKey), c, nil)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(home, memberFile), record, 0o600))
	ts.Check(os.RemoveAll(c.VaultPath()))
	v, err := vault.Create(c.VaultPath(), tsstest.MemberAddress(0), password, vault.LeastParams())
	ts.Check(err)
	v.Close()
}

// saveshare HOME PASSWORDFILE: puts the share of the fixtures into the vault, as a key generation does.
func saveShare(ts *testscript.TestScript, neg bool, args []string) {
	c, err := config.Read(ts.MkAbs(args[0]))
	ts.Check(err)
	password, err := config.ReadPassword(ts.MkAbs(args[1]))
	ts.Check(err)
	v, err := vault.Open(c.VaultPath(), tsstest.MemberAddress(0), password)
	ts.Check(err)
	defer v.Close()
	shares, err := tsstest.Shares()
	ts.Check(err)
	ts.Check(v.SaveShare(shares[tsstest.MemberAddress(0)]))
}

// spoil FILE: changes one byte in its middle.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	b[len(b)/2] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}
