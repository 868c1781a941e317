package quorum_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"conclave/quorum"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

func samplePolicy(t tb) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "policy.toml"))
	require.NoError(t, err)
	return b
}

func sampleGenesis(t tb) quorum.Genesis {
	t.Helper()
	return quorum.Genesis{
		Version: quorum.GenesisVersion,
		Name:    "testnet",
		Members: newCommittee(t, 4).roster.Members,
		Lanes: []quorum.Lane{{
			Network: "devnet", ChainID: 1337, Way: quorum.WaySingle, DepositAddress: address(0xde), BenefitContract: address(0xbe),
			Finality: 2, FirstNonce: 0, MinEndpoints: 1,
		}},
		FeeAddress:    address(0xfe),
		DaoAddress:    address(0xda),
		VestingAdmins: []common.Address{address(0xad)},
		Policy:        string(samplePolicy(t)),
	}
}

func asJSON(t tb, v any) []byte {
	t.Helper()
	b, err := json.MarshalIndent(v, "", "  ")
	require.NoError(t, err)
	return b
}

func TestGenesisRoundTrip(t *testing.T) {
	g := sampleGenesis(t)
	again, err := quorum.ParseGenesis(asJSON(t, g))
	require.NoError(t, err)
	require.Equal(t, g.ID(), again.ID())
	r, err := again.Roster()
	require.NoError(t, err)
	require.Zero(t, r.Epoch)
	require.Len(t, r.Members, 4)
	lane, ok := again.LaneOf("devnet")
	require.True(t, ok)
	require.Equal(t, quorum.LaneKey{ChainID: 1337, Payer: address(1)}, lane.Key(address(1)))
	require.Equal(t, quorum.NonceKey{ChainID: 1337, Payer: address(1)}, lane.Key(address(1)).Nonces())
	_, ok = again.LaneOf("mainnet")
	require.False(t, ok)
}

func TestSignaturesAreNotPartOfTheID(t *testing.T) {
	g := sampleGenesis(t)
	id := g.ID()
	g.Signatures = []quorum.Signature{{1}}
	require.Equal(t, id, g.ID())
	g.Policy += " "
	require.NotEqual(t, id, g.ID(), "a byte of the policy is another network")
}

func TestGenesisRefuses(t *testing.T) {
	for what, c := range map[string]struct {
		change func(g *quorum.Genesis)
		want   string
	}{
		"version":                  {func(g *quorum.Genesis) { g.Version = 2 }, "version 2"},
		"no name":                  {func(g *quorum.Genesis) { g.Name = "" }, "name"},
		"a path as name":           {func(g *quorum.Genesis) { g.Name = "a/b" }, "name"},
		"a colon in the name":      {func(g *quorum.Genesis) { g.Name = "a:b" }, "name"},
		"a long name":              {func(g *quorum.Genesis) { g.Name = strings.Repeat("a", 65) }, "name"},
		"no lane":                  {func(g *quorum.Genesis) { g.Lanes = nil }, "0 lanes"},
		"a cut-over without root":  {func(g *quorum.Genesis) { g.Cutover.Event = 7 }, "cut-over: the root"},
		"a root without cut-over":  {func(g *quorum.Genesis) { g.Cutover.Root[0] = 1 }, "cut-over"},
		"carried without cut-over": {func(g *quorum.Genesis) { g.Cutover.Carried = []uint64{1} }, "cut-over"},
		"carried twice": {func(g *quorum.Genesis) {
			g.Cutover = quorum.Cutover{Event: 7, Root: common.Hash{1}, Carried: []uint64{3, 3}}
		}, "ascend"},
		"vesting out of order": {func(g *quorum.Genesis) {
			g.Cutover = quorum.Cutover{Event: 7, Root: common.Hash{1}, Vesting: []common.Hash{{2}, {1}}}
		}, "ascend"},
		"order of members": {func(g *quorum.Genesis) { g.Members[0], g.Members[1] = g.Members[1], g.Members[0] }, "ascending"},
		"a member twice":   {func(g *quorum.Genesis) { g.Members[1] = g.Members[0] }, "stands twice"},
		"no policy":        {func(g *quorum.Genesis) { g.Policy = "" }, "policy"},
		"a lane twice":     {func(g *quorum.Genesis) { g.Lanes = append(g.Lanes, g.Lanes[0]) }, "stands twice"},
		"a token twice": {func(g *quorum.Genesis) {
			l := g.Lanes[0]
			l.Network = "other"
			g.Lanes = append(g.Lanes, l)
		}, "stands twice"},
		"no network":            {func(g *quorum.Genesis) { g.Lanes[0].Network = "" }, "network name must"},
		"a network that paints": {func(g *quorum.Genesis) { g.Lanes[0].Network = "dev\x1b[2Jnet" }, "network name must"},
		"no chain":              {func(g *quorum.Genesis) { g.Lanes[0].ChainID = 0 }, "chain_id"},
		"an unknown way":        {func(g *quorum.Genesis) { g.Lanes[0].Way = "express" }, "not supported"},
		"a contract":            {func(g *quorum.Genesis) { g.Lanes[0].Contract = address(1) }, "no use with way"},
		"no contract":           {func(g *quorum.Genesis) { g.Lanes[0].Way = quorum.WayBatch }, "needs the payout contract"},
		"a contract that is the token": {func(g *quorum.Genesis) {
			l := &g.Lanes[0]
			l.Way, l.Contract, l.Token = quorum.WayBatch, address(2), address(2)
		}, "an address of its own"},
		"a contract that is another": {func(g *quorum.Genesis) {
			l := &g.Lanes[0]
			l.Way, l.Contract = quorum.WayBatch, l.DepositAddress
		}, "an address of its own"},
		"no deposits":  {func(g *quorum.Genesis) { g.Lanes[0].DepositAddress = common.Address{} }, "deposit_address"},
		"no endpoints": {func(g *quorum.Genesis) { g.Lanes[0].MinEndpoints = 0 }, "min_endpoints"},
		"no tariff":    {func(g *quorum.Genesis) { g.Lanes[0].Network = "mainnet" }, "no tariff"},
	} {
		g := sampleGenesis(t)
		change := c.change
		change(&g)
		_, err := quorum.ParseGenesis(asJSON(t, g))
		require.ErrorContains(t, err, c.want, what)
		require.NotContains(t, err.Error(), "\n", what)
	}
}

