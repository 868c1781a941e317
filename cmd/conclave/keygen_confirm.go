package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/daemon"
	"conclave/quorum"

	"golang.org/x/term"
)

// maxTyped bounds what is read of an answer.
const maxTyped = 256

// confirm shows for whom and under which rules the key is to be made, and wants its fingerprint: by the flag, or typed. Before that
// nothing is opened and nobody is called. A home that is not whole is left for the daemon to explain.
func (f *runFlags) confirm(env *cli.Env) error {
	g, err := daemon.Document(f.home)
	if err != nil {
		return explained(err)
	}
	asks := f.fingerprint == ""
	if asks && !term.IsTerminal(int(os.Stdin.Fd())) {
		return cli.Errorf(cli.Usage, "`conclave network show` shows it; --fingerprint CODE, once all members read out the same one", "nobody confirmed the fingerprint, and there is no terminal to ask at")
	}
	if !asks { // said at once, and nothing else
		if err := daemon.CheckFingerprint(g, f.fingerprint); err != nil {
			return explained(err)
		}
	}
	if asks || !env.JSON {
		if err := writeCommittee(env, env.Stderr, g); err != nil {
			return err
		}
	}
	if asks {
		if f.fingerprint, err = askFingerprint(env); err != nil {
			return err
		}
		if err := daemon.CheckFingerprint(g, f.fingerprint); err != nil {
			return explained(err)
		}
	}
	env.Note("confirmed: %s", g.Fingerprint().Code())
	return nil
}

func askFingerprint(env *cli.Env) (string, error) {
	_, _ = fmt.Fprint(env.Stderr, "\nRead it out to the other members over a channel on which you know each other. Go on only when all of you have the same.\nType it to confirm: ")
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, maxTyped)).ReadString('\n')
	if strings.TrimSpace(line) == "" {
		return "", cli.Errorf(cli.Refused, "", "nobody confirmed the fingerprint: nothing was made")
	}
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read the fingerprint: %w", err)
	}
	return line, nil
}

// writeCommittee is what people compare before there is a key.
func writeCommittee(env *cli.Env, w io.Writer, g quorum.Genesis) error {
	policy, err := quorum.ParsePolicy([]byte(g.Policy))
	if err != nil {
		return err
	}
	n := len(g.Members)
	_, err = fmt.Fprintf(w, "network      %s\ngenesis      %s, the network's id: the hash of its document\npolicy       version %d, %s\nkey          of %d members (n), %d of them sign (q), %d may fail\n\n",
		g.Name, g.ID(), policy.Version, policy.Hash, n, quorum.Size(n), quorum.Faults(n))
	if err != nil {
		return err
	}
	var rows [][]string
	for _, m := range g.Members {
		rows = append(rows, []string{m.Name, m.Address.Hex(), m.Operator.Hex()})
	}
	if err := env.Table(w, []string{"MEMBER", "NODE", "OPERATOR"}, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nfingerprint  %s\n", env.Paint(cli.Bold, g.Fingerprint().Code()))
	return err
}
