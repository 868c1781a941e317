package node

import (
	"time"

	"conclave/ledger"
	"conclave/relay"
	"conclave/risk"
)

// AlertKind is one row of the catalogue: what an alert code means, and what a person does about it.
type AlertKind struct {
	Code     string
	Severity ledger.Severity
	// Least is the lowest severity at which the code is raised, where the room that raises it weighs each case; zero means
	// always Severity.
	Least   ledger.Severity
	Meaning string
	// Ends says what ends the alert. Empty: it is a happening, nothing that lasts; it is over once it did not happen again
	// for [quietWarning] or [quietCritical].
	Ends string
	Do   string
}

// Codes of the node's own alerts; those of the books, of the verdicts and of the Relay stand where they are found.
const (
	codeFuse       = "fuse"
	codeHalt       = "halt-heard"
	codeEvidence   = "evidence"
	codeClock      = "clock"
	codeNoShare    = "no-share"
	codeRemoved    = "removed"
	codeOldShare   = "old-share"
	codeStuck      = "signing-stuck"
	codeCeremony   = "ceremony-failed"
	codeRelayDown  = "relay-down"
	codeRelayWrong = "relay-refused"
	codeChainDown  = "chain-down"
	codeChainSplit = "chain-disagreement"
	codeFailed     = "payout-failed"
	codeMoved      = "payout-moved-otherwise"
	codeHead       = "head-conflict"
	codeHidden     = "relay-hides-rows"

	codeHeartbeat     = "heartbeat"
	codeStalled       = "stalled"
	codeLate          = "withdrawal-late"
	codeReportLate    = "report-late"
	codeQuorumLost    = "quorum-lost"
	codeCeremonyWaits = "ceremony-waiting"
	codeSigningLate   = "signing-late"
	codeAgreementLate = "agreement-late"
	codeWebhook       = "webhook-down"
	codeStorm         = "alert-storm"
	codeLost          = "alerts-lost"

	codeQuarantined = "quarantined"
	codeUnanswered  = "start-unanswered"
)

// quietWarning and quietCritical are how long a happening stays open after it happened last: a day to see it in, and a week
// for what needs several people.
const (
	quietWarning  = 24 * time.Hour
	quietCritical = 7 * 24 * time.Hour
)

// AlertKinds is the closed table of everything that this product calls people for, in the order of docs/alerts.md. A code
// that is not in it is a bug: raising it panics in tests.
func AlertKinds() []AlertKind {
	var out []AlertKind
	for _, group := range alertGroups() {
		out = append(out, group.kinds...)
	}
	return out
}

// alertGroup is a room's part of the table.
type alertGroup struct {
	title string
	kinds []AlertKind
}

func alertGroups() []alertGroup {
	return []alertGroup{
		{"This node", nodeAlerts()},
		{"Waits", waitAlerts()},
		{"This path", pathAlerts()},
		{"Other members", memberAlerts()},
		{"The Relay and the chains", doorAlerts()},
		{"The books", bookAlerts()},
		{"Verdicts", verdictAlerts()},
		{"Watches", watchAlerts()},
	}
}

