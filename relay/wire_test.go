package relay

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"conclave/ledger"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

const (
	anAddress = `"0x74179B36B642C6459C313D1306DCEa6c626D949a"`
	aTxHash   = `0x8ea01e406ada777919fcb86fe25ff8c96b486a0abab0a2e6dd86d5478f7b5698`
)

// page wraps rows as the Relay does.
func page(rows ...string) string {
	return `{"message":"success","data":[` + strings.Join(rows, ",") + `]}`
}

func eventRow(id, address, amount, kind, payload string) string {
	return fmt.Sprintf(`{"id":%s,"created_at":1795206465,"address":%s,"amount":%s,"type":%s,"payload":%s}`, id, address, amount, kind, payload)
}

// plainRow is a well-formed task income.
func plainRow(id int) string { return eventRow(fmt.Sprint(id), anAddress, `"5"`, "0", `"{}"`) }

// One page for each way in which an event page can be wrong, and what it is called.
func TestEventPagesRefused(t *testing.T) {
	vesting := func(change, to string) string {
		text := `{"vesting_id":1,"address":"74179b36b642c6459c313d1306dcea6c626d949a","total_amount":"3","released_amount":"0","start_time":1,"duration_days":30,"type":"node","admin_signature":"0x00"}`
		return eventRow("6", anAddress, `"0"`, "9", fmt.Sprintf("%q", strings.Replace(text, change, to, 1)))
	}
	for name, c := range map[string]struct {
		body    string
		rule    Rule
		hostile bool
	}{
		"not json":              {`<html>`, RuleNotJSON, false},
		"empty text":            {` `, RuleNotJSON, false},
		"cut off":               {page(plainRow(6))[:60], RuleNotJSON, false},
		"not utf-8":             {page(eventRow("6", anAddress, "\"\xff\"", "0", `"{}"`)), RuleNotJSON, false},
		"trailing data":         {page() + `{}`, RuleTrailingData, false},
		"an array":              {`[]`, RuleFieldType, false},
		"null":                  {`null`, RuleFieldType, false},
		"data null":             {`{"message":"success","data":null}`, RuleFieldType, false},
		"data missing":          {`{"message":"success"}`, RuleFieldMissing, false},
		"message missing":       {`{"data":[]}`, RuleFieldMissing, false},
		"data twice":            {`{"message":"success","data":[],"data":[]}`, RuleFieldRepeated, false},
		"row is a number":       {page(`1`), RuleFieldType, false},
		"field missing":         {page(`{"id":6,"created_at":1,"address":` + anAddress + `,"amount":"1","type":0}`), RuleFieldMissing, false},
		"field in another case": {page(strings.Replace(plainRow(6), `"id"`, `"ID"`, 1)), RuleFieldMissing, false},
		"field twice":           {page(strings.Replace(plainRow(6), `"id":6`, `"id":6,"id":7`, 1)), RuleFieldRepeated, false},
		"field twice, escaped":  {page(strings.Replace(plainRow(6), `"id":6`, `"id":6,"\u0069d":7`, 1)), RuleFieldRepeated, false},
		"id is text":            {page(eventRow(`"6"`, anAddress, `"5"`, "0", `"{}"`)), RuleFieldType, false},
		"id is a fraction":      {page(eventRow(`6.0`, anAddress, `"5"`, "0", `"{}"`)), RuleFieldType, false},
		"id has an exponent":    {page(eventRow(`6e0`, anAddress, `"5"`, "0", `"{}"`)), RuleFieldType, false},
		"id beyond 64 bits":     {page(eventRow(`18446744073709551616`, anAddress, `"5"`, "0", `"{}"`)), RuleFieldType, false},
		"id the last one":       {page(eventRow(`18446744073709551615`, anAddress, `"5"`, "0", `"{}"`)), RuleNumberTooLarge, true},
		"negative id":           {page(eventRow(`-6`, anAddress, `"5"`, "0", `"{}"`)), RuleFieldType, false},
		"amount is a number":    {page(eventRow("6", anAddress, `5`, "0", `"{}"`)), RuleFieldType, false},
		"amount too long":       {page(eventRow("6", anAddress, `"`+strings.Repeat("9", 1025)+`"`, "0", `"{}"`)), RuleTextTooLong, false},
		"id at the cursor":      {page(plainRow(5)), RuleIDNotAfter, true},
		"id below the cursor":   {page(plainRow(1)), RuleIDNotAfter, true},
		"id zero":               {page(plainRow(0)), RuleIDNotAfter, true},
		"id repeated":           {page(plainRow(6), plainRow(6)), RuleIDRepeated, true},
		"id goes back":          {page(plainRow(8), plainRow(7)), RuleIDGoesBack, true},
		"too many rows":         {page(plainRow(6), plainRow(7), plainRow(8), plainRow(9)), RuleTooManyRows, true},
		"unknown kind":          {page(eventRow("6", anAddress, `"5"`, "11", `"{}"`)), RuleUnknownKind, true},
		"kind beyond 8 bits":    {page(eventRow("6", anAddress, `"5"`, "256", `"{}"`)), RuleUnknownKind, true},
		"negative kind":         {page(eventRow("6", anAddress, `"5"`, "-1", `"{}"`)), RuleUnknownKind, true},
		"kind is text":          {page(eventRow("6", anAddress, `"5"`, `"0"`, `"{}"`)), RuleFieldType, false},
		"address too short":     {page(eventRow("6", `"0x74"`, `"5"`, "0", `"{}"`)), RuleAddress, true},
		"address too long":      {page(eventRow("6", `"0x74179B36B642C6459C313D1306DCEa6c626D949a00"`, `"5"`, "0", `"{}"`)), RuleAddress, true},
		"address is sql":        {page(eventRow("6", `"0x74179B36B642C6459C313D1306DCEa6c626D949' "`, `"5"`, "0", `"{}"`)), RuleAddress, true},
		"payload an object":     {page(eventRow("6", anAddress, `"5"`, "0", `{}`)), RuleFieldType, false},
		"payload not json":      {page(eventRow("6", anAddress, `"5"`, "0", `"{"`)), RulePayload, true},
		"payload an array":      {page(eventRow("6", anAddress, `"5"`, "4", `"[]"`)), RulePayload, true},
		"deposit without hash":  {page(eventRow("6", anAddress, `"5"`, "3", `"{\"network\":\"n\"}"`)), RulePayload, true},
		"deposit, short hash":   {page(eventRow("6", anAddress, `"5"`, "3", `"{\"network\":\"n\",\"tx_hash\":\"0x12\"}"`)), RulePayload, true},
		"deposit, no network":   {page(eventRow("6", anAddress, `"5"`, "3", `"{\"network\":\"\",\"tx_hash\":\"`+aTxHash+`\"}"`)), RulePayload, true},
		"release without id":    {page(eventRow("6", anAddress, `"5"`, "10", `"{}"`)), RulePayload, true},
		"release, id twice":     {page(eventRow("6", anAddress, `"5"`, "10", `"{\"vesting_id\":1,\"vesting_id\":2}"`)), RulePayload, true},
		"vesting, bad address":  {page(vesting("74179b", "74179g")), RulePayload, true},
		"vesting, bad hex":      {page(vesting("0x00", "0x0")), RulePayload, true},
		"vesting, no start":     {page(vesting("start_time", "began")), RulePayload, true},
		"vesting, minus start":  {page(vesting(`"start_time":1`, `"start_time":-1`)), RulePayload, true},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := decodeEvents([]byte(c.body), 5, 3)
			require.Nil(t, rows)
			var r *Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, c.rule, r.Rule, r.Detail)
			require.Equal(t, c.hostile, r.Hostile)
			require.LessOrEqual(t, len(err.Error()), 800)
		})
	}
}

