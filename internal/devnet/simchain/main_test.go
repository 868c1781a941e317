package simchain_test

import (
	"testing"

	"go.uber.org/goleak"
)

// The library leaves two kinds of goroutines behind: leveldb's buffer pool ends up to a minute after its database, and
// the sender cache of core lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
	)
}
