package p2p

import (
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// libp2pKey is the member's key as libp2p wants it. The Noise handshake signs with it a text of libp2p's own under SHA-256, which
// is no digest that members ever sign (those are Keccak-256), so sharing the key gives no signature away.
func libp2pKey(key *ecdsa.PrivateKey) (crypto.PrivKey, error) {
	return crypto.UnmarshalSecp256k1PrivateKey(ethcrypto.FromECDSA(key))
}

// peerID is the libp2p name of a member: the public key itself, so nothing has to be looked up to verify it.
func peerID(p Peer) (peer.ID, error) {
	key, err := crypto.UnmarshalSecp256k1PublicKey(p.PublicKey[:])
	if err != nil {
		return "", fmt.Errorf("public key of %s: %w", p.Address, err)
	}
	return peer.IDFromPublicKey(key)
}

// The protocol ids of one network. The security protocol is among them: a peer of another network fails in the
// negotiation, before either side has spent anything on cryptography.
type protocolIDs struct{ prefix string }

func newProtocolIDs(network common.Hash) protocolIDs {
	return protocolIDs{prefix: "/conclave/" + network.Hex()[2:]}
}

func (p protocolIDs) security() protocol.ID { return protocol.ID(p.prefix + "/noise") }
func (p protocolIDs) gossip() protocol.ID   { return protocol.ID(p.prefix + "/gossip/1") }
func (p protocolIDs) frame(name string) protocol.ID {
	return protocol.ID(p.prefix + "/frame/1/" + name)
}
func (p protocolIDs) request(name string) protocol.ID {
	return protocol.ID(p.prefix + "/ask/1/" + name)
}
