package governance

import (
	"encoding/json"
	"fmt"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"github.com/holiman/uint256"
)

// typedAction is what an operator's wallet shows of an action. The digest itself is package quorum's, which every node
// computes without this library; a test holds the two against each other.
func typedAction(network common.Hash, a quorum.Action, time uint64) (apitypes.TypedData, error) {
	message, err := a.Typed(network, time)
	if err != nil {
		return apitypes.TypedData{}, err
	}
	types := apitypes.Types{
		"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "salt", Type: "bytes32"}},
		message.Name:   typeOf(message),
	}
	refers := map[string]quorum.TypedStruct{}
	message.Refers(refers)
	for name, s := range refers {
		types[name] = typeOf(s)
	}
	return apitypes.TypedData{
		Types:       types,
		PrimaryType: message.Name,
		Domain:      apitypes.TypedDataDomain{Name: quorum.TypedDomain, Version: quorum.TypedVersion, Salt: network.Hex()},
		Message:     valuesOf(message),
	}, nil
}

func typeOf(s quorum.TypedStruct) []apitypes.Type {
	out := make([]apitypes.Type, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = apitypes.Type{Name: f.Name, Type: f.TypeOf()}
	}
	return out
}

func valuesOf(s quorum.TypedStruct) map[string]any {
	out := map[string]any{}
	for _, f := range s.Fields {
		switch v := f.Value.(type) {
		case string:
			out[f.Name] = v
		case uint64:
			out[f.Name] = decimal(v)
		case uint256.Int:
			out[f.Name] = v.Dec()
		case common.Address:
			out[f.Name] = v.Hex()
		case common.Hash:
			out[f.Name] = v.Hex()
		case quorum.TypedList:
			items := make([]any, len(v.Items))
			for i, item := range v.Items {
				items[i] = valuesOf(item)
			}
			out[f.Name] = items
		default:
			panic(fmt.Sprintf("governance: no typed data for %T", v))
		}
	}
	return out
}

// ActionTypedDataJSON is an action, signed at a time in unix ms, for eth_signTypedData_v4: to be pasted into the wallet that
// holds the operator's key. The time is part of what is signed and must be shown again with the signature.
func ActionTypedDataJSON(network common.Hash, a quorum.Action, time uint64) ([]byte, error) {
	typed, err := typedAction(network, a, time)
	if err != nil {
		return nil, err
	}
	return marshalTyped(typed)
}

// marshalTyped writes typed data as wallets take it: the library's own JSON writes the domain's absent fields as null and
// "", which wallets refuse.
func marshalTyped(typed apitypes.TypedData) ([]byte, error) {
	return json.MarshalIndent(struct {
		Types       apitypes.Types            `json:"types"`
		PrimaryType string                    `json:"primaryType"`
		Domain      map[string]any            `json:"domain"`
		Message     apitypes.TypedDataMessage `json:"message"`
	}{typed.Types, typed.PrimaryType, typed.Domain.Map(), typed.Message}, "", "  ")
}
