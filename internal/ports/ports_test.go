package ports

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestNoPortOfTheKernelsRange nor one twice.
func TestNoPortOfTheKernelsRange(t *testing.T) {
	low := 32768
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		low, _ = strconv.Atoi(strings.Fields(string(b))[0])
	}
	seen := map[int]bool{}
	for range 50 {
		p, err := Free()
		if err != nil || p >= low || seen[p] {
			t.Fatalf("port %d, %v; the kernel's range begins at %d", p, err, low)
		}
		seen[p] = true
	}
}

// TestATakenPortIsPassedOver: somebody listens on the one whose turn it is.
func TestATakenPortIsPassedOver(t *testing.T) {
	p, err := Free()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	mu.Lock()
	next = p - 1
	mu.Unlock()
	if got, err := Free(); err != nil || got == p {
		t.Fatalf("port %d, %v, but it is taken", got, err)
	}
}
