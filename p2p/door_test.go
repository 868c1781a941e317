package p2p

import (
	"crypto/ecdsa"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	ethcrypto "github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"
)

// testKey is a key for tests only.
func testKey(i int) *ecdsa.PrivateKey {
	key, err := ethcrypto.ToECDSA(ethcrypto.Keccak256([]byte("p2p package test key"), []byte{byte(i)}))
	if err != nil {
		panic(err) // the constant above yields valid keys
	}
	return key
}

func testPeers(n int) []Peer {
	var out []Peer
	for i := range n {
		out = append(out, NewPeer(&testKey(i).PublicKey))
	}
	return out
}

func testConfig(n int) Config {
	return Config{
		Key: testKey(0), NetworkID: common.Hash{1}, Members: testPeers(n), Topics: []string{"facts"},
		Protocols:        []ProtocolSpec{{Name: "votes", MaxFrame: 1000, Queue: 10}},
		Requests:         []RequestSpec{{Name: "fetch", MaxBody: 1000, MaxReply: 1000}},
		ThrottleDuration: time.Second, ThrottleMax: 10, Fanout: 4, Log: zap.NewNop(),
	}
}

func testDoor(n int) (*Door, []Peer) {
	cfg := testConfig(n)
	d := NewDoor(&cfg, cfg.Members[0].Address)
	d.SetMembers(cfg.Members)
	return d, cfg.Members
}

// No window of a throttle lets more than its allowance through, whatever comes when, and of how many bytes.
func TestThrottleNeverAdmitsMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		gaps := rapid.SliceOf(rapid.IntRange(0, 300)).Draw(rt, "gaps")
		sizes := rapid.SliceOfN(rapid.IntRange(0, 5*throttleUnit), len(gaps), len(gaps)).Draw(rt, "sizes")
		synctest.Test(t, func(*testing.T) {
			d, members := testDoor(2)
			var opened time.Time
			spent, admitted, refused := 0, 0, uint64(0)
			for i, gap := range gaps {
				<-time.After(time.Duration(gap)*time.Millisecond + 1)
				if time.Since(opened) >= time.Second {
					opened, spent = time.Now(), 0
				}
				cost := 1 + sizes[i]/throttleUnit
				if err := d.Admit(members[1].Address, sizes[i]); err == nil {
					spent, admitted = spent+cost, admitted+1
				} else {
					require.ErrorIs(rt, err, ErrThrottled)
					require.Greater(rt, spent+cost, 10, "refused though there was room")
					refused++
				}
				require.LessOrEqual(rt, spent, 10)
			}
			require.Equal(rt, refused, d.Status()[0].Throttled)
			require.Equal(rt, len(gaps), admitted+int(refused))
		})
	})
}

func TestThrottleAdmitsWhatCostsMoreThanAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, members := testDoor(2)
		require.NoError(t, d.Admit(members[1].Address, MaxFrameBound), "else it could never arrive")
		require.ErrorIs(t, d.Admit(members[1].Address, 0), ErrThrottled)
		<-time.After(time.Second)
		require.NoError(t, d.Admit(members[1].Address, 0))
	})
}

func TestRefusalsCostTheForwarder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, members := testDoor(3)
		via, author := members[1].Address, members[2].Address
		bad := errors.New("signature is not the author's")
		require.NoError(t, d.Admit(via, 0))
		for _, c := range []struct {
			name    string
			author  common.Address
			err     error
			want    error
			refused uint64
		}{
			{"good", author, nil, nil, 0},
			{"own words of an earlier life", members[0].Address, nil, nil, 0},
			{"known", author, ErrIgnore, ErrIgnore, 0},
			{"bad", author, bad, bad, 1},
			{"signed by a stranger", common.Address{9}, nil, ErrUnknownPeer, 2},
		} {
			got, err := d.Judge(func(string, []byte) (common.Address, error) { return c.author, c.err }, "facts", via, nil)
			require.ErrorIs(t, err, c.want, c.name)
			if c.want == nil {
				require.Equal(t, c.author, got, c.name)
			}
			require.Equal(t, c.refused, d.Status()[indexOf(d, via)].Refused, c.name)
		}
		require.NoError(t, d.Admit(author, 0), "the author whose name was abused pays nothing")
		require.ErrorIs(t, d.Admit(via, 0), ErrThrottled, "two refusals used up an allowance of ten")
		require.ErrorIs(t, d.Admit(common.Address{9}, 0), ErrUnknownPeer)
	})
}

