package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// devicesCmd looks at the devices, also while the daemon is down.
type devicesCmd struct {
	Ls    devicesLsCmd    `cmd:"" help:"Devices that are configured, and callers that are not."`
	Admit devicesAdmitCmd `cmd:"" help:"Print the line of dicom.devices that admits a caller. Changes nothing."`
}

type devicesLsCmd struct {
	configFlag
	JSON bool `help:"The devices of /api/v1/devices, with the negotiation of the last association of each."`
}

func (c *devicesLsCmd) Run(p *process) error {
	cfg, all, err := c.devices(p.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(p.stdout)
		out.SetIndent("", "  ")
		return out.Encode(all)
	}
	return printDevices(p.stdout, all, cfg.Dicom.AETitle, time.Now())
}

// devices asks the daemon, or reads what it has left.
func (c *configFlag) devices(ctx context.Context) (cfg Config, all []status.Device, err error) {
	if cfg, err = loadConfig(c.Config); err != nil {
		return cfg, nil, err
	}
	if d := findDaemon(ctx, &cfg); d != nil {
		return cfg, all, d.ask(ctx, http.MethodGet, "/devices", nil, &all)
	}
	kept := openAdmitted(filepath.Join(cfg.DataDir, admittedFile), time.Now)
	if kept.unread != nil {
		return cfg, nil, kept.unread
	}
	cfg.Dicom.Devices = kept.beside(cfg.Dicom.Devices)
	r := newRoster(cfg.Dicom, time.Now, func() {})
	r.keepIn(filepath.Join(cfg.DataDir, devicesFile), cfg.Log.logger())
	return cfg, r.list(), nil
}

func printDevices(out io.Writer, all []status.Device, ae string, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "AE TITLE\tADDRESS\tLISTED\tSEEN\tSTORED\tREFUSED\tWHY")
	for _, d := range all {
		why := "-"
		if r := d.LastRefusal; r != nil {
			why = ago(r.At, now) + ": " + page.Refusal(*r, ae, "en")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", cmp.Or(status.Shown(d.AETitle), "-"), cmp.Or(status.Shown(d.Address), "any"),
			map[bool]string{true: "yes", false: "no"}[d.Known], ago(d.LastSeen, now), d.Stored, d.Refused, why)
	}
	return w.Flush()
}

type devicesAdmitCmd struct {
	configFlag
	Title   string `arg:"" name:"AET" help:"The calling AE title, as edged devices ls shows it."`
	Address string `placeholder:"ADDRESS" help:"IP address or network to admit it from. Default: the one it was last seen at."`
	Name    string `help:"What people call it."`
}

// Run prints the line and says where it belongs: what is configured stays in the
// file, where the administrator reads it.
func (c *devicesAdmitCmd) Run(p *process) error {
	cfg, all, err := c.devices(p.ctx)
	if err != nil {
		return err
	}
	line, err := admission(all, c.Title, c.Address, c.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "add this to dicom.devices in %s, then `edged check` and start edged again; AE title here: %s\n", cmp.Or(c.Config, defaultConfigFile), cfg.Dicom.AETitle)
	_, err = fmt.Fprintln(p.stdout, line)
	return err
}

// admission is a line of dicom.devices. What came over the wire is checked like
// what people write, before it stands in a configuration.
func admission(all []status.Device, title, address, name string) (string, error) {
	for _, d := range all {
		if d.AETitle == title && d.Known && address == "" {
			return "", fmt.Errorf("%s is listed already; with --address it can be listed once more, for another address", title)
		}
		if d.AETitle == title && address == "" {
			address = d.Address
		}
	}
	if address == "" {
		return "", usagef("nobody has called as %q: see `edged devices ls`, or say --address", title)
	}
	dev := Device{AETitle: title, Address: address, Name: name}
	dev.SetDefaults()
	var wrong error
	dev.check(func(key, format string, args ...any) {
		wrong = usagef(strings.TrimPrefix(key, ".")+": "+format, args...)
	}, "")
	if wrong != nil {
		return "", wrong
	}
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) } // JSON strings are YAML strings
	line := fmt.Sprintf("- {ae_title: %s, address: %s", quoted(title), quoted(address))
	if name != "" {
		line += ", name: " + quoted(name)
	}
	return line + "}", nil
}
