package node

import (
	"math/big"
	"strconv"

	"conclave/ledger"
	"conclave/risk"
)

const (
	codeSnapshot      = "settlement-unreadable"
	codeSnapshotStale = "settlement-silent"
)

// watchCodes are the alerts that stand as long as a watch says so.
func watchCodes() []ledger.AlertCode {
	return []ledger.AlertCode{risk.AlertRows, risk.AlertNew, risk.AlertAccountRows, risk.AlertDrift, risk.AlertYoung, risk.AlertDestinations,
		risk.AlertLag, risk.AlertSkew, risk.AlertTariff, risk.AlertSettlement}
}

// watchAlerts are the watches' rows of the catalogue.
func watchAlerts() []AlertKind {
	const window = "the window holds fewer again"
	return []AlertKind{
		{Code: string(risk.AlertRows), Severity: ledger.Critical, Meaning: "The Relay's log grows faster than `watch.logs_max` within `watch.window`, by arrival or by log time. The fuse tripped.",
			Ends: window, Do: "See which rows they are and who caused them. Mend the fuse, or vote a higher ceiling, when they are right."},
		{Code: string(risk.AlertNew), Severity: ledger.Critical, Meaning: "More accounts than `watch.new_accounts_max` that were never seen before within `watch.window`. The fuse tripped.",
			Ends: window, Do: "See who they are. Invented accounts are how invented credits are spread thin."},
		{Code: string(risk.AlertAccountRows), Severity: ledger.Critical, Least: ledger.Warning, Meaning: "More rows of one account than `watch.account_logs_max` within `watch.window`. Critical, and the fuse tripped, where the policy says so.",
			Ends: window, Do: "See what the account does."},
		{Code: string(risk.AlertDrift), Severity: ledger.Critical, Least: ledger.Warning, Meaning: "Credits that only the Relay vouches for have risen above the usual for so long that the excess is `watch.drift_alarm_percent` of a usual hour; the text says of whom. Critical, and the fuse tripped, when the whole network's stay there.",
			Ends: "the sum is below half of the alarm", Do: "Compare the last days' credits with what the network really did. Growth that is honest wants a higher allowance."},
		{Code: string(risk.AlertHour), Severity: ledger.Warning, Meaning: "One hour's credits that only the Relay vouches for were above the usual by more than `watch.drift_alarm_percent` of a usual hour. The sum of credit-drift takes at most three usual hours of it.",
			Do: "See whose credits they are: a great task is honest. Nothing else bounds what one hour holds but the maxima per row and account, and the governors."},
		{Code: string(risk.AlertYoung), Severity: ledger.Warning, Meaning: "Accounts younger than `watch.young_age` earned more than `watch.young_percent` of a day's credits.",
			Ends: "the share falls", Do: "See who the new accounts are and what they did."},
		{Code: string(risk.AlertDestinations), Severity: ledger.Warning, Meaning: "More accounts than `watch.destination_sources` asked within a day to be paid to one destination.",
			Ends: "a day holds fewer", Do: "Ask whose it is: an exchange, or the owner of many nodes, is honest."},
		{Code: string(risk.AlertLag), Severity: ledger.Warning, Meaning: "The Relay's newest row is older than `watch.lag_max`, though the Relay answers.",
			Ends: "a newer row comes", Do: "Ask the Relay's operator; compare with the other operators' newest row."},
		{Code: string(risk.AlertSkew), Severity: ledger.Warning, Meaning: "The Relay's clock and this machine's differ by more than `watch.skew_max`.",
			Ends: "they agree", Do: "Compare this machine with a time server. At 60 s the Relay refuses every request."},
		{Code: string(risk.AlertTariff), Severity: ledger.Warning, Meaning: "The tariff that the Relay publishes is not the policy's. Withdrawals whose fee differs wait.",
			Ends: "they are alike", Do: "Ask the Relay's operator; vote a new policy if the change is right."},
		{Code: string(risk.AlertSettlement), Severity: ledger.Critical, Least: ledger.Warning, Meaning: "The Relay's log and a signed snapshot of the settlement authority differ by more than `settlement.tolerance`. Critical, and the fuse tripped, when that lasts for `settlement.sustained`.",
			Ends: "a snapshot agrees", Do: "Ask the authority and the Relay's operator which rows they count."},
		{Code: codeSnapshot, Severity: ledger.Warning, Meaning: "The settlement's source cannot be read, or what it holds is no snapshot that the policy's authority signed for this network.",
			Ends: "a snapshot is read", Do: "Check `[risk] settlement` and the authority's service."},
		{Code: codeSnapshotStale, Severity: ledger.Warning, Meaning: "The newest snapshot is more than a day older than `settlement.delay`, or counts rows that have not settled here, or this node's configuration names no source: nothing is compared.",
			Ends: "a snapshot is compared", Do: "Ask the authority; see whether this node's log stands still; name the source in `[risk] settlement`."},
	}
}

// ratioOf is the exact value of the Relay's float64.
func ratioOf(text string) *big.Rat {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return new(big.Rat)
	}
	return new(big.Rat).SetFloat64(f)
}
