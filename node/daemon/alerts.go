package daemon

import (
	"time"

	"conclave/node"
	"conclave/node/config"
	"conclave/node/notify"
)

// rules are the section [alerts] as the node knows them.
func rules(a config.Alerts) node.AlertRules {
	return node.AlertRules{
		Heartbeat: time.Duration(a.Heartbeat), RemindCritical: time.Duration(a.RemindCritical), RemindMost: time.Duration(a.RemindMost),
		RemindWarning: time.Duration(a.RemindWarning), PerMinute: a.PerMinute, Late: time.Duration(a.WithdrawalLate),
	}
}

// readWebhook makes the way to the operator's service, if the configuration names one.
func (h *home) readWebhook() error {
	if h.cfg.Alerts.Webhook == "" {
		return nil
	}
	var secret []byte
	if path := h.cfg.WebhookSecretPath(); path != "" {
		var err error
		if secret, err = config.ReadPassword(path); err != nil {
			return secretProblem("webhook secret", err)
		}
	}
	w, err := notify.NewWebhook(notify.Config{URL: h.cfg.Alerts.Webhook, Secret: secret})
	if err != nil {
		return problem(Setup, "see [alerts] of config.toml", "%w", err)
	}
	h.notifier = w
	return nil
}
