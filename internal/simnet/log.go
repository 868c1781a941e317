package simnet

import (
	"fmt"
	"sort"
	"strings"

	"go.uber.org/zap/zapcore"
)

// traceCore is a zap core that writes to the trace what an operator would read: from info on.
type traceCore struct {
	w      *World
	name   string
	fields []zapcore.Field
}

func (t traceCore) Enabled(l zapcore.Level) bool { return l >= zapcore.InfoLevel }

func (t traceCore) With(fields []zapcore.Field) zapcore.Core {
	t.fields = append(t.fields[:len(t.fields):len(t.fields)], fields...)
	return t
}

func (t traceCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if t.Enabled(e.Level) {
		return ce.AddCore(e, t)
	}
	return ce
}

func (t traceCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range append(t.fields[:len(t.fields):len(t.fields)], fields...) {
		f.AddTo(enc)
	}
	parts := make([]string, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		if k != "session" && k != "hint" {
			parts = append(parts, fmt.Sprintf("%s=%s", k, clip(fmt.Sprint(v))))
		}
	}
	sort.Strings(parts)
	level := ""
	if e.Level > zapcore.InfoLevel {
		level = e.Level.CapitalString() + " "
	}
	t.w.Tracef("%s: %s%s  %s", t.name, level, e.Message, strings.Join(parts, " "))
	return nil
}

func (traceCore) Sync() error { return nil }

// clip keeps hashes and long texts from filling a line.
func clip(s string) string {
	const most = 160
	if len(s) == 66 && strings.HasPrefix(s, "0x") {
		return s[:10]
	}
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
