package quorum

import "fmt"

// Bound is one list, map or queue that a process holds, and the most that it may hold whatever its peers send.
type Bound struct {
	Name       string // type.field
	Held, Most int
}

// Exceeded fails with the first of the bounds that holds more than it may.
func Exceeded(all []Bound) error {
	for _, b := range all {
		if b.Held > b.Most {
			return fmt.Errorf("%s holds %d of at most %d", b.Name, b.Held, b.Most)
		}
	}
	return nil
}
