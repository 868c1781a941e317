package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"conclave/ledger"
	"conclave/quorum"
	"conclave/tss"
)

func alertFuse(h quorum.Halt) Alert {
	what := "itself"
	if h.Scope != quorum.ScopeAll {
		what = fmt.Sprintf("%s %s", h.Scope, h.Target)
	}
	return Alert{Code: codeFuse, Text: fmt.Sprintf("this node halted %s: %s: %s", what, h.Code, h.Reason), Hint: "find the cause, then: conclave resume --local"}
}

func alertHalt(by common.Address, h quorum.Halt) Alert {
	return Alert{Key: codeHalt + by.Hex(), Code: codeHalt, Text: fmt.Sprintf("member %s halted %s: %s: %s", by, h.Scope, h.Code, h.Reason),
		Hint: "ask its operator; f+1 halts stop everyone"}
}

func alertEvidence(kind ledger.EvidenceKind, member common.Address) Alert {
	if member == (common.Address{}) { // a decision, a payment or a row that contradicts another: nobody signed it alone
		return Alert{Key: codeEvidence + string(kind), Code: codeEvidence,
			Text: fmt.Sprintf("evidence: %s by no single member", kind), Hint: "read it with conclave evidence, and call the other operators"}
	}
	return Alert{Key: codeEvidence + string(kind) + member.Hex(), Code: codeEvidence,
		Text: fmt.Sprintf("proof of misbehaviour: %s by %s", kind, member), Hint: "talk to the other operators about removing the member"}
}

func alertClock(member common.Address, at uint64) Alert {
	return Alert{Key: codeClock + member.Hex(), Code: codeClock,
		Text: fmt.Sprintf("the clock of %s is ahead: it says %s", member, time.UnixMilli(int64(at)).UTC().Format(time.RFC3339)),
		Hint: "compare this machine's clock and the member's with a time server"}
}

func alertNoShare(payer common.Address) Alert {
	return Alert{Code: codeNoShare, Text: fmt.Sprintf("the vault holds no share of the key of %s: this node verifies and does not sign", payer),
		Hint: "restore the vault of this node from its backup"}
}

func alertRemoved(epoch uint64) Alert {
	return Alert{Code: codeRemoved, Text: fmt.Sprintf("this node is no member of epoch %d: it signs nothing any more", epoch),
		Hint: "keep its home for auditors and stop it; if nobody told you, talk to the other operators"}
}

func alertOldShare(epoch uint64, err error) Alert {
	return Alert{Code: codeOldShare, Text: fmt.Sprintf("the share from before epoch %d is not destroyed: %v", epoch, err),
		Hint: "unseal the vault; look at the disk that holds it"}
}

func alertStuck(why string) Alert {
	return Alert{Code: codeStuck, Text: why, Hint: "talk to the other operators: the key must be refreshed"}
}

func alertCeremony(o tss.Outcome) Alert {
	return Alert{Code: codeCeremony, Text: fmt.Sprintf("key generation %s in round %d: %v, silent: %v", o.Ending, o.Round, o.Err, o.Silent),
		Hint: "it is tried again while all members are online"}
}

func alertLane(code, network string, err error) Alert {
	return Alert{Key: code + network, Code: code, Text: fmt.Sprintf("%s: %v", network, err),
		Hint: "check the lane's endpoints; payouts on it wait until they answer alike"}
}

// recallHalts makes the alerts about halts those that the ledger knows to stand: after a restart, and when one ends. A crash
// between a halt and its alert leaves none unsaid.
func (c *core) recallHalts() {
	standing := map[string]Alert{}
	err := c.led.View(func(tx *ledger.Tx) error {
		postponed, err := tx.Postponed()
		if err != nil {
			return err
		}
		for _, h := range postponed {
			a := alertFuse(h)
			a.Key = codeFuse
			standing[a.Key] = a
		}
		return tx.Halts(func(h ledger.HaltRecord) error {
			if !h.Stands() {
				return nil
			}
			a := alertHalt(h.Signer, h.Halt)
			if h.Signer == c.self {
				a = alertFuse(h.Halt)
				a.Key = codeFuse
			}
			standing[a.Key] = a
			return nil
		})
	})
	if err != nil {
		c.stop(errors.Join(errors.New("recall halts"), err))
		return
	}
	keys := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(standing)) {
		keys[key] = true
		c.alerts.ensure(standing[key])
	}
	c.alerts.recoverAll(codeFuse, keys)
	c.alerts.recoverAll(codeHalt, keys)
}
