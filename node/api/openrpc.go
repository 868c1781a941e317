package api

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/ethereum/go-ethereum/common"

	"conclave/node"
)

// Document is an OpenRPC document, https://spec.open-rpc.org.
type Document struct {
	OpenRPC    string     `json:"openrpc"`
	Info       Info       `json:"info"`
	Methods    []Method   `json:"methods"`
	Components Components `json:"components"`
}

// Info names the API.
type Info struct {
	Title   string `json:"title"`
	Version string `json:"version"`
}

// Components holds the schemas that methods refer to.
type Components struct {
	Schemas map[string]Schema `json:"schemas"`
}

// Method is one method.
type Method struct {
	Name    string  `json:"name"`
	Summary string  `json:"summary"`
	Params  []Value `json:"params"`
	Result  Value   `json:"result"`
	Errors  []Fault `json:"errors"`
}

// Value is a parameter or a result.
type Value struct {
	Name     string `json:"name"`
	Required bool   `json:"required,omitempty"`
	Schema   Schema `json:"schema"`
}

// Fault is one of the errors that are the method's own.
type Fault struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Schema is a JSON schema.
type Schema map[string]any

// described is what reflection cannot know of a method.
type described struct {
	method  string // of the Go type
	summary string
	params  []string // names
	faults  []int
}

// described methods, in the order of docs/api.md. A test holds this list against the types' methods.
var custodianMethods = []described{
	{"Status", "The node, its network and members, the books, the lanes, the running height, and why something does not go on.", nil, nil},
	{"Health", "Whether the node can do its part now, and if not, why.", nil, nil},
	{"Withdrawal", "One withdrawal: stage, verdicts by member, certificate, decision, transaction, outcome, and why it is not paid yet.", []string{"id"}, []int{CodeUnknown}},
	{"Withdrawals", "Withdrawals by id, without the reasons of each.", []string{"query"}, nil},
	{"Batch", "The decision of a height.", []string{"height"}, []int{CodeUnknown}},
	{"Batches", "Decisions, the newest first.", []string{"query"}, nil},
	{"Account", "An account in this node's books, with its newest events.", []string{"address"}, []int{CodeUnknown}},
	{"Certificate", "The certificate of a decided withdrawal, as it was carried: it proves itself offline.", []string{"id"}, []int{CodeUnknown}},
	{"Decision", "A decided value with its commit certificate: it proves itself offline.", []string{"height"}, []int{CodeUnknown}},
	{"Payment", "What became of a withdrawal, from what was owed to what is final, as far as it came: it proves itself offline.", []string{"id"}, []int{CodeUnknown}},
	{"Audit", "Lines of this node's audit trail, the oldest first: what it did, each with the hash of the one before.", []string{"query"}, nil},
	{"Peers", "This node's connections to the other members.", nil, nil},
	{"Risk", "The policy in force, this node's overlay, and every rule with its threshold and where it stands.", nil, nil},
	{"Objections", "Withdrawals that this node's operator objects to.", nil, nil},
	evidenceMethod,
	{"Alerts", "What called for people, the newest first.", nil, nil},
}

var adminMethods = slices.Concat([]described{
	{"Halt", "Blow this node's fuse for everything, a lane or an account: no verdict and no signature until resumed. Unix socket only.", []string{"reason", "on"}, []int{CodeReason, CodeTarget}},
	{"Resume", "Mend this node's fuse. Unix socket only.", []string{"reason"}, []int{CodeReason, CodeNothingHalted, CodeNetworkHalted}},
	{"Object", "Make this node wait with a withdrawal. Unix socket only.", []string{"id", "reason"}, []int{CodeReason, CodeDecided}},
	{"EndObjection", "Take an objection back. Unix socket only.", []string{"id"}, []int{CodeUnknown}},
}, custodyMethods)

