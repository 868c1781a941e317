package memnet

// Bound is a queue of a node, and the most that may wait in it.
type Bound struct {
	Name       string
	Held, Most int
}

// Bounds says what waits to be handed over: of each kind and name the fullest stream of any sender.
func (n *Node) Bounds() []Bound {
	n.hub.mu.Lock()
	defer n.hub.mu.Unlock()
	at := map[laneKey]int{}
	var out []Bound
	for k, held := range n.waiting {
		one := Bound{Name: "waiting." + string(k.kind) + " " + k.name, Held: held, Most: n.bound(&item{Message: Message{Kind: k.kind, Name: k.name}})}
		k.from = 0
		i, known := at[k]
		switch {
		case !known:
			at[k] = len(out)
			out = append(out, one)
		case out[i].Held < held:
			out[i] = one
		}
	}
	return out
}
