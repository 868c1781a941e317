package relay

import (
	"errors"
	"fmt"
)

// Rule names why an answer of the Relay was refused. The words are stable: logs, metrics and alerts use them.
type Rule string

// The rules of the door. Each comment says what breaks it.
const (
	RuleRedirect       Rule = "redirect"         // a 3xx answer: signed requests follow nobody
	RuleContentType    Rule = "content_type"     // a 200 answer that is not application/json
	RuleBodyTooLarge   Rule = "body_too_large"   // more bytes than the rows that were asked for can need
	RuleNotJSON        Rule = "not_json"         // not one JSON value in UTF-8
	RuleTrailingData   Rule = "trailing_data"    // something after the JSON value
	RuleFieldType      Rule = "field_type"       // a known field of another JSON type, or a number that is no unsigned integer
	RuleFieldMissing   Rule = "field_missing"    // a known field is absent
	RuleFieldRepeated  Rule = "field_repeated"   // a known field stands twice in one object
	RuleTextTooLong    Rule = "text_too_long"    // a text beyond its bound
	RuleTooManyRows    Rule = "too_many_rows"    // more rows than asked for
	RuleIDNotAfter     Rule = "id_not_after"     // an id that is not above the one asked for
	RuleIDRepeated     Rule = "id_repeated"      // an id twice in one page
	RuleIDGoesBack     Rule = "id_goes_back"     // an id below the one before it
	RuleUnknownKind    Rule = "unknown_kind"     // an event of a kind that these books do not know
	RuleUnknownStatus  Rule = "unknown_status"   // a withdrawal status that is none of pending, success, failed
	RuleAddress        Rule = "address"          // not 20 bytes of hex
	RulePayload        Rule = "payload"          // an event's payload is not what its kind carries
	RuleAmount         Rule = "amount"           // a withdrawal's amount or fee that is no canonical 256-bit decimal
	RuleSignature      Rule = "signature"        // a requester's signature that is no hex of at most 65 bytes
	RuleNetwork        Rule = "network"          // a withdrawal's network name is empty or too long
	RuleTariff         Rule = "tariff"           // a published tariff that is unsorted or has no tier from 0
	RuleEventChanged   Rule = "event_changed"    // a settled event came back with another content
	RuleRequestChanged Rule = "request_changed"  // a known withdrawal came back with another content
	RuleGapSetFull     Rule = "gap_set_full"     // more unresolved gaps than MaxGaps: no further row is taken until some resolve
	RuleNumberTooLarge Rule = "number_too_large" // an id at the end of the range: nothing could follow it
)

// hostile reports whether an honest Relay keeps the rule whatever its users do. Breaking such a rule trips the node's fuse;
// the others stop intake until the answer is right again, for a proxy or an outage can cause them.
func (r Rule) hostile() bool {
	switch r {
	case RuleTooManyRows, RuleIDNotAfter, RuleIDRepeated, RuleIDGoesBack, RuleNumberTooLarge,
		RuleUnknownKind, RuleUnknownStatus, RuleAddress, RulePayload, RuleEventChanged, RuleRequestChanged:
		return true
	}
	return false
}

// Refusal is content of the Relay that was not let in, with what is needed to look at it.
type Refusal struct {
	Rule    Rule
	Row     int    // 0-based row within its page, -1 when the page as a whole is refused
	ID      uint64 // the row's id, 0 when unknown
	Detail  string // for people; at most maxDetail bytes of foreign text, quoted
	Hostile bool   // only a broken or hostile Relay can produce this
}

// Error names rule, row and id.
func (r *Refusal) Error() string {
	switch {
	case r.ID != 0:
		return fmt.Sprintf("relay answer refused: %s: id %d: %s", r.Rule, r.ID, r.Detail)
	case r.Row >= 0:
		return fmt.Sprintf("relay answer refused: %s: row %d: %s", r.Rule, r.Row, r.Detail)
	}
	return fmt.Sprintf("relay answer refused: %s: %s", r.Rule, r.Detail)
}

// IsHostile reports whether err carries a refusal that only a broken or hostile Relay can cause.
func IsHostile(err error) bool {
	var r *Refusal
	return errors.As(err, &r) && r.Hostile
}

// maxDetail bounds how much foreign text an error repeats.
const maxDetail = 120

// refuse makes a refusal of a whole page; at places it on a row.
func refuse(rule Rule, format string, args ...any) *Refusal {
	return &Refusal{Rule: rule, Row: -1, Detail: fmt.Sprintf(format, args...), Hostile: rule.hostile()}
}

func (r *Refusal) at(row int, id uint64) *Refusal {
	r.Row, r.ID = row, id
	return r
}

// clip quotes foreign text, so that it can neither fill nor forge a log line.
func clip(s string) string {
	if len(s) > maxDetail {
		return fmt.Sprintf("%.*q and %d bytes more", maxDetail, s[:maxDetail], len(s)-maxDetail)
	}
	return fmt.Sprintf("%q", s)
}

// Transient is a call that may succeed when it is made again: no answer, a time-out, a 5xx answer, an empty body. For
// fulfil and reject it is ambiguous: the Relay may have done it.
type Transient struct {
	Status int   // HTTP status, 0 when there was no answer
	Err    error // never holds the request's URL, which carries a replayable signature
}

func (t *Transient) Error() string {
	if t.Status == 0 {
		return "relay does not answer: " + t.Err.Error()
	}
	return fmt.Sprintf("relay answers %d: %s", t.Status, t.Err.Error())
}

// Unwrap gives the cause.
func (t *Transient) Unwrap() error { return t.Err }

// Refused is the Relay's own, well-formed "no".
type Refused struct {
	Status  int
	Field   string // the field that the Relay objects to, empty when it names none
	Message string
}

func (r *Refused) Error() string {
	if r.Field == "" {
		return fmt.Sprintf("relay refuses with %d: %s", r.Status, clip(r.Message))
	}
	return fmt.Sprintf("relay refuses with %d: %s: %s", r.Status, clip(r.Field), clip(r.Message))
}

// MayBeClock reports whether a wrong clock explains the refusal: the Relay says "Invalid signature" for a bad signature
// and for a time more than 60 s off alike. [Client.Now] tells them apart.
func (r *Refused) MayBeClock() bool {
	return r.Field == "signature" && r.Message == "Invalid signature"
}
