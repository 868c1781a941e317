package p2p

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFramesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		frames := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 8).Draw(t, "frames")
		var wire []byte
		for _, f := range frames {
			wire = appendFrame(wire, f)
		}
		r := bytes.NewReader(wire)
		for _, want := range frames {
			got, err := readFrame(r, 300)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v, want %x", got, err, want)
			}
		}
		if _, err := readFrame(r, 300); err != io.EOF {
			t.Fatalf("end between frames: %v", err)
		}
	})
}

func TestFrameAboveTheTrustedSize(t *testing.T) {
	want := bytes.Repeat([]byte{7}, 3*frameTrust+1)
	got, err := readFrame(bytes.NewReader(appendFrame(nil, want)), len(want))
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
}

func TestFrameRefusals(t *testing.T) {
	tooLong := appendFrame(nil, make([]byte, 11))
	for _, c := range []struct {
		name string
		wire []byte
		want error
	}{
		{"one byte over the bound", tooLong, ErrFrameTooLarge},
		{"the largest length there is", []byte{255, 255, 255, 255}, ErrFrameTooLarge},
		{"cut in the head", tooLong[:3], io.ErrUnexpectedEOF},
		{"cut after the head", appendFrame(nil, make([]byte, 10))[:4], io.ErrUnexpectedEOF},
		{"cut in the body", appendFrame(nil, make([]byte, 10))[:9], io.ErrUnexpectedEOF},
		{"nothing", nil, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readFrame(bytes.NewReader(c.wire), 10)
			require.ErrorIs(t, err, c.want)
		})
	}
}

// A peer that announces the largest frame and sends nothing must not make us allocate it.
func TestAnnouncedFrameCostsNothing(t *testing.T) {
	head := appendFrame(nil, make([]byte, MaxFrameBound))[:frameHead]
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := readFrame(bytes.NewReader(head), MaxFrameBound)
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(MaxFrameBound/8))
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{}, uint16(10))
	f.Add(appendFrame(nil, []byte("hello")), uint16(5))
	f.Add(appendFrame(nil, []byte("hello")), uint16(4))
	f.Add([]byte{255, 255, 255, 255, 0}, uint16(65535))
	f.Fuzz(func(t *testing.T, wire []byte, bound uint16) {
		r := bytes.NewReader(wire)
		var again []byte
		for {
			frame, err := readFrame(r, int(bound))
			if err != nil {
				break
			}
			require.LessOrEqual(t, len(frame), int(bound))
			again = appendFrame(again, frame)
		}
		require.True(t, bytes.HasPrefix(wire, again), "one encoding per frame")
	})
}