func nodeAlerts() []AlertKind {
	return []AlertKind{
		{Code: codeFuse, Severity: ledger.Critical, Meaning: "This node halted itself, a lane or an account: there it gives no verdict and signs nothing. The text names what, and the cause.",
			Ends: "the fuse is mended", Do: "Find the cause; then `conclave resume --local`."},
		{Code: codeQuarantined, Severity: ledger.Critical, Meaning: "This node may have said more than its database holds: an old copy was put back, or a second process has its key. It follows what others decide and says nothing that might contradict what it said.",
			Ends: "it votes, judges and joins signing sessions again", Do: "`conclave status` says what ends it; docs/operations.md, restored from a backup."},
		{Code: codeUnanswered, Severity: ledger.Warning, Meaning: "This node signs nothing since it started a minute ago or longer: q − 1 other members must first say how far it has spoken.",
			Ends: "they have answered", Do: "`conclave status` names who is silent; check this node's network, call their operators."},
		{Code: codeNoShare, Severity: ledger.Critical, Meaning: "The vault holds no share of the key in force: this node verifies and does not sign.",
			Ends: "the vault holds it at a start", Do: "Put the vault back from its backup."},
		{Code: codeSealed, Severity: ledger.Warning, Meaning: "The vault is sealed: this node replays, verifies and answers, and signs nothing. The others go on as if it were down.",
			Ends: "the vault is unsealed", Do: "`conclave unseal --home DIR` at this machine."},
		{Code: codeLockedOut, Severity: ledger.Critical, Meaning: "Five or more wrong passwords were given for the vault, here: it takes none for a minute, twice as long after each further one, up to an hour.",
			Ends: "the vault is unsealed", Do: "Find out who tried: only this machine's own user can. `conclave status` says until when."},
		{Code: codeStuck, Severity: ledger.Critical, Meaning: "Every set of signers was struck by aborts: nothing can be signed.",
			Ends: "something is signed", Do: "Somebody lies in signing: talk to all operators; the key must be refreshed."},
		{Code: codeAtCap, Severity: ledger.Critical, Meaning: "A signed payment, or a CANCEL, has been at the fee cap that was decided for it for bump_after and is in no block. Its nonce holds up every later one of its chain.",
			Ends: "it is in a block, or another CANCEL is decided", Do: "Wait for lower fees, or free the nonce with `conclave cancel`, as the hint says it: see docs/operations.md, a stuck nonce."},
		{Code: codeFailed, Severity: ledger.Critical, Meaning: "A payment reverted on chain. Its nonce is spent and nobody was paid.",
			Do: "See why with the transaction's trace. The withdrawals are released and paid once more; what reverts again waits for a RESOLVE."},
		{Code: codeMoved, Severity: ledger.Critical, Meaning: "A final payment in a token succeeded, and the token's own events say that it moved another amount: it takes a fee, or it answers that it paid and does not. The withdrawal counts as paid.",
			Do: "Look at the transaction and at the destination's balance; `conclave halt --lane NETWORK` until the token is understood."},
		{Code: codeAllowance, Severity: ledger.Warning, Meaning: "A lane that pays batches of a token pays one by one: its contract may take none of the payer's tokens although an ALLOW is final, or less than is owed.",
			Ends: "the contract may take what is owed", Do: "Look at the ALLOW's transaction: a token that is paused, or refuses. See docs/operations.md, an allowance that does not come."},
		{Code: codeContract, Severity: ledger.Critical, Meaning: "The address that the genesis document names as a lane's contract does not have the code that this version pays batches through, in the final block. This node shows nothing of the lane, so that it signs no payment there.",
			Ends: "the code is there", Do: "`conclave lane check` shows what is there. A contract that was never deployed, or other code: the document is wrong, and so is the network."},
		{Code: codeRemoved, Severity: ledger.Critical, Meaning: "A decided change of members left this node out. It signs nothing, and the others close their connections.",
			Ends: "a later change takes it in again", Do: "If you knew: keep its home for auditors and stop it. If not: talk to the other operators."},
		{Code: codeOldShare, Severity: ledger.Critical, Meaning: "This node could not destroy its share of an earlier epoch, which the others count on. It tries again each minute.",
			Ends: "the share is gone", Do: "Unseal the vault; look at the disk that holds it."},
		{Code: codeOldPayer, Severity: ledger.Warning, Meaning: "A removal for cause made another key: the text names the payer in force and the old one, which is being emptied. Payouts wait until the money has come.",
			Ends: "the old payer is empty, by decision", Do: "Top up nothing but the payer in force. What keeps a sweep waiting, `conclave member status` says."},
		{Code: codeCeremony, Severity: ledger.Warning, Meaning: "A key generation did not end. It is tried again while all members are online.",
			Ends: "a key is generated", Do: "See who is silent, and whether all members are online."},
	}
}

