//go:build e2e

package e2e_test

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"conclave/internal/e2e"
)

// Libraries below the devnet keep these for as long as the process lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/ipfs/go-log/writer.(*MirrorWriter).logRoutine"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
		// It ends within a second of its database; a leak is looked for during half of one.
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}

// hearing is how long a datagram may take within one machine.
const hearing = 500 * time.Millisecond

// inside runs the test again in a namespace of its own, where it reports true.
func inside(t *testing.T) bool {
	t.Helper()
	if e2e.Inside() {
		return true
	}
	if why := e2e.Missing(); why != "" {
		t.Skipf("skipped: %s", why)
	}
	args := append([]string{"-test.run", "^" + t.Name() + "$"}, "-test.v", "-test.timeout", "50m")
	require.NoError(t, e2e.Again(args...), "the test as it ran in its namespace")
	return false
}

// post is one host's socket.
type post struct {
	*net.UDPConn
	sent byte
}

// hears reports whether a datagram gets through. Each has a number, so that a late one is not taken for the next.
func (to *post) hears(t *testing.T, from *post) bool {
	t.Helper()
	from.sent++
	_, err := from.WriteTo([]byte{from.sent}, to.LocalAddr())
	require.NoError(t, err)
	require.NoError(t, to.SetReadDeadline(time.Now().Add(hearing)))
	for got := make([]byte, 1); ; {
		_, sender, err := to.ReadFrom(got)
		if err != nil {
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			return false
		}
		if got[0] == from.sent && sender.String() == from.LocalAddr().String() {
			return true
		}
	}
}

func openPosts(t *testing.T, lab *e2e.Lab, n int) []*post {
	t.Helper()
	posts := make([]*post, n)
	for i := range posts {
		require.NoError(t, lab.Within(i, func() error {
			c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(lab.Host(i)), Port: 4000})
			posts[i] = &post{UDPConn: c}
			return err
		}))
		t.Cleanup(func() { require.NoError(t, posts[i].Close()) })
	}
	// A cable that was just plugged in is silent for a moment.
	for i := range posts {
		for tries := 0; !posts[i].hears(t, posts[(i+1)%n]); tries++ {
			require.Less(t, tries, 20, "network %d stays silent", i)
		}
	}
	return posts
}

// The lab's own rules hold: what is cut is cut in that direction alone, what is healed is whole, and of what is lost half comes
// through when half is lost.
func TestTheWire(t *testing.T) {
	if !inside(t) {
		return
	}
	ctx := t.Context()
	lab, err := e2e.NewLab(ctx, 3, 0)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	require.NoError(t, err)
	p := openPosts(t, lab, 3)

	require.NoError(t, lab.Cut(ctx, e2e.Cut{From: 1, To: 0}))
	require.False(t, p[0].hears(t, p[1]))
	require.True(t, p[1].hears(t, p[0]), "the other direction is open")
	require.NoError(t, lab.Cut(ctx, e2e.Between([]int{0}, []int{2})...))
	require.False(t, p[0].hears(t, p[2]))
	require.False(t, p[2].hears(t, p[0]))
	require.True(t, p[2].hears(t, p[1]))
	require.NoError(t, lab.Heal(ctx))
	require.True(t, p[0].hears(t, p[1]))
	require.True(t, p[2].hears(t, p[0]))

	const many = 200
	require.NoError(t, lab.Loss(ctx, 50))
	for range many {
		_, err := p[1].WriteTo([]byte{0}, p[2].LocalAddr())
		require.NoError(t, err)
	}
	cut, lost, err := lab.Dropped(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 3, cut)
	require.InDelta(t, many/2, lost, many/4)
	require.NoError(t, lab.Loss(ctx, 0))
	require.True(t, p[2].hears(t, p[1]))
}

// What is delayed is that late, in each direction, and comes in order.
func TestLateOnTheWire(t *testing.T) {
	if !inside(t) {
		return
	}
	const late = 50 * time.Millisecond
	lab, err := e2e.NewLab(t.Context(), 2, late)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	require.NoError(t, err)
	if !strings.HasPrefix(lab.Delay(), late.String()) {
		t.Skipf("skipped: %s here, for the kernel has neither netem nor tun devices", lab.Delay())
	}
	t.Log(lab.Delay())
	p := openPosts(t, lab, 2)
	for i := range p {
		began := time.Now()
		for number := range byte(100) {
			_, err := p[i].WriteTo([]byte{number}, p[1-i].LocalAddr())
			require.NoError(t, err)
		}
		require.NoError(t, p[1-i].SetReadDeadline(time.Now().Add(10*time.Second)))
		for number := range byte(100) {
			got := make([]byte, 1)
			_, _, err := p[1-i].ReadFrom(got)
			require.NoError(t, err)
			require.Equal(t, number, got[0])
			require.GreaterOrEqual(t, time.Since(began), late)
		}
	}
}

// A namespace's loopback is its own, and what is passed on reaches it.
func TestPassedOn(t *testing.T) {
	if !inside(t) {
		return
	}
	lab, err := e2e.NewLab(t.Context(), 1, 0)
	t.Cleanup(func() { require.NoError(t, lab.Close()) })
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { require.NoError(t, l.Close()); <-served })

	dial := func() (c net.Conn, err error) {
		err = lab.Within(0, func() error { c, err = net.Dial("tcp", l.Addr().String()); return err })
		return c, err
	}
	_, err = dial()
	require.Error(t, err, "nothing listens there yet")
	require.NoError(t, lab.Forward(0, e2e.Router, l.Addr().String()))
	c, err := dial()
	require.NoError(t, err)
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	back, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(back))
	require.NoError(t, c.Close())
}
