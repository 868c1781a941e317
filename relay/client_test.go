package relay

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
)

// transport answers requests in memory.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer makes a transport that always gives one answer.
func answer(status int, contentType, body string) transport {
	return func(r *http.Request) (*http.Response, error) {
		rec := httptest.NewRecorder()
		if contentType != "" {
			rec.Header().Set("Content-Type", contentType)
		}
		rec.WriteHeader(status)
		_, _ = io.WriteString(rec, body)
		res := rec.Result()
		res.Request = r
		return res, nil
	}
}

func testClient(t *testing.T, tr http.RoundTripper) *Client {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte(testKeyText))) // a throw-away key
	require.NoError(t, err)
	c, err := NewClient(Config{URL: "http://relay.test/", Key: key, Transport: tr})
	require.NoError(t, err)
	return c
}

const jsonType = "application/json; charset=utf-8"

func TestClientSortsAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		tr        transport
		transient bool
		refused   *Refused
		rule      Rule
	}{
		"no answer":         {tr: func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }, transient: true},
		"500 empty":         {tr: answer(500, "", ""), transient: true},
		"500 with message":  {tr: answer(500, jsonType, `{"message":"duplicated key not allowed"}`), transient: true},
		"502 of a proxy":    {tr: answer(502, "text/html", "<html>"), transient: true},
		"200 empty":         {tr: answer(200, jsonType, ""), transient: true},
		"400 empty":         {tr: answer(400, "", ""), transient: true},
		"429":               {tr: answer(429, "text/plain", "slow down"), transient: true},
		"validation error":  {tr: answer(400, jsonType, `{"message":"validation_error","data":{"field_name":"id","message":"no"}}`), refused: &Refused{400, "id", "no"}},
		"unknown route":     {tr: answer(404, "text/plain", "404 page not found"), refused: &Refused{404, "", "404 page not found"}},
		"unauthorized":      {tr: answer(401, jsonType, `{"message":"unauthorized"}`), refused: &Refused{401, "", "unauthorized"}},
		"redirect":          {tr: answer(302, jsonType, page()), rule: RuleRedirect},
		"html":              {tr: answer(200, "text/html", page()), rule: RuleContentType},
		"no content type":   {tr: answer(200, "", ""), transient: true},
		"bad content type":  {tr: answer(200, ";", page()), rule: RuleContentType},
		"too large":         {tr: answer(200, jsonType, strings.Repeat(" ", int(pageBytes(3))+1)), rule: RuleBodyTooLarge},
		"content":           {tr: answer(200, jsonType, page(plainRow(5))), rule: RuleIDNotAfter},
		"redirect, no body": {tr: answer(307, "", ""), rule: RuleRedirect},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := testClient(t, c.tr).Events(t.Context(), 5, 3)
			require.Nil(t, rows)
			var (
				transient *Transient
				refused   *Refused
				refusal   *Refusal
			)
			require.Equal(t, c.transient, errors.As(err, &transient), err)
			if require.Equal(t, c.refused != nil, errors.As(err, &refused), err); refused != nil {
				require.Equal(t, c.refused, refused)
			}
			if require.Equal(t, c.rule != "", errors.As(err, &refusal), err); refusal != nil {
				require.Equal(t, c.rule, refusal.Rule)
			}
			require.NotContains(t, err.Error(), "signature=")
		})
	}
}

// The request is replayable, so no error may carry it, not even one that a transport made from it.
func TestErrorsNeverCarryTheRequest(t *testing.T) {
	c, err := NewClient(Config{URL: "http://127.0.0.1:1", Key: testClient(t, nil).key})
	require.NoError(t, err)
	_, err = c.Events(t.Context(), 0, 1)
	var transient *Transient
	require.ErrorAs(t, err, &transient)
	require.NotContains(t, err.Error(), "event_logs")
	require.NotContains(t, err.Error(), "0x")
}

