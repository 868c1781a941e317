package node

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/require"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/quorum/batch"
)

// founding is what the committee of a lab decided first.
func (l *lab) founding(t testing.TB) []byte {
	var raw []byte
	require.NoError(t, l.led.View(func(tx *ledger.Tx) error {
		d, ok, err := tx.Decision(1)
		require.True(t, ok)
		raw = marshal(d)
		return err
	}))
	return raw
}

// FuzzVerifyProof: whatever a file claims, a proof is judged, and without the members' keys only what they signed is proven.
func FuzzVerifyProof(f *testing.F) {
	l := newLab(f)
	kinds := []string{ProofWithdrawal, ProofRefusal, ProofDecision, ProofPayment}
	founding := l.founding(f)
	item := marshal(batch.Item{Content: quorum.Content{WID: 1, Network: "devnet"}, Cert: quorum.UncheckedCertificate{WID: 1, Votes: []quorum.Endorsement{{}}}})
	f.Add(byte(0), item, []byte{}, []byte{}, []byte{}, uint64(1))
	f.Add(byte(1), marshal(batch.Reject{Content: quorum.Content{WID: 1, Network: "devnet"}}), []byte{}, []byte{}, []byte{}, uint64(1))
	f.Add(byte(2), founding, []byte{}, []byte{}, []byte{}, uint64(0))
	f.Add(byte(3), founding, []byte{2, 0xc0}, marshal(quorum.UncheckedOutcome{}), founding, uint64(1))
	f.Fuzz(func(t *testing.T, kind byte, rlp, tx, outcome, succession []byte, id uint64) {
		p := Proof{Kind: kinds[kind%4], Network: l.network, RLP: hexutil.Encode(rlp), ID: id}
		if len(tx) > 0 {
			p.Transaction = hexutil.Encode(tx)
		}
		if len(outcome) > 0 {
			p.Outcome = hexutil.Encode(outcome)
		}
		if len(succession) > 0 {
			p.Successions = []string{hexutil.Encode(succession)}
			p.Cancels = []string{hexutil.Encode(succession)}
		}
		got, err := VerifyProof(l.genesis, p)
		if err != nil {
			require.ErrorIs(t, err, ErrProof)
			require.Empty(t, got.Proves)
			return
		}
		require.Equal(t, founding, rlp, "nothing else was signed")
		require.Equal(t, ProvesDecided, got.Proves)
	})
}

// owing is what three members signed about a content, as that of an account.
func (l *lab) owing(t testing.TB, c quorum.Content, account common.Address) quorum.UncheckedCertificate {
	cert := quorum.UncheckedCertificate{Epoch: 1, WID: c.WID, Content: c.Hash(l.network), Account: account, Seq: 1}
	for i := range 3 {
		body := quorum.Approve{Epoch: 1, Counter: 9, WID: c.WID, Content: cert.Content, Account: account, Seq: 1, Time: 1}
		s, err := quorum.Sign(l.keys[i], l.network, body)
		require.NoError(t, err)
		cert.Votes = append(cert.Votes, quorum.Endorsement{Counter: 9, Time: 1, Sig: s.Signature()})
	}
	return cert
}

// TestACertificateIsOfItsContent: what the members signed about one withdrawal owes no other, and no other amount.
func TestACertificateIsOfItsContent(t *testing.T) {
	l := newLab(t)
	c := quorum.Content{WID: 7, Account: common.Address{1}, Network: "devnet", To: common.Address{2}, EventID: 3, Message: common.Hash{4}}
	c.Amount.SetUint64(5)
	proves := func(c quorum.Content, cert quorum.UncheckedCertificate) (Proven, error) {
		return VerifyProof(l.genesis, Proof{Kind: ProofWithdrawal, Network: l.network, ID: c.WID, RLP: hexutil.Encode(marshal(batch.Item{Content: c, Cert: cert}))})
	}
	cert := l.owing(t, c, c.Account)
	got, err := proves(c, cert)
	require.NoError(t, err)
	require.Equal(t, ProvesOwed, got.Proves)
	require.Equal(t, []string{"0", "1", "2"}, got.Voted)

	for name, change := range map[string]func(*quorum.Content){
		"amount":  func(c *quorum.Content) { c.Amount.SetUint64(6) },
		"to":      func(c *quorum.Content) { c.To[0]++ },
		"account": func(c *quorum.Content) { c.Account[0]++ },
		"event":   func(c *quorum.Content) { c.EventID++ },
		"id":      func(c *quorum.Content) { c.WID++ },
	} {
		bad := c
		change(&bad)
		_, err := proves(bad, cert)
		require.ErrorIs(t, err, ErrProof, name)
	}
	two := cert
	two.Votes = cert.Votes[:2]
	_, err = proves(c, two)
	require.ErrorIs(t, err, ErrProof, "two of four")
	_, err = proves(c, quorum.UncheckedCertificate{})
	require.ErrorIs(t, err, ErrProof, "nobody's word")
	_, err = proves(c, l.owing(t, c, common.Address{9}))
	require.ErrorIs(t, err, ErrProof, "another account's sequence")
}

// TestAnOutcomeIsOfItsPayment: q members' word on what is final at a nonce is about that nonce, that decision and that transaction.
func TestAnOutcomeIsOfItsPayment(t *testing.T) {
	l := newLab(t)
	rosters, err := successions(l.genesis, nil)
	require.NoError(t, err)
	b := batch.Batch{Lane: l.genesis.Lanes[0].Key(common.Address{7}), Nonce: 5}
	value, tx := common.Hash{1}, common.Hash{2}
	judge := func(shown *common.Hash, k uint, change func(*quorum.Outcome)) (Proven, error) {
		o := quorum.Outcome{Epoch: 1, Counter: 3, Lane: b.Lane, Nonce: 5, Batch: value, K: 1, TxHash: tx, BlockHash: common.Hash{3}, Status: 1}
		change(&o)
		var said []quorum.Signed[quorum.Outcome]
		for i := range 3 {
			s, err := quorum.Sign(l.keys[i], l.network, o)
			require.NoError(t, err)
			said = append(said, s)
		}
		cert, ok := quorum.CertifyOutcome(rosters[1], said)
		require.True(t, ok)
		v := prover{verifier{network: l.network, rosters: rosters, lanes: l.genesis.Lanes}, Proof{Outcome: hexutil.Encode(marshal(cert.Unchecked()))}}
		out := Proven{Value: &value, Tx: shown}
		return out, v.outcome(b, k, &out)
	}
	as := func(*quorum.Outcome) {}
	for _, shown := range []*common.Hash{nil, &tx} {
		_, err := judge(shown, 1, as)
		require.NoError(t, err)
	}
	_, err = judge(&value, 1, as)
	require.ErrorContains(t, err, "final is transaction")
	_, err = judge(&tx, 0, as)
	require.ErrorContains(t, err, "step 1")
	_, err = judge(&tx, 1, func(o *quorum.Outcome) { o.Nonce++ })
	require.ErrorContains(t, err, "another nonce")
	_, err = judge(&tx, 1, func(o *quorum.Outcome) { o.Lane.Payer[0]++ })
	require.ErrorContains(t, err, "another nonce")
	_, err = judge(nil, 0, func(o *quorum.Outcome) { o.Batch = common.Hash{8} })
	require.ErrorContains(t, err, "no decision is shown")
}
