package relaysim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Transport calls a handler without a socket. A broken connection becomes an error, as it would on the wire.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ h http.Handler }

func (t transport) RoundTrip(r *http.Request) (res *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	defer func() {
		p := recover()
		if b, ok := p.(broken); ok {
			res, err = nil, b.err
			return
		}
		switch {
		case p == nil:
		case p == http.ErrAbortHandler:
			if res, err = nil, r.Context().Err(); err == nil {
				err = errors.New("connection reset")
			}
		default:
			panic(p)
		}
	}()
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	t.h.ServeHTTP(rec, in)
	res = &http.Response{
		Status: http.StatusText(rec.status), StatusCode: rec.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rec.header, Body: io.NopCloser(&rec.body), ContentLength: int64(rec.body.Len()), Request: r,
	}
	if rec.made != nil {
		res.Body, res.ContentLength = io.NopCloser(rec.made), -1
	}
	return res, nil
}

// recorder keeps what a handler answers.
type recorder struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
	made   io.Reader // a body that is made while it is read, in place of body
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}
