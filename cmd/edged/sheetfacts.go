package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/agent/page"
)

// What the set-up sheet says of this machine. What cannot be found out is left out.

// The limits that the DICOM port has by default; see dimse.ServerConfig.
const (
	sheetPDU     = 128 << 10
	sheetIdle    = 10 * time.Minute
	sheetConnect = 30 * time.Second
)

// Sheet is for a device that is listed, or for any.
func (d deviceDesk) Sheet(title string) (page.Sheet, bool) {
	c := d.a.cfg
	s := page.Sheet{FacilityCode: c.Facility.Code, Serial: d.a.serial(), Contact: c.Facility.Contact, AETitle: c.Dicom.AETitle,
		Networks: networksOf(c.Dicom.Listen, c.Discovery.Interfaces), Port: portIn(c.Dicom.Listen), TLSPort: portIn(c.Dicom.TLS.Listen), TLSClients: c.Dicom.TLS.ClientCA != "",
		MaxPDU: sheetPDU, MaxTotal: c.Dicom.MaxAssociations, MaxDevice: c.Dicom.MaxPerDevice, Idle: sheetIdle, Connect: sheetConnect, NTP: timeServers()}
	if s.TLSPort > 0 {
		s.TLSPrint, _ = certificateOf(c.Dicom.TLS.Cert)
	}
	s.PagePrint, s.Page = d.a.pagePrint(), d.a.pageAddress(s.Networks)
	if title == "" {
		return s, true
	}
	for _, dev := range d.a.roster.listed() {
		if dev.AETitle != title {
			continue
		}
		s.Device = &page.SheetDevice{Title: dev.AETitle, Name: dev.Name, Address: dev.Address, Port: dev.Port, Priority: dev.Priority, Services: dev.Services,
			Commitment: dev.Commitment, NewAssociation: dev.quirk(quirkNewAssociation), TLS: dev.TLS, Echo: d.a.roster.echoed(title)}
		return s, true
	}
	return s, false
}

// serial is a short name of this data directory, which tells appliances apart.
func (a *appliance) serial() string {
	return strings.ToUpper(hex.EncodeToString(a.view.secret[:2]) + "-" + hex.EncodeToString(a.view.secret[2:4]))
}

// pageAddress is where browsers in the network find the page, "" where it is for this
// machine alone.
func (a *appliance) pageAddress(networks []page.Network) string {
	host, port, err := net.SplitHostPort(a.cfg.Page.Listen)
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(host)
	anywhere := host == "" || err == nil && ip.IsUnspecified()
	switch {
	case err == nil && ip.IsLoopback() || host == "localhost" || anywhere && len(networks) == 0:
		return ""
	case anywhere:
		host = networks[0].Address
	}
	scheme := "http://"
	if a.cfg.Page.encrypted() {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

func portIn(listen string) int {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return 0
	}
	n, err := net.LookupPort("tcp", port)
	if err != nil {
		return 0
	}
	return n
}

// certificateOf is the fingerprint, and the end, of the first certificate in a PEM file.
func certificateOf(file string) (print string, until time.Time) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", until
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", until
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", until
	}
	return fingerprint(cert.Raw), cert.NotAfter
}

// fingerprint as browsers show it: AB:CD:...
func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	var parts []string
	for _, b := range sum {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return strings.Join(parts, ":")
}

// networksOf lists where modalities reach this machine: at the address that it listens
// on, else on the interfaces that were chosen, else on all but those of containers. The
// one with a gateway comes first.
func networksOf(listen string, chosen []string) (out []page.Network) {
	host, _, _ := net.SplitHostPort(listen)
	only, err := netip.ParseAddr(host)
	bound := err == nil && !only.IsUnspecified()
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	routes, _ := os.ReadFile("/proc/net/route")
	ways := gateways(routes)
	for _, i := range interfaces {
		if !bound && (i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || !isChosen(i.Name, chosen)) {
			continue
		}
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			n, ok := networkOf(i.Name, a, ways)
			if ok && (!bound || n.Address == only.String()) {
				out = append(out, n)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b page.Network) int {
		return strings.Compare(b.Gateway, a.Gateway)
	})
	const most = 4
	return out[:min(len(out), most)]
}

func isChosen(name string, chosen []string) bool {
	if len(chosen) > 0 {
		return slices.Contains(chosen, name)
	}
	return !slices.ContainsFunc([]string{"docker", "veth", "br-", "virbr", "cni", "lxc"}, func(p string) bool { return strings.HasPrefix(name, p) })
}

func networkOf(name string, a net.Addr, ways map[string]string) (n page.Network, ok bool) {
	ip, is := a.(*net.IPNet)
	if !is || ip.IP.To4() == nil || ip.IP.IsLinkLocalUnicast() {
		return n, false
	}
	mask := net.IP(ip.Mask)
	if len(mask) == net.IPv6len {
		mask = mask[12:]
	}
	return page.Network{Interface: name, Address: ip.IP.String(), Mask: mask.String(), Gateway: ways[name]}, true
}

// gateways reads /proc/net/route (proc(5)): the default way of each interface. The
// numbers are in the byte order of the machine.
func gateways(routes []byte) map[string]string {
	out := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(routes))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || f[2] == "00000000" {
			continue
		}
		n, err := strconv.ParseUint(f[2], 16, 32)
		if err != nil {
			continue
		}
		b := binary.NativeEndian.AppendUint32(nil, uint32(n))
		out[f[0]] = netip.AddrFrom4([4]byte(b)).String()
	}
	return out
}

// timeFiles are where time servers are named.
var timeFiles = []string{"/etc/systemd/timesyncd.conf", "/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/ntp.conf", "/etc/ntpsec/ntp.conf"}

func timeServers() (out []string) {
	for _, file := range timeFiles {
		text, err := os.ReadFile(file)
		if err != nil || len(text) > 64<<10 {
			continue
		}
		out = append(out, serversIn(string(text))...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	const most = 4
	return out[:min(len(out), most)]
}

// serversIn reads NTP= of timesyncd.conf(5), and server and pool of chrony.conf(5) and
// ntp.conf(5).
func serversIn(text string) (out []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if names, ok := strings.CutPrefix(line, "NTP="); ok {
			out = append(out, strings.Fields(names)...)
		}
		f := strings.Fields(line)
		if len(f) >= 2 && (f[0] == "server" || f[0] == "pool") {
			out = append(out, f[1])
		}
	}
	return out
}
