package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// first and last are below the kernel's range (32768 to 60999 by default) and
// above what Debian's services listen on.
const first, last = 15000, 32000

var (
	mu   sync.Mutex
	next = first + rand.IntN(last-first) // packages are tested side by side
)

// Free returns a port on 127.0.0.1 that nobody listens on, for TCP and UDP. It
// may be called from several goroutines.
func Free() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range 1000 {
		if next++; next > last {
			next = first
		}
		if unused(next) {
			return next, nil
		}
	}
	return 0, errors.New("no free port on loopback")
}

func unused(port int) bool {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer l.Close()
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	pc.Close()
	return true
}
