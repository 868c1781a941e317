package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
	"golang.org/x/sys/unix"
)

// ErrSocketInUse means that another process answers on the socket.
var ErrSocketInUse = errors.New("another process answers on the socket")

const (
	// probeTimeout is how long a live process may take to accept.
	probeTimeout = time.Second
	// socketIdle closes a connection on which nothing came.
	socketIdle = 5 * time.Minute
)

// listenSocket opens the operator's socket, mode 0600. What a dead process left behind is replaced.
func listenSocket(path string) (net.Listener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	// The mode is set before the socket has a name, where the system can do that, so that there is no moment in which others
	// could connect. Elsewhere the home's own mode closes that moment.
	cfg := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.Fchmod(int(fd), 0o600) })
	}}
	l, err := cfg.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// clearSocket removes a socket that nobody answers on. It touches nothing that is no socket.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	c, err := net.DialTimeout("unix", path, probeTimeout)
	if err == nil {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrSocketInUse), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w: %w", path, ErrSocketInUse, err)
	}
	return os.Remove(path)
}

// serveSocket answers each connection until it or ctx ends.
func (s *Server) serveSocket(ctx context.Context, l net.Listener) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		all.Go(func() {
			// Stop ends those that the RPC server knows; one that comes in between is ended here.
			end := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer end()
			s.own.ServeCodec(rpc.NewCodec(newMessages(c)), 0)
		})
	}
}

// messages is a connection whose reader passes one bounded JSON document on at a time.
type messages struct {
	net.Conn
	dec  *json.Decoder
	left int64
	next []byte
}

func newMessages(c net.Conn) *messages {
	m := &messages{Conn: c, left: MaxBody}
	m.dec = json.NewDecoder(budget{m})
	return m
}

// budget ends the reading of a document that is too long.
type budget struct{ m *messages }

var errTooLong = errors.New("a request is too long")

// Read implements io.Reader.
func (b budget) Read(p []byte) (int, error) {
	if b.m.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.m.Conn.Read(p[:min(int64(len(p)), b.m.left)])
	b.m.left -= int64(n)
	return n, err
}

// Read implements io.Reader.
func (m *messages) Read(p []byte) (int, error) {
	if len(m.next) == 0 {
		if err := m.SetReadDeadline(time.Now().Add(socketIdle)); err != nil {
			return 0, err
		}
		// The decoder may have read ahead into the next document; that is counted to this one and bounds nothing wrongly by
		// more than its buffer.
		m.left = MaxBody
		var raw json.RawMessage
		if err := m.dec.Decode(&raw); err != nil {
			return 0, err
		}
		m.next = append(discoverable(raw), '\n')
	}
	n := copy(p, m.next)
	m.next = m.next[n:]
	return n, nil
}
