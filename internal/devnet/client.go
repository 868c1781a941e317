package devnet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"conclave/node"
)

// askTimeout bounds one question to a custodian: one that is stopped must not hold the view.
const askTimeout = 2 * time.Second

// ask calls one custodian.
func (c *custodian) ask(ctx context.Context, into any, method string, args ...any) error {
	return Ask(ctx, c.api, into, method, args...)
}

// Ask calls the custodian whose API is at url, and gives up after two seconds.
func Ask(ctx context.Context, url string, into any, method string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	client, err := rpc.DialContext(ctx, url)
	if err != nil {
		return err
	}
	defer client.Close()
	return client.CallContext(ctx, into, method, args...)
}

var errNobody = errors.New("no custodian answers")

// anyone asks the custodians in turn until one answers.
func (n *Network) anyone(ctx context.Context, into any, method string, args ...any) error {
	return n.anyoneFrom(ctx, 0, into, method, args...)
}

// anyoneFrom is anyone, from the first-th custodian on and around.
func (n *Network) anyoneFrom(ctx context.Context, first int, into any, method string, args ...any) error {
	err, all := errNobody, n.all()
	for i := range all {
		c := all[(first+i)%len(all)]
		if e := c.ask(ctx, into, method, args...); e == nil {
			return nil
		} else if ctx.Err() == nil {
			err = e
		}
	}
	return err
}

// status asks the first custodian that answers.
func (n *Network) status(ctx context.Context) (s node.Status, err error) {
	err = n.anyone(ctx, &s, "custodian_status")
	return s, err
}

// listPage is how many withdrawals one question asks for.
const listPage = 1000

// rest asks for all withdrawals, as one custodian sees them. Those at the front that the Relay shows as paid are asked for once: a
// thousand of them twice a second would be most of what a custodian does.
func (n *Network) rest(ctx context.Context) ([]node.WithdrawalView, error) {
	all := slices.Clone(n.done)
	for {
		var page []node.WithdrawalView
		q := node.WithdrawalQuery{Limit: listPage}
		if len(all) > 0 {
			q.After = all[len(all)-1].ID
		}
		if err := n.anyone(ctx, &page, "custodian_withdrawals", q); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < listPage {
			break
		}
	}
	n.remember(all)
	return all, nil
}

// remember keeps what is done of the front of the list.
func (n *Network) remember(all []node.WithdrawalView) {
	for _, w := range all[len(n.done):] {
		if w.Outcome != "paid" || !w.Reported {
			break
		}
		n.done = append(n.done, w)
	}
}

// whole is a look at all of them, none from memory.
func (n *Network) whole(ctx context.Context) (progress, error) {
	n.done = nil
	return n.look(ctx)
}

// answering waits until every custodian answers.
func (n *Network) answering(ctx context.Context) error {
	for _, c := range n.all() {
		for {
			var s node.Status
			err := c.ask(ctx, &s, "custodian_status")
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.process().done:
				return errors.New("custodian " + c.home + " ended at its start: see its log beside the home")
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
	return nil
}

// founded waits for the ceremony and returns the payer.
func (n *Network) founded(ctx context.Context, progress func(node.Status)) (common.Address, error) {
	for {
		s, err := n.status(ctx)
		if err == nil {
			if s.Keygen == nil && len(s.Lanes) > 0 && s.Lanes[0].Payer != nil {
				return *s.Lanes[0].Payer, nil
			}
			progress(s)
		}
		select {
		case <-ctx.Done():
			return common.Address{}, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}
