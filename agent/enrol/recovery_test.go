package enrol

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// recoveryAt makes h answer for the recovery key.
func recoveryAt(h *hub, answer http.HandlerFunc) {
	mux := http.NewServeMux()
	mux.Handle("/", h.server.Config.Handler)
	mux.HandleFunc("GET /.well-known/edged/recovery-key", answer)
	h.server.Config.Handler = mux
}

func TestTheRecoveryKeyComesFromTheHubOfTheEnrolmentAlone(t *testing.T) {
	h, stranger := newHub(t, nil), newHub(t, nil)
	dir, _ := enrolledAt(t, h, time.Now())
	asked := false
	recoveryAt(h, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the key") })
	recoveryAt(stranger, func(w http.ResponseWriter, _ *http.Request) { asked = true; io.WriteString(w, "another key") })
	got, err := RecoveryKey(t.Context(), Config{Hub: h.addr(), Dir: dir})
	if err != nil || string(got) != "the key" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := RecoveryKey(t.Context(), Config{Hub: stranger.addr(), Dir: dir}); !errors.Is(err, ErrWrongHub) || got != nil || asked {
		t.Errorf("a stranger's key %q, %v; it was asked: %v", got, err, asked)
	}
	if _, err := RecoveryKey(t.Context(), Config{Hub: h.addr(), Dir: t.TempDir()}); err == nil {
		t.Error("a key although nobody has enrolled")
	}
}

func TestAHubWithoutARecoveryKeyIsToldFromOneThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"none":    {http.NotFound, ErrNoRecovery},
		"fails":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }, nil},
		"endless": {func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("x"), 1<<20)) }, nil},
	} {
		h := newHub(t, nil)
		dir, _ := enrolledAt(t, h, time.Now())
		recoveryAt(h, c.answer)
		text, err := RecoveryKey(t.Context(), Config{Hub: h.addr(), Dir: dir})
		if c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, ErrNoRecovery) || len(text) > maxAnswer {
			t.Errorf("%s: %v, %d bytes", name, err, len(text))
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a line: %v", name, err)
		}
	}
}
