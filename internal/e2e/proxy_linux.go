package e2e

import (
	"errors"
	"io"
	"net"
	"sync"
)

// proxy passes connections on from one namespace to another: a socket belongs to the namespace that it was opened in, whoever
// reads it.
type proxy struct {
	listener *net.TCPListener
	dial     func() (*net.TCPConn, error)
	wait     sync.WaitGroup

	mu     sync.Mutex // guards open and closed
	open   map[*net.TCPConn]struct{}
	closed bool
}

func (p *proxy) serve() {
	for {
		from, err := p.listener.AcceptTCP()
		if err != nil {
			return // closed
		}
		p.wait.Go(func() { p.pass(from) })
	}
}

// pass lives as long as one connection.
func (p *proxy) pass(from *net.TCPConn) {
	defer p.forget(from)
	if !p.keep(from) {
		return
	}
	to, err := p.dial()
	if err != nil {
		return
	}
	defer p.forget(to)
	if !p.keep(to) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(to, from); _ = to.CloseWrite() })
	both.Go(func() { _, _ = io.Copy(from, to); _ = from.CloseWrite() })
	both.Wait()
}

func (p *proxy) keep(c *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[*net.TCPConn]struct{}{}
	}
	p.open[c] = struct{}{}
	return !p.closed
}

func (p *proxy) forget(c *net.TCPConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}

// close ends all connections, and returns when nothing of the proxy runs.
func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		if e := c.Close(); e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	p.mu.Unlock()
	p.wait.Wait()
	return err
}
