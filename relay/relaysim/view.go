package relaysim

import (
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Outage is a way of not answering.
type Outage int

// The ways that were met with the real Relay.
const (
	Up      Outage = iota
	Refuse         // the connection breaks without an answer
	Fail           // 500 with a message
	Empty          // 500 with an empty body
	Silence        // the request is taken and never answered
)

// EventLie turns the rows that an honest Relay would serve now (all of them, by rising id) into what a view serves. It must
// not change the slice it gets.
type EventLie func(rows []EventRow) []EventRow

// RequestLie does the same for the withdrawal list.
type RequestLie func(rows []RequestRow) []RequestRow

// View is the Relay as one reader sees it. All readers share one API key, so a Relay that lies to one of them tells
// readers apart by the address that they come to: that is what a view's handler stands for.
type View struct {
	sim *Sim
	mux *http.ServeMux

	mu       sync.Mutex // guards all below
	events   []EventLie
	requests []RequestLie
	pages    []pageLie
	outer    http.Handler // what callers meet: the mux behind the doors that lies put before it
	outage   Outage
}

// pageLie turns the page that a view would serve, a slice of its own, into the one that it serves. all are the rows that the
// page was cut from.
type pageLie func(page, all []EventRow, after uint64, limit int) []EventRow

// View returns the i-th view, honest until told otherwise. View 0 is what the Sim itself serves.
func (s *Sim) View(i int) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[i]
	if v == nil {
		v = &View{sim: s}
		v.mux = v.routes()
		v.outer = v.mux
		s.views[i] = v
	}
	return v
}

// Outage takes all views down, or up again.
func (s *Sim) Outage(o Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = o
}

// Outage takes this view down, or up again.
func (v *View) Outage(o Outage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.outage = o
}

// Lie adds lies about the account log; they apply in the order they were added.
func (v *View) Lie(lies ...EventLie) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events = append(v.events, lies...)
}

// LieAboutRequests adds lies about the withdrawal list.
func (v *View) LieAboutRequests(lies ...RequestLie) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.requests = append(v.requests, lies...)
}

// Repent makes the view honest again.
func (v *View) Repent() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.events, v.requests, v.pages, v.outer = nil, nil, nil, v.mux
}

func (v *View) lieInPages(lie pageLie) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pages = append(v.pages, lie)
}

// Hide leaves rows out.
func Hide(ids ...uint64) EventLie {
	return func(rows []EventRow) []EventRow {
		return slices.DeleteFunc(slices.Clone(rows), func(r EventRow) bool { return slices.Contains(ids, r.ID) })
	}
}

// Alter changes a row.
func Alter(id uint64, change func(*EventRow)) EventLie {
	return func(rows []EventRow) []EventRow {
		rows = slices.Clone(rows)
		for i := range rows {
			if rows[i].ID == id {
				change(&rows[i])
			}
		}
		return rows
	}
}

// Insert adds a row at the place of its id; a row with that id is replaced.
func Insert(row EventRow) EventLie {
	return func(rows []EventRow) []EventRow {
		rows = Hide(row.ID)(rows)
		at := sort.Search(len(rows), func(i int) bool { return rows[i].ID > row.ID })
		return slices.Insert(rows, at, row)
	}
}

// HideRequest leaves requests out of the list.
func HideRequest(ids ...uint64) RequestLie {
	return func(rows []RequestRow) []RequestRow {
		return slices.DeleteFunc(slices.Clone(rows), func(r RequestRow) bool { return slices.Contains(ids, r.ID) })
	}
}

// AlterRequest changes a request in the list.
func AlterRequest(id uint64, change func(*RequestRow)) RequestLie {
	return func(rows []RequestRow) []RequestRow {
		rows = slices.Clone(rows)
		for i := range rows {
			if rows[i].ID == id {
				change(&rows[i])
			}
		}
		return rows
	}
}

// readEvents gives the page that this view serves.
func (v *View) readEvents(after uint64, limit int) []EventRow {
	v.mu.Lock()
	lies, pages := slices.Clone(v.events), slices.Clone(v.pages)
	v.mu.Unlock()
	if len(lies)+len(pages) == 0 {
		return v.sim.readEvents(after, limit)
	}
	rows := v.sim.readEvents(0, -1)
	for _, lie := range lies {
		rows = lie(rows)
	}
	page := cut(rows, limit, func(r EventRow) bool { return r.ID > after })
	for _, lie := range pages {
		page = lie(slices.Clone(page), rows, after, limit)
	}
	return page
}

func (v *View) readRequests(after uint64, limit int) []RequestRow {
	v.mu.Lock()
	lies := slices.Clone(v.requests)
	v.mu.Unlock()
	if len(lies) == 0 {
		return v.sim.readRequests(after, limit)
	}
	rows := v.sim.readRequests(0, -1)
	for _, lie := range lies {
		rows = lie(rows)
	}
	return cut(rows, limit, func(r RequestRow) bool { return r.ID > after })
}

// cut takes the page of the rows from the first wanted one on; it does not repair an order that a lie has broken.
func cut[T any](rows []T, limit int, wanted func(T) bool) []T {
	from := slices.IndexFunc(rows, wanted)
	if from < 0 {
		return []T{}
	}
	rows = rows[from:]
	if limit >= 0 && len(rows) > limit {
		rows = rows[:limit]
	}
	return rows
}

// readEvents is the honest page: rows above after by id, at most limit (all when negative), up to the first pending one.
func (s *Sim) readEvents(after uint64, limit int) []EventRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	rows := []EventRow{}
	from := sort.Search(len(s.events), func(i int) bool { return s.events[i].ID > after })
	for _, e := range s.events[from:] {
		if e.held {
			continue
		}
		if len(rows) == limit || e.ready.After(now) {
			break
		}
		rows = append(rows, e.EventRow)
	}
	return rows
}

func (s *Sim) readRequests(after uint64, limit int) []RequestRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	rows := []RequestRow{}
	from := sort.Search(len(s.requests), func(i int) bool { return s.requests[i].ID > after })
	for _, r := range s.requests[from:] {
		if len(rows) == limit || r.ready.After(now) {
			break
		}
		rows = append(rows, r.RequestRow)
	}
	return rows
}

// ServeHTTP serves view 0, and the others below /view/1, /view/2, …, so that one listener serves them all.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, "/view/"); ok {
		number, _, _ := strings.Cut(rest, "/")
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < maxViews {
			http.StripPrefix("/view/"+number, s.View(i)).ServeHTTP(w, r)
			return
		}
	}
	s.View(0).ServeHTTP(w, r)
}

// maxViews bounds the views that requests can make.
const maxViews = 1024

// down answers for a view that is out of service, and reports whether it was.
func (v *View) down(w http.ResponseWriter, r *http.Request) bool {
	v.mu.Lock()
	o := v.outage
	v.mu.Unlock()
	if o == Up {
		v.sim.mu.Lock()
		o = v.sim.outage
		v.sim.mu.Unlock()
	}
	switch o {
	case Up:
		return false
	case Refuse:
		panic(http.ErrAbortHandler)
	case Fail:
		v.sim.answer(w, http.StatusInternalServerError, message{"Error 1040: Too many connections"})
	case Empty:
		w.WriteHeader(http.StatusInternalServerError)
	case Silence:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	return true
}
