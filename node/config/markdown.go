package config

import (
	"fmt"
	"reflect"
	"strings"
)

// homeLayout is what stands in a home.
const homeLayout = "" +
	"| name | mode | what |\n|---|---|---|\n" +
	"| config.toml | 0600 | this file |\n" +
	"| node.key | 0600 | the identity: signs statements, is the libp2p key; a sealed node still needs it |\n" +
	"| relay.key | 0600 | the Relay's API key; signs requests, moves no money |\n" +
	"| member.json | 0644 | the member record that was sent to the others |\n" +
	"| genesis.json | 0644 | the genesis document that this node joined |\n" +
	"| vault/ | 0700 | sealed key shares and preparameters |\n" +
	"| data/ | 0700 | ledger.db, the books; the record of votes that must never go back; alerts.json, what stands and was told |\n" +
	"| conclave.sock | 0600 | the operator's socket, while the node runs |\n"

// Markdown is docs/config.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\nGenerated from the code by `go test ./node/config -update`; do not edit.\n\n" +
		"`config.toml` in a custodian's home. A key that nobody knows is an error with its line. Amounts of time are text such as\n" +
		"`\"10s\"`. Paths are relative to the home. Secrets are paths; a secret that others can read is refused, and so is a\n" +
		"configuration that others can write.\n\n## The home\n\n" + homeLayout)
	for _, s := range sections(Default()) {
		title := "[" + s.name + "]"
		if s.array {
			title = "[" + title + "]"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | type | default | what |\n|---|---|---|---|\n", title, s.doc)
		for _, k := range s.keys {
			def := "`" + literal(k.value) + "`"
			if k.required {
				def = "required"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.name, typeName(k.value), def, strings.ReplaceAll(k.doc, "|", "\\|"))
		}
	}
	return b.String()
}

func typeName(v reflect.Value) string {
	switch v.Interface().(type) {
	case Duration:
		return "duration"
	case []string:
		return "list of text"
	case int:
		return "number"
	case bool:
		return "true or false"
	}
	return "text"
}
