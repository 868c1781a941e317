package node

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"conclave/ledger"
)

// AlertsMarkdown is docs/alerts.md.
func AlertsMarkdown() string {
	var b strings.Builder
	b.WriteString("# Alerts\n\nGenerated from the code by `go test ./node -run Documentation -update`; do not edit.\n\n" +
		"Everything that calls for a person goes one way: into the log, to `conclave alerts`, and to the webhook if there is one.\n" +
		"*Critical* means that somebody may be stealing, or that this node is out; *warning* means today.\n")
	for _, g := range alertGroups() {
		fmt.Fprintf(&b, "\n## %s\n\n| code | severity | what it means | over when | what to do |\n|---|---|---|---|---|\n", g.title)
		for _, k := range g.kinds {
			severity, ends := k.Severity.String(), k.Ends
			if k.Least != 0 {
				severity += " or " + k.Least.String()
			}
			if ends == "" {
				ends = "not repeated for a " + map[bool]string{true: "week", false: "day"}[k.Severity == ledger.Critical]
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", k.Code, severity, k.Meaning, ends, k.Do)
		}
	}
	writePath(&b)
	return b.String()
}

// plainly writes a duration without the zeros behind it: 24h, not 24h0m0s.
func plainly(d time.Duration) string {
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + strings.Repeat("m", strings.Count(s, "m0s"))
	return strings.TrimSuffix(s, "h0m") + strings.Repeat("h", strings.Count(s, "h0m"))
}

// writePath explains how alerts reach people.
func writePath(b *strings.Builder) {
	r := AlertRules{}.orDefaults()
	fmt.Fprintf(b, `
## When they are told

An alert with one key is one alert, however often it happens: it is told when it begins, when it grows more severe, and when
it is over. A critical one that stands is told again after %s, then each time after twice as long, up to %s; a warning
every %s. A restart neither forgets an open alert nor tells it anew: `+"`data/alerts.json`"+` keeps what stands and what was told.

One that comes back within an hour of its end for the third time keeps coming back: from then on it is over, and said to be, only when
its cause has been gone for %s.

Of more than %d messages in a minute the rest becomes one summary (`+"`%s`"+`). Half is kept for critical ones, and the first of each code
always passes. At most %d alerts are held: those that are over go first, then the oldest of the most frequent code.

The heartbeat says that core, intake, judge, watches and every lane ended a pass since the last one. When one did not, none is sent and
`+"`%s`"+` names it. Be alarmed when no heartbeat comes: a node that is gone cannot say so.

## The webhook

`+"`[alerts] webhook`"+` of config.toml names a URL. Each message is one POST with this JSON; other fields may come. Any answer but 2xx
is a failure, redirects too, and of the body nothing is read. A message is tried %d times, after %s and then each
time after twice as long, up to %s; when the webhook takes messages again, what it missed and still matters is told. A
message may arrive twice, with one id, and not in order.

| field | what |
|---|---|
`, plainly(r.RemindCritical), plainly(r.RemindMost),
		plainly(r.RemindWarning), plainly(flapCalm), r.PerMinute, codeStorm, maxAlerts, codeStalled, notifyTries, plainly(notifyPause), plainly(notifyMost))
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Notice]()) {
		if name := f.Tag.Get("json"); name != "" {
			fmt.Fprintf(b, "| %s | %s |\n", name, f.Tag.Get("doc"))
		}
	}
	b.WriteString(`
With ` + "`webhook_secret_file`" + ` the header ` + "`Conclave-Signature`" + ` holds ` + "`sha256=`" + ` and the HMAC-SHA256 of the body in hex. Compare it in
constant time over the bytes as they came, and look at ` + "`time`" + ` against replays.
`)
}
