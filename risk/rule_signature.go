package risk

import (
	"conclave/quorum"
)

// signed: the requester's signature recovers to the account, over the exact text. The Relay does not sign for its users.
func signed(c file) Explanation {
	const rule, threshold = "signature", "signed by the account"
	signer, err := quorum.RecoverAny(c.w.Message(), c.w.Signature)
	switch {
	case err == nil && signer == c.w.Account:
		return pass(rule, threshold, "it is")
	case err == nil:
		return refuse(rule, quorum.ReasonSignature, threshold, "signed by "+signer.Hex(), "ask the owner to withdraw again", c.w.ID)
	}
	return refuse(rule, quorum.ReasonSignature, threshold, "no signature that recovers", "ask the owner to withdraw again", c.w.ID)
}

func refuse(rule string, reason quorum.Reason, threshold, observed, do string, evidence ...uint64) Explanation {
	return Explanation{Rule: rule, Outcome: Refuses, Threshold: threshold, Observed: observed, Do: do, Evidence: evidence, reason: reason}
}
