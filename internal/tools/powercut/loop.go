package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// attachLoop puts a loop device on a file, loop(4). The device goes when the
// last one closes it: after the mount on it, and after the returned file.
func attachLoop(backing *os.File) (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	for range 100 { // somebody else may take the free one first
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a loop device: %w", err)
		}
		device, err := configureLoop(fmt.Sprintf("/dev/loop%d", n), backing)
		if !errors.Is(err, unix.EBUSY) {
			return device, err
		}
	}
	return nil, errors.New("every free loop device was taken by somebody else")
}

func configureLoop(name string, backing *os.File) (*os.File, error) {
	device, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(backing.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		device.Close()
		return nil, fmt.Errorf("attach %s: %w", name, err)
	}
	return device, nil
}

// mountFile mounts the file system in a file. What is returned unmounts it and
// frees the device.
func mountFile(backing *os.File, kind fileSystem, dir string) (unmount func() error, err error) {
	device, err := attachLoop(backing)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	if err := unix.Mount(device.Name(), dir, kind.name, unix.MS_NOATIME, kind.mountOptions); err != nil {
		return nil, fmt.Errorf("mount %s: %w", kind.name, err)
	}
	return func() error { return unmountBusy(dir) }, nil
}

// unmountBusy unmounts; a process that was killed may hold on for a moment.
func unmountBusy(dir string) (err error) {
	for range 200 {
		if err = unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		pause(20)
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}
