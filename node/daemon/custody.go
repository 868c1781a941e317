package daemon

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"go.uber.org/zap"

	"conclave/node"
	"conclave/node/api"
	"conclave/tss/vault"
)

// tellTimeout bounds how long the core may take to follow the vault, above a step of the core on a machine under load.
const tellTimeout = time.Minute

// custody is the vault's door and the node that follows it, as this machine's operator orders it.
type custody struct {
	door    *vault.Door
	node    *node.Node
	key     *ecdsa.PrivateKey
	network common.Hash
	log     *zap.Logger

	turn sync.Mutex // one order at a time: the node must not follow one while the door obeys another
}

var _ api.Custody = (*custody)(nil)

// UnsealKey implements api.Custody.
func (c *custody) UnsealKey() (api.UnsealKey, error) {
	offer, sig, err := c.door.Offer(c.network, c.key)
	if err != nil {
		return api.UnsealKey{}, err
	}
	return api.UnsealKey{Node: offer.Node, Key: hexutil.Encode(offer.Key[:]), Expires: offer.Expires, Signature: sig.String()}, nil
}

// Unseal implements api.Custody. When the node cannot use its share the vault is sealed again.
func (c *custody) Unseal(ctx context.Context, sealed []byte) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	request, err := c.door.Receive(c.network, vault.ForUnseal, sealed)
	if err != nil {
		return err
	}
	defer request.Clear()
	if err := c.door.Unseal(request.Password); err != nil {
		return errors.Join(err, c.tellWrong(ctx, err))
	}
	// Whoever asked may be gone: the vault is open, so the node must know.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	if err := c.node.Unsealed(ctx); err != nil {
		c.door.Seal()
		return err
	}
	return nil
}

// tellWrong passes a wrong password on to the node's alerts.
func (c *custody) tellWrong(ctx context.Context, err error) error {
	if !errors.Is(err, vault.ErrPassword) {
		return nil
	}
	return c.node.PasswordTried(ctx)
}

// Seal implements api.Custody. The node is silent before the key is wiped.
func (c *custody) Seal(ctx context.Context, reason string) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.node.Sealing(ctx); err != nil {
		return err
	}
	c.door.Seal()
	c.log.Warn("sealed by its operator", zap.String("reason", reason))
	return nil
}

// ChangePassword implements api.Custody. What guessing costs stays as it is.
func (c *custody) ChangePassword(ctx context.Context, sealed []byte) error {
	c.turn.Lock()
	defer c.turn.Unlock()
	request, err := c.door.Receive(c.network, vault.ForPassword, sealed)
	if err != nil {
		return err
	}
	defer request.Clear()
	params, err := c.door.Params()
	if err != nil {
		return err
	}
	if err := c.door.ChangePassword(request.Password, request.Next, params); err != nil {
		return errors.Join(err, c.tellWrong(ctx, err))
	}
	c.log.Warn("the vault's password was changed")
	return nil
}
