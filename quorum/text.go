package quorum

import (
	"encoding/hex"
	"fmt"
)

// hexText is 0x-hex of b.
func hexText(b []byte) []byte { return []byte("0x" + hex.EncodeToString(b)) }

// unhexText reads exactly len(into) bytes of 0x-hex.
func unhexText(b, into []byte) error {
	if len(b) != 2+2*len(into) || b[0] != '0' || b[1] != 'x' {
		return fmt.Errorf("want 0x and %d hex digits", 2*len(into))
	}
	_, err := hex.Decode(into, b[2:])
	return err
}
