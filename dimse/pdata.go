package dimse

import (
	"encoding/binary"
	"fmt"
	"io"
)

const pdvHeader = 6 // length, presentation context ID, message control header

// Bits of the message control header (PS3.8 Annex E.2).
const (
	isCommand = 0x01
	isLast    = 0x02
)

// maxTolerated is the longest P-DATA-TF that is read. It is far above what we
// declare, because nothing of it is buffered and some peers do not look
// (dimse/COMPAT.md); beyond it the bytes are no DICOM.
const maxTolerated = 64 << 20

// pdataReader reads the presentation data values of an association one after
// the other, across PDUs. It allocates nothing.
type pdataReader struct {
	u       *upper
	pduLeft int64 // of the P-DATA-TF variable field
	pdvLeft int64 // of the fragment
	context byte
	control byte
	empty   int // fragments without content, less those with
	hdr     [pdvHeader]byte
}

// maxEmpty bounds fragments without content. They are legal (PS3.8 Annex E sets
// no minimum), but who sends nothing else sends no message.
const maxEmpty = 1024

// nextPDV goes on to the next fragment. The one before must have been read. A
// PDU carries one or more, of commands and data sets alike; the length of each
// counts its context and control byte, not itself (PS3.8 §9.3.5, §9.3.5.1).
func (r *pdataReader) nextPDV() error {
	if r.pduLeft == 0 {
		if err := r.nextPDU(); err != nil {
			return err
		}
	}
	if r.pduLeft < pdvHeader {
		return r.u.violation(abortInvalidParameter, fmt.Sprintf("%d bytes left over in P-DATA-TF", r.pduLeft))
	}
	if _, err := io.ReadFull(r.u.br, r.hdr[:]); err != nil {
		return r.u.lost(err)
	}
	length := int64(binary.BigEndian.Uint32(r.hdr[:]))
	if length < 2 || length+4 > r.pduLeft {
		return r.u.violation(abortInvalidParameter, fmt.Sprintf("fragment of %d bytes in a PDU with %d left", length, r.pduLeft))
	}
	r.pduLeft -= length + 4
	r.pdvLeft = length - 2
	r.context, r.control = r.hdr[4], r.hdr[5]
	return r.countEmpty()
}

func (r *pdataReader) countEmpty() error {
	if r.pdvLeft > 0 {
		r.empty = max(r.empty-1, 0)
		return nil
	}
	if r.empty++; r.empty > maxEmpty {
		return r.u.violation(abortInvalidParameter, fmt.Sprintf("more than %d empty fragments", maxEmpty))
	}
	return nil
}

func (r *pdataReader) nextPDU() error {
	p, err := r.u.next()
	if err != nil {
		return err
	}
	if p.kind != typeData {
		return ErrReleased // the only other PDU that Sta6 welcomes
	}
	if p.length > maxTolerated {
		return r.u.violation(abortInvalidParameter, fmt.Sprintf("P-DATA-TF of %d bytes", p.length))
	}
	r.pduLeft = int64(p.length)
	return nil
}

// readFragment reads what is left of the fragment, at most len(p).
func (r *pdataReader) readFragment(p []byte) (int, error) {
	if int64(len(p)) > r.pdvLeft {
		p = p[:r.pdvLeft]
	}
	n, err := r.u.br.Read(p)
	r.pdvLeft -= int64(n)
	if err != nil {
		err = r.u.lost(err)
	}
	return n, err
}

// readCommand reads a command set, which may be spread over fragments and PDUs
// as a data set may (PS3.8 Annex E), into buf and returns it with its
// presentation context.
func (r *pdataReader) readCommand(buf []byte) (context byte, set []byte, err error) {
	r.u.between()
	if r.pduLeft > 0 { // in the same PDU as the message before
		r.u.begun()
	}
	r.empty = 0
	for first := true; ; first = false {
		if err := r.nextPDV(); err != nil {
			return 0, buf, err
		}
		r.u.setBusy(true)
		if r.control&isCommand == 0 || !first && r.context != context {
			return 0, buf, r.u.violation(abortUnexpectedParam, "a fragment that is not of the command under way")
		}
		context = r.context
		if buf, err = r.appendFragment(buf); err != nil {
			return 0, buf, err
		}
		if r.control&isLast != 0 {
			return context, buf, nil
		}
	}
}

