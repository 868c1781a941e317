package ledger

import (
	"os"

	"github.com/stretchr/testify/require"
)

func makeDir(t require.TestingT, dir string) { require.NoError(t, os.Mkdir(dir, 0o700)) }