// Describe makes the document of all methods, or without admin_* for the HTTP door.
func Describe(withAdmin bool) Document {
	s := schemas{}
	d := Document{OpenRPC: "1.3.2", Info: Info{"Conclave custodian", node.Version}, Components: Components{s}}
	d.Methods = s.methods("custodian_", reflect.TypeFor[*custodian](), custodianMethods)
	d.Methods = append(d.Methods, s.methods("governance_", reflect.TypeFor[*governance](), governanceMethods)...)
	if withAdmin {
		d.Methods = append(d.Methods, s.methods("admin_", reflect.TypeFor[*admin](), adminMethods)...)
	}
	d.Methods = append(d.Methods, Method{
		Name: "rpc.discover", Summary: "This document.", Params: []Value{}, Errors: []Fault{},
		Result: Value{Name: "document", Schema: Schema{"type": "object"}},
	})
	return d
}

// schemas collects the named types met on the way.
type schemas map[string]Schema

func (s schemas) methods(prefix string, service reflect.Type, list []described) []Method {
	var out []Method
	for _, d := range list {
		m, ok := service.MethodByName(d.method)
		if !ok {
			panic("api: no method " + d.method)
		}
		out = append(out, s.method(prefix, m.Type, d))
	}
	return out
}

// method reads a Go method: receiver, perhaps a context, parameters; an answer, perhaps an error.
func (s schemas) method(prefix string, t reflect.Type, d described) Method {
	first := 1
	if t.NumIn() > 1 && t.In(1) == reflect.TypeFor[context.Context]() {
		first = 2
	}
	if t.NumIn()-first != len(d.params) {
		panic(fmt.Sprintf("api: %s has %d parameters", d.method, t.NumIn()-first))
	}
	m := Method{Name: prefix + lowerFirst(d.method), Summary: d.summary, Params: []Value{}, Errors: []Fault{}}
	for i, name := range d.params {
		in := t.In(first + i)
		v := Value{Name: name, Required: in.Kind() != reflect.Pointer}
		if in.Kind() == reflect.Pointer {
			in = in.Elem()
		}
		v.Schema = s.of(in)
		m.Params = append(m.Params, v)
	}
	m.Result = Value{Name: "result", Schema: s.of(t.Out(0).Field(0).Type)}
	for _, code := range d.faults {
		m.Errors = append(m.Errors, Fault{code, fail(code, "").row.name})
	}
	return m
}

// of is the schema of a type as encoding/json writes it.
func (s schemas) of(t reflect.Type) Schema {
	switch t {
	case reflect.TypeFor[common.Address]():
		return Schema{"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$", "title": "address"}
	case reflect.TypeFor[common.Hash]():
		return Schema{"type": "string", "pattern": "^0x[0-9a-f]{64}$", "title": "hash"}
	case reflect.TypeFor[time.Time]():
		return Schema{"type": "string", "format": "date-time", "title": "time"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return Schema{"oneOf": []Schema{s.of(t.Elem()), {"type": "null"}}}
	case reflect.Slice:
		return Schema{"type": "array", "items": s.of(t.Elem())}
	case reflect.Struct:
		s.object(t)
		return Schema{"$ref": "#/components/schemas/" + t.Name()}
	case reflect.String:
		return Schema{"type": "string"}
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return Schema{"type": "integer"}
	case reflect.Uint8, reflect.Uint64:
		return Schema{"type": "integer", "minimum": 0}
	}
	panic("api: no schema for " + t.String())
}

// object records a struct's schema under its name.
func (s schemas) object(t reflect.Type) {
	if _, done := s[t.Name()]; done {
		return
	}
	properties, required := map[string]Schema{}, []string{}
	s[t.Name()] = Schema{} // taken before its fields are walked: a type may hold itself
	for _, f := range fieldsOf(t) {
		properties[f.name] = s.of(f.typ)
		if !f.optional {
			required = append(required, f.name)
		}
	}
	s[t.Name()] = Schema{"type": "object", "properties": properties, "required": required}
}

type field struct {
	name     string
	typ      reflect.Type
	optional bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			panic("api: " + t.Name() + "." + t.Field(i).Name + " has no JSON name")
		}
		out = append(out, field{name, t.Field(i).Type, strings.Contains(options, "omitempty")})
	}
	return out
}

func lowerFirst(s string) string {
	r := []rune(s)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}
