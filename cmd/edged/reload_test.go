package main

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// reloaded is a house that was started with this file, or with none, and looks for it;
// again reloads, checks the rate and that it was logged why.
func reloaded(t *testing.T, file string) (h *house, again func(what string, rate int64, says string)) {
	t.Helper()
	cfg, written, err := readWritten(fileInForce("", file))
	ok(t, err)
	h = newHouse(t, func(c *Config) { c.Uplink.Rate = cfg.Uplink.Rate })
	var log bytes.Buffer
	h.appliance.log = slog.New(slog.NewTextHandler(&log, nil))
	h.appliance.file, h.appliance.onCall, h.appliance.written = fileInForce("", file), file, written
	return h, func(what string, rate int64, says string) {
		t.Helper()
		log.Reset()
		h.appliance.reload()
		if got := int64(h.sender.caps().Rate); got != rate || !strings.Contains(log.String(), says) {
			t.Errorf("%s: the rate is %d, 0 is unlimited, want %d; the log wants %q and is\n%s", what, got, rate, says, &log)
		}
	}
}

// SIGHUP: a file that is wrong changes nothing, and one that is away is wrong: an
// editor moved it aside, the directory is not readable. The defaults have no cap.
func TestAConfigurationThatIsAwayChangesNoRate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edged.yaml")
	write := func(rate string) { ok(t, os.WriteFile(file, []byte("uplink: {rate: "+rate+"}\n"), 0o600)) }
	write("100Mbit/s")
	_, again := reloaded(t, file)
	again("as it was", 100e6, "rates read again")
	ok(t, os.Rename(file, file+"~"))
	again("moved aside", 100e6, "the old one goes on")
	ok(t, os.Mkdir(file, 0o700))
	again("not readable", 100e6, "the old one goes on")
	ok(t, os.Remove(file))
	write("50Mbit/s")
	again("there again", 50e6, "rates read again")
}

// A file that is empty or was cut short is nobody's will: the rates stay. One that lacks
// a rate and nothing else is.
func TestAConfigurationThatIsCutShortChangesNoRate(t *testing.T) {
	const whole = "data_dir: /d\nuplink:\n  hubs: [\"h:1\"]\n  rate: 100Mbit/s\n  schedule:\n  - rate: 50Mbit/s\n  - {rate: 20Mbit/s, from: \"08:00\"}\npage: {listen: \"127.0.0.1:0\"}\nlog: {level: debug}\n"
	without := func(lines ...string) string {
		text := whole
		for _, l := range lines {
			text = strings.Replace(text, l+"\n", "", 1)
		}
		return text
	}
	rate, schedule := "  rate: 100Mbit/s", "  schedule:\n  - rate: 50Mbit/s\n  - {rate: 20Mbit/s, from: \"08:00\"}"
	const refused, taken = "the old one goes on", "rates read again"
	for name, c := range map[string]struct {
		text, says string
		rate       int64
	}{
		"empty":                    {"", "is empty", 100e6},
		"blanks":                   {"\n\n", "is empty", 100e6},
		"comments":                 {"# rate: 100Mbit/s\n", "is empty", 100e6},
		"a key without a value":    {"uplink:\n", "is empty", 100e6},
		"the first line":           {whole[:13], "lacks what it had: uplink.hubs, uplink.rate", 100e6},
		"up to the rate":           {whole[:strings.Index(whole, rate)], refused, 100e6},
		"in the schedule":          {whole[:strings.Index(whole, "  - {")], refused, 100e6},
		"the rate and another key": {without(rate, "log: {level: debug}"), "uplink.rate, log.level", 100e6},
		"without a rate":           {without(rate), taken, 0},
		"without any":              {without(rate, schedule), taken, 0},
		"another rate":             {strings.Replace(whole, "100M", "70M", 1), taken, 70e6},
		"another key away":         {without("page: {listen: \"127.0.0.1:0\"}"), taken, 100e6},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "edged.yaml")
			ok(t, os.WriteFile(file, []byte(whole), 0o600))
			_, again := reloaded(t, file)
			again("as it was", 100e6, taken)
			ok(t, os.WriteFile(file, []byte(c.text), 0o600))
			again(name, c.rate, c.says)
			again(name+", once more", c.rate, c.says)
			ok(t, os.WriteFile(file, []byte(strings.Replace(whole, "100M", "60M", 1)), 0o600))
			again("whole again", 60e6, taken)
		})
	}
}

