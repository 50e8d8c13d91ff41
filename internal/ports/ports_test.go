package ports

import (
	"net"
	"os"
	"slices"
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
	for range 2*size + 50 { // of more than one block
		p := free(t)
		if p >= low || seen[p] {
			t.Fatalf("port %d; the kernel's range begins at %d", p, low)
		}
		seen[p] = true
	}
}

// TestATakenPortIsPassedOver: somebody listens on the one whose turn it is.
func TestATakenPortIsPassedOver(t *testing.T) {
	p := free(t)
	l, err := net.Listen("tcp", address(p))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	mu.Lock()
	given--
	mu.Unlock()
	if got := free(t); got == p {
		t.Fatalf("port %d, but it is taken", got)
	}
}

// TestTwoProcessesShareNoPort: what one was given and has not opened yet, the other
// does not get.
func TestTwoProcessesShareNoPort(t *testing.T) {
	free(t)
	mu.Lock()
	ours, at := mine, given
	mine, given = nil, 0 // another process knows nothing of these, and sees their signs
	mu.Unlock()
	for range most * (size - 1) {
		if p := free(t); slices.Contains(ours, p-(p-first)%size) {
			t.Fatalf("port %d was given to two processes", p)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(mine) != most {
		t.Errorf("it has %d blocks, want at most %d", len(mine), most)
	}
	mine, given = ours, at
}

// TestAProcessBeginsAgainWhenItHadAll of what it may have.
func TestAProcessBeginsAgainWhenItHadAll(t *testing.T) {
	seen := map[int]bool{}
	for range most*(size-1) + 1 {
		p := free(t)
		if seen[p] {
			return
		}
		seen[p] = true
	}
	t.Errorf("%d ports, and none twice", len(seen))
}

func free(t *testing.T) int {
	t.Helper()
	p, err := Free()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
