package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"pgregory.net/rapid"

	"conclave/ledger"
)

// post is a notifier that keeps what it is given, or refuses it.
type post struct {
	mu     sync.Mutex
	got    []Notice
	tried  []string // ids, in the order of tries
	refuse func(Notice) error
}

func (p *post) Notify(_ context.Context, n Notice) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried = append(p.tried, n.ID)
	if p.refuse != nil {
		if err := p.refuse(n); err != nil {
			return err
		}
	}
	p.got = append(p.got, n)
	return nil
}

// kinds is what arrived of a code, in words.
func (p *post) kinds(code string) (out []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.got {
		if n.Code == code {
			out = append(out, string(n.Kind))
		}
	}
	return out
}

// all is everything that arrived.
func (p *post) all() []Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// ids is every try.
func (p *post) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tried)
}

func (p *post) setRefuse(f func(Notice) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = f
}

// path is an alert path that runs in a bubble of virtual time.
type path struct {
	*alerts
	post *post
	end  func()
}

func newPath(t *testing.T, dir string, p *post, rules AlertRules) *path {
	t.Helper()
	a := newAlerts(zap.NewNop(), time.Now)
	a.configure(rules, Sender{Network: "testnet", Node: "alice"}, p)
	a.load(dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); a.run(ctx, dir) }()
	return &path{a, p, func() { cancel(); <-done }}
}

func TestAnAlertIsToldOnceRemindedAndEnded(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		want []string
	}{
		// Reminders after 1, 2, 4, 8, 16 and then every 24 hours: six of them in 60 hours.
		"critical": {codeQuorumLost, []string{"alert", "reminder", "reminder", "reminder", "reminder", "reminder", "reminder", "recovered"}},
		"warning":  {codeRelayDown, []string{"alert", "reminder", "reminder", "recovered"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPath(t, t.TempDir(), &post{}, AlertRules{})
				defer p.end()
				for i := range 60 {
					p.raise(Alert{Code: c.code, Text: fmt.Sprint("look ", i)})
					time.Sleep(time.Hour)
				}
				p.recover(c.code)
				p.recover(c.code)
				time.Sleep(48 * time.Hour)
				require.Equal(t, c.want, p.post.kinds(c.code))
				first, last := p.post.all()[0], p.post.all()[len(p.post.all())-1]
				require.Equal(t, 1, first.Version)
				require.Equal(t, "look 0", first.Text)
				require.Equal(t, uint64(60), last.Count)
				require.Equal(t, first.Since, last.Since)
				require.Equal(t, first.Key, last.Key)
				require.Equal(t, "alice", first.Node)
				require.NotEqual(t, first.ID, last.ID)
				require.NotEmpty(t, first.Hint, "the catalogue says what to do")
			})
		})
	}
}

func TestHappeningsEndByThemselvesAndQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, t.TempDir(), &post{}, AlertRules{})
		defer p.end()
		p.raise(Alert{Code: string(ledger.AlertMalformedCredit), Text: "an amount"})
		time.Sleep(25 * time.Hour)
		require.True(t, p.list()[0].Over)
		require.NotContains(t, p.post.kinds(string(ledger.AlertMalformedCredit)), "recovered")
		time.Sleep(keepOver)
		require.Empty(t, p.list(), "what is over is forgotten in the end")
	})
}

func TestARestartNeitherForgetsNorRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, first := t.TempDir(), &post{}
		p := newPath(t, dir, first, AlertRules{})
		p.raise(Alert{Code: codeRelayDown, Text: "silent"})
		p.raise(Alert{Key: codeChainDown + "a", Code: codeChainDown, Text: "a"})
		time.Sleep(time.Minute)
		p.end()
		require.Len(t, first.all(), 2)

		second := &post{}
		p = newPath(t, dir, second, AlertRules{})
		require.Len(t, p.list(), 2)
		p.raise(Alert{Code: codeRelayDown, Text: "still silent"})
		time.Sleep(time.Minute)
		require.Empty(t, second.all(), "what was told is not told again")
		p.recover(codeRelayDown)
		time.Sleep(23*time.Hour + 59*time.Minute)
		p.end()
		require.Equal(t, []string{"recovered"}, second.kinds(codeRelayDown))
		require.Equal(t, []string{"reminder"}, second.kinds(codeChainDown), "the day counts from before the restart")
	})
}

func TestWhatIsOwedSurvivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, dead := t.TempDir(), &post{refuse: func(Notice) error { return errors.New("down") }}
		p := newPath(t, dir, dead, AlertRules{})
		p.raise(Alert{Code: codeFuse, Text: "cause"})
		time.Sleep(time.Minute)
		p.end()
		require.NotEmpty(t, dead.ids())

		alive := &post{}
		p = newPath(t, dir, alive, AlertRules{})
		time.Sleep(time.Minute)
		p.end()
		require.Equal(t, []string{"alert"}, alive.kinds(codeFuse))
		require.Equal(t, dead.ids()[0], alive.all()[0].ID, "one message keeps its id over tries and restarts")
	})
}

func TestAStormDoesNotDrownTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const storm = 5000
		p := newPath(t, t.TempDir(), &post{}, AlertRules{PerMinute: 10})
		defer p.end()
		p.raise(Alert{Code: codeNoShare, Text: "before it"})
		for i := range storm {
			p.raise(Alert{Key: fmt.Sprint(ledger.AlertMalformedDebit, i), Code: string(ledger.AlertMalformedDebit), Text: "spam"})
		}
		p.raise(Alert{Code: codeFuse, Text: "in the middle of it"})
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{"alert"}, p.post.kinds(codeFuse), "the first of each code always passes")
		spam := len(p.post.kinds(string(ledger.AlertMalformedDebit)))
		require.Equal(t, 9, spam)
		require.Equal(t, []string{"summary"}, p.post.kinds(codeStorm))
		for _, n := range p.post.all() {
			if n.Code == codeStorm {
				require.Equal(t, uint64(storm-spam), n.Count)
				require.Contains(t, n.Text, fmt.Sprintf("malformed-debit %d", storm-spam))
				require.Equal(t, "critical", n.Severity)
			}
		}
		held := map[string]bool{}
		for _, a := range p.list() {
			held[a.Code] = true
		}
		require.Len(t, p.list(), maxAlerts)
		require.True(t, held[codeFuse] && held[codeNoShare], "a storm pushes out its own")
	})
}

func TestADeadWebhookIsAnAlertThatStaysHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, t.TempDir(), &post{refuse: func(Notice) error { return errors.New("no route") }}, AlertRules{})
		defer p.end()
		p.raise(Alert{Code: codeRelayDown, Text: "silent"})
		time.Sleep(time.Minute)
		require.True(t, stands(p.alerts, codeWebhook))
		time.Sleep(3 * time.Hour)
		tries := len(p.post.ids())
		require.Equal(t, notifyTries, tries, "a message is tried so often and no more")

		p.post.setRefuse(nil)
		p.raise(Alert{Code: codeChainDown, Text: "later"})
		time.Sleep(time.Minute)
		require.False(t, stands(p.alerts, codeWebhook))
		require.Equal(t, []string{"reminder"}, p.post.kinds(codeRelayDown), "what was missed is told once messages arrive")
		require.Empty(t, p.post.kinds(codeWebhook))
	})
}

func stands(a *alerts, code string) bool {
	for _, al := range a.list() {
		if al.Code == code && !al.Over {
			return true
		}
	}
	return false
}

func TestAMessageThatNobodyTakesDoesNotBlockOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, t.TempDir(), &post{refuse: func(n Notice) error {
			if n.Code == codeFuse {
				return errors.New("400: too rude")
			}
			return nil
		}}, AlertRules{})
		defer p.end()
		p.raise(Alert{Code: codeFuse, Text: "poison"})
		p.raise(Alert{Code: codeRelayDown, Text: "silent"})
		p.raise(Alert{Code: codeChainDown, Text: "down"})
		time.Sleep(20 * time.Second)
		require.Equal(t, []string{"alert"}, p.post.kinds(codeRelayDown))
		require.Equal(t, []string{"alert"}, p.post.kinds(codeChainDown))
	})
}

