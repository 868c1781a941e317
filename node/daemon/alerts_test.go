package daemon

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"conclave/node"
	"conclave/node/config"
	"conclave/node/notify"
)

// hooked is what a receiver got.
type hooked struct {
	notice node.Notice
	valid  bool // the signature
}

// TestAlertsReachTheWebhook: a node of a real home, a receiver on loopback that is down at first.
func TestAlertsReachTheWebhook(t *testing.T) {
	const secret = "a secret of tests, nothing else"
	got := make(chan hooked, 64)
	first := true
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		h := hooked{valid: r.Header.Get(notify.HeaderSignature) == "sha256="+hex.EncodeToString(mac.Sum(nil))}
		if err := json.Unmarshal(body, &h.notice); err != nil {
			t.Error(err)
		}
		if h.notice.Code == "fuse" {
			if first {
				w.WriteHeader(http.StatusInternalServerError)
			}
			first = false
			got <- h
		}
	}))
	defer hook.Close()

	dir := newHome(t)
	require.NoError(t, config.WriteSecret(filepath.Join(dir, "hook.secret"), []byte(secret+"\n")))
	saveConfig(t, dir, func(c *config.Config) {
		c.Alerts.Webhook, c.Alerts.WebhookSecretFile = hook.URL+"/token", "hook.secret"
	})
	d, end := start(t, options(dir))
	require.NoError(t, d.Node().Halt(t.Context(), "the test says so"))
	refused, taken := next(t, got), next(t, got)
	require.Equal(t, refused.notice.ID, taken.notice.ID, "what was answered with 500 comes again")
	require.True(t, refused.valid && taken.valid)
	require.Equal(t, node.NoticeAlert, taken.notice.Kind)
	require.Equal(t, d.Genesis().ID(), taken.notice.NetworkID)
	require.Contains(t, taken.notice.Text, "the test says so")

	require.NoError(t, d.Node().Resume(t.Context(), "it is over"))
	over := next(t, got)
	require.Equal(t, node.NoticeRecovered, over.notice.Kind)
	require.Equal(t, taken.notice.Key, over.notice.Key)
	require.True(t, over.valid)
	end()
}

func next(t *testing.T, got chan hooked) hooked {
	t.Helper()
	select {
	case h := <-got:
		return h
	case <-time.After(time.Minute):
		t.Fatal("no message came")
		return hooked{}
	}
}

func TestAWebhooksSecretIsReadBeforeAnythingOpens(t *testing.T) {
	dir := newHome(t)
	saveConfig(t, dir, func(c *config.Config) {
		c.Alerts.Webhook, c.Alerts.WebhookSecretFile = "https://hook.example/token", "hook.secret"
	})
	_, err := Open(t.Context(), options(dir))
	wantHint(t, err, Setup, "")
	require.ErrorContains(t, err, "webhook secret")
	require.NoError(t, config.WriteSecret(filepath.Join(dir, "hook.secret"), []byte("a secret of tests, nothing else\n")))
	chmod(t, filepath.Join(dir, "hook.secret"), 0o640)
	_, err = Open(t.Context(), options(dir))
	wantHint(t, err, Setup, "chmod 600")
	require.NotContains(t, err.Error(), "token")
}