func waitAlerts() []AlertKind {
	return []AlertKind{
		{Code: codeLate, Severity: ledger.Warning, Meaning: "Withdrawals wait for a verdict or for their payment for longer than `withdrawal_late`. The text names the reason and the first of them; one alert for each reason.",
			Ends: "none waits for that reason that long", Do: "`conclave withdrawals ID` shows each one's reasons; docs/operations.md what each waits for."},
		{Code: codeReportLate, Severity: ledger.Warning, Meaning: "Outcomes that were decided are not shown by the Relay for longer than `withdrawal_late`. Nothing is paid twice.",
			Ends: "the Relay shows them", Do: "Ask the Relay's operator; see whether this node's API key is still taken."},
		{Code: codeQuorumLost, Severity: ledger.Critical, Meaning: "Fewer than q members are connected here for 2 minutes. Nothing can be decided or signed.",
			Ends: "q members are connected", Do: "Call the operators of the members that the text names; check this node's own network."},
		{Code: codeCeremonyWaits, Severity: ledger.Warning, Meaning: "The committee has no key after 15 minutes. The ceremony needs every member online.",
			Ends: "the key is in force", Do: "`conclave status` names who is missing; call their operators."},
		{Code: codeSigningLate, Severity: ledger.Warning, Meaning: "One decided payment is not signed after 10 minutes.",
			Ends: "it is signed", Do: "`conclave status` names who is ready; look at the others."},
		{Code: codeAgreementLate, Severity: ledger.Warning, Meaning: "One height is not decided after 10 minutes, though something waits for it.",
			Ends: "it is decided", Do: "`conclave status` names who is silent; look at them and at the network between."},
	}
}

func pathAlerts() []AlertKind {
	return []AlertKind{
		{Code: codeHeartbeat, Severity: ledger.Info, Meaning: "Every part of this node did its work since the last heartbeat. The text names the parts with the age of their last pass.",
			Ends: "it is a message, not an alert", Do: "Be alarmed when it does not come."},
		{Code: codeStalled, Severity: ledger.Critical, Meaning: "A part of this node did not end a pass between two heartbeats: no heartbeat is sent. The text names it.",
			Ends: "the part moves", Do: "intake: the Relay; lane: its endpoints; core, judge, watches: restart the node and keep its log."},
		{Code: codeWebhook, Severity: ledger.Warning, Meaning: "The webhook took none of three messages in a row. This alert stays on this machine.",
			Ends: "a message arrives; what stands is then told again", Do: "Check `[alerts] webhook` and the service behind it; the log has each error."},
		{Code: codeStorm, Severity: ledger.Critical, Least: ledger.Warning, Meaning: "More messages than `per_minute`. The text counts, by code, what was left out; `conclave alerts` has them all.",
			Ends: "it is a message, not an alert", Do: "See what they have in common: `conclave alerts`."},
		{Code: codeLost, Severity: ledger.Warning, Meaning: "The record of alerts could not be read at the start and was put aside: reminders and recoveries of earlier alerts are lost.",
			Do: "Look at `alerts.json.unreadable` in the data folder; check the disk."},
	}
}

func memberAlerts() []AlertKind {
	return []AlertKind{
		{Code: codeHalt, Severity: ledger.Critical, Meaning: "Another member halted. f+1 halts stop everyone.",
			Ends: "the member clears its halt", Do: "Call its operator."},
		{Code: codeEvidence, Severity: ledger.Critical, Meaning: "Proof that somebody signed two contradicting statements, or rewrote settled history.",
			Do: "Call all operators; keep this node's data folder."},
		{Code: codeClock, Severity: ledger.Warning, Meaning: "A member's clock is more than a minute ahead of this node's.",
			Ends: "its word comes in time", Do: "Compare both machines' clocks with a time server."},
	}
}

