package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"

	"golang.org/x/term"
)

// Rhythms of progress.
const (
	drawEvery = 200 * time.Millisecond // on a terminal, in place
	sayEvery  = 5 * time.Second        // elsewhere, a line each
	barWidth  = 24
)

// workBar tells people on stderr how far long work is: a bar in place on a terminal, else a line every few seconds.
type workBar struct {
	w        io.Writer // nil: say nothing
	terminal bool
	totals   map[string]uint64 // of what is known beforehand
	now      func() time.Time

	what    string
	began   time.Time // of what
	last    time.Time // when something was shown
	started uint64
	drawn   bool // the line at the cursor is ours
}

func newProgress(env *cli.Env, totals map[string]uint64) workBar {
	p := workBar{w: env.Stderr, totals: totals, now: time.Now}
	if env.JSON {
		p.w = nil
	}
	if f, ok := env.Stderr.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// tell hears that n of something are done.
func (p *workBar) tell(what string, n uint64) {
	if p.w == nil {
		return
	}
	now := p.now()
	if what != p.what {
		p.what, p.began, p.started, p.last = what, now, n, now
		return
	}
	every := sayEvery
	if p.terminal {
		every = drawEvery
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	text := progressText(what, n, p.totals[what], float64(n-min(n, p.started))/now.Sub(p.began).Seconds())
	if p.terminal {
		p.drawn = true
		_, _ = fmt.Fprintf(p.w, "\r%s\x1b[K", text)
		return
	}
	_, _ = fmt.Fprintln(p.w, text)
}

// end takes the bar away.
func (p *workBar) end() {
	if p.drawn {
		_, _ = fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.drawn, p.what = false, ""
}

// progressText is one line: how far, how fast, and with a total how long yet.
func progressText(what string, n, total uint64, rate float64) string {
	text := fmt.Sprintf("%s: %d, %.0f a second", what, n, rate)
	if total == 0 || n > total {
		return text
	}
	full := int(n * barWidth / total)
	text = fmt.Sprintf("[%s%s] %s: %d of %d, %.0f a second", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), what, n, total, rate)
	if rate > 0 {
		text += fmt.Sprintf(", %s left", (time.Duration(float64(total-n)/rate) * time.Second).Round(time.Second))
	}
	return text
}
