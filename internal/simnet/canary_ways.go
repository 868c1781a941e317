package simnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"conclave/node"
	"conclave/node/api"
	"conclave/node/metrics"
)

// askWithin is how long one answer may take.
const askWithin = 10 * time.Second

// overheard lets the canary read a custodian's whole log as it is written to a file, each level and field of it.
func (w *World) overheard(name string, log zapcore.Core) zapcore.Core {
	lines := zapcore.AddSync(wayOut{w.canary, "the log of " + name})
	return zapcore.NewTee(log, zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), lines, zapcore.DebugLevel))
}

// wayOut is a way on which bytes leave.
type wayOut struct {
	c   *canary
	way string
}

// Write implements [io.Writer].
func (o wayOut) Write(p []byte) (int, error) {
	o.c.look(o.way, p)
	return len(p), nil
}

// request reads what a custodian sends to the Relay.
func (c *canary) request(from string, r *http.Request) {
	way := "a request of " + from
	c.look(way, []byte(r.URL.String()))
	for name, values := range r.Header {
		for _, v := range values {
			c.look(way, []byte(name+": "+v))
		}
	}
	if r.GetBody == nil {
		return
	}
	if body, err := r.GetBody(); err == nil {
		if raw, err := io.ReadAll(body); err == nil {
			c.look(way, raw)
		}
		_ = body.Close()
	}
}

// questioned asks every running custodian everything that its interfaces answer, and reads the answers.
func (w *World) questioned() {
	for _, c := range w.Custodians {
		if c.Running() && !c.crash.dead() {
			w.interview(c)
		}
	}
}

func (w *World) interview(c *Custodian) {
	ctx, cancel := context.WithTimeout(w.bare(), askWithin)
	defer cancel()
	way := "an answer of " + c.Name
	if page, err := metrics.Handler(c.Node); err == nil {
		got := httptest.NewRecorder()
		page.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/metrics", nil).WithContext(ctx))
		w.canary.look("the metrics of "+c.Name, got.Body.Bytes())
	}
	backend, of := reflect.TypeFor[api.Backend](), reflect.ValueOf(c.Node)
	for i := range backend.NumMethod() {
		m := backend.Method(i)
		for _, args := range w.arguments(ctx, m.Type) {
			for _, out := range of.MethodByName(m.Name).Call(args) {
				w.canary.answer(way, out.Interface())
			}
		}
	}
	for _, ask := range []func() (any, error){
		func() (any, error) { return c.Node.Committee(ctx) }, func() (any, error) { return c.Node.Proposals(ctx) },
		func() (any, error) { return c.Node.Case(node.CaseQuery{}) },
	} {
		out, err := ask()
		w.canary.answer(way, out)
		w.canary.answer(way, err)
	}
}

// answer reads what a question brought: errors as people read them, everything else as the interface encodes it.
func (c *canary) answer(way string, v any) {
	if err, ok := v.(error); ok {
		c.look(way, []byte(err.Error()))
	} else if raw, err := json.Marshal(v); err == nil {
		c.look(way, raw)
	}
}

// arguments are what a question of the interface is asked about: every request and height there is.
func (w *World) arguments(ctx context.Context, of reflect.Type) (all [][]reflect.Value) {
	all = [][]reflect.Value{nil}
	for i := range of.NumIn() {
		var some []reflect.Value
		switch of.In(i) {
		case reflect.TypeFor[context.Context]():
			some = []reflect.Value{reflect.ValueOf(ctx)}
		case reflect.TypeFor[uint64]():
			for id := range uint64(len(w.order) + 2) {
				some = append(some, reflect.ValueOf(id))
			}
		case reflect.TypeFor[int]():
			some = []reflect.Value{reflect.ValueOf(10)}
		case reflect.TypeFor[common.Address]():
			for _, u := range w.users {
				some = append(some, reflect.ValueOf(u.Address))
			}
		default:
			some = []reflect.Value{reflect.Zero(of.In(i))}
		}
		var longer [][]reflect.Value
		for _, args := range all {
			for _, v := range some {
				longer = append(longer, append(args[:len(args):len(args)], v))
			}
		}
		all = longer
	}
	return all
}

// checkSecrets is I15: nothing that was logged, sent, answered, told or stored shows a secret.
func (w *World) checkSecrets() error {
	for _, c := range w.Custodians {
		for _, one := range c.Notices.all() {
			w.canary.answer("an alert of "+c.Name, one)
		}
		for _, dir := range []string{c.dir, c.backupDir()} {
			if err := w.canary.folder("the disk of "+c.Name, dir); err != nil {
				return err
			}
		}
	}
	return w.canary.leaked()
}

// folder reads every file: what is stored in the clear, backups and the audit trail are among them.
func (c *canary) folder(way, dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		raw, e := os.ReadFile(filepath.Join(dir, f.Name()))
		if err = errors.Join(err, e); e == nil {
			c.look(fmt.Sprintf("%s: %s", way, f.Name()), raw)
		}
	}
	return err
}