// What must pass: amounts that the books will judge, fields that the Relay may learn, spellings that admins use.
func TestEventPagesAccepted(t *testing.T) {
	for _, amount := range []string{"0", "-5000000000000000000000", "+1", "", "007", "1e3", "a'; drop table", strings.Repeat("9", 100)} {
		rows, err := decodeEvents([]byte(page(eventRow("6", anAddress, fmt.Sprintf("%q", amount), "4", `"{}"`))), 5, 3)
		require.NoError(t, err)
		require.Equal(t, amount, rows[0].Amount)
	}
	rows, err := decodeEvents([]byte(` {"new":{"id":[1,{"id":"}]\\\""}]},"data":[
		{"memo":null,"payload":"{\"later\":1}","type":8,"amount":"1","address":"74179B36B642C6459C313D1306DCEa6c626D949A","created_at":0,"id":9007199254740993}
	],"message":"success"}`), 5, 3)
	require.NoError(t, err)
	require.Equal(t, []ledger.Event{{
		ID: 9007199254740993, Kind: ledger.UserDelegation, Amount: "1",
		Account: common.HexToAddress("0x74179B36B642C6459C313D1306DCEa6c626D949a"),
	}}, rows)

	rows, err = decodeEvents([]byte(page()), 5, 3)
	require.NoError(t, err)
	require.Empty(t, rows)
	rows, err = decodeEvents([]byte(page(eventRow("7", anAddress, `"5"`, "3", `"{\"tx_hash\":\"`+aTxHash+`\",\"network\":\"n\"}"`))), 6, 3)
	require.NoError(t, err)
	require.Equal(t, ledger.DepositRef{Network: "n", TxHash: common.HexToHash(aTxHash)}, rows[0].Deposit)
}

