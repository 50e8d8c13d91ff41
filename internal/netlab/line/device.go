package line

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"edged/internal/netlab"
)

// Device is a TUN device with segmentation offload, inside a namespace.
type Device struct{ fd int }

// Available says what is missing for a line, nil when nothing is.
func Available() error {
	if err := netlab.Available(); err != nil {
		return err
	}
	_, err := os.Stat(tunPath)
	return err
}

const (
	tunPath = "/dev/net/tun"
	name    = "wan0"
	mtu     = "1500"
)

// Attach makes the device wan0 inside the space, with an address in a network of
// 24 bits, and up. It goes with Close.
func Attach(s *netlab.Space, address string) (*Device, error) {
	d := &Device{}
	if err := s.Do(d.create); err != nil {
		return nil, err
	}
	if err := configure(s, address); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close removes the device.
func (d *Device) Close() error { return unix.Close(d.fd) }

// create makes the device in the namespace of the calling thread.
func (d *Device) create() (err error) {
	if d.fd, err = unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open %s: %w", tunPath, err)
	}
	if err := d.offer(); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// offer makes the device and takes super-packets.
func (d *Device) offer() error {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(d.fd, unix.TUNSETIFF, request); err != nil {
		return fmt.Errorf("TUNSETIFF: %w", err)
	}
	const offload = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6
	if err := unix.IoctlSetInt(d.fd, unix.TUNSETOFFLOAD, offload); err != nil {
		return fmt.Errorf("TUNSETOFFLOAD: %w", err)
	}
	return nil
}

// configure gives it its address. The kernel's own queue in front of the device
// is long: what is dropped is dropped by the line, and counted.
func configure(s *netlab.Space, address string) error {
	for _, args := range [][]string{
		{"addr", "add", address + "/24", "dev", name},
		{"link", "set", name, "mtu", mtu, "up", "txqueuelen", "10000"},
	} {
		if out, err := exec.Command("ip", append([]string{"-n", s.Name}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return nil
}

// Hurry puts the calling goroutine on a thread of its own that runs before all
// others (SCHED_FIFO), so that a busy machine does not stretch the line. It needs
// root; without it the line works, less exactly.
func Hurry() error {
	runtime.LockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 10}, 0); err != nil {
		return fmt.Errorf("SCHED_FIFO: %w", err)
	}
	return nil
}
