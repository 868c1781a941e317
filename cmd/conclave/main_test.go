package main

import (
	"crypto/ecdsa"
	"testing"

	"conclave/node/config"

	"github.com/stretchr/testify/require"
)

func readTestKey(path string) (*ecdsa.PrivateKey, error) { return config.ReadKey(path) }

func TestListenFollowsTheAnnouncedAddress(t *testing.T) {
	for in, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/9001":   "/ip4/127.0.0.1/tcp/9001",
		"/ip6/::1/tcp/9001":         "/ip6/::1/tcp/9001",
		"/ip4/203.0.113.7/tcp/9001": "/ip4/0.0.0.0/tcp/9001",
		"/ip6/2001:db8::1/tcp/9001": "/ip6/::/tcp/9001",
		"/dns4/a.example/tcp/9001":  "/ip4/0.0.0.0/tcp/9001",
	} {
		require.Equal(t, []string{want}, listenFor([]string{in, in}))
	}
}

func TestAddressesAreCheckedForTypos(t *testing.T) {
	const good = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	require.NoError(t, checkAddress("--a", good))
	require.NoError(t, checkAddress("--a", "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"))
	for _, bad := range []string{"", "0x", good[2:], good + "00", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0x0000000000000000000000000000000000000000"} {
		require.Error(t, checkAddress("--a", bad), bad)
	}
}

func TestEveryVerbExplainsItself(t *testing.T) {
	seen := map[string]bool{}
	for _, verb := range verbs() {
		cmd := verb(nil)
		require.NotEmpty(t, cmd.Short, cmd.Use)
		require.False(t, seen[cmd.Name()], "%s stands twice", cmd.Name())
		seen[cmd.Name()] = true
		for _, sub := range cmd.Commands() {
			require.NotEmpty(t, sub.Short, sub.Use)
			require.NotNil(t, sub.RunE, sub.Use)
		}
	}
}
