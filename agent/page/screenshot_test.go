package page

import (
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestScreenshot draws one scene with a real browser:
//
//	EDGED_SCREENSHOT=/tmp/page.png [EDGED_SCENE=attention] [EDGED_LANG=it] [EDGED_SIZE=1280,900] go test -run Screenshot ./agent/page
//
// It is how the picture in the documentation is taken again, and asserts only
// that a picture came out: whether it is a good one is for eyes.
func TestScreenshot(t *testing.T) {
	target := os.Getenv("EDGED_SCREENSHOT")
	if target == "" {
		t.Skip("set EDGED_SCREENSHOT to the PNG to write")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: no picture is taken")
	}
	target, err = filepath.Abs(target)
	if err != nil {
		t.Fatal(err)
	}
	source := scenes()[env("EDGED_SCENE", "ok")]
	if source == nil {
		t.Fatalf("EDGED_SCENE: no scene of that name")
	}
	server := httptest.NewServer(deskPage(t, source))
	defer server.Close()
	defer server.CloseClientConnections()
	shoot(t, browser, target, server.URL+env("EDGED_PATH", "/")+"?lang="+env("EDGED_LANG", "it"))
}

func shoot(t *testing.T, browser, target, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, browser, append(browserFlags(t),
		"--window-size="+env("EDGED_SIZE", "1280,900"), "--screenshot="+target, url)...)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(target)
	if err != nil || !strings.HasPrefix(string(raw), "\x89PNG") {
		t.Fatalf("no picture at %s: %v", target, err)
	}
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}

func BenchmarkPage(b *testing.B) {
	p, err := New(Config{Source: ordinary(), Location: rome, now: func() time.Time { return morning }})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