func indexOf(d *Door, a common.Address) int {
	for i, s := range d.Status() {
		if s.Address == a {
			return i
		}
	}
	return -1
}

func TestMembershipKeepsCountersOfThoseWhoStay(t *testing.T) {
	d, members := testDoor(3)
	stays, goes := members[1].Address, members[2].Address
	d.Drop(stays)
	require.True(t, d.SetConnected(goes, true))
	require.False(t, d.SetConnected(goes, true))
	added, removed := d.SetMembers(members[:2])
	require.Empty(t, added)
	require.Len(t, removed, 1)
	require.True(t, removed[0].Connected && removed[0].Address == goes)
	require.Equal(t, uint64(1), d.Status()[0].Dropped)
	require.ErrorIs(t, d.Connected(goes), ErrUnknownPeer)
	require.ErrorIs(t, d.Connected(stays), ErrNotConnected)
	require.False(t, d.SetConnected(goes, true), "nobody comes back by connecting")
}

func TestConfigRefusals(t *testing.T) {
	good := testConfig(3)
	require.NoError(t, good.Validate())
	for name, spoil := range map[string]func(*Config){
		"no key":                   func(c *Config) { c.Key = nil },
		"no network":               func(c *Config) { c.NetworkID = common.Hash{} },
		"no log":                   func(c *Config) { c.Log = nil },
		"no throttle window":       func(c *Config) { c.ThrottleDuration = 0 },
		"no allowance":             func(c *Config) { c.ThrottleMax = 0 },
		"fanout of one":            func(c *Config) { c.Fanout = 1 },
		"fanout too large":         func(c *Config) { c.Fanout = MaxFanout + 1 },
		"topic twice":              func(c *Config) { c.Topics = []string{"a", "a"} },
		"topic with a slash":       func(c *Config) { c.Topics = []string{"a/b"} },
		"frame without bound":      func(c *Config) { c.Protocols = []ProtocolSpec{{Name: "a", Queue: 1}} },
		"frame too large":          func(c *Config) { c.Protocols = []ProtocolSpec{{Name: "a", MaxFrame: MaxFrameBound + 1, Queue: 1}} },
		"queue of none":            func(c *Config) { c.Protocols = []ProtocolSpec{{Name: "a", MaxFrame: 1}} },
		"queue too long":           func(c *Config) { c.Protocols = []ProtocolSpec{{Name: "a", MaxFrame: 1, Queue: MaxQueue + 1}} },
		"reply without bound":      func(c *Config) { c.Requests = []RequestSpec{{Name: "a", MaxBody: 1}} },
		"member twice":             func(c *Config) { c.Members = append(testPeers(2), testPeers(1)...) },
		"member of another key":    func(c *Config) { c.Members = testPeers(2); c.Members[1].Address[0]++ },
		"member's key not a point": func(c *Config) { c.Members = testPeers(2); c.Members[1].PublicKey[0] = 9 },
		"too many members":         func(c *Config) { c.Members = make([]Peer, MaxMembers+1) },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			spoil(&c)
			require.Error(t, c.Validate())
			_, err := New(c, Handlers{})
			require.Error(t, err)
		})
	}
	require.ErrorContains(t, (&Handlers{}).Validate(&good), "Check")
}

func TestMeshParamsAreWhatGossipsubAccepts(t *testing.T) {
	for fanout := minFanout; fanout <= MaxFanout; fanout++ {
		p := meshParams(fanout)
		require.LessOrEqual(t, p.Dlo, p.D)
		require.LessOrEqual(t, p.D, p.Dhi)
		require.Less(t, p.Dout, p.Dlo, fanout)
		require.Less(t, p.Dout, p.D/2, fanout)
		require.Positive(t, p.Dscore)
	}
}
