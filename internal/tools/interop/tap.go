package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// tap is a recorder between two DICOM nodes. It passes bytes on and keeps a copy,
// which it reads with a parser of its own: the witness of a comparison must not be
// the code that is looked at.
type tap struct {
	listener net.Listener
	to       string
	wait     sync.WaitGroup

	mu    sync.Mutex // guards below
	calls []*recording
	conns []net.Conn
}

// recording is one connection, both ways.
type recording struct{ requestor, acceptor bytes.Buffer }

// newTap listens at an address and passes on to an address until close.
func newTap(at, to string) (*tap, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, err
	}
	t := &tap{listener: l, to: to}
	t.wait.Add(1)
	go t.accept()
	return t, nil
}

func (t *tap) port() string {
	_, port, _ := net.SplitHostPort(t.listener.Addr().String())
	return port
}

func (t *tap) accept() {
	defer t.wait.Done()
	for {
		from, err := t.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", t.to)
		if err != nil {
			from.Close()
			continue
		}
		r := &recording{}
		t.mu.Lock()
		t.calls, t.conns = append(t.calls, r), append(t.conns, from, to)
		t.mu.Unlock()
		t.wait.Add(2)
		go t.pass(&r.requestor, to, from)
		go t.pass(&r.acceptor, from, to)
	}
}

func (t *tap) pass(keep *bytes.Buffer, to, from net.Conn) {
	defer t.wait.Done()
	io.Copy(io.MultiWriter(keep, to), from) // an end is an end, in order or not
	to.(*net.TCPConn).CloseWrite()
}

// close waits a moment for associations to end, ends the others, and returns what
// was said in each.
func (t *tap) close() (all []dialogue) {
	t.listener.Close()
	t.mu.Lock()
	deadline := time.Now().Add(5 * time.Second)
	for _, c := range t.conns {
		c.SetDeadline(deadline)
	}
	t.mu.Unlock()
	t.wait.Wait()
	for _, c := range t.conns {
		c.Close()
	}
	for _, r := range t.calls {
		all = append(all, read(r))
	}
	return all
}

// dialogue is what two nodes said on one association.
type dialogue struct {
	proposed map[byte]proposal
	accepted map[byte]string // transfer syntax
	rejected bool
	messages []message
	err      error // of reading what was said
}

type proposal struct {
	abstract string
	syntaxes []string
}

// message is a command set and, if there is one, a data set.
type message struct {
	byAcceptor    bool
	context       byte
	command, data []byte
}

// read takes a recording apart. Requests, acceptance and messages of each side are
// each in order; how the two sides interleave is not known.
func read(r *recording) dialogue {
	d := dialogue{proposed: map[byte]proposal{}, accepted: map[byte]string{}}
	for i, side := range [][]byte{r.requestor.Bytes(), r.acceptor.Bytes()} {
		d.err = errors.Join(d.err, d.side(side, i == 1))
	}
	return d
}

// side reads the PDUs of one side (PS3.8 §9.3.1): type, 0, length u32, contents.
func (d *dialogue) side(b []byte, acceptor bool) error {
	var open message
	for len(b) >= 6 {
		n := int64(binary.BigEndian.Uint32(b[2:])) + 6
		if n > int64(len(b)) {
			return fmt.Errorf("a PDU of type %02X was cut", b[0])
		}
		body := b[6:n]
		switch b[0] {
		case 1, 2:
			if len(body) < 68 {
				return errors.New("a short A-ASSOCIATE")
			}
			d.items(body[68:])
		case 3:
			d.rejected = true
		case 4:
			if err := d.values(body, acceptor, &open); err != nil {
				return err
			}
		}
		b = b[n:]
	}
	return nil
}

// items reads presentation contexts, proposed (20) and answered (21).
func (d *dialogue) items(b []byte) {
	each(b, func(kind byte, v []byte) {
		if len(v) < 4 || kind != 0x20 && kind != 0x21 {
			return
		}
		var p proposal
		each(v[4:], func(kind byte, v []byte) {
			uid := strings.TrimRight(string(v), "\x00 ")
			if kind == 0x30 {
				p.abstract = uid
			} else {
				p.syntaxes = append(p.syntaxes, uid)
			}
		})
		if kind == 0x20 {
			d.proposed[v[0]] = p
		} else if v[2] == 0 && len(p.syntaxes) == 1 {
			d.accepted[v[0]] = p.syntaxes[0]
		}
	})
}

func each(b []byte, item func(kind byte, v []byte)) {
	for len(b) >= 4 {
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b) {
			return
		}
		item(b[0], b[4:n])
		b = b[n:]
	}
}

// values reads the fragments of a P-DATA-TF (PS3.8 §9.3.5, Annex E.2).
func (d *dialogue) values(b []byte, acceptor bool, open *message) error {
	for len(b) >= 6 {
		n := int64(binary.BigEndian.Uint32(b)) + 4
		if n < 6 || n > int64(len(b)) {
			return errors.New("a presentation data value with a wrong length")
		}
		open.byAcceptor, open.context = acceptor, b[4]
		command, last := b[5]&1 != 0, b[5]&2 != 0
		if command {
			open.command = append(open.command, b[6:n]...)
		} else {
			open.data = append(open.data, b[6:n]...)
		}
		if last && (!command || !hasData(open.command)) {
			d.messages = append(d.messages, *open)
			*open = message{}
		}
		b = b[n:]
	}
	return nil
}

// hasData reads Command Data Set Type (PS3.7 §E.1): 0101 is none.
func hasData(command []byte) bool {
	v := value(command, 0x0800)
	return len(v) == 2 && binary.LittleEndian.Uint16(v) != 0x0101
}

// value finds an element of a command set (PS3.7 §6.3.1): group 0000, element,
// length u32, value, little-endian.
func value(command []byte, element uint16) []byte {
	for b := command; len(b) >= 8; {
		n := 8 + int64(binary.LittleEndian.Uint32(b[4:]))
		if n > int64(len(b)) {
			return nil
		}
		if binary.LittleEndian.Uint16(b[2:]) == element {
			return b[8:n]
		}
		b = b[n:]
	}
	return nil
}

func (m message) text(element uint16) string {
	return strings.TrimRight(string(value(m.command, element)), "\x00 ")
}

func (m message) number(element uint16) uint16 {
	if v := value(m.command, element); len(v) == 2 {
		return binary.LittleEndian.Uint16(v)
	}
	return 0
}

const (
	commandField  = 0x0100
	affectedUID   = 0x1000
	cStoreRequest = 0x0001
)

// stored finds the C-STORE-RQ of an instance.
func stored(all []dialogue, uid string) (m message, syntax string, ok bool) {
	for _, d := range all {
		for _, m := range d.messages {
			if m.number(commandField) == cStoreRequest && m.text(affectedUID) == uid {
				return m, d.accepted[m.context], true
			}
		}
	}
	return m, "", false
}

// proposes says whether an association was asked for with that transfer syntax,
// whether it was accepted, and whether another of the same context was.
func proposes(all []dialogue, class, syntax string) (proposed, accepted, another bool) {
	for _, d := range all {
		for id, p := range d.proposed {
			if p.abstract == class && slices.Contains(p.syntaxes, syntax) {
				proposed = true
				accepted = accepted || d.accepted[id] == syntax
				another = another || d.accepted[id] != "" && d.accepted[id] != syntax
			}
		}
	}
	return proposed, accepted, another
}
