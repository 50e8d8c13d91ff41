package ledger

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"edged/hub"
	"edged/internal/dicom"
)

func writeGarbage(path string) error {
	return os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600)
}

const crashEnv = "LEDGER_CRASH_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashEnv); path != "" {
		receiveUntilKilled(path)
	}
	os.Exit(m.Run())
}

// receiveUntilKilled is the child: eight appliances receive, and each object is
// printed after Receive has returned.
func receiveUntilKilled(path string) {
	ctx := context.Background()
	c := Config{Path: path, Destinations: []Destination{{Name: "vna", Required: true}}}
	if overPostgres() {
		c.Database = path
	}
	l, err := Open(ctx, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	base := rand.Int()
	var wg sync.WaitGroup
	for d := range 8 {
		wg.Go(func() {
			for n := range 1_000_000 {
				device := fmt.Sprintf("d%d", d)
				o := object(device, n, fmt.Sprint(base))
				if err := l.Receive(ctx, []hub.Object{o}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Stdout.WriteString(device + " " + o.ID.String() + "\n")
			}
		})
	}
	wg.Wait()
	os.Exit(0)
}

func TestAnsweredReceiptsSurviveSIGKILL(t *testing.T) {
	config := place(t, Config{})
	path := config.Path + config.Database
	answered := map[string][]hub.ID{}
	total := 0
	for range 20 {
		total += killOnce(t, path, answered)
	}
	w := start(t, config)
	for device, ids := range answered {
		known, err := w.Known(w.ctx, device, ids)
		w.must(err)
		if len(known) != len(ids) {
			t.Errorf("%s: %d of %d answered receipts are gone", device, len(ids)-len(known), len(ids))
		}
	}
	var orphans int
	w.must(w.read.QueryRow(`SELECT count(*) FROM receipts r LEFT JOIN objects o ON o.id = r.id LEFT JOIN jobs j ON j.object = o.seq WHERE o.seq IS NULL OR j.seq IS NULL`).Scan(&orphans))
	w.want("receipts without object or job", orphans, 0)
	if total < 100 {
		t.Errorf("only %d receipts were answered: this proves little", total)
	}
	t.Logf("20 kills, %d answered, none lost", total)
}

// killOnce lets a child answer a random number of receipts and kills it.
func killOnce(t *testing.T, path string, answered map[string][]hub.ID) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashEnv+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(20*time.Second, func() { child.Process.Kill() })
	defer watchdog.Stop()
	stop := 1 + rand.IntN(150)
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		if n == stop {
			child.Process.Kill()
		}
		var device, text string
		if _, err := fmt.Sscan(lines.Text(), &device, &text); err != nil {
			continue // cut in mid-line: not answered
		}
		if id, err := dicom.ParseID(text); err == nil {
			answered[device] = append(answered[device], id)
		}
	}
	child.Wait()
	return n
}
