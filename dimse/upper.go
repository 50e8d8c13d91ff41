package dimse

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// upper is the upper layer of one association: it reads PDUs, feeds the state
// machine, and does what the machine says. One goroutine owns it.
type upper struct {
	*wire
	state     state
	requestor bool
	artim     time.Duration
	linger    time.Duration // how long Sta13 waits after an abort
	maxRQ     uint32        // longest A-ASSOCIATE that is read

	r    io.Reader     // the wire, later br
	br   *bufio.Reader // once the association stands
	head [headerSize]byte
	tail [4]byte // of a short PDU
	out  []byte  // the PDU that the next action sends

	source, reason byte // of the A-ABORT that the next action sends
	garbled        bool // the peer's bytes are no PDUs any more

	data pdataReader
}

const (
	maxLinger = 2 * time.Second
	maxLate   = 8 << 20 // bytes read in Sta13: what may be under way when we say the last word, so that it is heard
)

func newUpper(w *wire, requestor bool, artim time.Duration, maxRQ uint32) *upper {
	u := &upper{wire: w, state: sta1, requestor: requestor, artim: artim, linger: min(artim, maxLinger), maxRQ: maxRQ, r: w}
	u.data.u = u
	return u
}

// pdu is what next read. Of P-DATA-TF only the header has been read.
type pdu struct {
	kind   byte
	length uint32
	rq     *AssociateRQ
	titles []byte // of rq: both AE titles and the 32 reserved bytes, as they came
	ac     *AssociateAC
	reject Reject
}

// step feeds the machine one event and performs its action.
func (u *upper) step(ev event) error {
	a, to, ok := next(u.state, ev, u.requestor)
	if !ok {
		return fmt.Errorf("%v is not possible in %v", ev, u.state)
	}
	u.state = to
	return u.perform(a)
}

// perform does what the tables of PS3.8 §9.2.2 say of an action. What is an
// indication there is a return value of the callers here.
func (u *upper) perform(a action) error {
	switch a {
	case dt1, ar7: // send what is prepared, a part of a message
		return u.send()
	case ae2, ar1, ar9: // the same, all of it
		u.going.restart()
		return u.send()
	case ae7:
		return u.sendAccept()
	case ae8, ar4: // then wait for the peer to close
		u.going.restart()
		err := u.send()
		u.limit = time.Now().Add(u.artim)
		return err
	case aa1, aa8, aa7:
		u.sendAbort(a)
	case ae5: // ARTIM starts (PS3.8 §9.1.5)
		u.limit = time.Now().Add(u.artim)
	case ae3:
		u.limit = time.Time{}
	case ae4, ar3, ar5, aa2, aa3, aa4, aa5:
		u.limit = time.Time{}
		return u.conn.Close()
	}
	return nil // ae1, ae6, dt2, ar2, ar6, ar8, ar10, aa6 change the state only
}

// sendAccept: ARTIM stops at ae6 in the standard (PS3.8 §9.1.5); we let it run
// until our answer is out, so that all of it has one limit, the handshake of TLS
// and a peer that does not take the answer included.
func (u *upper) sendAccept() error {
	err := u.send()
	if err == nil {
		u.limit = time.Time{}
	}
	return err
}

// send writes the prepared PDU. When that fails the association is over.
func (u *upper) send() error {
	_, err := u.wire.Write(u.out)
	switch {
	case err == nil:
		return nil
	case u.requestor && u.state == sta6 && u.stopped() == nil && err != ErrTimeout:
		return u.lastWords(err)
	}
	return u.lost(err)
}

