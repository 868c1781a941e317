package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"conclave/node"
)

// cancelPatience is how long a CANCEL may take from its first signature until it is final.
const cancelPatience = 2 * time.Minute

// censor is the custodians' endpoint of a chain that never takes one payment: whatever would pay by the nonce of the first payment
// that it is shown is answered as if it were taken, and dropped. What pays nobody is taken, and so is every other nonce.
type censor struct {
	*forwarder

	mu      sync.Mutex // guards what follows
	from    common.Address
	nonce   uint64
	dropped map[common.Hash]bool
}

func openCensor(chain string) (*censor, error) {
	f, err := newForwarder(chain)
	if err != nil {
		return nil, err
	}
	c := &censor{forwarder: f, dropped: map[common.Hash]bool{}}
	c.serve(c)
	return c, nil
}

// ServeHTTP implements [http.Handler].
func (c *censor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := c.read(r)
	var q rpcCall
	if json.Unmarshal(body, &q) == nil && q.Method == "eth_sendRawTransaction" {
		if hash, ok := c.drop(q.Params); ok {
			taken, _ := json.Marshal(rpcCall{Version: "2.0", ID: q.ID, Result: json.RawMessage(fmt.Sprintf("%q", hash))})
			c.reply(w, taken)
			return
		}
	}
	raw, err := c.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	c.reply(w, raw)
}

// drop reports whether a transaction is one of those that are never taken.
func (c *censor) drop(params []json.RawMessage) (hash common.Hash, ok bool) {
	var raw hexutil.Bytes
	var tx types.Transaction
	if len(params) != 1 || json.Unmarshal(params[0], &raw) != nil || tx.UnmarshalBinary(raw) != nil || tx.Value().Sign() == 0 {
		return hash, false
	}
	from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), &tx)
	if err != nil {
		return hash, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.dropped) == 0 {
		c.from, c.nonce = from, tx.Nonce()
	}
	if from != c.from || tx.Nonce() != c.nonce {
		return hash, false
	}
	c.dropped[tx.Hash()] = true
	return tx.Hash(), true
}

// stuck is the nonce whose payment is never taken, once there is one.
func (c *censor) stuck() (nonce uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nonce, len(c.dropped) > 0
}

// all are the transactions that were dropped.
func (c *censor) all() []common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.dropped))
}

// cancelStuck lets three operators take back the nonce of a payment that the chain never takes, with the product's own commands.
// What it was to pay is released, and paid at another nonce: the network ends only when all is paid.
func (n *Network) cancelStuck(ctx context.Context) error {
	var s node.SlotView
	err := until(ctx, cancelPatience, func(ctx context.Context) error {
		nonce, ok := n.world.censor.stuck()
		if !ok {
			return errors.New("nothing was paid yet")
		}
		return n.custodians[0].ask(ctx, &s, "governance_slot", node.SlotQuery{Lane: n.o.Network, Nonce: nonce})
	})
	if err != nil {
		return err
	}
	began, api := time.Now(), n.custodians[0].api
	out, err := call(ctx, n.bin, "cancel", "--lane", n.o.Network, "--nonce", fmt.Sprint(s.Nonce), "--reason", "the chain does not take it",
		"--rpc", api, "--key-file", n.custodians[0].operator, "--json")
	if err != nil {
		return err
	}
	hash, err := hashOf(out)
	if err != nil {
		return err
	}
	for _, c := range n.custodians[1:n.quorum()] {
		if _, err := call(ctx, n.bin, "governance", "sign", hash, "--rpc", api, "--key-file", c.operator); err != nil {
			return err
		}
	}
	err = until(ctx, cancelPatience, func(ctx context.Context) error {
		if err := n.custodians[0].ask(ctx, &s, "governance_slot", node.SlotQuery{Lane: n.o.Network, Nonce: s.Nonce}); err != nil {
			return err
		}
		if s.Stage != "cancelled" || s.Released == 0 {
			return fmt.Errorf("nonce %d is %s, released at height %d", s.Nonce, s.Stage, s.Released)
		}
		return nil
	})
	if err != nil {
		return err
	}
	n.say("cancel: nonce %d was taken back %.1f s after the first signature, its %d withdrawals are paid once more", s.Nonce, time.Since(began).Seconds(), len(s.Items))
	return nil
}
