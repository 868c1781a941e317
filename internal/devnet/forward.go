package devnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// rpcCall is one JSON-RPC call, or answer.
type rpcCall struct {
	Version string            `json:"jsonrpc"`
	ID      json.RawMessage   `json:"id,omitempty"`
	Method  string            `json:"method,omitempty"`
	Params  []json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage   `json:"result,omitempty"`
	Error   json.RawMessage   `json:"error,omitempty"`
}

// forwarder stands before the chain as one more endpoint of it; what it forwards, and what it makes of the answer, is its owner's.
type forwarder struct {
	chain    string
	url      string
	listener net.Listener
	client   *http.Client
	server   *http.Server
}

// newForwarder listens on loopback; nobody is answered before serve.
func newForwarder(chain string) (*forwarder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &forwarder{chain: chain, url: "http://" + listener.Addr().String(), listener: listener, client: &http.Client{Timeout: 10 * time.Second}}, nil
}

func (f *forwarder) serve(answer http.Handler) {
	f.server = &http.Server{Handler: answer, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(f.listener) }()
}

func (f *forwarder) close() error { return f.server.Close() }

// read takes a call's bytes; a caller that breaks off gets no answer.
func (f *forwarder) read(r *http.Request) []byte {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return body
}

// forward asks the chain.
func (f *forwarder) forward(r *http.Request, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, f.chain, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, 32<<20))
	return raw, errors.Join(err, res.Body.Close())
}

// reply writes an answer.
func (f *forwarder) reply(w http.ResponseWriter, raw []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(raw)
}
