package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"conclave/ledger"
	"conclave/node"
)

// Codes of errors. Those of JSON-RPC itself are negative, ours positive.
const (
	CodeParse         = -32700
	CodeRequest       = -32600
	CodeMethod        = -32601
	CodeParams        = -32602
	CodeInternal      = -32603
	CodeTimeout       = -32002
	CodeTooLarge      = -32003
	CodeUnknown       = 1001
	CodeNothingHalted = 1002
	CodeNetworkHalted = 1003
	CodeBusy          = 1004
	CodeStopping      = 1005
	CodeReason        = 1006
	CodeAction        = 1007
	CodeTarget        = 1008
	CodeDecided       = 1009
	CodePassword      = 1010
	CodeLockedOut     = 1011
	CodeUnsealKey     = 1012
	CodeUnsealed      = 1013
	CodeCeremony      = 1014
)

// row is one line of the closed table.
type row struct {
	code    int
	name    string
	meaning string
	hint    string
}

// table is every error that the API can answer, in the order of docs/errors.md.
var table = []row{
	{CodeParse, "parse_error", "The request is not JSON.", ""},
	{CodeRequest, "invalid_request", "The request is JSON and not JSON-RPC 2.0, or a batch has too many calls.", ""},
	{CodeMethod, "method_not_found", "There is no such method at this door; admin_* exist on the unix socket only.", "rpc.discover lists the methods"},
	{CodeParams, "invalid_params", "The parameters do not have the method's types.", "rpc.discover lists the parameters"},
	{CodeInternal, "internal", "The node could not read its own books, or a bug showed. The node's log says more.", "see the node's log"},
	{CodeTimeout, "timeout", "The call took longer than the server grants.", "ask again, for less"},
	{CodeTooLarge, "response_too_large", "The answers of one batch are larger than the server sends.", "ask in smaller batches"},
	{CodeUnknown, "unknown", "This node has never heard of what is asked for.", "a node that catches up may know it later"},
	{CodeNothingHalted, "nothing_halted", "There is nothing to resume: this node's fuse is whole.", ""},
	{CodeNetworkHalted, "network_halted", "f+1 members have halted: one operator's word no longer clears it.", "talk to the other operators"},
	{CodeBusy, "busy", "The node's core did not answer in time.", "ask again; see the node's log if it lasts"},
	{CodeStopping, "stopping", "The node is shutting down.", ""},
	{CodeReason, "reason_required", "An order needs a reason of 1 to 256 bytes, without control characters.", ""},
	{CodeAction, "action_refused", "The operators' action cannot be decided here: malformed, not signed by an operator, or of another place in history. The message names the rule.", "governance_committee says what to sign against"},
	{CodeTarget, "no_such_target", "A halt names a lane that this network does not have, or a lane and an account.", "custodian_status lists the lanes"},
	{CodeDecided, "decided", "A decision disposed of the withdrawal: nobody's word holds it back any more.", "see custodian_withdrawal"},
	{CodePassword, "wrong_password", "That is not the vault's password. Five wrong ones lock it out for a minute, further ones for twice as long each.", "give the password that sealed this vault"},
	{CodeLockedOut, "locked_out", "Too many wrong passwords: none is tried before the time that the message names.", "find out who tried; then wait"},
	{CodeUnsealKey, "no_unseal_key", "A password was not sealed for this node's one-time key, or that was used, replaced or 120 s old.", "try again: the command asks for a new key"},
	{CodeUnsealed, "unsealed_already", "The vault is unsealed.", ""},
	{CodeCeremony, "ceremony_running", "A ceremony holds key material: the vault cannot be sealed before it ends.", "wait some minutes, or end the node"},
}

// Error is an error of the table, as the client gets it.
type Error struct {
	row  row
	text string
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// ErrorCode implements rpc.Error.
func (e *Error) ErrorCode() int { return e.row.code }

// ErrorData implements rpc.DataError: the name of the code and what to do.
func (e *Error) ErrorData() any { return ErrorData{e.row.name, e.row.hint} }

// ErrorData is the data of an error.
type ErrorData struct {
	Name string `json:"name"`
	Hint string `json:"hint,omitempty"`
}

// fail makes an error of the table. A code that is not in it is a bug.
func fail(code int, format string, args ...any) *Error {
	for _, r := range table {
		if r.code == code {
			return &Error{r, fmt.Sprintf(format, args...)}
		}
	}
	panic(fmt.Sprintf("api: error code %d is not in the table", code))
}

// classify finds the table's word for an error of the node.
func classify(err error) *Error {
	var own *Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, node.ErrUnknown):
		return fail(CodeUnknown, "%s", err)
	case errors.Is(err, node.ErrTarget), errors.Is(err, ledger.ErrFull):
		return fail(CodeTarget, "%s", err)
	case errors.Is(err, ledger.ErrNetworkHalted):
		return fail(CodeNetworkHalted, "%s", err)
	case errors.Is(err, context.DeadlineExceeded):
		return fail(CodeBusy, "the node's core did not answer in time")
	case errors.Is(err, context.Canceled):
		return fail(CodeStopping, "the node is shutting down")
	}
	return fail(CodeInternal, "internal error: see the node's log")
}

// ErrorsMarkdown is docs/errors.md.
func ErrorsMarkdown() string {
	var b strings.Builder
	b.WriteString("# Errors of the API\n\nGenerated from the code by `go test ./node/api -update`; do not edit.\n\n" +
		"The table is closed: a node answers no other code. `error.data` holds the name and, where there is one, a hint.\n\n" +
		"| code | name | meaning | hint |\n|---|---|---|---|\n")
	for _, r := range table {
		fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", r.code, r.name, r.meaning, r.hint)
	}
	b.WriteString("\nOutside JSON-RPC the HTTP door answers 403 to a foreign Host or Origin, 404 and 405 to other paths and methods, 413 to a\n" +
		"request that is too large, 415 to a body that is not `application/json`, and 503 on /healthz and /readyz.\n" + exitCodes)
	return b.String()
}

// exitCodes is what a script sees of the command, which turns the codes above into these.
const exitCodes = `
## Exit codes of the command

Each failure is one line on stderr and, where something can be done, a line that begins with "hint:".

| code | means | for instance |
|---|---|---|
| 0 | done | |
| 1 | failed | no node answers; the disk is full; the node says that what was asked for is unknown |
| 2 | usage or configuration: the same again fails again | a wrong flag; a wrong password; a key file that others can read; "in use by another process", when a second process is started on one home: the first one goes on, untouched |
| 3 | refused by a rule or for want of a quorum | signatures are missing; f+1 members have halted; the books are unsound |
| 4 | sealed | the vault is locked out after wrong passwords |
`
