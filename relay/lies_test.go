package relay

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"conclave/relay/relaysim"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
)

// How the door takes answers that a proxy, an outage or a machine in between can cause as well as a hostile Relay: nothing of
// them enters, and they trip nothing.
func TestWrongAnswersOverASocket(t *testing.T) {
	for mode, c := range map[relaysim.Mode]struct {
		rule   Rule // empty: transient
		status int
	}{
		relaysim.SlowDrip:    {"", 0},
		relaysim.Gigabyte:    {RuleBodyTooLarge, 0},
		relaysim.ContentType: {RuleContentType, 0},
		relaysim.Redirect:    {RuleRedirect, 0},
		relaysim.Page500:     {"", 500},
	} {
		t.Run(mode.String(), func(t *testing.T) {
			sim, err := relaysim.New(relaysim.Config{APIKey: recordedAPIKey})
			require.NoError(t, err)
			sim.CreditTask(node, big.NewInt(5))
			require.NoError(t, sim.View(0).Misbehave(relaysim.Lie{Mode: mode, About: node}))
			server := httptest.NewServer(sim)
			defer server.Close()
			client := socketClient(t, server.URL, http.DefaultTransport, 500*time.Millisecond)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			rows, err := client.Events(t.Context(), 0, 100)
			runtime.ReadMemStats(&after)
			require.Nil(t, rows)
			require.False(t, IsHostile(err))
			require.NotContains(t, err.Error(), "signature=")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), "the answer is not read to its end")
			if c.rule != "" {
				var r *Refusal
				require.ErrorAs(t, err, &r)
				require.Equal(t, c.rule, r.Rule)
				return
			}
			var transient *Transient
			require.ErrorAs(t, err, &transient)
			require.Equal(t, c.status, transient.Status)

			sim.View(0).Repent()
			rows, err = client.Events(t.Context(), 0, 100)
			require.NoError(t, err)
			require.Len(t, rows, 1)
		})
	}
}

// A drip is given up at the time-out, which bounds the whole call, not the wait for its first byte.
func TestSlowDripTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.SlowDrip}))
		s.credit(1)
		began := time.Now()
		_, err := s.client.Events(t.Context(), 0, 1)
		var transient *Transient
		require.ErrorAs(t, err, &transient)
		require.Equal(t, DefaultTimeout, time.Since(began))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = s.client.Events(ctx, 0, 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorAs(t, err, &transient)
	})
}

// A connection that cannot be trusted is no answer: nothing is read from it, and intake waits.
func TestTLSErrors(t *testing.T) {
	trusted := func(s *httptest.Server) *x509.CertPool {
		pool := x509.NewCertPool()
		pool.AddCert(s.Certificate())
		return pool
	}
	for name, c := range map[string]struct {
		server func(*httptest.Server) // before it starts
		pool   func(*httptest.Server) *x509.CertPool
		host   string
		good   bool
	}{
		"trusted":       {pool: trusted, good: true},
		"unknown CA":    {pool: func(*httptest.Server) *x509.CertPool { return x509.NewCertPool() }},
		"another name":  {pool: trusted, host: "localhost"},
		"expired":       {server: func(s *httptest.Server) { s.TLS = &tls.Config{Certificates: []tls.Certificate{expired(t)}} }, pool: trusted},
		"old protocol":  {server: func(s *httptest.Server) { s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} }, pool: trusted},
		"wants a proof": {server: func(s *httptest.Server) { s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert} }, pool: trusted},
	} {
		t.Run(name, func(t *testing.T) {
			sim, err := relaysim.New(relaysim.Config{APIKey: recordedAPIKey})
			require.NoError(t, err)
			sim.CreditTask(node, big.NewInt(5))
			called := false
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				called = true
				sim.ServeHTTP(w, r)
			}))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes fail by intent
			if c.server != nil {
				c.server(server)
			}
			server.StartTLS()
			defer server.Close()
			url := server.URL
			if c.host != "" {
				_, port, err := net.SplitHostPort(server.Listener.Addr().String())
				require.NoError(t, err)
				url = "https://" + net.JoinHostPort(c.host, port)
			}
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.pool(server)}}
			defer tr.CloseIdleConnections()
			rows, err := socketClient(t, url, tr, 5*time.Second).Events(t.Context(), 0, 10)
			if c.good {
				require.NoError(t, err)
				require.Len(t, rows, 1)
				return
			}
			var transient *Transient
			require.ErrorAs(t, err, &transient)
			require.Zero(t, transient.Status)
			require.False(t, IsHostile(err))
			require.False(t, called, "the signed request left")
			require.NotContains(t, err.Error(), "signature=")
		})
	}
	t.Run("plain HTTP behind an https address", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		_, err := socketClient(t, "https://"+server.Listener.Addr().String(), http.DefaultTransport, time.Second).Events(t.Context(), 0, 10)
		var transient *Transient
		require.ErrorAs(t, err, &transient)
	})
}

// A Relay that says 200 to every outcome and does none: it is told again in turns, and after everybody's turn a person hears.
func TestFulfilThatDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		s.withdraw(s.user("relaylab-alice"), 1)
		require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.FulfilNothing}))
		d := s.desk(committee[0], Report{1, Fulfil, common.Hash{1}, 0, nowMS()})
		require.NoError(t, s.pollFor(reportBudget-time.Second, d.poll))
		require.Empty(t, d.alerts)
		require.Len(t, d.box.owed, 1)
		calls := len(d.box.tries[1])
		require.GreaterOrEqual(t, calls, 5, "its turn is a minute of ten-second pauses")
		require.NoError(t, s.pollFor(5*time.Second, d.poll))
		require.Len(t, d.alerts, 1)
		require.Equal(t, AlertUnseen, d.alerts[0].Code)
		s.View(0).Repent()
		require.NoError(t, s.pollFor(2*time.Minute, d.poll))
		require.Empty(t, d.box.owed)
		require.Len(t, d.alerts, 1)
	})
}

// Both outcomes at the Relay: what it shows against the decision is alerted about, and the other outcome is never sent.
func TestBothOutcomesAtTheRelay(t *testing.T) {
	flipped := map[int]int{}
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			s := newStand(t)
			s.withdraw(s.user("relaylab-alice"), 1)
			require.NoError(t, s.View(0).Misbehave(relaysim.Lie{Mode: relaysim.BothOutcomes, Seed: seed}))
			lister := s.lister(nil)
			d := s.desk(committee[0], Report{1, Fulfil, common.Hash{1}, 0, nowMS()})
			for range 30 {
				require.NoError(t, s.pollFor(time.Second, d.poll))
				require.NoError(t, s.pollFor(time.Second, lister.Poll))
			}
			row, _, _ := s.Withdrawal(1)
			flipped[row.Status]++
			if row.Status == 1 {
				require.Empty(t, d.box.owed)
				require.Empty(t, d.alerts)
			} else {
				require.Len(t, d.box.owed, 1)
				require.Len(t, d.alerts, 1)
				require.Equal(t, AlertContrary, d.alerts[0].Code)
			}
			require.Len(t, d.box.tries[1], 1, "one call")
		})
	}
	require.Len(t, flipped, 2)
}

func socketClient(t *testing.T, url string, tr http.RoundTripper, timeout time.Duration) *Client {
	c, err := NewClient(Config{URL: url, Key: testClient(t, nil).key, Transport: tr, Timeout: timeout})
	require.NoError(t, err)
	return c
}

// expired is a certificate for loopback whose time is over.
func expired(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
