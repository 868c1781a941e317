package api

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Markdown is docs/api.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# The API\n\nGenerated from the code by `go test ./node/api -update`; do not edit.\n\n" +
		"JSON-RPC 2.0 by HTTP POST to `/`, and over the unix socket in the node's home, one JSON document after another. `admin_*` exist\n" +
		"on the socket only: whoever can open it is this node's operator. `rpc.discover` answers the OpenRPC document.\n\n" +
		"Amounts are decimal strings in wei, ids and heights are numbers, hashes and addresses are 0x-hex (addresses with their EIP-55\n" +
		"checksum), times are RFC 3339 in UTC. Errors are those of [errors.md](errors.md).\n\n" +
		"| path | answers |\n|---|---|\n" +
		"| POST / | JSON-RPC |\n" +
		"| GET / | a page for people: members, lanes, newest decisions, reasons; a WebSocket for who asks to upgrade |\n" +
		"| GET /healthz | 200 while the node's core answers, else 503 |\n" +
		"| GET /readyz | 200 when the node can do its part, else 503; the body is custodian_health |\n" +
		"| GET /metrics | Prometheus text, see [metrics.md](metrics.md) |\n\n## Bounds\n\n| what | bound |\n|---|---|\n")
	fmt.Fprintf(&b, "| request body | %d bytes |\n| calls in a batch | %d |\n| answers of a batch | %d bytes |\n| HTTP connections | %d |\n"+
		"| socket connections | %d |\n| subscriptions | %d |\n| one call | %s |\n", MaxBody, maxBatch, maxBatchBytes, maxConns, maxSocketConns, maxFeeds, callTimeout)
	b.WriteString("\n## Methods\n")
	doc := Describe(true)
	for _, m := range doc.Methods {
		writeMethod(&b, m)
	}
	fmt.Fprintf(&b, "\n## Subscriptions\n\n`custodian_subscribe [what]` over WebSocket, or over the unix socket, answers an id and tells what is new from then on as\n"+
		"`custodian_subscription`; `custodian_unsubscribe [id]` ends it. It is looked once in %s. The socket ends after %s in which the client says nothing. All methods but admin_* and rpc.discover answer over WebSocket, too;\n"+
		"a browser's page must be one of this machine.\n\n| what | tells |\n|---|---|\n"+
		"| heads | every decision, in the order of heights: BatchView |\n"+
		"| stages | a decided withdrawal came to another stage: StageEvent |\n"+
		"| alerts | an alert began, came again or ended: Alert |\n", feedEvery, socketIdle)
	b.WriteString("\n## Types\n\nA `?` marks what may be null, a `*` what may be absent.\n")
	for _, t := range namedTypes() {
		fmt.Fprintf(&b, "\n### %s\n\n| field | type |\n|---|---|\n", t.Name())
		for _, f := range fieldsOf(t) {
			mark := ""
			if f.optional {
				mark = "*"
			}
			fmt.Fprintf(&b, "| %s%s | %s |\n", f.name, mark, typeName(f.typ))
		}
	}
	return b.String()
}

func writeMethod(b *strings.Builder, m Method) {
	fmt.Fprintf(b, "\n### %s\n\n%s\n", m.Name, m.Summary)
	for _, p := range m.Params {
		need := "optional"
		if p.Required {
			need = "required"
		}
		fmt.Fprintf(b, "\n- parameter `%s`, %s: %s", p.Name, need, schemaName(p.Schema))
	}
	fmt.Fprintf(b, "\n- result: %s\n", schemaName(m.Result.Schema))
	for _, e := range m.Errors {
		fmt.Fprintf(b, "- error %d %s\n", e.Code, e.Message)
	}
}

func schemaName(s Schema) string {
	if ref, ok := s["$ref"].(string); ok {
		return ref[strings.LastIndex(ref, "/")+1:]
	}
	if items, ok := s["items"].(Schema); ok {
		return "list of " + schemaName(items)
	}
	if title, ok := s["title"].(string); ok {
		return title
	}
	return map[string]string{"integer": "number", "string": "text", "object": "object"}[fmt.Sprint(s["type"])]
}

// namedTypes are the structs of all results and parameters, in the order in which they are met.
func namedTypes() []reflect.Type {
	var out []reflect.Type
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		switch {
		case t.Kind() == reflect.Pointer, t.Kind() == reflect.Slice:
			walk(t.Elem())
		case t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]() && !seen[t]:
			seen[t] = true
			out = append(out, t)
			for _, f := range fieldsOf(t) {
				walk(f.typ)
			}
		}
	}
	each := func(service reflect.Type, list []described) {
		for _, d := range list {
			m, _ := service.MethodByName(d.method)
			for i := 1; i < m.Type.NumIn(); i++ {
				if m.Type.In(i) != reflect.TypeFor[context.Context]() {
					walk(m.Type.In(i))
				}
			}
			walk(m.Type.Out(0).Field(0).Type)
		}
	}
	each(reflect.TypeFor[*custodian](), custodianMethods)
	walk(reflect.TypeFor[StageEvent]())
	each(reflect.TypeFor[*admin](), adminMethods)
	return out
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[common.Address]():
		return "address"
	case reflect.TypeFor[common.Hash]():
		return "hash"
	case reflect.TypeFor[time.Time]():
		return "time"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem()) + "?"
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Struct:
		return t.Name()
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	}
	return "number"
}
