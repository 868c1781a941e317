package main

import (
	"os"

	"conclave/cmd/conclave/internal/cli"
)

func main() {
	env := cli.System()
	os.Exit(int(env.Execute(newRoot(env), os.Args[1:])))
}