func doorAlerts() []AlertKind {
	return []AlertKind{
		{Code: codeRelayDown, Severity: ledger.Warning, Meaning: "The Relay has not answered for 15 seconds. Intake waits; what is decided is paid.",
			Ends: "it answers", Do: "Check the Relay's URL, the network, and this machine's clock (\"Invalid signature\" may be a wrong clock)."},
		{Code: codeRelayWrong, Severity: ledger.Warning, Meaning: "An answer of the Relay was refused by name; nothing of it was taken.",
			Ends: "an answer is taken", Do: "Compare with the other operators; intake tries again."},
		{Code: string(relay.AlertVanished), Severity: ledger.Warning, Meaning: "A row that was shown before is shown no more. The books keep what has settled.",
			Do: "Compare with the other operators; ask the Relay's operator."},
		{Code: codeHidden, Severity: ledger.Warning, Meaning: "Rows that q members certified, or operators resolved, are not shown by this node's Relay. They are booked and count: nothing waits for them. One alert for all of them.",
			Ends: "the Relay shows them, or a whole reading of the log finds none hidden", Do: "The Relay shows this custodian less than the others: ask its operator why. `conclave evidence` shows the rows."},
		{Code: string(relay.AlertShrunk), Severity: ledger.Warning, Meaning: "The Relay's log ends before rows that have settled here. The books keep them.",
			Do: "Compare with the other operators; ask the Relay's operator whether a backup was restored."},
		{Code: string(relay.AlertGapsFull), Severity: ledger.Warning, Meaning: "More ids are missing than are kept. Intake waits.",
			Ends: "the log is read on", Do: "Ask the Relay's operator."},
		{Code: string(relay.AlertAside), Severity: ledger.Warning, Meaning: "A request that cannot be read was set aside; a user can cause it.",
			Do: "Nothing for the others; tell the Relay's operator."},
		{Code: string(relay.AlertContrary), Severity: ledger.Critical, Meaning: "The Relay shows the opposite of the outcome that was decided.",
			Do: "Somebody else reports to the Relay: change its API key."},
		{Code: string(relay.AlertReporting), Severity: ledger.Critical, Meaning: "The Relay refuses an outcome. It is told again.",
			Do: "Read its message; compare with custodian_withdrawal on the other nodes."},
		{Code: string(relay.AlertUnseen), Severity: ledger.Critical, Meaning: "The Relay was told an outcome for three minutes and still shows the withdrawal as pending. It is told again.",
			Do: "Look whether the Relay answers and does nothing; the payment itself is done."},
		{Code: codeChainDown, Severity: ledger.Warning, Meaning: "Too few of a lane's endpoints answer. Payouts on the lane wait.",
			Ends: "enough answer alike", Do: "Check the lane's endpoints."},
		{Code: codeEndpoint, Severity: ledger.Warning, Meaning: "One of a lane's endpoints has not answered, or has been far behind the others, for a minute. The lane goes on while enough others answer.",
			Ends: "it answers and has caught up", Do: "`conclave status` says what it does wrong; mend it or replace it: docs/operations.md, replaced endpoint."},
		{Code: codeWalletLow, Severity: ledger.Warning, Meaning: "What a lane's payer has free does not cover the withdrawals that wait for it with the worst gas. What is covered goes on.",
			Ends: "it is covered", Do: "Top up the payer's address; the text says what is short."},
		{Code: codeChainSplit, Severity: ledger.Warning, Meaning: "Two endpoints of a lane answer differently. Payouts on the lane wait.",
			Ends: "they answer alike", Do: "Find out which one lies or lags."},
	}
}

