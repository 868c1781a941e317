package chain

import (
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// WayBatch is the lane's way of paying that sends one transaction for many withdrawals, through the lane's contract.
const WayBatch = "batch"

// Payee is one item of a payment: who gets how much, in the smallest unit of what the lane pays in.
type Payee struct {
	To     common.Address
	Amount uint256.Int
}

// Pay is the payment of a decided batch: of one payee as Transfer makes it, whatever the lane's way; of more by one call of
// the lane's contract, under the decision's id, so that the contract pays it once. The order of the payees is that of the
// items, which the contract's log speaks of by index.
func Pay(l Lane, payer common.Address, nonce uint64, id common.Hash, payees []Payee, gas uint64, fees Fees) Payment {
	if len(payees) == 1 {
		return Transfer(l, payer, nonce, payees[0].To, payees[0].Amount, gas, fees)
	}
	p := Payment{ChainID: l.ChainID, Nonce: nonce, Payer: payer, To: l.Contract, Gas: gas, Fees: fees}
	if !l.Native() {
		p.Data = PayTokenData(id, l.Token, payees)
		return p
	}
	p.Data = PayData(id, payees)
	for i := range payees {
		// Valid has checked that the sum does not overflow; if it did, the contract would refuse what does not add up.
		p.Value.Add(&p.Value, &payees[i].Amount)
	}
	return p
}

// PayData is the call data of pay(batchId, recipients, amounts).
func PayData(id common.Hash, payees []Payee) []byte {
	return payCall("pay(bytes32,address[],uint256[])", [][]byte{id[:]}, payees)
}

// PayTokenData is the call data of payToken(batchId, token, recipients, amounts).
func PayTokenData(id common.Hash, token common.Address, payees []Payee) []byte {
	return payCall("payToken(bytes32,address,address[],uint256[])", [][]byte{id[:], AddressTopic(token).Bytes()}, payees)
}

// payCall is a call whose last two arguments are the payees' addresses and amounts: words that stand in place, then two
// offsets, then each list behind its length.
func payCall(signature string, words [][]byte, payees []Payee) []byte {
	head := uint64(len(words)+2) * wordSize
	list := uint64(len(payees)+1) * wordSize
	out := make([]byte, 0, 4+head+2*list)
	out = append(out, crypto.Keccak256([]byte(signature))[:4]...)
	for _, w := range words {
		out = append(out, w...)
	}
	out = appendWord(appendWord(out, head), head+list)
	out = appendWord(out, uint64(len(payees)))
	for _, p := range payees {
		out = append(out, AddressTopic(p.To).Bytes()...)
	}
	out = appendWord(out, uint64(len(payees)))
	for _, p := range payees {
		v := p.Amount.Bytes32()
		out = append(out, v[:]...)
	}
	return out
}

func appendWord(out []byte, v uint64) []byte {
	var word [wordSize]byte
	binary.BigEndian.PutUint64(word[wordSize-8:], v)
	return append(out, word[:]...)
}

// FailedTopic is topic 0 of Failed(batchId, index).
func FailedTopic() common.Hash { return topic("Failed(bytes32,uint256)") }

// ClaimData is the call data of claim(token, to).
func ClaimData(token, to common.Address) []byte {
	return append(addressCall("claim(address,address)", token), AddressTopic(to).Bytes()...)
}

// Unpaid is which of n items a batch's successful transaction did not bring to their recipients, ascending: the contract holds
// those amounts, and each recipient claims its own there. Only the contract's own log counts, and only what it says of this
// batch; whoever is called within the transaction may log what it likes under its own address.
func (o Outcome) Unpaid(contract common.Address, id common.Hash, n int) (items []int) {
	failed := make([]bool, n)
	for _, log := range o.Logs {
		if o.Status != 1 || log.Address != contract || len(log.Topics) != 2 || log.Topics[0] != FailedTopic() || log.Topics[1] != id ||
			len(log.Data) != wordSize {
			continue
		}
		var index uint256.Int
		if index.SetBytes32(log.Data); index.LtUint64(uint64(n)) {
			failed[index.Uint64()] = true
		}
	}
	for i, f := range failed {
		if f {
			items = append(items, i)
		}
	}
	return items
}
