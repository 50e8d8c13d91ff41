package hubtest

import (
	"context"
	"errors"
	"sync"

	"edged/uplink/wire"
)

// Member is one appliance of a Fleet, with what it has to send.
type Member struct {
	fleet  *Fleet
	id     string
	config Config

	mu         sync.Mutex // guards what follows
	objects    map[wire.ID]*kept
	pending    [wire.Classes][]Object
	sending    [wire.Classes]bool
	conn       *Appliance // nil while it is away
	ctx        context.Context
	ledger     string
	generation uint64
}

// kept is an object and what the hub said of it.
type kept struct {
	Object
	received, archived bool
}

// ID is the device's.
func (m *Member) ID() string { return m.id }

// Add has the appliance send objects, now or when it is connected.
func (m *Member) Add(objects ...Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range objects {
		if m.objects[o.ID] != nil {
			continue
		}
		m.objects[o.ID] = &kept{Object: o}
		m.pending[o.Priority] = append(m.pending[o.Priority], o)
		m.fleet.objects.Add(1)
	}
	m.startAll()
}

// begin is called with each new connection.
func (m *Member) begin(ctx context.Context, a *Appliance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn, m.ctx = a, ctx
	ledger, generation := a.Ledger()
	if m.ledger != "" && (m.ledger != ledger || m.generation != generation) {
		m.offerAll()
	}
	m.ledger, m.generation = ledger, generation
	m.startAll()
}

func (m *Member) over() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.conn = nil
}

// startAll sends what is pending. m.mu is held.
func (m *Member) startAll() {
	for class := range m.pending {
		if m.conn == nil || m.sending[class] || len(m.pending[class]) == 0 {
			continue
		}
		m.sending[class] = true
		conn, ctx := m.conn, m.ctx
		m.fleet.run.Go(func() { m.send(ctx, conn, class) })
	}
}

// send sends one class until nothing is pending or the connection has ended.
func (m *Member) send(ctx context.Context, conn *Appliance, class int) {
	for {
		m.mu.Lock()
		batch := m.pending[class]
		m.pending[class] = nil
		if len(batch) == 0 || m.conn != conn {
			m.pending[class] = batch
			m.sending[class] = false
			m.startAll() // on the next connection
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		if err := conn.Send(ctx, batch...); err != nil && !errors.Is(err, ErrRefused) {
			m.putBack(class, batch)
			conn.Close()
			<-conn.ended
		}
	}
}

// putBack has what got no receipt sent again.
func (m *Member) putBack(class int, batch []Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range batch {
		if k := m.objects[o.ID]; !k.received && !k.archived {
			m.pending[class] = append(m.pending[class], o)
		}
	}
}

// offerAll forgets the receipts of what is not archived. m.mu is held.
func (m *Member) offerAll() {
	for _, k := range m.objects {
		if k.received && !k.archived {
			k.received = false
			m.fleet.received.Add(-1)
			m.pending[k.Priority] = append(m.pending[k.Priority], k.Object)
		}
	}
}

func (m *Member) received(id wire.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.objects[id]; k != nil && !k.received {
		k.received = true
		m.fleet.received.Add(1)
	}
}

func (m *Member) archived(id wire.ID) {
	m.mu.Lock()
	k := m.objects[id]
	fresh := k != nil && !k.archived
	if fresh {
		k.archived = true
		m.fleet.archived.Add(1)
	}
	m.mu.Unlock()
	if fresh && m.fleet.c.Archived != nil {
		m.fleet.c.Archived(m.id, id)
	}
}

func (m *Member) lost() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offerAll()
	m.startAll()
}

func (m *Member) troubled(p wire.Problem) {
	m.fleet.trouble.Add(1)
	if p.Kind != wire.ProblemLost {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.objects[p.ID]; k != nil && k.received && !k.archived {
		k.received = false
		m.fleet.received.Add(-1)
		m.pending[k.Priority] = append(m.pending[k.Priority], k.Object)
		m.startAll()
	}
}

func (m *Member) putOff(f *wire.Again) { m.fleet.again.Add(int64(len(f.IDs))) }