// listRow makes a withdrawal row with one field replaced.
func listRow(field, value string) string {
	fields := [][2]string{{"id", "6"}, {"created_at", "1"}, {"address", anAddress}, {"benefit_address", anAddress}, {"amount", `"5"`},
		{"network", `"labnet"`}, {"status", "0"}, {"relay_account_event_id", "9"}, {"withdrawal_fee", `"1"`}, {"timestamp", "0"}, {"signature", `""`}}
	var parts []string
	for _, f := range fields {
		if f[0] == field {
			f[1] = value
		}
		if f[1] != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", f[0], f[1]))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestWithdrawalPagesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		row     string
		rule    Rule
		hostile bool
	}{
		"unknown status":  {listRow("status", "3"), RuleUnknownStatus, true},
		"status text":     {listRow("status", `"0"`), RuleFieldType, false},
		"account":         {listRow("address", `"bob"`), RuleAddress, true},
		"destination":     {listRow("benefit_address", `""`), RuleAddress, true},
		"amount a number": {listRow("amount", `5`), RuleFieldType, false},
		"no event":        {listRow("relay_account_event_id", ""), RuleFieldMissing, false},
		"negative time":   {listRow("timestamp", "-1"), RuleFieldType, false},
		"id at cursor":    {listRow("id", "5"), RuleIDNotAfter, true},
	} {
		t.Run(name, func(t *testing.T) {
			rows, aside, err := decodeWithdrawals([]byte(page(c.row)), 5, 3)
			require.Nil(t, rows)
			require.Nil(t, aside)
			var r *Refusal
			require.ErrorAs(t, err, &r)
			require.Equal(t, c.rule, r.Rule)
			require.Equal(t, c.hostile, r.Hostile)
		})
	}
}

// A user who owns a balance beyond 256 bits at the Relay spoils his own row, never the page.
func TestSpoiltRowIsSetAside(t *testing.T) {
	for field, values := range map[string][]string{
		"amount":         {`"-5"`, `"+5"`, `""`, `"05"`, `"1` + strings.Repeat("0", 78) + `"`},
		"withdrawal_fee": {`"1` + strings.Repeat("0", 78) + `"`},
		"signature":      {`"0xzz"`, `"0x123"`, `"0x` + strings.Repeat("00", 66) + `"`},
		"network":        {`""`, `"` + strings.Repeat("n", 65) + `"`},
	} {
		for _, value := range values {
			good := strings.Replace(listRow("", ""), `"id":6`, `"id":7`, 1)
			rows, aside, err := decodeWithdrawals([]byte(page(listRow(field, value), good)), 5, 3)
			require.NoError(t, err, value)
			require.Len(t, rows, 1)
			require.Equal(t, uint64(7), rows[0].ID)
			require.Len(t, aside, 1)
			require.Equal(t, uint64(6), aside[0].ID)
			require.False(t, aside[0].Hostile)
		}
	}
}

