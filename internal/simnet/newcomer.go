package simnet

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/node"
	"conclave/quorum"
)

// Newcomer makes the next custodian: a key that no genesis document knows, an empty disk, and the records of those who asked it to
// join. Its index is the number of custodians before it. It does not run yet.
func (w *World) Newcomer() (*Custodian, error) {
	i := len(w.Custodians)
	key, err := crypto.ToECDSA(crypto.Keccak256(fmt.Appendf(nil, "conclave simnet newcomer %d, for tests only", i)))
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("n%d", i)
	dir := filepath.Join(w.cfg.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	c := w.custodian(i, key, dir)
	for _, o := range w.Custodians {
		c.invited = append(c.invited, memberOf(o.Index, o.key))
	}
	all := quorum.Members{c.Address}
	if before := w.newcomers.Load(); before != nil {
		all = append(slices.Clone(*before), c.Address)
	}
	w.newcomers.Store(&all)
	w.wire.enter(i, c.Address)
	w.canary.know("the identity of "+name, numberOf(key))
	w.Custodians = append(w.Custodians, c)
	return c, nil
}

// enter makes a newcomer's messages known by its index.
func (x *wire) enter(i int, address common.Address) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.index[address], x.said[i] = i, map[common.Hash]bool{}
}

// Change is the committee of some custodians, by index, as operators propose it.
func (w *World) Change(members []int, reason string) (quorum.MemberChange, error) {
	var out []quorum.Member
	for _, i := range members {
		c, err := w.Custodian(i)
		if err != nil {
			return quorum.MemberChange{}, err
		}
		out = append(out, memberOf(i, c.key))
	}
	return quorum.NewMemberChange(out, reason), nil
}

// Rules checks what a custodian knows of the committee: its epoch, exactly whom it holds, and that of its own shares none but
// that of the epoch are left.
func (c *Custodian) Rules(s node.Status, epoch uint64, members []int) error {
	if s.Epoch != epoch {
		return fmt.Errorf("epoch %d, want %d", s.Epoch, epoch)
	}
	var have, want []string
	for _, m := range s.Members {
		have = append(have, m.Name)
	}
	for _, i := range members {
		want = append(want, fmt.Sprintf("n%d", i))
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		return fmt.Errorf("members %v, want %v", have, want)
	}
	held := c.store().epochs()
	if member := slices.Contains(members, c.Index); s.Member != member || (member && !slices.Equal(held, []uint64{epoch})) || (!member && len(held) > 0) {
		return fmt.Errorf("member %t of epoch %d, with shares of the epochs %v", s.Member, epoch, held)
	}
	return nil
}
