package e2e

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a slow cable holds at most: more than any test has on its way within a delay, and a bound all the same.
const (
	cableQueue = 4096
	packetSize = 65_535
)

// cable joins two tun devices in two namespaces and carries packets from one to the other: a delay for kernels that have
// no netem. It never changes their order, and loses what comes while the queue is full.
type cable struct {
	router, network *os.File
	wait            sync.WaitGroup
}

// parcel is one packet and when it arrives.
type parcel struct {
	bytes []byte
	due   time.Time
}

// openTun makes a tun device in the namespace of the thread that calls.
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make tun device %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// serve carries packets until both ends are closed: those to the network late, those from it at once, as netem on the
// router's end would.
func (c *cable) serve(delay time.Duration) {
	late := make(chan parcel, cableQueue)
	c.wait.Go(func() {
		defer close(late)
		receive(c.router, func(p []byte) {
			select {
			case late <- parcel{append([]byte(nil), p...), time.Now().Add(delay)}:
			default: // lost: a full cable loses
			}
		})
	})
	c.wait.Go(func() {
		for p := range late {
			<-time.After(time.Until(p.due))
			_, _ = c.network.Write(p.bytes) // an end that is closed, or not up yet, loses the packet
		}
	})
	c.wait.Go(func() {
		receive(c.network, func(p []byte) { _, _ = c.router.Write(p) })
	})
}

// receive hands over each packet that leaves the namespace through a device, until the device is closed.
func receive(f *os.File, each func([]byte)) {
	buf := make([]byte, packetSize)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		each(buf[:n])
	}
}

// close unplugs both ends and returns when nothing of the cable runs.
func (c *cable) close() error {
	err := c.router.Close()
	if e := c.network.Close(); err == nil {
		err = e
	}
	c.wait.Wait()
	return err
}