func TestRedirectIsNotFollowed(t *testing.T) {
	calls := 0
	c := testClient(t, transport(func(r *http.Request) (*http.Response, error) {
		calls++
		res, err := answer(302, "", "")(r)
		res.Header.Set("Location", "http://elsewhere.test/")
		return res, err
	}))
	_, _, err := c.Withdrawals(t.Context(), 0, 1)
	var r *Refusal
	require.ErrorAs(t, err, &r)
	require.Equal(t, 1, calls)
}

func TestSilenceTimesOut(t *testing.T) {
	silent := transport(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := testClient(t, silent).Now(t.Context())
		var transient *Transient
		require.ErrorAs(t, err, &transient)
		require.Equal(t, DefaultTimeout, time.Since(began))

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = testClient(t, silent).Now(ctx)
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, errors.As(err, &transient) && transient.Status == 0 && !errors.Is(err, context.Canceled))
	})
}

// Bodies of outcome calls: the very fields of the signed input, then time and signature.
func TestOutcomeCalls(t *testing.T) {
	var got *http.Request
	var body string
	tr := transport(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		got, body = r, string(b)
		return answer(200, jsonType, `{"message":"success"}`)(r)
	})
	synctest.Test(t, func(t *testing.T) { // the bubble's clock starts at 2000-01-01 00:00 UTC
		c := testClient(t, tr)
		require.NoError(t, c.Fulfil(t.Context(), 7, common.HexToHash("0x11")))
		require.Equal(t, "/v1/withdraw/7/fulfill", got.URL.Path)
		require.Equal(t, "POST", got.Method)
		require.Equal(t, "application/json", got.Header.Get("Content-Type"))
		sig, err := signRequest(c.key, fulfilInput{ID: 7, TxHash: common.HexToHash("0x11").Hex()}, 946684800)
		require.NoError(t, err)
		require.Equal(t, `{"id":7,"tx_hash":"0x0000000000000000000000000000000000000000000000000000000000000011","timestamp":946684800,"signature":"`+sig+`"}`, body)

		require.NoError(t, c.Reject(t.Context(), 8))
		require.Equal(t, "/v1/withdraw/8/reject", got.URL.Path)
		sig, err = signRequest(c.key, rejectInput{ID: 8}, 946684800)
		require.NoError(t, err)
		require.Equal(t, `{"id":8,"timestamp":946684800,"signature":"`+sig+`"}`, body)
	})
	for _, wrong := range []string{`{"message":"ok"}`, `{}`, `[]`, `x`} {
		var r *Refusal
		require.ErrorAs(t, testClient(t, answer(200, jsonType, wrong)).Reject(t.Context(), 1), &r, wrong)
	}
}

func TestNow(t *testing.T) {
	now, err := testClient(t, answer(200, jsonType, `{"message":"success","data":{"now":1795206476}}`)).Now(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(1795206476), now.Unix())
	_, err = testClient(t, answer(200, jsonType, `{"message":"success","data":{"now":18446744073709551615}}`)).Now(t.Context())
	require.Error(t, err)
}

func TestClientRefusesWrongConfig(t *testing.T) {
	key := testClient(t, nil).key
	for _, cfg := range []Config{
		{URL: "", Key: key}, {URL: "relay", Key: key}, {URL: "ftp://relay", Key: key}, {URL: "http://", Key: key},
		{URL: "http://relay?x=1", Key: key}, {URL: "http://u:p@relay", Key: key}, {URL: "http://relay#x", Key: key},
		{URL: "http://relay"}, {URL: "http://relay", Key: key, Timeout: -1}, {URL: "http://re lay", Key: key},
	} {
		_, err := NewClient(cfg)
		require.Error(t, err, cfg.URL)
		require.NotContains(t, err.Error(), "p@")
	}
	for _, limit := range []int{0, -1, MaxPage + 1} {
		_, err := testClient(t, answer(200, jsonType, page())).Events(t.Context(), 0, limit)
		require.Error(t, err)
	}
}
