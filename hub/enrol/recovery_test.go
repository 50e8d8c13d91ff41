package enrol_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"edged/hub/enrol"
	"edged/internal/identity"
)

// The recovery key goes to whoever asks, without a certificate: at enrolment
// appliances have none that is older than a second. A hub without one says so.
func TestTheRecoveryKeyIsGivenAsItIs(t *testing.T) {
	d := open(t)
	for name, c := range map[string]struct {
		key  string
		code int
	}{"a key": {"-----BEGIN EDGED RECOVERY PUBLIC KEY-----\n", http.StatusOK}, "none": {"", http.StatusNotFound}} {
		config := d.config
		if c.key != "" {
			config.Recovery = []byte(c.key)
		}
		s := httptest.NewUnstartedServer(enrol.New(config))
		s.Listener = tls.NewListener(s.Listener, identity.NewServer(d.ca, nil).HTTP())
		s.Start()
		client := http.Client{Transport: &http.Transport{TLSClientConfig: identity.HubTLS(d.ca.Cert())}}
		rs, err := client.Get("https://" + s.Listener.Addr().String() + "/.well-known/edged/recovery-key")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(rs.Body)
		rs.Body.Close()
		if rs.StatusCode != c.code || c.key != "" && string(body) != c.key {
			t.Errorf("%s: %d %q, want %d %q", name, rs.StatusCode, body, c.code, c.key)
		}
		client.CloseIdleConnections()
		s.Close()
	}
}
