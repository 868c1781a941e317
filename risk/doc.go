// Package risk says whether a withdrawal may be paid: the hard rules that every custodian applies alike before it signs a
// verdict.
//
// What it does. Judge takes a request of the Relay's list, how it stands in the books, and facts from the policy, the
// chain and the node, and answers Approve, Refuse or Wait, with an explanation for every rule that it looked at.
// Explain is Judge for people: it asks the rules behind a waiting one, too. ScreenEvent finds single rows of the log above
// the policy's ceiling for their kind. Rules lists what a policy and an overlay ask for. One idea has one file. Watches
// look at rates with their own clock, and withhold no verdict.
//
// What it promises. The verdict is a function of its arguments: no clock, disk, socket or map order. It is monotone: more
// counted credit, more requests read, more of the chain final and more time passed turn Wait into a verdict, never one
// verdict into the other. A node's own overlay and its operator's objection only make it wait. Refuse is only for what can never become right; failing to know is Wait. Nothing is approved or refused before
// its event is debited, while the account is frozen, or while the node is halted or lacks decisions.
//
// What you owe. Judge in the transaction that records the verdict, so that the books do not move in between. When a verdict
// is Bound and not Noted, note when its row settled and judge again: delays count from there. Keep the ledger's risk facts
// in line with the policy in force (KeepRisk), or accruing accounts wait. Apply
// Verdict.Thaw and Verdict.Freeze in that transaction, raise Verdict.Alerts, and sign only through the ledger, which keeps
// what must hold over time: one verdict, one content, one chain. When a Wait says that a request is missing, read the
// Relay's list again.
//
// What will hurt you. A destination of the wrong moment: it is what the chain said at the first final block at or after the
// requester's own timestamp, not now. Facts of another policy version than the one in the verdict's body. Treating an
// endpoint's error as "nothing is bound": that would pay a past address, so give it as Unavailable.
package risk