func TestALaneThatPaysBatches(t *testing.T) {
	g := sampleGenesis(t)
	g.Lanes[0].Way, g.Lanes[0].Contract = quorum.WayBatch, address(1)
	for _, token := range []common.Address{{}, address(2)} {
		g.Lanes[0].Token = token
		got, err := quorum.ParseGenesis(asJSON(t, g))
		require.NoError(t, err)
		require.Equal(t, g.Lanes, got.Lanes)
	}
	other := g
	other.Lanes = slices.Clone(g.Lanes)
	other.Lanes[0].Contract = address(2)
	require.NotEqual(t, g.ID(), other.ID(), "another contract is another network")
}

func TestGenesisJSONIsStrict(t *testing.T) {
	text := string(asJSON(t, sampleGenesis(t)))
	for what, c := range map[string]struct{ from, to, want string }{
		"unknown field":          {`"version": 1,`, `"version": 1, "extra": 1,`, "extra"},
		"unknown field of lane":  {`"chain_id": 1337,`, `"chain_id": 1337, "speed": 1,`, "speed"},
		"a field twice":          {`"version": 1,`, `"version": 1, "version": 1,`, "twice"},
		"a field in two cases":   {`"version": 1,`, `"version": 2, "VERSION": 1,`, "twice"},
		"a field in two scripts": {`"version": 1,`, "\"version\": 2, \"ver\u017fion\": 1,", "field"},
		"a float":                {`"version": 1,`, `"version": 1.5,`, "number"},
		"a negative":             {`"chain_id": 1337,`, `"chain_id": -1,`, "number"},
		"a short address":        {`"fee_address": "0x`, `"fee_address": "0x00`, "Address"},
	} {
		bent := strings.Replace(text, c.from, c.to, 1)
		require.NotEqual(t, text, bent, what)
		_, err := quorum.ParseGenesis([]byte(bent))
		require.ErrorContains(t, err, c.want, what)
	}
	for what, file := range map[string]string{
		"two documents": text + text, "nothing": "", "null": "null", "a list": "[]", "cut off": text[:len(text)/2],
		"too long": text + strings.Repeat(" ", quorum.MaxGenesisFile), "deep": strings.Repeat("[", 1000),
	} {
		_, err := quorum.ParseGenesis([]byte(file))
		require.Error(t, err, what)
	}
}

func memberRecord(t tb, i int) quorum.SignedMember {
	t.Helper()
	key := testKey("member", i)
	m := testMember(i, key)
	sig, err := quorum.SignDigest(key, quorum.MemberDigest(m))
	require.NoError(t, err)
	return quorum.SignedMember{Member: m, Signature: sig}
}

func TestMemberRecordRoundTrip(t *testing.T) {
	rec := memberRecord(t, 0)
	again, err := quorum.ParseMember(asJSON(t, rec))
	require.NoError(t, err)
	require.Equal(t, rec, again)
	require.NoError(t, again.Check())
}

func TestMemberRecordRefuses(t *testing.T) {
	rec := memberRecord(t, 0)
	other := memberRecord(t, 1)
	for what, c := range map[string]struct {
		change func(m *quorum.SignedMember)
		want   string
	}{
		"another operator":    {func(m *quorum.SignedMember) { m.Operator = address(1) }, "own key"},
		"another address":     {func(m *quorum.SignedMember) { m.Address = other.Address }, "public key"},
		"another multiaddr":   {func(m *quorum.SignedMember) { m.Multiaddrs = []string{"/ip4/10.0.0.1/tcp/1"} }, "own key"},
		"another's signature": {func(m *quorum.SignedMember) { m.Signature = other.Signature }, "own key"},
		"no signature":        {func(m *quorum.SignedMember) { m.Signature = quorum.Signature{} }, "own key"},
	} {
		bent := rec
		c.change(&bent)
		_, err := quorum.ParseMember(asJSON(t, bent))
		require.ErrorContains(t, err, c.want, what)
	}
	_, err := quorum.ParseMember([]byte(`{"name":"a","password":"b"}`))
	require.ErrorContains(t, err, "password")
	_, err = quorum.ParseMember(make([]byte, quorum.MaxStatement+1))
	require.ErrorContains(t, err, "at most")
}
