package agreement

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// TestBoundsNameEverything: what a height holds in lists and maps is bounded by name, or given from outside.
func TestBoundsNameEverything(t *testing.T) {
	given := map[string]string{"State.ids": "the roster", "round.words": "one for each member, made at once"}
	named := map[string]bool{}
	s, err := New(newKeyring(4).config(0))
	require.NoError(t, err)
	for _, b := range s.Bounds() {
		named[b.Name] = true
	}
	for _, of := range []reflect.Type{reflect.TypeFor[State](), reflect.TypeFor[round](), reflect.TypeFor[word](), reflect.TypeFor[ahead](), reflect.TypeFor[proposal](),
		reflect.TypeFor[asked]()} {
		for i := range of.NumField() {
			f := of.Field(i)
			name := of.Name() + "." + f.Name
			switch f.Type.Kind() {
			case reflect.Map, reflect.Slice, reflect.Chan:
				require.True(t, named[name] || given[name] != "", "%s has no bound", name)
				delete(named, name)
			}
		}
	}
	require.Empty(t, named, "bounds of what is not there")
}

// TestBoundsAreCompared: a map that grew beyond is told.
func TestBoundsAreCompared(t *testing.T) {
	s, err := New(newKeyring(4).config(0))
	require.NoError(t, err)
	require.NoError(t, quorum.Exceeded(s.Bounds()))
	for i := range uint64(keepRounds + 2) {
		s.rounds[i] = newRound(4)
	}
	require.ErrorContains(t, quorum.Exceeded(s.Bounds()), "State.rounds holds 10 of at most 9")
}
