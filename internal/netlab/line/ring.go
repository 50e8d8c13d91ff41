package line

// maxPacket is the largest that a TUN device gives, with its virtio header.
const maxPacket = headerBytes + 1<<16

// ring holds packets in order, each in one piece, in memory taken once. One
// goroutine owns it.
//
//	data: |  in use  |   free   |  in use  |  end, too short for a packet  |
//	                 tail       head
type ring struct {
	data       []byte
	head, tail int // of the bytes
	items      []item
	first, n   int // of the items
}

// item is a packet that is due at a time.
type item struct {
	due         int64
	start, size int
}

func newRing(bytes, packets int) *ring {
	return &ring{data: make([]byte, bytes), items: make([]item, packets)}
}

// room is where the next packet may be written, nil when there is none.
func (r *ring) room() []byte {
	if r.n == len(r.items) {
		return nil
	}
	if r.n == 0 {
		r.head, r.tail = 0, 0
	}
	if r.tail >= r.head && len(r.data)-r.tail < maxPacket {
		if r.head <= maxPacket {
			return nil
		}
		r.tail = 0
	}
	if r.tail < r.head && r.head-r.tail <= maxPacket {
		return nil
	}
	return r.data[r.tail : r.tail+maxPacket]
}

// push keeps the size bytes that were written to room.
func (r *ring) push(size int, due int64) {
	r.items[(r.first+r.n)%len(r.items)] = item{due, r.tail, size}
	r.n++
	r.tail += size
}

// next is the oldest packet; ok is false when there is none.
func (r *ring) next() (b []byte, due int64, ok bool) {
	if r.n == 0 {
		return nil, 0, false
	}
	i := r.items[r.first]
	return r.data[i.start : i.start+i.size], i.due, true
}

// pop forgets the oldest packet.
func (r *ring) pop() {
	r.first = (r.first + 1) % len(r.items)
	if r.n--; r.n > 0 {
		r.head = r.items[r.first].start
	}
}
