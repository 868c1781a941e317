package p2p

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	// frameHead is the length prefix: four bytes, big-endian.
	frameHead = 4
	// frameTrust is how much is allocated on the word of a length prefix alone; beyond it, memory follows what has arrived.
	frameTrust = 64 << 10
)

// appendFrame appends the encoding of one frame.
func appendFrame(dst, frame []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(frame)))
	return append(dst, frame...)
}

// readHead returns the length of the frame that follows; a length over max is ErrFrameTooLarge, before anything is allocated.
// io.EOF means that the stream ended between frames.
func readHead(r io.Reader, max int) (int, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(max) {
		return 0, fmt.Errorf("frame of %d bytes, at most %d: %w", n, max, ErrFrameTooLarge)
	}
	return int(n), nil
}

// readBody reads the n bytes that readHead announced; a stream that ends before is io.ErrUnexpectedEOF.
func readBody(r io.Reader, n int) ([]byte, error) {
	if n <= frameTrust {
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, unexpected(err)
		}
		return body, nil
	}
	var body bytes.Buffer
	body.Grow(frameTrust)
	if _, err := io.CopyN(&body, r, int64(n)); err != nil {
		return nil, unexpected(err)
	}
	return body.Bytes(), nil
}

// readFrame reads one whole frame of at most max bytes.
func readFrame(r io.Reader, max int) ([]byte, error) {
	n, err := readHead(r, max)
	if err != nil {
		return nil, err
	}
	return readBody(r, n)
}

// unexpected turns the end of a stream inside a frame into an error of its own: only between frames is it regular.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
