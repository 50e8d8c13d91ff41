package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The range is below the kernel's (32768 to 60999 by default) and above what
// Debian's services listen on. A process takes it in blocks: its first port is the
// sign that the others are somebody's, and is open as long as the process lives.
const (
	first  = 12000
	size   = 100
	blocks = 200
	most   = 20 // blocks of one process
)

var (
	mu    sync.Mutex // guards what follows
	signs []net.PacketConn
	mine  []int // the first ports of this process's blocks
	given int   // how many of their ports were looked at
)

// Free returns a port on 127.0.0.1 that nobody listens on, for TCP and UDP. It
// may be called from several goroutines.
func Free() (int, error) {
	mu.Lock()
	defer mu.Unlock()
	for range most * size {
		if given%(size-1) == 0 && given/(size-1) == len(mine) && !another() {
			given = 0 // again from the first
		}
		if len(mine) == 0 {
			break
		}
		port := mine[given/(size-1)] + 1 + given%(size-1)
		given++
		if unused(port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port on loopback")
}

// another takes a block that no process has, if this one may have more.
func another() bool {
	if len(mine) == most {
		return false
	}
	for _, n := range rand.Perm(blocks) {
		at := first + n*size
		// UDP: nobody waits for an answer of what only holds a place.
		if sign, err := net.ListenPacket("udp", address(at)); err == nil {
			signs, mine = append(signs, sign), append(mine, at)
			return true
		}
	}
	return false
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func unused(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	defer l.Close()
	pc, err := net.ListenPacket("udp", address(port))
	if err != nil {
		return false
	}
	pc.Close()
	return true
}
