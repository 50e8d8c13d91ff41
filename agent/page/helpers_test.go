package page

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func newPage(t *testing.T, source Source) *Page {
	t.Helper()
	p, err := New(Config{Source: source, Location: rome, Version: "0.1.0", now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends one GET to a page over source, with headers given in pairs.
func ask(t *testing.T, source Source, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	newPage(t, source).ServeHTTP(w, r)
	return w.Result()
}
