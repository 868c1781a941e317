package main

import (
	"context"
	"encoding/hex"
	"math/big"
	"net/http/httptest"
	"os"
	"time"

	"conclave/relay/relaysim"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"
)

// oldRelay URLVAR KEYFILE: a Relay on loopback with three days of history: two incomes, a paid withdrawal and a pending
// one, and a row of today. `oldRelay URLVAR KEYFILE fork` shows one row less.
func oldRelay(ts *testscript.TestScript, neg bool, args []string) {
	// Keys of this test only.
	api, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave scripts: relay api")))
	ts.Check(err)
	user, err := crypto.ToECDSA(crypto.Keccak256([]byte("conclave scripts: relay user")))
	ts.Check(err)
	age := 72 * time.Hour
	now := func() time.Time { return time.Now().Add(-age) }
	sim, err := relaysim.New(relaysim.Config{Now: now, APIKey: crypto.PubkeyToAddress(api.PublicKey), FeeAddress: common.HexToAddress("0xfe"),
		DaoAddress: common.HexToAddress("0xda"),
		Networks:   []relaysim.Network{{Name: "devnet", TokenType: "native", Fee: 1, Min: 4, Tiers: []relaysim.Tier{{}}, MaxPerDay: 10}}})
	ts.Check(err)
	coins := func(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }
	owner := crypto.PubkeyToAddress(user.PublicKey)
	sim.CreditTask(owner, coins(100))
	sim.CreditTask(common.HexToAddress("0x77"), coins(5))
	u := relaysim.NewUser(user, "http://relay.invalid", relaysim.Transport(sim), now)
	paid, err := u.Withdraw(context.Background(), "devnet", coins(10), owner.Hex())
	ts.Check(err)
	if objection := sim.Decide(paid, false, common.Hash{1}.Hex()); objection != "" {
		ts.Fatalf("decide: %s", objection)
	}
	_, err = u.Withdraw(context.Background(), "devnet", coins(20), owner.Hex())
	ts.Check(err)
	age = 0
	sim.CreditTask(owner, coins(7))

	view := sim.View(0)
	if len(args) > 2 && args[2] == "fork" {
		view.Lie(relaysim.Hide(2))
	}
	server := httptest.NewServer(view)
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(hex.EncodeToString(crypto.FromECDSA(api))+"\n"), 0o600))
}
