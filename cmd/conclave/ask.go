package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"conclave/cmd/conclave/internal/cli"
	"conclave/node/api"
	"conclave/node/config"

	"github.com/ethereum/go-ethereum/rpc"
	"github.com/spf13/cobra"
)

// askTimeout bounds one question to a node, a little above what the node grants itself.
const askTimeout = 15 * time.Second

// target is which node a verb asks.
type target struct{ rpc, home string }

func (t *target) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.rpc, "rpc", "", fmt.Sprintf("URL of the node's API (default: the socket of --home, else %s)", defaultURL()))
	cmd.Flags().StringVar(&t.home, "home", "", "ask the node of this home, over its socket")
}

func defaultURL() string { return "http://" + config.Default().API.Listen }

// where is the node's address, for the RPC client and for people.
func (t target) where() (string, error) {
	switch {
	case t.rpc != "" && t.home != "":
		return "", cli.Errorf(cli.Usage, "", "give either --rpc or --home")
	case t.home != "":
		cfg, err := config.Load(t.home)
		return cfg.SocketPath(), err
	case t.rpc == "":
		return defaultURL(), nil
	}
	u, err := url.Parse(t.rpc)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", cli.Errorf(cli.Usage, "like "+defaultURL(), "--rpc: want http://host:port, not %q", t.rpc)
	}
	return t.rpc, nil
}

// ask makes one call and decodes its result. raw is the result as the node gave it, for --json.
func ask[T any](t target, method string, args ...any) (v T, raw json.RawMessage, err error) {
	return askWithin[T](t, askTimeout, method, args...)
}

// askWithin is ask for what takes longer.
func askWithin[T any](t target, within time.Duration, method string, args ...any) (v T, raw json.RawMessage, err error) {
	where, err := t.where()
	if err != nil {
		return v, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	client, err := rpc.DialContext(ctx, where)
	if err != nil {
		return v, nil, t.unreachable(where, err)
	}
	defer client.Close()
	if err := client.CallContext(ctx, &raw, method, args...); err != nil {
		return v, nil, t.refused(where, err)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, nil, cli.Errorf(cli.Failed, "use the node's own version of conclave", "%s: %w", method, err)
	}
	return v, raw, nil
}

// refused tells the node's own no from no answer.
func (t target) refused(where string, err error) error {
	var own rpc.Error
	if !errors.As(err, &own) {
		return t.unreachable(where, err)
	}
	hint := ""
	var more rpc.DataError
	if errors.As(err, &more) {
		if data, ok := more.ErrorData().(map[string]any); ok {
			hint, _ = data["hint"].(string)
		}
	}
	code := cli.Failed
	switch own.ErrorCode() {
	case api.CodeNetworkHalted, api.CodeCeremony:
		code = cli.Refused
	case api.CodePassword:
		code = cli.Usage
	case api.CodeLockedOut:
		code = cli.Sealed
	}
	return cli.With(code, err, hint)
}

func (t target) unreachable(where string, err error) error {
	hint := "`conclave run --home DIR` starts it; --rpc URL or --home DIR name another"
	if t.home != "" {
		hint = "`conclave run --home " + t.home + "` starts it"
	}
	return cli.Errorf(cli.Failed, hint, "no node answers at %s: %s", where, reason(err))
}

// reason is the innermost part of an error of the network: the layers above it repeat the address.
func reason(err error) string {
	var status rpc.HTTPError
	if errors.As(err, &status) {
		return strings.TrimSpace(status.Status + " " + string(status.Body))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