// SIGHUP while the appliance reads its configuration does not end it: it comes up, and
// reads again.
func TestAnEarlyHangupEndsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	text, err := os.ReadFile(r.path("edged.yaml"))
	ok(t, err)
	pipe := r.path("early.yaml")
	ok(t, syscall.Mkfifo(pipe, 0o600))
	r.edged = start(t, bin(t, "edged"), "run", "-c", pipe)
	w := readBySomebody(t, pipe)
	ok(t, r.edged.cmd.Process.Signal(syscall.SIGHUP))
	ok(t, os.Rename(r.path("edged.yaml"), pipe)) // what is read again
	_, err = w.Write(text)
	ok(t, err)
	ok(t, w.Close())
	r.await("the rates to be read again", func() bool { return strings.Contains(r.edged.said.String(), "rates read again") })
	if code := r.edged.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// readBySomebody is the end to write of a pipe that a program has opened to read.
func readBySomebody(t *testing.T, pipe string) *os.File {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		w, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0) // fails as long as nobody reads
		if err == nil {
			return w
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Who was started without a file takes over the one that is there at SIGHUP, says so,
// and from then on does not do without it.
func TestAConfigurationThatCameLaterIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edged.yaml")
	h, again := reloaded(t, file)
	again("still none", 0, "rates read again")
	ok(t, os.WriteFile(file, []byte("uplink: {rate: nonsense}\n"), 0o600))
	again("a wrong one", 0, "the old one goes on")
	ok(t, os.WriteFile(file, []byte("uplink: {rate: 70Mbit/s}\n"), 0o600))
	again("a good one", 70e6, "there is one now")
	if h.appliance.file != file {
		t.Errorf("%q is in force", h.appliance.file)
	}
	ok(t, os.Remove(file))
	again("away", 70e6, "the old one goes on")
}

// A default file that cannot be reached is not taken for none.
func TestAFileThatCannotBeReachedIsNotNone(t *testing.T) {
	notADirectory := filepath.Join(t.TempDir(), "etc")
	ok(t, os.WriteFile(notADirectory, nil, 0o600))
	file := filepath.Join(notADirectory, "edged.yaml")
	if got := fileInForce("", file); got != file {
		t.Errorf("%q is in force", got)
	}
	if _, err := readConfig(file); err == nil {
		t.Error("it was read")
	}
}

// The service manager hears READY=1 from a reload only after it heard it from the
// start, and nothing any more after STOPPING=1: whoever opens its spool is not ready.
func TestAReloadDoesNotSayReadyBeforeTheStart(t *testing.T) {
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	manager, err := net.ListenUnixgram("unixgram", address)
	ok(t, err)
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", address.Name)
	var m serviceManager
	reloads := 0
	for _, step := range []func(){func() {}, m.started, m.stopping} {
		step()
		m.reloading(func() { reloads++ })
	}
	_, err = daemon.SdNotify(false, "END") // what was said before it comes before it
	ok(t, err)
	var heard []string
	ok(t, manager.SetReadDeadline(time.Now().Add(5*time.Second)))
	for packet := make([]byte, 256); len(heard) == 0 || heard[len(heard)-1] != "END"; {
		n, err := manager.Read(packet)
		ok(t, err)
		said, _, _ := strings.Cut(string(packet[:n]), "\n")
		heard = append(heard, said)
	}
	if got := strings.Join(heard, " "); reloads != 3 || got != "READY=1 RELOADING=1 READY=1 STOPPING=1 END" {
		t.Errorf("%d reloads, the manager heard %s", reloads, got)
	}
}
