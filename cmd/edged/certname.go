package main

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// A chain says that an authority gave a certificate, not to whom. To whom, its names
// say: they are compared letter by letter and without wildcards, because a wildcard
// stands for a whole department.

// carries says whether name, a DNS name or an IP address, is among the alternative
// names of a certificate (RFC 5280 §4.2.1.6).
func carries(cert *x509.Certificate, name string) bool {
	if a, err := netip.ParseAddr(name); err == nil {
		return slices.ContainsFunc(cert.IPAddresses, func(ip net.IP) bool {
			b, ok := netip.AddrFromSlice(ip)
			return ok && b.Unmap() == a.Unmap().WithZone("")
		})
	}
	return name != "" && slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
}

// called judges the certificate of a device that we have called: it carries the
// address that we called, or the device's tls_name.
func (d *Device) called(cert *x509.Certificate) error {
	if carries(cert, d.Address) || carries(cert, d.TLSName) {
		return nil
	}
	return fmt.Errorf("the certificate carries neither the address %s nor tls_name %q of the device; its names are %s", d.Address, d.TLSName, namesIn(cert))
}

// shown judges the certificate of a device that has called us. Those of modalities
// often have a common name only.
func (d *Device) shown(cert *x509.Certificate) bool {
	return d.TLSName == "" || carries(cert, d.TLSName) || strings.EqualFold(cert.Subject.CommonName, d.TLSName)
}

// namesIn is what a certificate says of its owner, for the log.
func namesIn(cert *x509.Certificate) string {
	all := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		all = append(all, ip.String())
	}
	if cn := cert.Subject.CommonName; cn != "" {
		all = append(all, "CN="+cn)
	}
	return visible(strings.Join(all, ", "), 256)
}
