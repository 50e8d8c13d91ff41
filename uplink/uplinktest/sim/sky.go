package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// Sky is the network. Its methods may be called from several goroutines, all
// inside one bubble.
type Sky struct {
	idle time.Duration // unacknowledged bytes and silence end a stream after it

	mu      sync.Mutex // guards what follows
	road    road
	hubs    map[string]*Hub           // by name
	byAddr  map[string]*node          // hubs' sockets, by address
	sockets map[string]*node          // the appliance's, by the address they were opened with
	public  map[string]*node          // the same, by the address that hubs see
	streams map[*stream]struct{}      // ends at the appliance's side
	opened  []time.Time               // when sockets and streams were
	dialled int                       // streams among them
	open    map[any]struct{}          // those that are
	most    int                       // the most that ever were
	numbers struct{ hub, client int } // of addresses given away
	wire    [2]int64                  // bytes that were sent each way
}

// node is who receives datagrams at an address.
type node struct {
	simnet.PacketReceiver
	public *net.UDPAddr // what the others see; nil: nobody sees it any more
}

// New makes a network whose chances come from seed. A stream that is silent or
// has bytes unacknowledged for idle is reset, as TCP_USER_TIMEOUT and keepalive do.
func New(seed uint64, line Line, idle time.Duration) *Sky {
	return &Sky{
		idle: idle,
		road: road{Line: line, began: time.Now(), random: rand.New(rand.NewPCG(seed, 7))},
		hubs: map[string]*Hub{}, byAddr: map[string]*node{}, sockets: map[string]*node{}, public: map[string]*node{},
		streams: map[*stream]struct{}{}, open: map[any]struct{}{},
	}
}

// Counts says what was opened by the appliance's side.
type Counts struct {
	Opened   []time.Time // when, one for each socket and stream
	Streams  int         // how many of them were dialled
	Most     int         // open at one time
	Up, Down int64       // bytes on the wire, what was lost included
}

// Counts says it up to now.
func (s *Sky) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Counts{append([]time.Time(nil), s.opened...), s.dialled, s.most, s.wire[up], s.wire[down]}
}

// opens counts x among what is open. s.mu is held.
func (s *Sky) opens(x any) {
	s.open[x] = struct{}{}
	s.most = max(s.most, len(s.open))
}

func (s *Sky) closes(x any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, x)
}

// socket is a datagram socket of the appliance.
type socket struct {
	*simnet.SimConn
	sky *Sky
}

// Close implements net.PacketConn.
func (c *socket) Close() error {
	c.sky.closes(c)
	return c.SimConn.Close()
}

// Packet opens a datagram socket at the appliance's side to a hub of that name.
func (s *Sky) Packet(hub string) (net.PacketConn, net.Addr, error) {
	s.mu.Lock()
	h := s.hubs[hub]
	s.mu.Unlock()
	if h == nil {
		return nil, nil, fmt.Errorf("no such host %q", hub)
	}
	c := &socket{simnet.NewBlockingSimConn(s.address(), s), s}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, time.Now())
	s.opens(c)
	return c, h.udp, nil
}

// address is one that nobody at the appliance's side has had.
func (s *Sky) address() *net.UDPAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers.client++
	n := s.numbers.client
	return &net.UDPAddr{IP: net.IPv4(10, 0, byte(n>>8), byte(n)), Port: 40000}
}

// AddNode implements simnet.Router.
func (s *Sky) AddNode(addr net.Addr, r simnet.PacketReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := addr.(*net.UDPAddr)
	n := &node{r, at}
	if at.IP.To4()[0] == hubNet {
		s.byAddr[at.String()] = n
		return
	}
	s.sockets[at.String()], s.public[at.String()] = n, n
}

var errNowhere = errors.New("sim: from nowhere")

// SendPacket implements simnet.Router.
func (s *Sky) SendPacket(p simnet.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, to := down, s.public
	if s.byAddr[p.From.String()] == nil {
		from := s.sockets[p.From.String()]
		if from == nil {
			return errNowhere
		}
		if from.public == nil {
			return nil // the address it has is no longer its own
		}
		d, to, p.From = up, s.byAddr, from.public
	}
	s.wire[d] += int64(len(p.Data))
	for _, delay := range s.road.datagram(d, len(p.Data), time.Now()) {
		time.AfterFunc(delay, func() { s.deliver(to, p) })
	}
	return nil
}

// deliver hands p to who has the address now.
func (s *Sky) deliver(to map[string]*node, p simnet.Packet) {
	s.mu.Lock()
	n := to[p.To.String()]
	s.mu.Unlock()
	if n != nil {
		n.RecvPacket(p)
	}
}

// Move gives the appliance another address. When it is behind a router that
// forgot it (rebind), its datagram sockets go on from another address; else they
// are deaf and dumb from now on. Streams are cut in both cases, and nobody is told.
func (s *Sky) Move(rebind bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.public)
	for _, n := range s.sockets {
		if n.public = nil; rebind {
			s.numbers.client++
			n.public = &net.UDPAddr{IP: net.IPv4(10, 1, byte(s.numbers.client>>8), byte(s.numbers.client)), Port: 50000}
			s.public[n.public.String()] = n
		}
	}
	for c := range s.streams {
		c.lose(s.idle)
	}
}
