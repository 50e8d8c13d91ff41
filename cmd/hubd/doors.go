package main

import (
	"context"
	"crypto/tls"
	"edged/hub/door"
	"edged/hub/enrol"
	"edged/hub/receive"
	"edged/internal/identity"
	"edged/uplink/wire/udp"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// makeDoors makes what listens: uplink, enrolment, console.
func (h *theHub) makeDoors(ctx context.Context) error {
	ca, err := openCA(ctx, h.cfg, h.ledger)
	if err != nil {
		return err
	}
	rescue, err := h.cfg.recoveryKey()
	if err != nil {
		return fmt.Errorf("recovery_key: %w", err)
	}
	ids := identity.NewServer(ca, nil)
	h.receive, err = receive.New(receive.Config{
		TLS: ids.Uplink(nil), Device: h.device, Revoked: h.ledger.Revoked, Ledger: h.ledger, Objects: h.objects, Notice: h.notice,
		MaxAppliances: h.cfg.Limits.Appliances, Rate: h.cfg.Limits.ApplianceRate.BytesPerSecond(),
		Software: "hubd " + programVersion(), Logger: h.log,
	})
	if err != nil {
		return err
	}
	h.est = &http.Server{
		Handler: enrol.New(enrol.Config{Authority: ca, Store: h.ledger, Recovery: rescue, Logger: h.log}),
	}
	h.desk = newConsole(h)
	h.console = &http.Server{Handler: h.desk.handler()}
	h.door = door.New(door.Config{UplinkTLS: h.receive.TLS(), HTTPTLS: ids.HTTP(), Appliance: h.receive.ServeTCP, Logger: h.log})
	for _, s := range []*http.Server{h.est, h.console} {
		s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout = 10*time.Second, 30*time.Second, 30*time.Second, time.Minute
		s.MaxHeaderBytes = 16 << 10
		s.ErrorLog = slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)
		s.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no HTTP/2
	}
	return nil
}

// device admits an appliance inside the handshake: who is not approved sends no
// byte of any object.
func (h *theHub) device(st tls.ConnectionState) (string, error) {
	d, err := identity.DeviceOf(st)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	row, err := h.ledger.Device(ctx, d.ID)
	if err != nil {
		return "", fmt.Errorf("device %s: %w", d.ID, err)
	}
	if !row.Approved {
		return "", fmt.Errorf("device %s was revoked", d.ID)
	}
	h.desk.memory.sawDevice(row.ID, time.Now())
	return row.ID, nil
}

// listen takes the addresses: one port number for TCP and UDP.
func (h *theHub) listen(ctx context.Context) error {
	var err error
	if h.tcp, h.udp, err = samePort(ctx, h.cfg.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	console, err := net.Listen("tcp", h.cfg.Console.Listen)
	if err != nil {
		return fmt.Errorf("console.listen: %w", err)
	}
	h.consoleListener = h.cfg.Console.secure(newCrowds(console))
	if h.dicom == nil {
		return nil
	}
	if h.dicomListener, err = net.Listen("tcp", h.cfg.DICOM.Listen); err != nil {
		return fmt.Errorf("dicom.listen: %w", err)
	}
	return nil
}

// samePort listens on TCP and UDP. With port 0 the kernel chooses one for TCP
// that may be taken for UDP; then another is tried.
func samePort(ctx context.Context, addr string) (net.Listener, *udp.Conn, error) {
	var lc net.ListenConfig
	for try := 0; ; try++ {
		tcp, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, nil, err
		}
		pc, err := udp.Listen(ctx, "udp", tcp.Addr().String(), udp.Options{})
		if err == nil {
			return tcp, pc, nil
		}
		tcp.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || try == 10 {
			return nil, nil, err
		}
	}
}
