package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Reader takes frames from a stream.
type Reader struct {
	r      *bufio.Reader
	header [MaxHeader]byte
	body   bytes.Buffer // grows with what arrived, never by what was declared
	put    PutFrame
}

// NewReader returns a Reader on r. It reads ahead a few KiB.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4<<10)}
}

// PutFrame is a Put whose body is still in the stream. It is valid until the
// next call of Next, which discards what was not read.
type PutFrame struct {
	Put
	Length int // bytes of body
	rest   io.LimitedReader
}

// Read reads the body.
func (p *PutFrame) Read(b []byte) (int, error) {
	n, err := p.rest.Read(b)
	if err == io.EOF && p.rest.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ProbeFrame is a Probe whose body has come and was thrown away.
type ProbeFrame struct {
	Probe
	Length int // bytes of body
}

// Next returns the next frame of a known type, a *PutFrame for a Put, a *ProbeFrame
// for a Probe. It returns io.EOF
// when the stream ended between two frames, and an error that wraps ErrMalformed
// when the bytes are no frame; after an error the Reader is of no more use.
func (r *Reader) Next() (Frame, error) {
	if err := r.discard(r.put.rest.N); err != nil {
		return nil, err
	}
	r.put.rest.N = 0
	for {
		f, err := r.next()
		if f != nil || err != nil {
			return f, err
		}
	}
}

// next reads one frame; nil, nil for an unknown type.
func (r *Reader) next() (Frame, error) {
	var head [fixed]byte
	if _, err := io.ReadFull(r.r, head[:1]); err != nil {
		return nil, err
	}
	if err := r.full(head[1:]); err != nil {
		return nil, err
	}
	t := Type(binary.BigEndian.Uint16(head[:]))
	headerLen, bodyLen := int(binary.BigEndian.Uint16(head[2:])), binary.BigEndian.Uint32(head[4:])
	if headerLen > MaxHeader || bodyLen > MaxBody {
		return nil, fmt.Errorf("%w: type %d declares header %d, body %d bytes", ErrMalformed, t, headerLen, bodyLen)
	}
	header := r.header[:headerLen]
	if err := r.full(header); err != nil {
		return nil, err
	}
	switch {
	case t == TypePut:
		return r.nextPut(header, int(bodyLen))
	case t == TypeProbe:
		return r.nextProbe(header, int(bodyLen))
	case t < TypeHello || t > TypeStudyAck:
		return nil, r.discard(int64(bodyLen))
	}
	defer r.shrink()
	if n, err := io.CopyN(&r.body, r.r, int64(bodyLen)); n < int64(bodyLen) {
		return nil, truncated(err)
	}
	return parse(t, header, r.body.Bytes())
}

// keepBody is the room for bodies that a Reader keeps between frames: thousands of
// connections that said much once are idle most of the time.
const keepBody = 16 << 10

func (r *Reader) shrink() {
	if r.body.Reset(); r.body.Cap() > keepBody {
		r.body = bytes.Buffer{}
	}
}

func (r *Reader) nextPut(header []byte, length int) (Frame, error) {
	r.put = PutFrame{Length: length, rest: io.LimitedReader{R: r.r, N: int64(length)}}
	if err := decode(header, &r.put.Put); err != nil {
		return nil, err
	}
	if r.put.Offset < 0 || length == 0 {
		return nil, fmt.Errorf("%w: put of %d bytes at %d", ErrMalformed, length, r.put.Offset)
	}
	return &r.put, nil
}

func (r *Reader) nextProbe(header []byte, length int) (Frame, error) {
	f := &ProbeFrame{Length: length}
	if err := decode(header, &f.Probe); err != nil {
		return nil, err
	}
	if length == 0 {
		return nil, fmt.Errorf("%w: empty probe", ErrMalformed)
	}
	return f, r.discard(int64(length))
}

func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.r, b)
	return truncated(err)
}

func (r *Reader) discard(n int64) error {
	_, err := io.CopyN(io.Discard, r.r, n)
	return truncated(err)
}

// truncated tells an end inside a frame from one between frames.
func truncated(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parse decodes a frame that is no Put. The result holds no reference to header
// or body.
func parse(t Type, header, body []byte) (Frame, error) {
	switch t {
	case TypeHello:
		return parseHeader(&Hello{}, header)
	case TypeWelcome:
		return parseHeader(&Welcome{}, header)
	case TypeBye:
		return parseHeader(&Bye{}, header)
	case TypeEcho:
		return parseEcho(header)
	case TypeStudyAck:
		return parseHeader(&StudyAck{}, header)
	case TypeOffer:
		f := &Offer{}
		return parseList(f, header, &none{}, body, &f.Objects)
	case TypeHave:
		f := &Have{}
		return parseList(f, header, &none{}, body, &f.Answers)
	case TypeReceipt:
		f := &Receipt{}
		return parseList(f, header, &none{}, body, &f.Receipts)
	case TypeArchived:
		f := &Archived{}
		return parseList(f, header, &none{}, body, &f.Confirmations)
	case TypeFindings:
		f := &Findings{}
		return parseList(f, header, &none{}, body, &f.Findings)
	case TypeTrouble:
		f := &Trouble{}
		return parseList(f, header, &none{}, body, &f.Problems)
	}
	return parseHeadedList(t, header, body)
}

// parseHeadedList decodes the lists that say something in their header too.
func parseHeadedList(t Type, header, body []byte) (Frame, error) {
	switch t {
	case TypeArchivedAck:
		var h ackHeader
		f := &ArchivedAck{}
		_, err := parseList(f, header, &h, body, &f.Seqs)
		f.Of = h.Of
		return f, err
	case TypeStudy:
		var h studyHeader
		f := &Study{}
		_, err := parseList(f, header, &h, body, &f.IDs)
		f.UID, f.State, f.Count, f.Revision, f.Found = h.UID, h.State, h.Count, h.Revision, h.Found
		return f, err
	case TypeRelease:
		var h releaseHeader
		f := &Release{}
		_, err := parseList(f, header, &h, body, &f.IDs)
		f.Reason = h.Reason
		return f, err
	}
	var h againHeader
	f := &Again{}
	_, err := parseList(f, header, &h, body, &f.IDs)
	f.Reason, f.AfterMillis = h.Reason, h.AfterMillis
	return f, err
}

func parseHeader(f Frame, header []byte) (Frame, error) {
	return f, decode(header, f)
}

func parseEcho(header []byte) (Frame, error) {
	f := &Echo{}
	if err := decode(header, f); err != nil {
		return nil, err
	}
	if f.Bytes < 0 {
		return nil, fmt.Errorf("%w: echo of %d bytes", ErrMalformed, f.Bytes)
	}
	return f, nil
}

func parseList[T any](f Frame, header []byte, into any, body []byte, items *[]T) (Frame, error) {
	if err := decode(header, into); err != nil {
		return nil, err
	}
	return f, decode(body, items)
}
