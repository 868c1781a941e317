package quorum_test

import (
	"math/big"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSignAndRecover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := testKey("signer", rapid.IntRange(0, 50).Draw(t, "key"))
		digest := common.BytesToHash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		sig, err := quorum.SignDigest(key, digest)
		require.NoError(t, err)
		signer, err := sig.Recover(digest)
		require.NoError(t, err)
		require.Equal(t, crypto.PubkeyToAddress(key.PublicKey), signer)

		text, err := sig.MarshalText()
		require.NoError(t, err)
		var again quorum.Signature
		require.NoError(t, again.UnmarshalText(text))
		require.Equal(t, sig, again)
	})
}

func TestMalformedSignatures(t *testing.T) {
	key, digest := testKey("signer", 0), hash(1)
	good, err := quorum.SignDigest(key, digest)
	require.NoError(t, err)
	order := crypto.S256().Params().N

	for name, change := range map[string]func(s *quorum.Signature){
		"v 2":    func(s *quorum.Signature) { s[64] = 2 },
		"v 27":   func(s *quorum.Signature) { s[64] += 27 },
		"zero r": func(s *quorum.Signature) { clear(s[:32]) },
		"zero s": func(s *quorum.Signature) { clear(s[32:64]) },
		"r of n": func(s *quorum.Signature) { order.FillBytes(s[:32]) },
		"high s": func(s *quorum.Signature) {
			new(big.Int).Sub(order, new(big.Int).SetBytes(s[32:64])).FillBytes(s[32:64])
			s[64] ^= 1
		},
	} {
		sig := good
		change(&sig)
		_, err := sig.Recover(digest)
		require.ErrorIs(t, err, quorum.ErrSignature, name)
	}
	// An r that is on no point recovers to nobody.
	sig := quorum.Signature{}
	sig[31], sig[63] = 5, 1
	_, err = sig.Recover(digest)
	require.ErrorIs(t, err, quorum.ErrSignature)
}

func TestSignatureText(t *testing.T) {
	var sig quorum.Signature
	for _, bad := range []string{"", "0x", "0x00", sig.String()[2:], sig.String() + "00", "0X" + sig.String()[2:], "0xzz" + sig.String()[4:]} {
		require.Error(t, sig.UnmarshalText([]byte(bad)), bad)
	}
}

// Users' wallets sign as they like: 27/28 or 0/1, s high or low, and the Relay accepts each.
func TestRecoverAnyTakesEverySpelling(t *testing.T) {
	key, digest := testKey("user", 0), quorum.PersonalDigest("hello")
	user := crypto.PubkeyToAddress(key.PublicKey)
	sig, err := quorum.SignDigest(key, digest)
	require.NoError(t, err)
	high := sig
	new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(sig[32:64])).FillBytes(high[32:64])
	high[64] ^= 1
	for _, s := range []quorum.Signature{sig, high} {
		for _, add := range []byte{0, 27} {
			spelled := s
			spelled[64] += add
			got, err := quorum.RecoverAny(digest, spelled[:])
			require.NoError(t, err)
			require.Equal(t, user, got)
		}
	}
	for name, bad := range map[string][]byte{
		"short": sig[:64], "long": append(sig[:], 0), "nothing": nil,
		"v 29": func() []byte { b := sig; b[64] = 29; return b[:] }(), "zero": make([]byte, 65),
	} {
		_, err := quorum.RecoverAny(digest, bad)
		require.ErrorIs(t, err, quorum.ErrSignature, name)
	}
}

func TestPersonalDigestIsEIP191(t *testing.T) {
	// The vector that every wallet's documentation shows for personal_sign of "hello".
	require.Equal(t, keccak([]byte("\x19Ethereum Signed Message:\n5hello")), quorum.PersonalDigest("hello"))
	require.Equal(t, keccak([]byte("\x19Ethereum Signed Message:\n10aaaaaaaaaa")), quorum.PersonalDigest("aaaaaaaaaa"))
}

func TestWithdrawText(t *testing.T) {
	account := common.HexToAddress("0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")
	// The destination keeps the caller's spelling, the account gets its checksum.
	require.Equal(t, "Crynux Relay\nAction: Withdraw 25 from 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed to 0xabcd on devnet\n"+
		"Address: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed\nTimestamp: 1780000000",
		quorum.WithdrawText(account, "0xabcd", "devnet", wei("25"), 1_780_000_000))
}

func TestContentBindsEveryField(t *testing.T) {
	base := sampleContent()
	require.NoError(t, base.Check())
	seen := map[common.Hash]string{base.Hash(testNetwork): "the same", base.Hash(hash(1)): "another network"}
	for name, change := range map[string]func(c *quorum.Content){
		"wid":     func(c *quorum.Content) { c.WID++ },
		"account": func(c *quorum.Content) { c.Account = address(1) },
		"network": func(c *quorum.Content) { c.Network = "other" },
		"token":   func(c *quorum.Content) { c.Token = address(1) },
		"to":      func(c *quorum.Content) { c.To = address(1) },
		"amount":  func(c *quorum.Content) { c.Amount = wei("1") },
		"fee":     func(c *quorum.Content) { c.Fee = wei("1") },
		"event":   func(c *quorum.Content) { c.EventID++ },
		"message": func(c *quorum.Content) { c.Message = hash(1) },
	} {
		c := base
		change(&c)
		h := c.Hash(testNetwork)
		require.Empty(t, seen[h], name)
		seen[h] = name
	}
	base.Network = ""
	require.Error(t, base.Check())
	base = sampleContent()
	base.Account = common.Address{}
	require.Error(t, base.Check())
}
