package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// The dimse package refuses to write what is wrong, so bad manners write their
// own PDUs. This is the least of PS3.8 §9.3 that they need.

const (
	ctStorage  = "1.2.840.10008.5.1.4.1.1.2"
	explicitLE = "1.2.840.10008.1.2.1"
	appContext = "1.2.840.10008.3.1.1.1"
)

func pdu(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(len(body)))
	return append(b, body...)
}

func item(kind byte, value []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(value)))
	return append(b, value...)
}

// associateRQ proposes one context, CT Image Storage in Explicit VR Little
// Endian, with identifier 1 (PS3.8 §9.3.2).
func associateRQ(called, calling string) []byte {
	body := fmt.Appendf([]byte{0, 1, 0, 0}, "%-16.16s%-16.16s", called, calling)
	body = append(body, make([]byte, 32)...)
	body = append(body, item(0x10, []byte(appContext))...)
	proposal := append([]byte{1, 0, 0, 0}, item(0x30, []byte(ctStorage))...)
	body = append(body, item(0x20, append(proposal, item(0x40, []byte(explicitLE))...))...)
	user := append(item(0x51, []byte{0, 0, 0x40, 0}), item(0x52, []byte("2.25.1"))...)
	return pdu(0x01, append(body, item(0x50, user)...))
}

// pdv is one P-DATA-TF with one presentation data value in context 1 (PS3.8 §9.3.5).
func pdv(command, last bool, value []byte) []byte {
	control := byte(0)
	if command {
		control |= 1
	}
	if last {
		control |= 2
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(value)+2))
	return pdu(0x04, append(append(b, 1, control), value...))
}

// storeRQ is the command set of a C-STORE (PS3.7 §9.3.1.1).
func storeRQ(messageID uint16, instance string) []byte {
	var b []byte
	add := func(element uint16, v []byte) {
		b = binary.LittleEndian.AppendUint16(append(b, 0, 0), element)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	uid := func(s string) []byte {
		if len(s)%2 == 1 {
			s += "\x00"
		}
		return []byte(s)
	}
	short := func(n uint16) []byte { return binary.LittleEndian.AppendUint16(nil, n) }
	add(0x0002, uid(ctStorage))
	add(0x0100, short(0x0001))
	add(0x0110, short(messageID))
	add(0x0700, short(0))
	add(0x0800, short(0x0001))
	add(0x1000, uid(instance))
	group := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0, 4, 0, 0, 0}, uint32(len(b)))
	return append(group, b...)
}

var abortPDU = pdu(0x07, []byte{0, 0, 0, 0})

// maxReaction bounds what is read of an answer.
const maxReaction = 64 << 10

// reaction waits for the peer's next word until the deadline and names it.
func reaction(conn net.Conn, deadline time.Time) string {
	conn.SetReadDeadline(deadline)
	var head [6]byte
	if n, err := io.ReadFull(conn, head[:]); err != nil {
		return ending(err, n)
	}
	length := binary.BigEndian.Uint32(head[2:])
	if length > maxReaction {
		return fmt.Sprintf("PDU of type %02X that declares %d bytes", head[0], length)
	}
	body, err := io.ReadAll(io.LimitReader(conn, int64(length)))
	if err != nil || uint32(len(body)) < length || len(body) < 4 {
		return "a PDU cut short"
	}
	return name(head[0], body)
}

func ending(err error, n int) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "silence"
	case n > 0:
		return fmt.Sprintf("%d bytes that are no PDU, then closed", n)
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	}
	return err.Error()
}

func name(kind byte, body []byte) string {
	switch kind {
	case 0x02:
		return "A-ASSOCIATE-AC"
	case 0x03:
		return fmt.Sprintf("A-ASSOCIATE-RJ %d/%d/%d", body[1], body[2], body[3])
	case 0x04:
		return "P-DATA-TF"
	case 0x05:
		return "A-RELEASE-RQ"
	case 0x06:
		return "A-RELEASE-RP"
	case 0x07:
		return fmt.Sprintf("A-ABORT %d/%d", body[2], body[3])
	}
	return fmt.Sprintf("PDU of type %02X", kind)
}
