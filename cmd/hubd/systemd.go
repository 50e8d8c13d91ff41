package main

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// tellSystemd says that the hub is ready, and again and again that it works. Without
// systemd nobody listens (sd_notify(3)).
func (h *theHub) tellSystemd(ctx context.Context) error {
	h.notify(daemon.SdNotifyReady)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil || every == 0 {
		return nil
	}
	watchdog(ctx, every/3, h.pulse, func() { h.notify(daemon.SdNotifyWatchdog) })
	return nil
}

// notifyPatience is how long systemd may take to take a datagram. Its socket holds so
// many, and while it reads none (a daemon-reexec, a machine that is overloaded) a write
// blocks: the hub must be able to stop then.
const notifyPatience = 2 * time.Second

func (h *theHub) notify(state string) {
	if err := tell(os.Getenv("NOTIFY_SOCKET"), state); err != nil {
		h.log.Warn("systemd not told", "state", state, "err", err)
	}
}

// tell is daemon.SdNotify with an end.
func tell(socket, state string) error {
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// watchdog feeds after each sign of life. While pulse does not return nobody is fed,
// and systemd starts the hub anew.
func watchdog(ctx context.Context, every time.Duration, pulse func(context.Context), feed func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		pulse(ctx)
		feed()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// pulse goes by everything that receipts and deliveries go by: sessions, store,
// destinations, and a transaction. What it finds broken others say; a database that is
// away is no reason to start anew.
func (h *theHub) pulse(ctx context.Context) {
	h.receive.Connections()
	_ = h.objects.Failed()
	h.forward.Status()
	if err := h.ledger.Pulse(ctx); err != nil && ctx.Err() == nil {
		h.log.Warn("no transaction at the moment", "err", err)
	}
}
