package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Bounds of what a client can make this process hold or do.
const (
	// MaxBody bounds a request in bytes: the largest honest one is an action of the operators in hex.
	MaxBody = 1 << 20
	// maxBatch bounds the calls of one batch, maxBatchBytes their answers together.
	maxBatch      = 100
	maxBatchBytes = 8 << 20
	// maxConns bounds open HTTP connections: a handful of tools, a scraper, a few browsers. More wait to be accepted.
	maxConns = 128
	// maxSocketConns bounds connections of the operator's own commands.
	maxSocketConns = 16
	// maxHeader bounds the headers of a request in bytes.
	maxHeader = 16 << 10

	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = time.Minute
	// drainTimeout is how long answers under way may take once the node stops.
	drainTimeout = 2 * time.Second
)

// Config is where to listen and what to serve.
type Config struct {
	Listen  string   // host:port; port 0 picks a free one
	Socket  string   // path of the unix socket
	Hosts   []string // further Host headers that are ours, without port: names behind which a proxy serves this node
	Backend Backend
	Orders  Operator
	Custody Custody      // the vault's door; nil: none
	Govern  Governance   // what operators sign; nil: not served
	Metrics http.Handler // GET /metrics; nil: none
	Log     *zap.Logger

	feedEvery time.Duration // of a test; 0: feedEvery
}

// Server holds the open listeners. Nothing is answered before Run.
type Server struct {
	cfg    Config
	tcp    net.Listener
	unix   net.Listener
	public *rpc.Server // without admin_*
	own    *rpc.Server // with admin_*
	http   *http.Server
}

// New opens both listeners, so that a port or a socket in use is known before the node runs. Close a server that never runs.
func New(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, public: rpc.NewServer(), own: rpc.NewServer()}
	if err := s.register(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	tcp, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	if s.unix, err = listenSocket(cfg.Socket); err != nil {
		return nil, errors.Join(fmt.Errorf("api: %w", err), tcp.Close())
	}
	s.tcp = tcp
	s.http = &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(zap.NewNop()),
	}
	return s, nil
}

func (s *Server) register() error {
	c, f := &custodian{s.cfg.Backend, s.cfg.Log}, &feed{b: s.cfg.Backend, log: s.cfg.Log, every: cmp.Or(s.cfg.feedEvery, feedEvery)}
	for _, r := range []*rpc.Server{s.public, s.own} {
		r.SetBatchLimits(maxBatch, maxBatchBytes)
		r.SetHTTPBodyLimit(MaxBody)
		r.SetWebsocketReadLimit(MaxBody)
		if err := errors.Join(r.RegisterName("custodian", c), r.RegisterName("custodian", f), r.RegisterName("rpc", &discovery{Describe(r == s.own)})); err != nil {
			return err
		}
		if s.cfg.Govern != nil {
			if err := r.RegisterName("governance", &governance{s.cfg.Govern, s.cfg.Log}); err != nil {
				return err
			}
		}
	}
	return s.own.RegisterName("admin", &admin{s.cfg.Orders, s.cfg.Custody, s.cfg.Log})
}

// URL is where the HTTP door is.
func (s *Server) URL() string { return "http://" + s.tcp.Addr().String() }

// Close frees the listeners of a server that never ran.
func (s *Server) Close() error { return errors.Join(s.tcp.Close(), s.unix.Close()) }

// Run answers until ctx ends, then lets answers under way finish, within drainTimeout. It fails when a listener does.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.http.BaseContext = func(net.Listener) context.Context { return ctx }

	var all sync.WaitGroup
	all.Go(func() {
		if err := s.http.Serve(netutil.LimitListener(s.tcp, maxConns)); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("api: %w", err))
		}
	})
	all.Go(func() {
		if err := s.serveSocket(ctx, netutil.LimitListener(s.unix, maxSocketConns)); ctx.Err() == nil {
			cancel(fmt.Errorf("api socket: %w", err))
		}
	})
	<-ctx.Done()
	s.shut()
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// shut closes the doors. Whoever does not finish in time is cut off: that is no error of ours.
func (s *Server) shut() {
	_ = s.unix.Close()
	s.own.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close()
	}
	s.public.Stop()
}

// handler is the HTTP door.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.call)
	mux.HandleFunc("GET /{$}", s.door())
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	if s.cfg.Metrics != nil {
		mux.Handle("GET /metrics", s.cfg.Metrics)
	}
	// A form of another site could still post here; the browser's own word on where it came from stops it.
	return s.onlyOwnHosts(http.NewCrossOriginProtection().Handler(mux))
}

// door is the page, and for who asks to upgrade the connection a WebSocket: from a browser only for pages of this machine.
func (s *Server) door() http.HandlerFunc {
	page, socket := s.page(), s.public.WebsocketHandler(nil)
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			socket.ServeHTTP(w, r)
			return
		}
		page(w, r)
	}
}

// call serves JSON-RPC.
func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			http.Error(w, fmt.Sprintf("a request has at most %d bytes", MaxBody), http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "the request's body broke off", http.StatusBadRequest)
		return
	}
	body = discoverable(body)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	s.public.ServeHTTP(w, r)
}

// discoverable renames rpc.discover in a request, single or batch: the RPC server's methods are service_method, with no
// other separator. Whatever is not such a request stays as it is, for the server to refuse.
func discoverable(message []byte) []byte {
	if !bytes.Contains(message, []byte("rpc.discover")) {
		return message
	}
	rename := func(raw json.RawMessage) json.RawMessage {
		var call map[string]json.RawMessage
		if json.Unmarshal(raw, &call) != nil || string(call["method"]) != `"rpc.discover"` {
			return raw
		}
		call["method"] = json.RawMessage(`"rpc_discover"`)
		out, err := json.Marshal(call)
		if err != nil {
			return raw
		}
		return out
	}
	var calls []json.RawMessage
	if json.Unmarshal(message, &calls) != nil {
		return rename(message)
	}
	for i := range calls {
		calls[i] = rename(calls[i])
	}
	out, err := json.Marshal(calls)
	if err != nil {
		return message
	}
	return out
}

// healthz says whether the node's core answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	_, err := ask(r.Context(), s.cfg.Log, s.cfg.Backend.Health)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// readyz says whether the node can do its part.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	health, err := ask(r.Context(), s.cfg.Log, s.cfg.Backend.Health)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	body, err := json.Marshal(health)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if !health.v.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n'))
}
