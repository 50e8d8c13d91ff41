package dimse

import (
	"bytes"
	"io"
	"slices"
)

// What the services share that are more than a C-STORE: small data sets, and
// responses that carry more than a status.

// refuse reads past the data set of a request and answers it with a status, so
// that the association survives.
func (a *Association) refuse(presentation Context, cmd command, status Status) error {
	if err := a.skipData(cmd); err != nil {
		return err
	}
	return a.reply(presentation.ID, cmd, Answer{Status: status})
}

// small reads a data set that is not an instance, at most MaxSmallDataSet bytes
// (P9), to its end. The status is not success when there is none, when it is longer,
// or when the memory for such data sets is used up; then nothing of it is held while
// the rest is read past. The bytes are there until the message has been served.
func (a *Association) small(presentation Context, cmd command) (d DataSet, status Status, err error) {
	if !cmd.carriesData() {
		return DataSet{}, StatusMistypedArgument, nil
	}
	b, fits, err := a.gather()
	if err != nil {
		return DataSet{}, 0, err
	}
	if !fits {
		a.share.giveAll()
		_, err := a.in.drain()
		return DataSet{}, StatusResourceLimitation, err
	}
	return DataSet{presentation.TransferSyntax, b}, StatusSuccess, nil
}

// gather takes the data set under way into memory; fits is false as soon as there
// is a byte for which there is no room.
func (a *Association) gather() (b []byte, fits bool, err error) {
	for {
		switch err := a.in.advance(); err { // there is a byte, or this was all
		case nil:
		case io.EOF:
			return b, true, nil
		default:
			return nil, false, err
		}
		if len(b) == cap(b) {
			if b, fits = a.share.grow(b); !fits {
				return nil, false, nil
			}
		}
		n, err := a.in.Read(b[len(b):cap(b)])
		if err != nil {
			return nil, false, err
		}
		b = b[:len(b)+n]
	}
}

// reply sends the response to a request, with what an Answer has beside its status.
func (a *Association) reply(id byte, rq command, answer Answer) error {
	return a.send(id, answered(rq, answer), answer.DataSet)
}

// answered is the command set of a response (PS3.7 §10.3): the affected instance
// is that of the request, under whichever of the two names it has there.
func answered(rq command, answer Answer) command {
	c := response(rq, answer.Status)
	switch uid := rq.affectedInstance(); {
	case answer.InstanceUID != "":
		c.setUID(tagAffectedInstance, answer.InstanceUID)
	case uid != "":
		c.setUID(tagAffectedInstance, uid)
	}
	if n, ok := rq.number(tagEventType); ok { // needed with a reply only, but some peers ask for it (dimse/COMPAT.md)
		c.setUint16(tagEventType, n)
	}
	if answer.Comment != "" {
		c.setText(tagErrorComment, answer.Comment[:min(len(answer.Comment), 64)]) // LO
	}
	if answer.ErrorID != 0 {
		c.setUint16(tagErrorID, answer.ErrorID)
	}
	return c
}

// send sends a command set and, perhaps, a data set behind it.
func (a *Association) send(id byte, c command, d *DataSet) error {
	c.setDataSet(d != nil)
	if err := a.writeCommand(id, c); err != nil || d == nil {
		return err
	}
	a.out.begin(id, 0)
	if _, err := a.out.Write(d.Bytes); err != nil {
		return err
	}
	return a.out.Close()
}

// affectedInstance is the instance that a request is about: requested or
// affected, by command (PS3.7 §10.3).
func (c command) affectedInstance() string {
	if uid := c.uid(tagAffectedInstance); uid != "" {
		return uid
	}
	return c.uid(tagRequestedInst)
}

// class is the SOP class that a request is about, likewise.
func (c command) class() string {
	if uid := c.uid(tagAffectedClass); uid != "" {
		return uid
	}
	return c.uid(tagRequestedClass)
}

// setDataSet says whether a data set follows.
func (c *command) setDataSet(follows bool) {
	kind := uint16(noDataSet)
	if follows {
		kind = hasDataSet
	}
	for i := range *c {
		if (*c)[i].tag == tagDataSetType {
			(*c)[i].value = []byte{byte(kind), byte(kind >> 8)}
			return
		}
	}
	c.setUint16(tagDataSetType, kind)
}

// clone is a copy that outlives the reading of the next message.
func (c command) clone() command {
	out := slices.Clone(c)
	for i := range out {
		out[i].value = bytes.Clone(out[i].value)
	}
	return out
}
