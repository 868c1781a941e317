package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// commentWidth is where comments of the written file wrap.
const commentWidth = 100

// key is one row of the catalogue: a key of the file.
type key struct {
	section  string // without brackets
	array    bool   // of [[section]]
	name     string
	doc      string
	required bool
	value    reflect.Value
}

type section struct {
	name  string
	doc   string
	array bool
	keys  []key
}

// sections walks the struct tags. For an array of tables without elements it shows one zero element.
func sections(c Config) []section {
	var out []section
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		if f.Type.Kind() != reflect.Slice {
			out = append(out, sectionOf(f, v.Field(i), false))
			continue
		}
		for j := range v.Field(i).Len() {
			out = append(out, sectionOf(f, v.Field(i).Index(j), true))
		}
		if v.Field(i).Len() == 0 {
			out = append(out, sectionOf(f, reflect.Zero(f.Type.Elem()), true))
		}
	}
	return out
}

func sectionOf(f reflect.StructField, v reflect.Value, array bool) section {
	s := section{name: f.Tag.Get("toml"), doc: f.Tag.Get("doc"), array: array}
	for i := range v.NumField() {
		k := v.Type().Field(i)
		s.keys = append(s.keys, key{
			section: s.name, array: array, name: k.Tag.Get("toml"), doc: k.Tag.Get("doc"),
			required: k.Tag.Get("required") == "true", value: v.Field(i),
		})
	}
	return s
}

// Write returns c as config.toml with a comment at every key. Parse reads it back to an equal value. Without lanes it ends
// in an example that is commented out.
func Write(c Config) []byte {
	var b strings.Builder
	b.WriteString("# Configuration of a Conclave custodian. Paths are relative to the folder that this file is in.\n")
	docs := map[string]bool{}
	for _, s := range sections(c) {
		b.WriteString("\n")
		if !docs[s.name] {
			comment(&b, s.doc)
			docs[s.name] = true
		}
		out, example := &b, s.array && len(c.Lanes) == 0
		var text strings.Builder
		if example {
			out = &text
		}
		writeSection(out, s)
		if example {
			for line := range strings.Lines(text.String()) {
				b.WriteString("# " + line)
			}
		}
	}
	return []byte(b.String())
}

func writeSection(b *strings.Builder, s section) {
	if s.array {
		fmt.Fprintf(b, "[[%s]]\n", s.name)
	} else {
		fmt.Fprintf(b, "[%s]\n", s.name)
	}
	for _, k := range s.keys {
		doc := k.doc
		if k.required {
			doc += " Required."
		}
		comment(b, doc)
		fmt.Fprintf(b, "%s = %s\n", k.name, literal(k.value))
	}
}

// comment writes text in lines of at most commentWidth.
func comment(b *strings.Builder, text string) {
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > commentWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

// literal is a value as TOML. It knows the types of this package and panics at any other.
func literal(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case string:
		return quote(x)
	case LogLevel:
		return quote(string(x))
	case Duration:
		return quote(time.Duration(x).String())
	case bool:
		return strconv.FormatBool(x)
	case int:
		return strconv.Itoa(x)
	case []string:
		parts := make([]string, len(x))
		for i, s := range x {
			parts[i] = quote(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	panic("config: no literal for " + v.Type().String())
}

// quote is a basic TOML string.
func quote(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

func dotted(k toml.Key) string { return strings.Join(k, ".") }

// plain is the library's message in words of the file: without its prefix, in one line, without names of Go types.
func plain(err *toml.DecodeError) string {
	msg := strings.TrimPrefix(err.Error(), "toml: ")
	if before, _, ok := strings.Cut(msg, " into "); ok && strings.HasPrefix(msg, "cannot decode TOML") {
		return "a value of another type belongs here: " + strings.TrimPrefix(before, "cannot decode TOML ") + " was given"
	}
	return strings.ReplaceAll(msg, "\n", " ")
}
