package relaysim

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sizes of the answers that never end.
const (
	dripEvery    = time.Second // per byte
	gigabyteSize = 1 << 30
)

// answerModes are the lies about how an answer comes: a proxy, an outage or a machine in between can cause them too. They
// touch what custodians read; users are served as ever.
func answerModes() []spec {
	return []spec{
		{Page500, "a page that would hold a certain row of the log is answered with 500, for ever", func(v *View, l Lie) {
			v.door(eventLogsPath, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				after, _ := strconv.ParseUint(r.URL.Query().Get("start_id"), 10, 64)
				limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
				if slices.ContainsFunc(v.readEvents(after, limit), func(e EventRow) bool { return l.picks(e.ID, e.Address) }) {
					v.sim.answer(w, http.StatusInternalServerError, message{"malformed reason"})
					return
				}
				next.ServeHTTP(w, r)
			})
		}},
		{Empty500, "every second answer or so is a 500 without a body", func(v *View, l Lie) {
			calls := newCounter()
			v.door("", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if l.pick(calls.next())%2 == 0 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				next.ServeHTTP(w, r)
			})
		}},
		{SlowDrip, "answers come a byte each second", func(v *View, l Lie) {
			v.door("", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				res, err := Transport(next).RoundTrip(r)
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
				w.WriteHeader(res.StatusCode)
				stream(w, &drip{r.Context(), res.Body})
			})
		}},
		{Gigabyte, "an answer has a gigabyte of blanks", func(v *View, l Lie) {
			v.door("", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				stream(w, io.MultiReader(strings.NewReader(`{"message":"success","data":[`), io.LimitReader(blanks{}, gigabyteSize)))
			})
		}},
		{ContentType, "answers are right and say that they are text/html", func(v *View, l Lie) {
			v.door("", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(&typed{w, "text/html"}, r)
			})
		}},
		{Redirect, "every call is sent to another host", func(v *View, l Lie) {
			v.door("", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				w.Header().Set("Location", "http://elsewhere.invalid"+r.URL.RequestURI())
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
		}},
	}
}

// The path of the account log.
const eventLogsPath = "/v1/relay_account/event_logs"

// door puts something between the callers of a path (all when empty) and the view.
func (v *View) door(path string, serve func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.outer
	v.outer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path == "" || path == r.URL.Path {
			serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// stream serves a body that is made while it is read: a client without a socket reads it itself, over a socket every piece
// is sent at once. A caller that hangs up ends it.
func stream(w http.ResponseWriter, body io.Reader) {
	if r, ok := w.(*recorder); ok {
		r.WriteHeader(http.StatusOK)
		r.made = body
		return
	}
	piece, control := make([]byte, 64<<10), http.NewResponseController(w)
	for {
		n, err := body.Read(piece)
		if n > 0 {
			if _, gone := w.Write(piece[:n]); gone != nil || control.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drip reads a byte each second.
type drip struct {
	ctx context.Context
	of  io.Reader
}

func (d *drip) Read(p []byte) (int, error) {
	t := time.NewTimer(dripEvery)
	defer t.Stop()
	select {
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	case <-t.C:
	}
	return d.of.Read(p[:min(1, len(p))])
}

// blanks never end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// typed answers under another content type.
type typed struct {
	http.ResponseWriter
	kind string
}

func (t *typed) WriteHeader(status int) {
	t.Header().Set("Content-Type", t.kind)
	t.ResponseWriter.WriteHeader(status)
}