func TestTariffRefused(t *testing.T) {
	net := func(name, tiers string) string {
		return `{"network":"` + name + `","token_type":"native","withdrawal_fee":1,"withdrawal_min":4,"withdrawal_fee_tiers":` + tiers + `,"max_withdrawals_per_day":5}`
	}
	const tier0 = `{"min_amount":0,"fee_ratio":0.01}`
	for name, body := range map[string]string{
		"unsorted networks": page(net("b", `[`+tier0+`]`), net("a", `[`+tier0+`]`)),
		"network twice":     page(net("a", `[`+tier0+`]`), net("a", `[`+tier0+`]`)),
		"no tier":           page(net("a", `[]`)),
		"first not from 0":  page(net("a", `[{"min_amount":1,"fee_ratio":0.01}]`)),
		"tier twice":        page(net("a", `[`+tier0+`,`+tier0+`]`)),
		"ratio above 1":     page(net("a", `[{"min_amount":0,"fee_ratio":1.01}]`)),
		"ratio negative":    page(net("a", `[{"min_amount":0,"fee_ratio":-0.01}]`)),
		"ratio text":        page(net("a", `[{"min_amount":0,"fee_ratio":"0.01"}]`)),
	} {
		_, err := decodeTariff([]byte(body))
		var r *Refusal
		require.ErrorAs(t, err, &r, name)
		require.Equal(t, RuleTariff, r.Rule, name)
	}
	_, err := decodeTariff([]byte(page(strings.Repeat(net("a", `[`+tier0+`]`)+",", 65) + net("a", `[`+tier0+`]`))))
	require.Error(t, err)
}

func TestDecodeNo(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"message":"validation_error","data":{"field_name":"id","message":"Withdraw request not found"}}`: {"id", "Withdraw request not found"},
		`{"message":"duplicated key not allowed"}`:                                                         {"", "duplicated key not allowed"},
		`{"message":"validation_error"}`:                                                                   {"", "validation_error"},
		`404 page not found`:                                                                               {"", "404 page not found"},
		`[1]`:                                                                                              {"", "[1]"},
		`{"message":1}`:                                                                                    {"", `{"message":1}`},
		``:                                                                                                 {"", ""},
	} {
		field, message := decodeNo([]byte(body))
		require.Equal(t, want, [2]string{field, message}, body)
	}
}

// FuzzEvents looks for a panic, and for a page that passes with what the door promises broken.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(page(plainRow(6), plainRow(7))), uint64(5))
	f.Add([]byte(recordedVesting), uint64(0))
	f.Add([]byte(page(eventRow("7", anAddress, `"-5"`, "3", `"{\"tx_hash\":\"`+aTxHash+`\",\"network\":\"\\u0000\"}"`))), uint64(6))
	f.Fuzz(func(t *testing.T, body []byte, after uint64) {
		rows, err := decodeEvents(body, after, 4)
		if err != nil {
			var r *Refusal
			require.ErrorAs(t, err, &r)
			return
		}
		require.LessOrEqual(t, len(rows), 4)
		for _, e := range rows {
			require.Greater(t, e.ID, after)
			require.LessOrEqual(t, e.Kind, ledger.MaxEventKind)
			after = e.ID
			b, err := rlp.EncodeToBytes(e)
			require.NoError(t, err)
			require.Less(t, len(b), 2*maxRowBytes)
		}
	})
}

func FuzzWithdrawals(f *testing.F) {
	f.Add([]byte(page(listRow("", ""))), uint64(5))
	f.Add([]byte(page(listRow("amount", `"-1"`))), uint64(0))
	f.Fuzz(func(t *testing.T, body []byte, after uint64) {
		rows, aside, err := decodeWithdrawals(body, after, 4)
		if err != nil {
			var r *Refusal
			require.ErrorAs(t, err, &r)
			return
		}
		require.LessOrEqual(t, len(rows)+len(aside), 4)
		for _, w := range rows {
			require.Greater(t, w.ID, after)
			require.LessOrEqual(t, w.Status, ledger.StatusFailed)
			require.LessOrEqual(t, len(w.Signature), 65)
			require.Equal(t, w.To, common.HexToAddress(w.Spelling))
			after = w.ID
		}
	})
}

// FuzzPlain covers the answers without rows of the log.
func FuzzPlain(f *testing.F) {
	f.Add([]byte(recordedTariff))
	f.Add([]byte(`{"message":"success","data":{"now":1795206476}}`))
	f.Add([]byte(`{"message":"validation_error","data":{"field_name":"id","message":"m"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		decodeNo(body)
		for _, err := range []error{decodeSuccess(body), second(decodeTariff(body)), second(decodeNow(body))} {
			var r *Refusal
			require.True(t, err == nil || errors.As(err, &r))
		}
	})
}

func second[T any](_ T, err error) error { return err }

func BenchmarkDecodeEvents(b *testing.B) {
	var all []string
	for id := range 1000 {
		all = append(all, plainRow(id+1))
	}
	body := []byte(page(all...))
	for b.Loop() {
		if _, err := decodeEvents(body, 0, 1000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "rows/s")
}