func (r *pdataReader) appendFragment(buf []byte) ([]byte, error) {
	if int64(len(buf))+r.pdvLeft > maxCommand {
		return buf, r.u.violation(abortInvalidParameter, fmt.Sprintf("command set of more than %d bytes", maxCommand))
	}
	for r.pdvLeft > 0 {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.readFragment(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// dataSet is the data set of one message as an io.Reader. It ends with io.EOF
// behind the last fragment; any other error means that the rest will not come.
type dataSet struct {
	r       *pdataReader
	context byte
	last    bool // the fragment under way is the last one
	bytes   int64
	err     error
}

func (d *dataSet) reset(r *pdataReader, context byte) {
	*d = dataSet{r: r, context: context}
}

// advance makes bytes available, or returns why there are none any more.
func (d *dataSet) advance() error {
	for d.err == nil && d.r.pdvLeft == 0 {
		if d.last {
			d.err = io.EOF
			break
		}
		d.err = d.nextFragment()
	}
	return d.err
}

// nextFragment: fragments of one message never mix with those of another, and
// all carry the context of its command (PS3.8 Annex E, PS3.7 §6.3).
func (d *dataSet) nextFragment() error {
	if err := d.r.nextPDV(); err != nil {
		if err == ErrReleased {
			return d.r.u.violation(abortUnexpectedPDU, "release in the middle of a data set")
		}
		return err
	}
	if d.r.control&isCommand != 0 || d.r.context != d.context {
		return d.r.u.violation(abortUnexpectedParam, "a fragment that is not of the data set under way")
	}
	d.last = d.r.control&isLast != 0
	return nil
}

// Read reads from the fragments as if they were one piece.
func (d *dataSet) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := d.advance(); err != nil {
		return 0, err
	}
	n, err := d.r.readFragment(p)
	d.bytes += int64(n)
	d.err = err
	return n, err
}

// WriteTo hands the buffered bytes to w without copying them (io.Copy uses it).
func (d *dataSet) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		if err := d.advance(); err != nil {
			if err == io.EOF {
				err = nil
			}
			return total, err
		}
		n, err := d.writeSome(w)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (d *dataSet) writeSome(w io.Writer) (int, error) {
	br := d.r.u.br
	if _, err := br.Peek(1); err != nil {
		d.err = d.r.u.lost(err)
		return 0, d.err
	}
	chunk, _ := br.Peek(int(min(int64(br.Buffered()), d.r.pdvLeft)))
	n, err := w.Write(chunk)
	if n < 0 || n > len(chunk) {
		n = len(chunk)
	}
	br.Discard(n) // n bytes are there: Peek has just shown them
	d.r.pdvLeft -= int64(n)
	d.bytes += int64(n)
	if err == nil && n < len(chunk) {
		err = io.ErrShortWrite
	}
	return n, err
}

// drain reads what the handler left. It returns how many bytes that were, and
// nil when the data set came to its end.
func (d *dataSet) drain() (int64, error) {
	n, err := d.WriteTo(io.Discard)
	if err == nil && d.err != io.EOF {
		err = d.err
	}
	return n, err
}

// pdataWriter sends one message part, command or data set, as fragments, each
// in a PDU of its own and each PDU in one write.
type pdataWriter struct {
	u       *upper
	most    int    // bytes of a fragment
	buf     []byte // PDU header, PDV header, fragment, and one byte to look ahead
	context byte
	control byte
}

const dataHeader = headerSize + pdvHeader

// newPDataWriter honours what the peer can receive; 0 means anything (PS3.8
// §D.1). Fragments have an even length (dimse/COMPAT.md).
func newPDataWriter(u *upper, peerMax, ourMost uint32) *pdataWriter {
	size := ourMost
	if peerMax != 0 && peerMax < size {
		size = max(peerMax, 16) // below that no peer means it
	}
	most := int(size-pdvHeader) &^ 1
	return &pdataWriter{u: u, most: most, buf: make([]byte, dataHeader, dataHeader+most+1)}
}

func (w *pdataWriter) begin(context, control byte) {
	w.context, w.control = context, control
	w.buf = w.buf[:dataHeader]
	if control&isCommand != 0 { // a message begins with its command
		w.u.going.restart()
	}
}

// ReadFrom takes all of r. A fragment goes out when one byte more than it holds
// has been seen, so that the last one is never empty unless everything is.
func (w *pdataWriter) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for empty := 0; ; {
		n, err := r.Read(w.buf[len(w.buf):cap(w.buf)])
		if empty++; n > 0 {
			empty = 0
		}
		w.buf = w.buf[:len(w.buf)+n]
		total += int64(n)
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return total, &sendError{err}
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err == nil && empty == 100 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return total, err
		}
	}
}

// sendError tells an error of the association from one of the source.
type sendError struct{ err error }

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// Write is ReadFrom for bytes at hand.
func (w *pdataWriter) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n := copy(w.buf[len(w.buf):cap(w.buf)], p[sent:])
		w.buf = w.buf[:len(w.buf)+n]
		sent += n
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return sent, &sendError{err}
			}
		}
	}
	return sent, nil
}

// flush sends a full fragment and keeps the byte behind it.
func (w *pdataWriter) flush() error {
	ahead := w.buf[len(w.buf)-1]
	err := w.sendFragment(w.buf[:len(w.buf)-1], w.control)
	w.buf = append(w.buf[:dataHeader], ahead)
	return err
}

// Close sends the last fragment.
func (w *pdataWriter) Close() error { return w.sendFragment(w.buf, w.control|isLast) }

func (w *pdataWriter) sendFragment(b []byte, control byte) error {
	b[0], b[1] = typeData, 0
	binary.BigEndian.PutUint32(b[2:], uint32(len(b)-headerSize))
	binary.BigEndian.PutUint32(b[6:], uint32(len(b)-headerSize-4))
	b[10], b[11] = w.context, control
	w.u.out = b
	return w.u.step(evtData)
}
