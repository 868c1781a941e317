package node

// Turns is asked when one of a node's goroutines is about to do something, by the goroutine's name, and what it returns is
// called before that is done. A simulation in which no two of them ever act at one moment runs the same way each time. Nil, as
// outside simulations, nobody waits.
type Turns func(who string) (wait func())

// of is the turn of somebody who waits for it later.
func (t Turns) of(who string) (wait func()) {
	if t == nil {
		return func() {}
	}
	return t(who)
}

// wait waits for the caller's turn.
func (t Turns) wait(who string) { t.of(who)() }
