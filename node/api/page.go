package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page and its style
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/node"
)

// pageBatches is how many decisions the page shows.
const pageBatches = 15

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// pageData is what page.html is rendered from.
type pageData struct {
	Style   template.CSS
	Status  node.Status
	Ready   bool
	Batches []node.BatchView
}

// pageTemplate parses the page; it is part of the program, so an error in it is a bug.
func pageTemplate() *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{
		"short": func(a common.Address) string { return a.Hex()[:8] + "…" + a.Hex()[38:] },
		"ago": func(t *time.Time, now time.Time) string {
			if t == nil {
				return "never"
			}
			return max(now.Sub(*t), 0).Round(time.Second).String() + " ago"
		},
		"coins": coins,
	}).Parse(pageHTML))
}

// coins shows wei as coins, without rounding: dust is hidden by no digit.
func coins(wei string) string {
	const decimals = 18
	for len(wei) <= decimals {
		wei = "0" + wei
	}
	whole, rest := wei[:len(wei)-decimals], wei[len(wei)-decimals:]
	for len(rest) > 0 && rest[len(rest)-1] == '0' {
		rest = rest[:len(rest)-1]
	}
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

// policy allows the page its own style and nothing else: no script, no image, no frame around it.
func policy() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
}

// page is GET /: the node at a glance, rendered here, refreshed by the browser.
func (s *Server) page() http.HandlerFunc {
	tmpl, csp := pageTemplate(), policy()
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := s.pageData(r)
		var out bytes.Buffer
		if err == nil {
			err = tmpl.Execute(&out, data)
		}
		if err != nil {
			known := classify(err)
			s.cfg.Log.Warn("status page", zap.Error(err))
			http.Error(w, known.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Security-Policy", csp)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(out.Bytes())
	}
}

func (s *Server) pageData(r *http.Request) (pageData, error) {
	ctx := r.Context()
	status, err := ask(ctx, s.cfg.Log, s.cfg.Backend.Status)
	if err != nil {
		return pageData{}, err
	}
	health, err := ask(ctx, s.cfg.Log, s.cfg.Backend.Health)
	if err != nil {
		return pageData{}, err
	}
	d := pageData{Style: template.CSS(pageCSS), Status: status.v, Ready: health.v.Ready}
	d.Batches, err = s.cfg.Backend.Batches(pageBatches, 0)
	return d, err
}