// lastWords looks for the A-ABORT of a peer that does not take our bytes any
// more: what it said before it closed is still in the receive queue.
func (u *upper) lastWords(err error) error {
	u.torn, u.limit = true, time.Now().Add(time.Second)
	for range 4 {
		p, nextErr := u.next()
		if errors.Is(nextErr, ErrAborted) {
			return nextErr
		}
		if nextErr != nil {
			break
		}
		if _, discardErr := io.CopyN(io.Discard, u.r, int64(p.length)); discardErr != nil {
			break
		}
	}
	u.abort()
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// sendAbort sends A-ABORT, as user (PS3.8 §7.3) or as provider (§7.4), and gives
// the peer a moment to close; aa7 answers again in Sta13 and leaves the timer
// alone. Source and reason are those of Table 9-26 (§9.3.8).
func (u *upper) sendAbort(a action) {
	if a == aa1 {
		u.source, u.reason = sourceUser, abortNoReason
	}
	u.farewell(shortPDU(typeAbort, 0, u.source, u.reason))
	if a != aa7 {
		u.limit = time.Now().Add(u.linger)
	}
}

// events says which event a PDU type is when the PDU is in order.
var events = [typeAbort + 1]event{
	typeRQ: evtPeerRQ, typeAC: evtPeerAC, typeRJ: evtPeerRJ, typeData: evtPeerData,
	typeReleaseRQ: evtPeerReleaseRQ, typeReleaseRP: evtPeerReleaseRP, typeAbort: evtPeerAbort,
}

// next waits for a PDU, reads it (of P-DATA-TF the header only) and feeds it to
// the machine. An error means that the association is in Sta1 or Sta13.
func (u *upper) next() (pdu, error) {
	n, err := io.ReadAtLeast(u.r, u.head[:], 1)
	if err != nil {
		return pdu{}, u.lost(err)
	}
	u.begun()
	if err := u.checkType(u.head[0]); err != nil {
		return pdu{}, err
	}
	if n < headerSize {
		if _, err := io.ReadFull(u.r, u.head[n:]); err != nil {
			return pdu{}, u.lost(err)
		}
	}
	p := pdu{kind: u.head[0], length: binary.BigEndian.Uint32(u.head[2:])}
	if p.kind == typeData {
		return p, u.arrived(p)
	}
	body, err := u.readBody(p)
	if err != nil {
		return pdu{}, err
	}
	if err := p.parse(body); err != nil {
		return pdu{}, u.violation(abortInvalidParameter, err.Error())
	}
	return p, u.arrived(p)
}

// checkType looks at the first byte as soon as it is there: who speaks HTTP or
// TLS to us must not be waited for.
func (u *upper) checkType(kind byte) error {
	unknown := kind == 0 || kind > typeAbort
	switch {
	case unknown:
		return u.violation(abortUnrecognizedPDU, fmt.Sprintf("PDU type %02XH", kind))
	case u.state == sta2 && kind != typeRQ && kind != typeAbort:
		return u.violation(abortUnexpectedPDU, fmt.Sprintf("PDU type %02XH before A-ASSOCIATE-RQ", kind))
	}
	return nil
}

// readBody reads what follows the header of a PDU that is not P-DATA-TF. The
// buffer grows as bytes arrive; what the peer declares allocates nothing (P9),
// and A-ASSOCIATE has a longest length of ours: the standard sets none (PS3.8
// §9.3.1, 32 bits).
func (u *upper) readBody(p pdu) ([]byte, error) {
	least, most := uint32(4), uint32(4)
	if p.kind == typeRQ || p.kind == typeAC {
		least, most = fixedSize, u.maxRQ
	}
	if p.length < least || p.length > most {
		return nil, u.violation(abortInvalidParameter, fmt.Sprintf("PDU type %02XH of %d bytes, %d to %d are allowed", p.kind, p.length, least, most))
	}
	body, err := u.takeBody(int64(p.length), most == 4)
	if err != nil {
		return nil, u.lost(err)
	}
	return body, nil
}

// takeBody: what comes in Sta13 is ignored, whatever it says (AA-6, AA-7), so it
// is not even kept.
func (u *upper) takeBody(length int64, isShort bool) ([]byte, error) {
	switch {
	case isShort:
		_, err := io.ReadFull(u.r, u.tail[:])
		return u.tail[:], err
	case u.state == sta13:
		_, err := io.CopyN(io.Discard, u.r, length)
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(u.r, length))
	if err == nil && int64(len(body)) < length {
		err = io.EOF
	}
	return body, err
}

func (p *pdu) parse(body []byte) (err error) {
	if body == nil { // ignored
		return nil
	}
	switch p.kind {
	case typeRQ:
		if p.rq, err = parseAssociateRQ(body); err == nil {
			p.titles = body[4:fixedSize]
		}
	case typeAC:
		p.ac, err = parseAssociateAC(body)
	case typeRJ, typeAbort:
		p.reject = Reject{body[1], body[2], body[3]} // of A-ABORT any source, also the reserved 1 (PS3.8 §9.3.8)
	}
	return err
}

// arrived feeds a PDU that is in order to the machine and says what it means
// for the one who waits: nil only when the machine welcomes it.
func (u *upper) arrived(p pdu) error {
	before := u.state
	a, _, _ := next(before, events[p.kind], u.requestor)
	if a == aa8 || a == aa7 {
		u.source, u.reason = sourceProvider, abortUnexpectedPDU
	}
	if err := u.step(events[p.kind]); err != nil {
		return err
	}
	switch a {
	case aa2, aa3:
		return &AbortError{ByPeer: true, Source: p.reject.Source, Reason: p.reject.Reason}
	case aa1, aa8, aa7:
		return &AbortError{Source: u.source, Reason: u.reason, Detail: fmt.Sprintf("unexpected PDU type %02XH in %v", p.kind, before)}
	}
	return nil
}

// violation is an unrecognized or invalid PDU (Evt19). After it the peer's
// bytes cannot be told apart any more.
func (u *upper) violation(reason byte, detail string) error {
	u.source, u.reason, u.garbled = sourceProvider, reason, true
	if err := u.step(evtInvalidPDU); err != nil {
		return err
	}
	return &AbortError{Source: u.source, Reason: u.reason, Detail: detail}
}

// lost turns an error of the transport into an event and into what callers
// decide on.
func (u *upper) lost(err error) error {
	stopped := u.stopped()
	switch {
	case stopped != nil:
		u.abort()
		return stopped
	case errors.Is(err, ErrTimeout) && (u.state == sta2 || u.state == sta13):
		u.step(evtARTIM) // closes
		return fmt.Errorf("waiting in vain: %w", ErrTimeout)
	case errors.Is(err, ErrTimeout):
		u.abort()
		return ErrTimeout
	}
	u.step(evtTransportClosed)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrLost, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("%w: %w: %w", ErrLost, io.ErrUnexpectedEOF, err)
}

// abort ends the association from our side, whatever state it is in.
func (u *upper) abort() {
	u.garbled = u.garbled || u.inside // what is left of a PDU looks like PDUs; to answer it would be a second A-ABORT (PS3.8 §9.3.8)
	if _, _, ok := next(u.state, evtAbort, u.requestor); ok {
		u.step(evtAbort)
	}
}

// finish waits in Sta13 for the peer to close, at most as long as ARTIM says,
// and closes. Nothing is left open after it.
func (u *upper) finish() {
	if u.garbled {
		u.limit = time.Now().Add(min(u.linger, maxLinger/4)) // who sends garbage may not stay for long
	}
	u.setBusy(false)
	if u.br != nil && u.br.Buffered() == 0 {
		u.r, u.br = u.wire, nil // waiting costs no buffer
	}
	u.r = io.LimitReader(u.r, maxLate)
	var err error
	for err == nil && u.state == sta13 && u.stopped() == nil {
		err = u.ignorePDU()
	}
	u.conn.Close()
}

// ignorePDU reads past one PDU, or past everything when there are no PDUs any more.
func (u *upper) ignorePDU() error {
	if u.garbled {
		io.Copy(io.Discard, u.r)
		return io.EOF // whatever ended it: Copy does not tell
	}
	p, err := u.next()
	if err == nil && p.kind == typeData {
		_, err = io.CopyN(io.Discard, u.r, int64(p.length))
	}
	return err
}

// established gives the association its read buffer.
func (u *upper) established(readBuffer int) {
	u.br = bufio.NewReaderSize(u.wire, readBuffer)
	u.r = u.br
}

// answerRelease answers a release that the peer asked for. It is done at once:
// between messages there is nothing left to say.
func (u *upper) answerRelease() error {
	u.out = shortPDU(typeReleaseRP, 0, 0, 0)
	return u.step(evtReleaseResponse)
}

// release ends the association in order and waits for the answer (PS3.8 §7.2).
// Data that is still under way is read past (Sta7, AR-6).
func (u *upper) release() error {
	u.out = shortPDU(typeReleaseRQ, 0, 0, 0)
	if err := u.step(evtRelease); err != nil {
		return err
	}
	u.limit = time.Now().Add(u.artim) // the standard sets no limit here; we do
	for u.state != sta1 && u.state != sta13 {
		if err := u.releasing(); err != nil {
			return err
		}
	}
	return nil
}

// releasing takes one PDU while a release is under way; both sides may ask for
// it at the same time (release collision, PS3.8 §7.2, Sta9 to Sta12 of §9.2).
func (u *upper) releasing() error {
	p, err := u.next()
	switch {
	case err != nil:
		return err
	case p.kind == typeData:
		_, err = io.CopyN(io.Discard, u.r, int64(p.length)) // data after our release request (AR-6)
		if err != nil {
			return u.lost(err)
		}
	case u.state == sta9 || u.state == sta12:
		return u.answerRelease()
	}
	return nil
}
