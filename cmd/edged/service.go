package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/kardianos/service"

	"edged/configs"
)

// serviceCmd keeps edged as a service of systemd. The Debian package does most of it.
type serviceCmd struct {
	Install   serviceInstallCmd   `cmd:"" help:"Write the unit, and what of it depends on edged.yaml; run it again after a port or data_dir was changed."`
	Uninstall serviceUninstallCmd `cmd:"" help:"Stop, and take the unit away; data and configuration stay."`
	Start     serviceStartCmd     `cmd:"" help:"Start it."`
	Stop      serviceStopCmd      `cmd:"" help:"Stop it: what is being received is ended first."`
	Restart   serviceRestartCmd   `cmd:"" help:"Stop and start it."`
	Status    serviceStatusCmd    `cmd:"" help:"Whether it runs. What it does, edged status says."`
}

type (
	serviceInstallCmd   struct{ configFlag }
	serviceUninstallCmd struct{}
	serviceStartCmd     struct{}
	serviceStopCmd      struct{}
	serviceRestartCmd   struct{}
	serviceStatusCmd    struct{}
)

// Where things lie on a machine with systemd.
const (
	serviceUser = "edged"
	ownUnit     = "/etc/systemd/system/edged.service"
	dropInFile  = "/etc/systemd/system/edged.service.d/edged-yaml.conf"
	packaged    = "/usr/bin/edged" // in the unit
)

// packagedUnits is where a package has the unit.
var packagedUnits = []string{"/lib/systemd/system/edged.service", "/usr/lib/systemd/system/edged.service"}

// nobody is the program that kardianos/service would run; edged runs itself.
type nobody struct{}

func (nobody) Start(service.Service) error { return nil }
func (nobody) Stop(service.Service) error  { return nil }

// theService is edged as a service, with the unit's text.
func theService(unit string) (service.Service, error) {
	if service.Platform() != "linux-systemd" {
		return nil, fmt.Errorf("this machine is not run by systemd (%s): start `edged run` with what it has, as a user of its own", service.Platform())
	}
	return service.New(nobody{}, &service.Config{Name: "edged", Option: service.KeyValue{"SystemdScript": unit}})
}

func (c *serviceInstallCmd) Run(p *process) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	s, err := theService(unitFor(program))
	if err != nil {
		return err
	}
	if err := mayInstall(program); err != nil {
		return err
	}
	if err := haveUser(); err != nil {
		return err
	}
	if c.Config == "" {
		c.Config = defaultConfigFile
	}
	if c.Config != defaultConfigFile {
		return usagef("the unit reads %s, not %s: move it there", defaultConfigFile, c.Config)
	}
	if err := haveConfig(p, c.Config); err != nil {
		return err
	}
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if err := cfg.haveDataDir(); err != nil {
		return err
	}
	if err := writeDropIn(cfg.dropIn(groupIsThere("tss"))); err != nil {
		return err
	}
	if err := installUnit(s); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "edged is a service, and starts with the machine. Now: edged service restart")
	return nil
}

// installUnit leaves the unit of a package where it is.
func installUnit(s service.Service) error {
	for _, unit := range packagedUnits {
		if _, err := os.Stat(unit); err == nil {
			return systemctl("daemon-reload")
		}
	}
	if err := os.Remove(ownUnit); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.Install()
}

func systemctl(args ...string) error {
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// unitFor is the unit that runs this program.
func unitFor(program string) string {
	return strings.ReplaceAll(configs.EdgedService, packaged+" ", program+" ")
}

// mayInstall says what stands in the way before anything is changed.
func mayInstall(program string) error {
	if os.Geteuid() != 0 {
		return errors.New("only root may do this: sudo edged service install")
	}
	for _, hidden := range []string{"/home/", "/root/", "/run/", "/tmp/", "/var/tmp/"} {
		if strings.HasPrefix(program, hidden) {
			return fmt.Errorf("%s is in a folder that the service does not see: install -m 0755 %s %s, and use that", program, program, packaged)
		}
	}
	if strings.ContainsAny(program, " \t\"'\\%$") {
		return fmt.Errorf("%q has a character that means something in a unit: use %s", program, packaged)
	}
	return nil
}

// haveUser makes the user that it runs as.
func haveUser() error {
	if _, err := user.Lookup(serviceUser); err == nil {
		return nil
	}
	cmd := exec.Command("systemd-sysusers", "-")
	cmd.Stdin = strings.NewReader(configs.EdgedSysusers)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the user %s: %w: %s", serviceUser, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// haveConfig writes the configuration with every key at its default where there is none.
// It may hold the password of a proxy: the service reads it, nobody else.
func haveConfig(p *process, file string) error {
	_, err := os.Stat(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(configs.EdgedYAML), 0o640); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "written:", file)
	return give(file, 0)
}

// give makes the service's group, and the owner if uid is not 0, that of a file.
func give(file string, uid int) error {
	u, err := user.Lookup(serviceUser)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if uid != 0 {
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return err
		}
	}
	return os.Chown(file, uid, gid)
}

// haveDataDir makes a data_dir that is not where systemd makes it.
func (c *Config) haveDataDir() error {
	if isBelow(c.DataDir, defaultDataDir) {
		return nil
	}
	if _, err := os.Stat(c.DataDir); err == nil {
		return nil // whose it is, somebody has decided
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	return give(c.DataDir, 1)
}

func isBelow(path, dir string) bool {
	path = filepath.Clean(path)
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func groupIsThere(name string) bool {
	_, err := user.LookupGroup(name)
	return err == nil
}

func writeDropIn(text string) error {
	if text == "" {
		if err := os.Remove(dropInFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dropInFile), 0o755); err != nil {
		return err
	}
	return os.WriteFile(dropInFile, []byte(text), 0o644)
}

func (serviceUninstallCmd) Run(p *process) error {
	for _, unit := range packagedUnits {
		if _, err := os.Stat(unit); err == nil {
			return fmt.Errorf("%s is of a package: apt remove edged", unit)
		}
	}
	s, err := theService(configs.EdgedService)
	if err != nil {
		return err
	}
	if err := s.Stop(); err != nil {
		return err
	}
	if err := errors.Join(writeDropIn(""), s.Uninstall()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, "The service is gone. Images and configuration are where they were.")
	return err
}

func (serviceStartCmd) Run(*process) error   { return steer(service.Service.Start) }
func (serviceStopCmd) Run(*process) error    { return steer(service.Service.Stop) }
func (serviceRestartCmd) Run(*process) error { return steer(service.Service.Restart) }

func steer(act func(service.Service) error) error {
	s, err := theService(configs.EdgedService)
	if err != nil {
		return err
	}
	return act(s)
}

func (serviceStatusCmd) Run(p *process) error {
	s, err := theService(configs.EdgedService)
	if err != nil {
		return err
	}
	st, err := s.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		return errors.New("edged is not installed as a service: edged service install")
	case err != nil:
		return fmt.Errorf("%w; why, the journal says: journalctl -u edged -n 50", err)
	case st != service.StatusRunning:
		return errors.New("the service is stopped: edged service start")
	}
	_, err = fmt.Fprintln(p.stdout, "The service runs. What it does: edged status")
	return err
}
