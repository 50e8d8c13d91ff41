package dimse

import "net"

// crowd is who is there: how many associations are established, for whom, and
// which connections wait for theirs. A slot belongs to an established
// association, never to somebody who only connected; and a connection that
// waits gives way to who comes later, from the address that holds the most of
// them. So whoever opens ten thousand connections pushes out its own, and a
// modality elsewhere has the time of a whole crowd's turn to say what it wants.
//
// Every slot is taken and given back here and nowhere else. Server.mu guards it.
type crowd struct {
	most, mostWaiting     int
	mostAddress, mostName int // 0: no limit

	entered   int
	addresses map[string]int // established, by address
	names     map[string]int // established, by calling AE title
	waiting   []*connection  // not established, oldest first
	queues    map[string]int // the same, by address
}

func newCrowd(cfg *ServerConfig) crowd {
	return crowd{
		most: cfg.MaxAssociations, mostWaiting: cfg.MaxWaiting, mostAddress: cfg.MaxPerAddress, mostName: cfg.MaxPerTitle,
		addresses: map[string]int{}, names: map[string]int{}, queues: map[string]int{},
	}
}

// addressOf is what is counted as one address: the host, whatever its port.
func addressOf(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().String()
	}
	return a.String()
}

// enter takes a slot for the calling title, or says that there is none.
func (w *crowd) enter(c *connection, title string) bool {
	switch {
	case w.entered >= w.most,
		w.mostAddress > 0 && w.addresses[c.address] >= w.mostAddress,
		w.mostName > 0 && w.names[title] >= w.mostName:
		return false
	}
	w.stopWaiting(c)
	w.entered++
	w.addresses[c.address]++
	w.names[title]++
	c.entered, c.title = true, title
	return true
}

// giveBack frees the slot of c, once.
func (w *crowd) giveBack(c *connection) {
	if !c.entered {
		return
	}
	c.entered = false
	w.entered--
	count(w.addresses, c.address, -1)
	count(w.names, c.title, -1)
}

// wait puts c behind those that wait. When there are too many, one must go: it
// is returned, and waits no more.
func (w *crowd) wait(c *connection) (gone *connection) {
	if len(w.waiting) >= w.mostWaiting {
		gone = w.unfair()
		w.stopWaiting(gone)
	}
	w.waiting = append(w.waiting, c)
	count(w.queues, c.address, 1)
	return gone
}

// unfair is the oldest connection of the address that has the most waiting; of
// two such addresses, the one with the older connection.
func (w *crowd) unfair() *connection {
	var worst *connection
	for _, c := range w.waiting {
		if worst == nil || w.queues[c.address] > w.queues[worst.address] {
			worst = c
		}
	}
	return worst
}

func (w *crowd) stopWaiting(c *connection) {
	for i, one := range w.waiting {
		if one == c {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			count(w.queues, c.address, -1)
			return
		}
	}
}

// count keeps no entry for nobody: the maps are as small as the crowd.
func count(m map[string]int, key string, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}
