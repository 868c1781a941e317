package api

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"

	"conclave/internal/golden"
)

func TestDocsAreOfThisCode(t *testing.T) {
	golden.Text(t, filepath.Join("..", "..", "docs", "api.md"), Markdown())
	golden.Text(t, filepath.Join("..", "..", "docs", "errors.md"), ErrorsMarkdown())
}

func TestEveryMethodIsDescribed(t *testing.T) {
	for service, list := range map[reflect.Type][]described{
		reflect.TypeFor[*custodian](): custodianMethods, reflect.TypeFor[*admin](): adminMethods,
		reflect.TypeFor[*governance](): governanceMethods,
	} {
		names := map[string]bool{}
		for _, d := range list {
			names[d.method] = true
		}
		require.Len(t, names, service.NumMethod())
		for i := range service.NumMethod() {
			require.True(t, names[service.Method(i).Name], service.Method(i).Name)
		}
	}
}

func TestTheTableIsClosedAndDistinct(t *testing.T) {
	codes, names := map[int]bool{}, map[string]bool{}
	for _, r := range table {
		require.False(t, codes[r.code] || names[r.name], r.name)
		codes[r.code], names[r.name] = true, true
		require.NotEmpty(t, r.meaning)
	}
	require.Panics(t, func() { _ = fail(4711, "") })
	var _ rpc.DataError = fail(CodeUnknown, "")
	var _ rpc.Error = fail(CodeUnknown, "")
}

func TestTheDocumentRefersToWhatItHolds(t *testing.T) {
	raw, err := json.Marshal(Describe(true))
	require.NoError(t, err)
	var doc struct {
		Methods    []Method
		Components Components
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	require.Len(t, doc.Methods, len(custodianMethods)+len(governanceMethods)+len(adminMethods)+1)
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case map[string]any:
			if ref, ok := x["$ref"].(string); ok {
				require.Contains(t, doc.Components.Schemas, filepath.Base(ref))
			}
			for _, inner := range x {
				walk(inner)
			}
		case []any:
			for _, inner := range x {
				walk(inner)
			}
		}
	}
	var all any
	require.NoError(t, json.Unmarshal(raw, &all))
	walk(all)
	require.Len(t, Describe(false).Methods, len(custodianMethods)+len(governanceMethods)+1, "the HTTP door does not speak of orders")
}
