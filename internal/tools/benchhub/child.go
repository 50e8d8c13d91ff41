package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"edged/hub"
	"edged/hub/door"
	"edged/hub/forward"
	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/hub/receive"
	"edged/internal/identity"
)

// childVerb has this program be a hub.
const childVerb = "hub"

// childHub is the hub of the table: the rooms that hubd puts together.
type childHub struct {
	dir, database, listen, profile string
	archive, noRows                bool
	timed                          *timedRows

	ledger  *ledger.Ledger
	objects *objects.Store
	receive *receive.Server
	door    *door.Door
}

func child(args []string) error {
	var h childHub
	f := flag.NewFlagSet(childVerb, flag.ExitOnError)
	f.StringVar(&h.dir, "dir", "", "data")
	f.StringVar(&h.database, "database", "", "URL of PostgreSQL, else SQLite")
	f.StringVar(&h.listen, "listen", "", "address")
	f.StringVar(&h.profile, "profile", "", "file for a CPU profile")
	f.BoolVar(&h.archive, "archive", false, "forward to a folder")
	f.BoolVar(&h.noRows, "no-rows", false, "receipts without rows: what the ledger costs is the difference")
	f.Parse(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if h.profile != "" {
		file, err := os.Create(h.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := h.open(ctx); err != nil {
		return err
	}
	err := errors.Join(h.serve(ctx), h.objects.Close(), h.ledger.Close())
	if h.timed != nil {
		fmt.Printf("%s%d\n", rowsPrefix, h.timed.took.Milliseconds())
	}
	return err
}

func (h *childHub) open(ctx context.Context) (err error) {
	if h.ledger, err = openLedger(ctx, h.dir, h.database, h.archive); err != nil {
		return err
	}
	if err := h.ledger.Start(ctx); err != nil {
		return err
	}
	log := slog.New(slog.DiscardHandler)
	if h.objects, err = objects.Open(objects.Config{Dir: filepath.Join(h.dir, "objects"), ReserveBytes: 1 << 30, Logger: log}); err != nil {
		return err
	}
	ca, err := identity.OpenAuthority(filepath.Join(h.dir, "ca"), time.Now())
	if err != nil {
		return err
	}
	ids := identity.NewServer(ca, nil)
	h.timed = &timedRows{Ledger: h.ledger}
	var rows receive.Ledger = h.timed
	if h.noRows {
		rows, h.timed = noRows{h.ledger}, nil
	}
	h.receive, err = receive.New(receive.Config{TLS: ids.Uplink(nil), Device: h.device, Revoked: h.ledger.Revoked, Ledger: rows, Objects: h.objects, Logger: log})
	if err != nil {
		return err
	}
	h.door = door.New(door.Config{UplinkTLS: h.receive.TLS(), HTTPTLS: ids.HTTP(), Appliance: h.receive.ServeTCP, Logger: log})
	return nil
}

// openLedger opens the rows; the load generator does so, too, to enrol.
func openLedger(ctx context.Context, dir, database string, archive bool) (*ledger.Ledger, error) {
	c := ledger.Config{Path: filepath.Join(dir, "ledger.db"), Database: database}
	if archive {
		c.Destinations = []ledger.Destination{{Name: "archive", Required: true, Confirm: "dir"}}
	}
	return ledger.Open(ctx, c)
}

// timedRows knows how long at least one Receive was under way.
type timedRows struct {
	*ledger.Ledger
	mu    sync.Mutex // guards what follows
	n     int
	since time.Time
	took  time.Duration
}

// Receive is that of the ledger.
func (t *timedRows) Receive(ctx context.Context, objects []hub.Object) error {
	t.underWay(1)
	defer t.underWay(-1)
	return t.Ledger.Receive(ctx, objects)
}

func (t *timedRows) underWay(one int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.n > 0 {
		t.took += now.Sub(t.since)
	}
	t.n, t.since = t.n+one, now
}

// rowsPrefix begins the line in which a child says what timedRows knows, in ms.
const rowsPrefix = "rows under way, ms: "

func rowsTime(said string) (time.Duration, error) {
	_, after, ok := strings.Cut(said, rowsPrefix)
	if !ok {
		return 0, fmt.Errorf("the hub did not say how long rows took: %s", said)
	}
	ms, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64)
	return time.Duration(ms) * time.Millisecond, err
}

// noRows records nothing: receipts come as soon as the object is sealed.
type noRows struct{ *ledger.Ledger }

func (noRows) Receive(context.Context, []hub.Object) error { return nil }

func (noRows) Known(context.Context, string, []hub.ID) (map[hub.ID]int64, error) { return nil, nil }

func (h *childHub) device(st tls.ConnectionState) (string, error) {
	d, err := identity.DeviceOf(st)
	if err != nil {
		return "", err
	}
	row, err := h.ledger.Device(context.Background(), d.ID)
	return row.ID, err
}

func (h *childHub) serve(ctx context.Context) error {
	tcp, err := net.Listen("tcp", h.listen)
	if err != nil {
		return err
	}
	udp, err := net.ListenPacket("udp", h.listen)
	if err != nil {
		return err
	}
	defer udp.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	f := forward.Config{Jobs: h.ledger, Open: func(id hub.ID) (forward.Object, error) { return h.objects.Open(id) }}
	if h.archive {
		f.Destinations = []forward.Destination{forward.NewDir(forward.DirConfig{Name: "archive", Path: filepath.Join(h.dir, "archive"), Create: true})}
	}
	var wg sync.WaitGroup
	for name, part := range map[string]func(context.Context) error{
		"quic":    func(ctx context.Context) error { return h.receive.Serve(ctx, udp) },
		"tcp":     func(ctx context.Context) error { return h.door.Serve(ctx, tcp) },
		"forward": forward.New(f).Run,
	} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
