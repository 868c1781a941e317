package quorum

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"
)

// The EIP-712 domain of everything that operators sign; its salt is the network id.
const (
	TypedDomain  = "Conclave"
	TypedVersion = "1"
)

// TypedStruct is one EIP-712 struct with its values, in the order that the digest has them.
type TypedStruct struct {
	Name   string
	Fields []TypedField
}

// TypedField is a member of a struct. Value is a string, uint64, uint256.Int, common.Address, common.Hash or TypedList.
type TypedField struct {
	Name  string
	Value any
}

// TypedList is an array of structs. Of is an element without meaning, for the type of an empty array.
type TypedList struct {
	Of    TypedStruct
	Items []TypedStruct
}

// TypeOf is the EIP-712 type of a field's value.
func (f TypedField) TypeOf() string {
	switch v := f.Value.(type) {
	case string:
		return "string"
	case uint64, uint256.Int:
		return "uint256"
	case common.Address:
		return "address"
	case common.Hash:
		return "bytes32"
	case TypedList:
		return v.Of.Name + "[]"
	}
	panic(fmt.Sprintf("quorum: no typed data for %T", f.Value))
}

// signature is the struct's own type, without the types that it refers to.
func (s TypedStruct) signature() string {
	members := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		members[i] = f.TypeOf() + " " + f.Name
	}
	return s.Name + "(" + strings.Join(members, ",") + ")"
}

// Refers collects the structs that s refers to, by name.
func (s TypedStruct) Refers(into map[string]TypedStruct) {
	for _, f := range s.Fields {
		if l, ok := f.Value.(TypedList); ok {
			into[l.Of.Name] = l.Of
			l.Of.Refers(into)
		}
	}
}

// encodeType is EIP-712's: the struct first, then what it refers to, sorted.
func (s TypedStruct) encodeType() string {
	refers := map[string]TypedStruct{}
	s.Refers(refers)
	var more []string
	for _, r := range refers {
		more = append(more, r.signature())
	}
	slices.Sort(more)
	return s.signature() + strings.Join(more, "")
}

// hashStruct is EIP-712's.
func (s TypedStruct) hashStruct() common.Hash {
	out := [][]byte{crypto.Keccak256([]byte(s.encodeType()))}
	for _, f := range s.Fields {
		out = append(out, f.word())
	}
	return crypto.Keccak256Hash(out...)
}

func (f TypedField) word() []byte {
	switch v := f.Value.(type) {
	case string:
		return crypto.Keccak256([]byte(v))
	case uint64:
		b := uint256.NewInt(v).Bytes32()
		return b[:]
	case uint256.Int:
		b := v.Bytes32()
		return b[:]
	case common.Address:
		return common.LeftPadBytes(v[:], 32)
	case common.Hash:
		return v[:]
	case TypedList:
		var all [][]byte
		for _, s := range v.Items {
			h := s.hashStruct()
			all = append(all, h[:])
		}
		return crypto.Keccak256(all...)
	}
	panic(fmt.Sprintf("quorum: no typed data for %T", f.Value))
}

// typedDigest is the EIP-712 hash of a message in this project's domain.
func typedDigest(network common.Hash, message TypedStruct) common.Hash {
	domain := TypedStruct{"EIP712Domain", []TypedField{{"name", TypedDomain}, {"version", TypedVersion}, {"salt", network}}}.hashStruct()
	body := message.hashStruct()
	return crypto.Keccak256Hash([]byte("\x19\x01"), domain[:], body[:])
}

// Typed is what an operator signs at a time, in words that a wallet shows. Everything that it does not show is bound by
// actionHash, which is the last field but one.
func (a Action) Typed(network common.Hash, time uint64) (TypedStruct, error) {
	body, err := a.Open()
	if err != nil {
		return TypedStruct{}, err
	}
	t := TypedStruct{Fields: []TypedField{{"epoch", a.Epoch}, {"policyVersion", a.Policy}, {"serial", a.Serial}}}
	switch b := body.(type) {
	case MemberChange:
		b.typed(&t)
	case Resume:
		err = b.typed(network, &t)
	case PolicyChange:
		err = typedPolicy("Policy", b.File, &t)
	case Resolve:
		err = b.typed(&t)
	case Readmit:
		b.typed(&t)
	case CancelSlot:
		b.typed(&t)
	}
	t.Fields = append(t.Fields, TypedField{"actionHash", a.Hash(network)}, TypedField{"signedAt", time})
	return t, err
}

func (r Resume) typed(network common.Hash, t *TypedStruct) error {
	halts, err := r.recovered(network)
	if err != nil {
		return badAction("%w", err)
	}
	t.Name = "Resume"
	list := TypedList{Of: Cleared{}.typed()}
	for _, h := range halts {
		list.Items = append(list.Items, h.typed())
	}
	t.Fields = append(t.Fields, TypedField{"halts", list}, TypedField{"reason", r.Reason})
	return nil
}

func (c Cleared) typed() TypedStruct {
	return TypedStruct{"Halt", []TypedField{
		{"member", c.Member}, {"scope", c.Halt.Scope.String()}, {"target", c.Halt.Target}, {"code", c.Halt.Code},
		{"time", c.Halt.Time}, {"id", c.ID},
	}}
}

func typedPolicy(name string, file []byte, t *TypedStruct) error {
	p, err := ParsePolicy(file)
	if err != nil {
		return badAction("%w", err)
	}
	t.Name = name
	t.Fields = append(t.Fields, TypedField{"newVersion", p.Version}, TypedField{"newHash", p.Hash})
	return nil
}

func (r Resolve) typed(t *TypedStruct) error {
	if err := typedPolicy("Resolve", r.File, t); err != nil {
		return err
	}
	withdrawals, accounts := TypedList{Of: Fate{}.typed()}, TypedList{Of: Rewrite{}.typed()}
	for _, f := range r.Contents {
		withdrawals.Items = append(withdrawals.Items, f.typed())
	}
	for _, a := range r.Accounts {
		accounts.Items = append(accounts.Items, a.typed())
	}
	t.Fields = append(t.Fields, TypedField{"withdrawals", withdrawals}, TypedField{"accounts", accounts},
		TypedField{"logRows", uint64(len(r.Log))}, TypedField{"uncovered", r.Uncovered}, TypedField{"reason", r.Reason})
	return nil
}

// Verdict is the fate in a word.
func (f Fate) Verdict() string {
	if f.Pay {
		return "pay"
	}
	return "reject"
}

func (f Fate) typed() TypedStruct {
	c := f.Content
	return TypedStruct{"Withdrawal", []TypedField{
		{"id", c.WID}, {"fate", f.Verdict()}, {"account", c.Account}, {"to", c.To}, {"network", c.Network}, {"token", c.Token},
		{"amount", c.Amount}, {"fee", c.Fee},
	}}
}

func (r Rewrite) typed() TypedStruct {
	total, _ := r.Total()
	return TypedStruct{"Account", []TypedField{
		{"account", r.Account}, {"upTo", r.UpTo}, {"debits", uint64(len(r.Debits))}, {"total", total},
	}}
}

// Digest is what an operator signs: the EIP-712 hash. It fails when the action does not open.
func (a Action) Digest(network common.Hash, time uint64) (common.Hash, error) {
	t, err := a.Typed(network, time)
	if err != nil {
		return common.Hash{}, err
	}
	return typedDigest(network, t), nil
}
