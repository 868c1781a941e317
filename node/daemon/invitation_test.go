package daemon

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/node/config"
	"conclave/quorum"
	"conclave/tss/tsstest"
)

// A home whose key is nobody's in the document opens with an invitation, and knows from it where the members are.
func TestInvitationOpensTheHomeOfANewcomer(t *testing.T) {
	dir := shortDir(t)
	saveConfig(t, dir, nil)
	require.NoError(t, config.WriteKey(filepath.Join(dir, "node.key"), tsstest.MemberKey(7)))
	require.NoError(t, config.WriteKey(filepath.Join(dir, "relay.key"), tsstest.MemberKey(1)))
	g := document(t, "devnet-test", 3)
	save(t, dir, g)
	_, err := readHome(dir)
	require.ErrorContains(t, err, "is no member of network devnet-test")

	now := g.Members[1:] // one has left since
	put := func(text string) string {
		path := filepath.Join(dir, config.InvitationName)
		require.NoError(t, config.Replace(path, []byte(text), 0o600))
		return path
	}
	path := put(quorum.Invitation{Network: g.ID(), Members: now}.String() + "\n")
	h, err := readHome(dir)
	require.NoError(t, err)
	require.Equal(t, now, h.invited)

	require.NoError(t, os.Chmod(path, 0o622))
	_, err = readHome(dir)
	var mode *config.ModeError
	require.ErrorAs(t, err, &mode)

	for text, why := range map[string]string{
		quorum.Invitation{Network: common.Hash{1}, Members: now}.String():  "the invitation is to network 0x01",
		quorum.Invitation{Network: g.ID(), Members: now}.String()[1:]:      "not an invitation",
		quorum.Invitation{Network: g.ID(), Members: now}.String() + "\n\n": "not an invitation",
		string(make([]byte, quorum.MaxInvitation+7)):                       "at most",
	} {
		put(text)
		_, err = readHome(dir)
		require.ErrorContains(t, err, why)
		var p *Problem
		require.ErrorAs(t, err, &p)
		require.Equal(t, Setup, p.Class)
		require.Contains(t, p.Hint(), "conclave member invite")
	}
}
