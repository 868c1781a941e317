package simnet

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"conclave/p2p/memnet"
)

// Storm is bad weather on every link: messages are lost, delivered twice and late, and so overtake each other. What
// happens to a message follows from the seed, its link, its bytes and the time of day, not from the order in which
// goroutines ask.
type Storm struct {
	Seed         uint64
	Lose, Double uint64 // percent
	Delay        time.Duration
}

// dice is a number that looks random and follows from a storm, a purpose and a message.
func (s Storm) dice(purpose byte, m memnet.Message) uint64 {
	h := fnv.New64a()
	head := binary.BigEndian.AppendUint64([]byte{purpose}, s.Seed)
	head = binary.BigEndian.AppendUint64(head, uint64(m.Sent.UnixMicro()))
	if m.Again {
		head = append(head, 1)
	}
	for _, part := range [][]byte{head, m.From[:], m.To[:], []byte(m.Name), m.Data} {
		_, _ = h.Write(part)
	}
	return stir(h.Sum64())
}

// stir mixes a sum of FNV, whose low bits follow too closely from the last bytes.
func stir(x uint64) uint64 {
	x ^= x >> 31
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

func (s Storm) hits(purpose byte, percent uint64, m memnet.Message) bool {
	return percent > 0 && s.dice(purpose, m)%100 < percent
}

// late is what the storm adds to a message's way: mostly little, sometimes the whole of it.
func (s Storm) late(m memnet.Message) time.Duration {
	if s.Delay <= 0 {
		return 0
	}
	d := s.dice('d', m)
	most := s.Delay
	if d%4 > 0 {
		most /= 10
	}
	return time.Duration(d>>8) % (most + 1)
}

// Storm changes the weather; the zero Storm is none.
func (w *World) Storm(s Storm) {
	w.wire.mu.Lock()
	w.wire.storm = s
	w.wire.mu.Unlock()
	w.Hub.Double(func(m memnet.Message) bool { return s.hits('2', s.Double, m) })
	w.Hub.Delay(func(m memnet.Message) time.Duration { return latency(m) + s.late(m) })
}
