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
// (P9), to its end. ok is false when there was none or it is longer; status then
// says so. The bytes are the caller's.
func (a *Association) small(presentation Context, cmd command) (d DataSet, status Status, err error) {
	if !cmd.carriesData() {
		return DataSet{}, StatusMistypedArgument, nil
	}
	var b bytes.Buffer // grows as bytes arrive
	if _, err := io.Copy(&b, io.LimitReader(&a.in, MaxSmallDataSet)); err != nil {
		return DataSet{}, 0, err
	}
	rest, err := a.in.drain()
	if err != nil {
		return DataSet{}, 0, err
	}
	if rest > 0 {
		return DataSet{}, StatusResourceLimitation, nil
	}
	return DataSet{presentation.TransferSyntax, b.Bytes()}, StatusSuccess, nil
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
