package devnet

import (
	"context"
	"time"

	"conclave/node"
)

// tail reads withdrawals of the first custodian, and those again that are not final there yet: what is final does not change, and
// thousands of it in each answer would be a load of its own.
type tail struct {
	n    *Network
	from uint64 // every withdrawal up to here is final
	all  map[uint64]node.WithdrawalView
}

// tailPage is how many withdrawals one question asks for: a custodian that signs all the time answers a small one in time.
const tailPage = 200

// finalStages are those of a payment that its custodian saw final, or that went further.
func finalStages() map[string]bool {
	return map[string]bool{"final": true, "settled": true, "reported": true}
}

// read takes what is new, and returns how many are final.
func (t *tail) read(ctx context.Context) (final int, err error) {
	finals := finalStages()
	after, unbroken := t.from, true
	for {
		var page []node.WithdrawalView
		if err := t.n.custodians[0].ask(ctx, &page, "custodian_withdrawals", node.WithdrawalQuery{Limit: tailPage, After: after}); err != nil {
			return 0, err
		}
		for _, w := range page {
			t.all[w.ID], after = w, w.ID
			if unbroken = unbroken && finals[w.Stage]; unbroken {
				t.from = w.ID
			}
		}
		if len(page) < tailPage {
			break
		}
	}
	for _, w := range t.all {
		if finals[w.Stage] {
			final++
		}
	}
	return final, nil
}

// until reads until so many are final. It returns how many are when patience ends.
func (t *tail) until(ctx context.Context, want int, patience time.Duration) (final int, err error) {
	for deadline := time.Now().Add(patience); ; {
		final, err = t.read(ctx)
		if err == nil && (final >= want || time.Now().After(deadline)) {
			return final, nil
		}
		if err != nil && time.Now().After(deadline) {
			return final, err
		}
		select {
		case <-ctx.Done():
			return final, ctx.Err()
		case <-time.After(watchEvery):
		}
	}
}
