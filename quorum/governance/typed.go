package governance

import (
	"fmt"
	"strconv"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// The EIP-712 domain of everything that operators sign; its salt is the network id.
const (
	domainName    = quorum.TypedDomain
	domainVersion = quorum.TypedVersion
)

// primaryGenesis is the primary type of a genesis signature.
const primaryGenesis = "Genesis"

// genesisTypes are the types of a genesis signature; names and order are part of the digest. What a person can judge stands in fields
// of its own; everything else is bound by networkId, the hash of the whole document.
func genesisTypes() apitypes.Types {
	return apitypes.Types{
		"EIP712Domain": {{Name: "name", Type: "string"}, {Name: "version", Type: "string"}, {Name: "salt", Type: "bytes32"}},
		primaryGenesis: {
			{Name: "name", Type: "string"},
			{Name: "members", Type: "Member[]"},
			{Name: "approvalsNeeded", Type: "uint256"},
			{Name: "lanes", Type: "Lane[]"},
			{Name: "feeAddress", Type: "address"},
			{Name: "daoAddress", Type: "address"},
			{Name: "policyVersion", Type: "uint256"},
			{Name: "policyHash", Type: "bytes32"},
			{Name: "networkId", Type: "bytes32"},
		},
		"Member": {{Name: "name", Type: "string"}, {Name: "node", Type: "address"}, {Name: "operator", Type: "address"}},
		"Lane": {
			{Name: "network", Type: "string"}, {Name: "chainId", Type: "uint256"}, {Name: "token", Type: "address"},
			{Name: "depositAddress", Type: "address"},
		},
	}
}

// typedGenesis is the typed data of a document that passed [quorum.Genesis.Check].
func typedGenesis(g quorum.Genesis) (apitypes.TypedData, error) {
	if err := g.Check(); err != nil {
		return apitypes.TypedData{}, err
	}
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return apitypes.TypedData{}, err
	}
	id := g.ID().Hex()
	// Numbers are decimal strings: in JSON a number above 2^53 is another number in many wallets.
	members, lanes := make([]any, len(g.Members)), make([]any, len(g.Lanes))
	for i, m := range g.Members {
		members[i] = map[string]any{"name": m.Name, "node": m.Address.Hex(), "operator": m.Operator.Hex()}
	}
	for i, l := range g.Lanes {
		lanes[i] = map[string]any{
			"network": l.Network, "chainId": decimal(l.ChainID), "token": l.Token.Hex(), "depositAddress": l.DepositAddress.Hex(),
		}
	}
	return apitypes.TypedData{
		Types:       genesisTypes(),
		PrimaryType: primaryGenesis,
		Domain:      apitypes.TypedDataDomain{Name: domainName, Version: domainVersion, Salt: id},
		Message: apitypes.TypedDataMessage{
			"name":            g.Name,
			"members":         members,
			"approvalsNeeded": strconv.Itoa(quorum.Size(len(g.Members))),
			"lanes":           lanes,
			"feeAddress":      g.FeeAddress.Hex(),
			"daoAddress":      g.DaoAddress.Hex(),
			"policyVersion":   decimal(policy.Version),
			"policyHash":      policy.Hash.Hex(),
			"networkId":       id,
		},
	}, nil
}

func decimal(v uint64) string { return strconv.FormatUint(v, 10) }

// Digest is what operators sign of a genesis document: its EIP-712 hash. It fails when the document fails its own check.
func Digest(g quorum.Genesis) (common.Hash, error) {
	typed, err := typedGenesis(g)
	if err != nil {
		return common.Hash{}, err
	}
	hash, _, err := apitypes.TypedDataAndHash(typed)
	if err != nil {
		return common.Hash{}, fmt.Errorf("typed data: %w", err)
	}
	return common.BytesToHash(hash), nil
}

// TypedDataJSON is the document for eth_signTypedData_v4: to be pasted into, or sent to, the wallet that holds the
// operator's key.
func TypedDataJSON(g quorum.Genesis) ([]byte, error) {
	typed, err := typedGenesis(g)
	if err != nil {
		return nil, err
	}
	return marshalTyped(typed)
}
