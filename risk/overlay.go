package risk

import (
	"reflect"
)

// stricter reports whether a rule reads another threshold here than under the policy alone.
func stricter(rule string, here, plain file) bool {
	a, b := here.l, plain.l
	switch rule {
	case "deny-list":
		return !reflect.DeepEqual(a.Deny, b.Deny)
	case "allow-list":
		return !reflect.DeepEqual(a.Allow, b.Allow)
	case "cool-down":
		return a.CoolDown != b.CoolDown
	case "large-withdrawal":
		return a.LargeAbove != b.LargeAbove || a.LargeDelay != b.LargeDelay
	case "hours":
		return !reflect.DeepEqual(a.Hours, b.Hours)
	case "accrual":
		return a.AccrualWindow != b.AccrualWindow || a.AccrualCeiling != b.AccrualCeiling
	case "event-maximum":
		return !reflect.DeepEqual(here.p.MaxPerEvent, plain.p.MaxPerEvent)
	}
	return false
}