// A notifier that never answers must not hold up whoever raises, nor the record.
func TestNobodyWaitsForTheNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		p := newPath(t, dir, nil, AlertRules{})
		p.end()
		a := newAlerts(zap.NewNop(), time.Now)
		a.configure(AlertRules{}, Sender{}, sleeper{})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); a.run(ctx, dir) }()
		began := time.Now()
		for i := range 100 {
			a.raise(Alert{Key: fmt.Sprint(i), Code: codeRelayDown})
		}
		require.Equal(t, began, time.Now(), "no virtual time passed")
		time.Sleep(time.Second)
		raw, err := os.ReadFile(filepath.Join(dir, alertsFile))
		require.NoError(t, err)
		held, err := decodeAlerts(raw)
		require.NoError(t, err)
		require.Len(t, held, 100)
		cancel()
		<-done
		require.Less(t, time.Since(began), notifyTimeout, "the end does not wait for it either")
	})
}

type sleeper struct{}

func (sleeper) Notify(ctx context.Context, _ Notice) error { <-ctx.Done(); return ctx.Err() }

func TestASeverityThatGrowsIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, t.TempDir(), &post{}, AlertRules{})
		defer p.end()
		code := string(ledger.AlertVesting)
		p.raise(Alert{Code: code, Severity: ledger.Warning, Text: "ahead"})
		time.Sleep(time.Second)
		p.raise(Alert{Code: code, Severity: ledger.Critical, Text: "unsigned"})
		p.raise(Alert{Code: code, Severity: ledger.Warning, Text: "ahead"})
		time.Sleep(time.Second)
		require.Equal(t, []string{"alert", "alert"}, p.post.kinds(code))
		require.Equal(t, "warning", p.post.all()[0].Severity)
		require.Equal(t, "critical", p.post.all()[1].Severity)
	})
}

func TestAnUnknownCodePanicsInTestsAndIsPassedOnInProduction(t *testing.T) {
	core, logged := observer.New(zap.DebugLevel)
	a := newAlerts(zap.New(core, zap.Development()), time.Now)
	require.Panics(t, func() { a.raise(Alert{Code: "no-such-code"}) })

	a = newAlerts(zap.New(core), time.Now)
	a.raise(Alert{Code: "no-such-code", Severity: ledger.Critical, Text: "what happened"})
	require.Equal(t, "what happened", a.list()[0].Text)
	require.Equal(t, ledger.Critical, a.list()[0].Severity)
	require.NotZero(t, logged.FilterMessage("alert").Len())
}

func TestTheCatalogueDecidesTheSeverity(t *testing.T) {
	a := newAlerts(zap.NewNop(), time.Now)
	a.raise(Alert{Code: codeFuse, Severity: ledger.Info})
	require.Equal(t, ledger.Critical, a.list()[0].Severity)
	a = newAlerts(zap.NewNop(), time.Now)
	a.raise(Alert{Code: string(ledger.AlertVesting)})
	require.Equal(t, ledger.Critical, a.list()[0].Severity, "unsaid is the highest")
}

func TestTheGateCountsWhatItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		per := rapid.IntRange(1, 30).Draw(t, "per")
		codes := []string{codeFuse, codeRelayDown, codeChainDown, codeNoShare}
		g := newGate(per)
		now := time.UnixMilli(1_000_000)
		var raised, passed, summed uint64
		inWindow := 0
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			if s, ok := g.summary(now); ok {
				summed += s.count
				inWindow = 0
			} else if g.passed == 0 || now.Sub(g.began) >= gateWindow {
				inWindow = 0
			}
			raised++
			if g.pass(rapid.SampledFrom(codes).Draw(t, "code"), ledger.Severity(rapid.IntRange(0, 2).Draw(t, "severity")), now) {
				passed++
				inWindow++
			}
			if inWindow > per+len(codes) {
				t.Fatalf("%d messages in one window of %d", inWindow, per)
			}
		}
		if s, ok := g.summary(now.Add(2 * gateWindow)); ok {
			summed += s.count
		}
		if raised != passed+summed {
			t.Fatalf("%d raised, %d passed, %d in summaries", raised, passed, summed)
		}
	})
}

func TestAnUnreadableRecordIsPutAside(t *testing.T) {
	for name, content := range map[string]string{
		"cut off": `{"version":1,"alerts":[{"Key":"a"`, "unknown version": `{"version":2,"alerts":[]}`, "empty": "",
		"an alert twice": `{"version":1,"alerts":[{"Key":"a","Code":"fuse"},{"Key":"a","Code":"fuse"}]}`, "unknown field": `{"version":1,"more":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, alertsFile), []byte(content), 0o600))
			a := newAlerts(zap.NewNop(), time.Now)
			a.load(dir)
			require.True(t, stands(a, codeLost))
			require.FileExists(t, filepath.Join(dir, alertsFile+".unreadable"))
			require.NoError(t, a.save(dir))
			a = newAlerts(zap.NewNop(), time.Now)
			a.load(dir)
			require.Len(t, a.list(), 1)
		})
	}
}

func FuzzAlertsRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"alerts":[{"Key":"fuse","Code":"fuse","Severity":2,"Text":"t","Hint":"h","First":"2026-01-01T00:00:00Z","Last":"2026-01-01T00:00:00Z","Count":1,"Over":false,"Told":"2026-01-01T00:00:00Z","Reminded":3,"Owed":"reminder"}]}`))
	f.Add([]byte(`{"version":1,"alerts":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		held, err := decodeAlerts(raw)
		if err != nil {
			return
		}
		again, err := encodeAlerts(held)
		require.NoError(t, err)
		back, err := decodeAlerts(again)
		require.NoError(t, err)
		require.Len(t, back, len(held))
		// What is read must be safe to live with, whatever it says.
		a := newAlerts(zap.NewNop(), time.Now)
		a.configure(AlertRules{}, Sender{}, &post{})
		a.take(held)
		a.due()
		for range len(held) + 1 {
			if p, ok := a.next(); ok {
				a.done(p, nil)
			}
		}
		_, left := a.next()
		require.False(t, left)
	})
}

func TestStatusShowsWhatWaitsAndCountsWhatHappened(t *testing.T) {
	a := newAlerts(zap.NewNop(), time.Now)
	a.raise(Alert{Code: codeRelayDown, Text: "silent"})
	a.raise(Alert{Code: codeChainDown, Text: "was down"})
	a.recover(codeChainDown)
	for i := range 100 {
		a.raise(Alert{Key: fmt.Sprint(i), Code: string(ledger.AlertMalformedCredit)})
	}
	a.raise(Alert{Code: codeEvidence})
	got := a.reasons()
	require.Len(t, got, 2)
	require.Equal(t, codeRelayDown, got[0].Code)
	require.NotNil(t, got[0].Since)
	require.Equal(t, "what happened lately: evidence 1, malformed-credit 100", got[1].Text)
	require.Empty(t, newAlerts(zap.NewNop(), time.Now).reasons())
}

func TestStrangersWordsAreSafeToShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		got := plain(string(rapid.SliceOf(rapid.Byte()).Draw(t, "text")) + rapid.String().Draw(t, "more"))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || len(got) > maxAlertText+4 {
			t.Fatalf("%q", got)
		}
	})
	require.Equal(t, "the Relay says  [2Jnothing ", plain("the Relay says\x1b [2Jnothing\n"))
	require.Len(t, []rune(plain(strings.Repeat("a", 5000))), maxAlertText+1)
}
