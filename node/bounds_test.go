package node

import (
	"reflect"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"conclave/quorum"
)

// unbounded are the lists, maps and queues of a running node that no bound is named for, each with the reason.
func unbounded() map[string]string {
	const (
		closed    = "a closed set of names"
		given     = "from the genesis document"
		bell      = "has room for one"
		one       = "one statement, within a frame"
		decisions = "as long as what was decided"
		log       = "as long as the Relay's log that stands in the books"
	)
	return map[string]string{
		"alerts.kinds": closed, "alerts.bell": bell, "alerts.disk": bell, "pulse.last": closed,
		"judge.bell": bell, "watcher.kick": bell, "Node.watchers": given,
		"newest.raw": one, "heardBack.statement": one, "undecided.raw": one,
		"watcher.sent": decisions, "watcher.odd": decisions, "watcher.lost": decisions, "flows.costs": decisions,
		"core.unmined": decisions, "sweep.lanes": given,
		"Config.Invited": given, "membership.invited": given, "membership.left": "a committee", "membership.deletion": one,
		"hidden.ids": log, "marks.differs": log,
	}
}

// TestBoundsNameEverything: each list, map and queue that a running node reaches in this package has a bound, or a reason.
func TestBoundsNameEverything(t *testing.T) {
	l := newLab(t)
	l.marks = newMarks()
	n := &Node{core: l.core, genesis: l.genesis, alerts: newAlerts(l.log, l.now), refusals: newRefusals(l.log)}
	n.judge = newJudge(n)
	named, without := map[string]bool{}, unbounded()
	all := append(append(append(l.bounds(), n.alerts.bounds()...), n.judge.bounds(1)...), n.refusals.bounds(4))
	require.NoError(t, quorum.Exceeded(all))
	for _, b := range all {
		named[b.Name] = true
	}
	seen := map[reflect.Type]bool{}
	var walk func(reflect.Type)
	walk = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
			walk(of.Elem())
		case reflect.Map:
			walk(of.Key())
			walk(of.Elem())
		case reflect.Struct:
			if seen[of] || of.PkgPath() != reflect.TypeFor[Node]().PkgPath() || of == reflect.TypeFor[Notice]() {
				return
			}
			seen[of] = true
			for i := range of.NumField() {
				f := of.Field(i)
				walk(f.Type)
				switch f.Type.Kind() {
				case reflect.Map, reflect.Slice, reflect.Chan:
					name := of.Name() + "." + f.Name
					if named[name] == (without[name] != "") {
						t.Errorf("%s: bound by name %t, without one for a reason: %q", name, named[name], without[name])
					}
					delete(without, name)
				}
			}
		}
	}
	walk(reflect.TypeFor[Node]())
	require.Empty(t, without, "reasons for what is not there")
}

// TestBoundsAreCompared: what grew beyond its bound is named.
func TestBoundsAreCompared(t *testing.T) {
	l := newLab(t)
	l.marks = newMarks()
	require.NoError(t, quorum.Exceeded(l.bounds()))
	for i := range byte(maxFetching + 1) {
		l.fetching[common.Hash{i}] = true
	}
	require.ErrorContains(t, quorum.Exceeded(l.bounds()), "core.fetching holds 17 of at most 16")
}

// TestValuesAreForgotten: what was fetched and is no longer needed goes; the first value of a near round stays.
func TestValuesAreForgotten(t *testing.T) {
	l := newLab(t)
	near := common.Hash{0xff}
	l.roundOf[0], l.values[near] = near, []byte{1}
	for i := range uint64(1000) {
		l.values[common.Hash{byte(i >> 8), byte(i)}] = []byte{1}
		l.forgetValues()
		require.Len(t, l.values, 1)
	}
	require.Contains(t, l.values, near)
}
