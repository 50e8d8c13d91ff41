package main

import (
	"time"

	"edged/internal/tools/lab"
)

// pace is what comes to a receiver's devices, for the rate of the second half of a
// cell: what slow start and the finding of lanes gave or cost is over by then.
type pace struct {
	receiver *lab.Process
	limit    time.Duration // of the cell
	before   lab.Net
	half     lab.Net // at the middle of the time
	middle   time.Duration
	last     lab.Net
	end      time.Duration
}

// zero is called before anything is sent.
func (p *pace) zero() (err error) {
	p.before, err = p.receiver.NetIn()
	return err
}

// started reports whether a packet came.
func (p *pace) started() bool {
	n, _ := p.receiver.NetIn() // an error shows as silence
	return n.Packets > p.before.Packets
}

// look is called often, with the time since the first packet.
func (p *pace) look(at time.Duration) {
	n, err := p.receiver.NetIn()
	if err != nil {
		return
	}
	if p.last, p.end = n, at; at <= p.limit/2 {
		p.half, p.middle = n, at
	}
}

// steady is in bits a second of data sets; 0 for what ended in the first three
// quarters of its time.
func (p *pace) steady(o outcome) float64 {
	all := float64(p.last.Bytes - p.before.Bytes)
	if p.end < p.limit*3/4 || all <= 0 {
		return 0
	}
	part := float64(p.last.Bytes-p.half.Bytes) / all
	return part * float64(o.bytes) * 8 / (p.end - p.middle).Seconds()
}
