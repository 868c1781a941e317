package devnet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/internal/devnet/devkeys"
	"conclave/node"
	"conclave/node/config"
	"conclave/tss"
	"conclave/tss/vault"
)

// Rhythms of kills while the key is made. A ceremony takes ten seconds or more, so long calms let its end be reached.
const (
	keygenShare    = 5 // one kill in so many is meant for the ceremony
	keygenPause    = 6 * time.Second
	keygenCalm     = 25 * time.Second
	keygenPatience = 15 * time.Minute // there is a key this long after the last of these kills, or something is wrong; many times what it takes, for busy machines
)

// ceremony waits until the custodians have a key, and kills them meanwhile: all of them must take part in it, so each kill
// ends an attempt, and the ceremony goes on by itself. Only the kills say how long that takes.
func (k *killer) ceremony(ctx context.Context) (common.Address, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	made, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := k.duringKeygen(ctx, made); err != nil {
			cancel(err)
			return
		}
		time.AfterFunc(keygenPatience, func() {
			cancel(fmt.Errorf("%w: no key %s after the last kill in its making", ErrViolation, keygenPatience))
		})
	}()
	payer, err := k.n.founded(ctx, k.n.showKeygen())
	close(made)
	<-ended
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	return payer, err
}

// duringKeygen kills until its share of the kills is spent, or there is a key.
func (k *killer) duringKeygen(ctx context.Context, made <-chan struct{}) error {
	for k.kills < k.n.o.Kills/keygenShare {
		pause := keygenPause
		if k.rand.IntN(2) == 0 {
			pause = keygenCalm
		}
		select {
		case <-made:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(k.rand.Int64N(int64(pause)))):
		}
		if err := k.strike(ctx); err != nil {
			return err
		}
	}
	return nil
}

// makingKey begins the names of all stages of the ceremony.
const makingKey = "making the key: "

// keygenStage names how far the ceremony was, as its victim said.
func keygenStage(s node.KeygenStatus) string {
	switch {
	case s.Done:
		return makingKey + "deciding it"
	case len(s.Missing) > 0:
		return makingKey + "calling the others"
	case s.Rounds > 0 && s.Round == s.Rounds:
		return makingKey + "trying it"
	}
	return fmt.Sprintf("%sin round %d", makingKey, s.Round+1)
}

// sameKey: a custodian pays with the key that the first one named, and holds its share.
func (n *Network) sameKey(ctx context.Context, i int) error {
	var s node.Status
	if err := n.custodians[i].ask(ctx, &s, "custodian_status"); err != nil {
		return fmt.Errorf("key of custodian %d: %w", i, err)
	}
	if len(s.Lanes) == 0 || s.Lanes[0].Payer == nil || *s.Lanes[0].Payer != n.payer {
		return fmt.Errorf("%w: custodian %d does not pay from %s", ErrViolation, i, n.payer)
	}
	for _, r := range s.Reasons {
		if r.Code == "no-share" {
			return fmt.Errorf("%w: custodian %d: %s", ErrViolation, i, r.Text)
		}
	}
	return nil
}

// stock gives a vault all preparameters that are made ahead for this member: an attempt that is cut short after a share was
// saved costs a set, and to find one takes a minute of a free core.
func (n *Network) stock(i int, cfg config.Config, address common.Address, password []byte) error {
	v, err := vault.Open(cfg.VaultPath(), address, password)
	if err != nil {
		return err
	}
	defer v.Close()
	for set := i + n.o.Nodes; set < devkeys.Count; set += n.o.Nodes {
		pre, err := tss.UnmarshalPreParams(devkeys.Set(set))
		if err != nil {
			return err
		}
		if err := v.PutPreParams(pre); err != nil {
			return err
		}
	}
	return nil
}
