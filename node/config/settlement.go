package config

import "strings"

// SettlementSource is the URL or the file of the settlement authority's snapshots, "" for none.
func (c Config) SettlementSource() string {
	if isURL(c.Risk.Settlement) {
		return c.Risk.Settlement
	}
	return c.resolve(c.Risk.Settlement)
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// settlement may hold a key in its query, as endpoints do: it is never shown.
func (c *checker) settlement(source string) {
	c.want(!isURL(source) || endpointURL(source), "risk.settlement", "must be a path, http://… or https://…")
}
