package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"conclave/node"
)

// watchEvery is how often the view is drawn.
const watchEvery = 500 * time.Millisecond

// waitingEvery is how often the view repeats that it waits for the same thing.
const waitingEvery = 10 * time.Second

// progress is what the view shows.
type progress struct {
	all             []node.WithdrawalView
	paid, fulfilled int
}

// watch shows how withdrawals go, until everything is paid or ctx ends.
func (n *Network) watch(ctx context.Context, failed chan error) error {
	reported := false
	dead := map[int]bool{}
	waiting := n.sayWaiting()
	var p progress
	for {
		select {
		case <-ctx.Done():
			return n.leave(ctx, p)
		case err := <-failed:
			return err
		case <-time.After(watchEvery):
		}
		n.reportDead(dead)
		next, err := n.look(ctx)
		if err != nil {
			waiting(err)
			continue
		}
		if next.paid > p.paid {
			if err := n.writeState(next.paid); err != nil {
				return err
			}
		}
		p = next
		n.show(p)
		if reported || !n.complete(p) || !n.exposed(ctx, failed) || !n.changed() {
			continue
		}
		if p, err = n.whole(ctx); err != nil {
			waiting(err)
			continue
		}
		reported = true
		err = n.finish(ctx, p)
		if n.o.ExitPaid {
			return err
		}
		if err != nil {
			n.say("%v", err)
		}
		n.say("the network stays up until Ctrl-C")
	}
}

// sayWaiting says what the view waits for, when that changes and from time to time.
func (n *Network) sayWaiting() func(error) {
	var last string
	var at time.Time
	return func(err error) {
		if text := err.Error(); text != last || time.Since(at) >= waitingEvery {
			last, at = text, time.Now()
			n.say("waiting: %v", err)
		}
	}
}

// complete reports whether everything that was asked for is paid and fulfilled.
func (n *Network) complete(p progress) bool {
	want := n.wanted()
	return want > 0 && p.fulfilled >= want && p.paid >= want
}

// leave ends on Ctrl-C: no error, unless the run was to pay everything.
func (n *Network) leave(ctx context.Context, p progress) error {
	if n.o.ExitPaid {
		return fmt.Errorf("%w: %d of %d paid, %d fulfilled: %w", ErrNotPaid, p.paid, n.wanted(), p.fulfilled, ctx.Err())
	}
	n.say("ending")
	return nil
}

// reportDead says once that a custodian's process ended. Nobody restarts it but people.
func (n *Network) reportDead(dead map[int]bool) {
	if n.o.Kills > 0 {
		return // who kills it tells
	}
	for i, c := range n.all() {
		p := c.process()
		select {
		case <-p.done:
			if !dead[i] {
				dead[i] = true
				if n.ended(p.cmd.Process.Pid) {
					continue
				}
				n.say("custodian %d (pid %d) ended: %v; restart it with: %s run --home %s --password-file %s",
					i, p.cmd.Process.Pid, p.err, n.bin, c.home, c.password)
			}
		default:
		}
	}
}

// look reads the withdrawals and notes when each was first seen and first paid.
func (n *Network) look(ctx context.Context) (progress, error) {
	var p progress
	var err error
	if p.all, err = n.rest(ctx); err != nil {
		return p, err
	}
	now := time.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range p.all {
		if _, ok := n.seen[w.ID]; !ok {
			n.seen[w.ID] = now
		}
		if w.Outcome != "paid" {
			continue
		}
		p.paid++
		if _, ok := n.paidAt[w.ID]; !ok {
			n.paidAt[w.ID] = now
			if n.firstPaid == 0 {
				n.firstPaid = now.Sub(n.began)
			}
		}
		if w.Reported {
			p.fulfilled++
		}
	}
	return p, nil
}

// show draws the view: the whole table on a terminal, a line when something changed elsewhere.
func (n *Network) show(p progress) {
	if !n.o.Terminal || n.o.JSON {
		rows := p.slots()
		line := fmt.Sprintf("%4.0f s  seen %d  paid %d  fulfilled %d  in %d transactions, the largest of %d", time.Since(n.began).Seconds(), len(p.all),
			p.paid, p.fulfilled, len(rows), largest(rows))
		if key := fmt.Sprint(len(p.all), p.paid, p.fulfilled); key != n.lastLine {
			n.lastLine = key
			n.say("%s", line)
		}
		return
	}
	_, _ = fmt.Fprint(n.o.Out, "\033[H\033[2J"+n.table(p)+n.summary)
}

// table is one row per withdrawal, the newest last.
func (n *Network) table(p progress) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tAMOUNT\tTO\tSTAGE\tAPPROVED BY\tHEIGHT\tTRANSACTION")
	for _, v := range p.all {
		var by []string
		for _, x := range v.Verdicts {
			if x.Approve {
				by = append(by, strings.TrimPrefix(x.Name, "custodian-"))
			}
		}
		sort.Strings(by)
		height := ""
		if v.Height != nil {
			height = fmt.Sprint(*v.Height)
		}
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, inCoins(v.Amount), v.To.Hex()[:12]+"…", v.Stage, strings.Join(by, " "), height, shortTx(v))
	}
	writeSlots(w, p.slots())
	_ = w.Flush()
	_, _ = fmt.Fprintf(&b, "\n%.0f s: %d seen, %d paid, %d fulfilled; payer %s; status at %s\n",
		time.Since(n.began).Seconds(), len(p.all), p.paid, p.fulfilled, n.paying(), n.custodians[0].api)
	return b.String()
}