func bookAlerts() []AlertKind {
	return []AlertKind{
		{Code: string(ledger.AlertMalformedCredit), Severity: ledger.Warning, Meaning: "A credit with an amount that is none. It counts nothing.",
			Do: "See whose task or transfer it was."},
		{Code: string(ledger.AlertMalformedDebit), Severity: ledger.Critical, Meaning: "A debit with an amount that is none; a negative task fee looks like this. It counts nothing and the account is frozen.",
			Do: "Nothing for others. Operators settle the account."},
		{Code: string(ledger.AlertLateDebit), Severity: ledger.Critical, Meaning: "A debit came behind what this node approved. It is not booked and the account is frozen.",
			Do: "Compare with the other custodians."},
		{Code: string(ledger.AlertDeposit), Severity: ledger.Critical, Meaning: "The final chain contradicts a deposit. The account is frozen.",
			Do: "Compare transaction and row; compare the endpoints."},
		{Code: string(ledger.AlertDepositRepeated), Severity: ledger.Critical, Meaning: "One transfer stands under two rows. The second counts nothing.",
			Do: "Ask the Relay's operator."},
		{Code: string(ledger.AlertFeeAddress), Severity: ledger.Critical, Meaning: "Fee income of somebody else. It counts nothing.",
			Do: "Ask the Relay's operator."},
		{Code: string(ledger.AlertRefund), Severity: ledger.Critical, Meaning: "A refund of what this network did not reject. It counts nothing.",
			Do: "See whether somebody else holds the Relay's API key."},
		{Code: string(ledger.AlertHistory), Severity: ledger.Critical, Least: ledger.Warning, Meaning: "The Relay's log up to the cut-over is not the one that the operators signed, or it grew since.",
			Do: "Compare the Relay with the other operators'. A grown history counts nothing; another one keeps this node from judging until its rows are those of the genesis document."},
		{Code: string(ledger.AlertVesting), Severity: ledger.Critical, Least: ledger.Warning, Meaning: "A vesting schedule without valid signature, or a release ahead of its schedule.",
			Do: "Ask the Relay's operator for the signed record; check this node's clock."},
		{Code: string(ledger.AlertUncovered), Severity: ledger.Critical, Meaning: "Debits without credit, over all accounts. Booking is held; the fuse follows after `hold_max`.",
			Ends: "booking goes on", Do: "Look at the named account and at unproven deposits."},
		{Code: codeOverpaid, Severity: ledger.Critical, Meaning: "Decisions pay more, with fees, than this node's books were ever credited. The fuse follows after `hold_max`.",
			Ends: "the credits are there", Do: "Compare the books with another custodian's: this node was shown less, or more is paid than was earned."},
		{Code: string(ledger.AlertAccrual), Severity: ledger.Critical, Meaning: "An account was credited more within a window of log time than the policy's ceiling. It is frozen.",
			Do: "Look at the account's newest rows. RESOLVE frees it when they are right; a policy with a higher ceiling keeps it free."},
		{Code: string(ledger.AlertRequestEvent), Severity: ledger.Critical, Meaning: "Two requests name one row.",
			Do: "Compare with another custodian."},
		{Code: string(ledger.AlertRequestStatus), Severity: ledger.Critical, Meaning: "The Relay's status of a withdrawal contradicts what was decided.",
			Do: "Somebody else reports to the Relay: change its API key."},
		{Code: string(ledger.AlertResolved), Severity: ledger.Warning, Meaning: "A debit of an account's resolved past that the operators' list does not hold. It counts nothing.",
			Do: "Ask the Relay's operator."},
		{Code: string(ledger.AlertResolvedRow), Severity: ledger.Critical, Meaning: "The operators resolved a row otherwise than this node's books hold it, or it could not be taken.",
			Do: "Compare with the other custodians: this node was shown another row."},
		{Code: codeRange, Severity: ledger.Critical, Meaning: "Other members' logs hold other rows in a range than this node's: certified by q of them, or signed by f+1. What a certificate holds and this node lacks is booked; accounts whose rows here nobody else has are frozen.",
			Ends: "the range agrees", Do: "`conclave evidence` shows the rows of both sides: ask the Relay's operator why readers were shown different logs."},
		{Code: codeOdd, Severity: ledger.Warning, Meaning: "Fewer than f+1 members say of a range what nobody else says. It changes nothing here.",
			Ends: "they agree again", Do: "Call the member's operator: its Relay shows it something else, or it lies. `conclave evidence` shows the rows."},
		{Code: codeHead, Severity: ledger.Critical, Meaning: "An account's history is not the one that this node approved. The account is frozen.",
			Do: "The Relay changed history: keep the evidence; operators settle the account."},
	}
}

func verdictAlerts() []AlertKind {
	return []AlertKind{
		{Code: string(risk.AlertOverdraft), Severity: ledger.Critical, Meaning: "A withdrawal exceeds the account's balance in these books: potentially an attack.",
			Do: "Trace the account's credits; it is frozen until covered."},
		{Code: string(risk.AlertEventMax), Severity: ledger.Critical, Meaning: "A single row above the policy's maximum. The fuse tripped, or the account is frozen where the policy says so for the kind.",
			Do: "Find who caused it."},
		{Code: string(risk.AlertBinding), Severity: ledger.Warning, Meaning: "A request does not fit its row.",
			Do: "Compare with another custodian."},
		{Code: string(risk.AlertFee), Severity: ledger.Warning, Meaning: "A request's fee is not the tariff's.",
			Do: "See whether the Relay's tariff changed, or lies."},
	}
}
