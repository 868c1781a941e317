package relaysim

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"
)

// untrustedModes are the lies about who answers: somebody stands between a custodian and the Relay and cannot prove to be it.
func untrustedModes() []spec {
	return []spec{
		{TLSErrors, "the connection's certificate is nobody's, another host's or out of date, or there is none", func(v *View, l Lie) {
			calls := newCounter()
			v.door("", func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				// Over a socket the listener has the handshake; what is left of a failed one there is a connection that ends.
				if _, ok := w.(*recorder); !ok {
					panic(http.ErrAbortHandler)
				}
				faults := tlsFaults(r.Host)
				panic(broken{faults[l.pick(calls.next())%uint64(len(faults))]})
			})
		}},
	}
}

// broken is a connection that fails with a certain error.
type broken struct{ err error }

// tlsFaults are the errors by which Go's TLS client ends a handshake before it sends a byte of the request.
func tlsFaults(host string) []error {
	forged := &x509.Certificate{DNSNames: []string{"elsewhere.invalid"}, NotAfter: time.Unix(1, 0)}
	var out []error
	for _, err := range []error{
		x509.UnknownAuthorityError{Cert: forged},
		x509.HostnameError{Certificate: forged, Host: host},
		x509.CertificateInvalidError{Cert: forged, Reason: x509.Expired},
	} {
		out = append(out, &tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{forged}, Err: err})
	}
	return append(out, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"})
}