// inCoins is wei as coins, for people.
func inCoins(wei string) string {
	for len(wei) <= 18 {
		wei = "0" + wei
	}
	frac := strings.TrimRight(wei[len(wei)-18:], "0")
	if len(frac) > 6 {
		frac = frac[:6] + "…"
	}
	if frac == "" {
		return wei[:len(wei)-18]
	}
	return wei[:len(wei)-18] + "." + frac
}

// Report is the last line of `devnet --exit-when-paid --json`.
type Report struct {
	Nodes       int              `json:"nodes"`
	Quorum      int              `json:"quorum"`
	Withdrawals int              `json:"withdrawals"`
	Paid        int              `json:"paid"`
	Fulfilled   int              `json:"fulfilled"`
	Payer       string           `json:"payer"`
	Payments    int              `json:"payments"`      // transactions that paid them
	Largest     int              `json:"largest_batch"` // withdrawals in the fullest of them
	Signatures  int              `json:"signatures"`
	Seconds     float64          `json:"seconds"`
	Keygen      float64          `json:"keygen_seconds"`
	First       float64          `json:"first_payment_seconds"`
	Latency     map[string]int64 `json:"latency_ms"`
	CPU         map[string]any   `json:"cpu"`
	Session     float64          `json:"session_seconds"` // mean wall time of a signing session, over all signers
	Conserved   bool             `json:"conserved"`
	Proofs      int              `json:"proofs"`             // payments whose proofs were judged by the genesis document alone
	Epochs      uint64           `json:"epochs,omitempty"`   // a scenario that changes members: that ruled, one after the other
	Liar        string           `json:"liar,omitempty"`     // --scenario liar: the custodian that lied
	NamedBy     []string         `json:"named_by,omitempty"` // and those that hold evidence against it, and against nobody else
	Troubles    string           `json:"troubles,omitempty"` // what the world did meanwhile, and how often
	RPC         []string         `json:"rpc"`
	Dashboard   string           `json:"dashboard"`
}

// finish compares every balance with the books and reports.
func (n *Network) finish(ctx context.Context, p progress) error {
	signatures, err := n.signatures(ctx)
	if err != nil {
		return err
	}
	conserved := n.conserved(ctx, p)
	if conserved != nil {
		n.say("the books and the chain differ: %v", conserved)
	}
	proofs, err := n.proven(ctx, p)
	if err != nil {
		n.say("what custodians show auditors is not so: %v", err)
		conserved = errors.Join(conserved, err)
	}
	r := Report{
		Nodes: n.o.Nodes, Quorum: n.quorum(), Withdrawals: n.wanted(), Paid: p.paid, Fulfilled: p.fulfilled,
		Payer: n.payer.Hex(), Payments: len(p.slots()), Largest: largest(p.slots()), Signatures: signatures, Seconds: round(time.Since(n.began)), Keygen: round(n.keygen), First: round(n.firstPaid),
		Latency: n.latency(), CPU: n.cpu(p.paid), Session: n.sessions(ctx), Conserved: conserved == nil, Proofs: proofs, Dashboard: n.custodians[0].api,
	}
	if n.o.Scenario == ScenarioLiar {
		r.Liar, r.NamedBy = n.custodians[n.liar()].address.Hex(), n.namedBy
	}
	if _, changes := committees()[n.o.Scenario]; changes {
		r.Epochs = n.epochsNow()
	}
	for _, c := range n.all() {
		r.RPC = append(r.RPC, c.api)
	}
	troubles, came := n.o.trouble.came()
	r.Troubles = troubles
	if err := n.print(p, r); err != nil {
		return err
	}
	if came != nil {
		return errors.Join(came, conserved)
	}
	if !r.Conserved || p.paid != r.Withdrawals || p.fulfilled != r.Withdrawals {
		return errors.Join(ErrNotPaid, conserved)
	}
	return nil
}

func round(d time.Duration) float64 {
	return float64(d.Round(10*time.Millisecond)) / float64(time.Second)
}

// latency is from the moment the first custodian lists a withdrawal to the moment it is final, by the view's own clock.
func (n *Network) latency() map[string]int64 {
	var all []time.Duration
	for id, paid := range n.paidAt {
		all = append(all, paid.Sub(n.seen[id]))
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	if len(all) == 0 {
		return map[string]int64{}
	}
	at := func(q float64) int64 { return all[int(q*float64(len(all)-1))].Milliseconds() }
	return map[string]int64{"p50": at(0.5), "p99": at(0.99)}
}

// signatures counts the signed payouts and the canary.
func (n *Network) signatures(ctx context.Context) (int, error) {
	var batches []node.BatchView
	if err := n.anyone(ctx, &batches, "custodian_batches", map[string]int{"limit": listPage}); err != nil {
		return 0, err
	}
	count := 1
	for _, b := range batches {
		if b.Tx != nil {
			count++
		}
	}
	return count, nil
}

// sessions is the mean wall time of a successful signing session in seconds, over all custodians that answer.
func (n *Network) sessions(ctx context.Context) float64 {
	var count, wall uint64
	for _, c := range n.all() {
		var s node.Status
		if c.ask(ctx, &s, "custodian_status") == nil {
			count, wall = count+s.Session.Signed, wall+s.Session.WallMS
		}
	}
	if count == 0 {
		return 0
	}
	return float64(wall/count) / 1000
}

// print writes the summary table, or the report as one line of JSON.
func (n *Network) print(p progress, r Report) error {
	if n.o.JSON {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(n.o.Out, "%s\n", raw)
		return err
	}
	n.summary = fmt.Sprintf("\n%d withdrawals paid and fulfilled in %.1f s (key generation %.1f s, first payment after %.1f s); every balance equals the books: %v\n",
		p.paid, r.Seconds, r.Keygen, r.First, r.Conserved)
	_, err := fmt.Fprint(n.o.Out, n.table(p), n.summary)
	return err
}
