package main

import (
	"errors"
	"testing"

	"edged/spool"
	"edged/uplink"
	"edged/uplink/uplinktest/liar"
	"edged/uplink/wire"
)

// TestNodesThatShareALedgerAreOneHub: one node gives the receipts, and goes away before
// it says more; the other one, with the same rows, says archived. That counts: what
// matters is whose rows say so (P2), not which process.
func TestNodesThatShareALedgerAreOneHub(t *testing.T) {
	for _, carrier := range liarCarriers {
		t.Run(carrier, func(t *testing.T) {
			a := newLiedTo(t, 3, 3000)
			first := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.WelcomeTo("shared")
				for i := range 3 {
					if o := c.Offers(i + 1); len(o) > i && c.Take(o[i]) {
						c.Receipt(o[i])
					}
				}
				c.Drain()
			})
			second := liar.Serve(t, a.ca, func(c *liar.Conn) {
				c.WelcomeTo("shared")
				c.Archived(a.offers()...)
				c.Drain()
			})
			a.call(carrier, 1, first.Addr)
			a.await("the receipts", func(uplink.Status) bool { return a.spool.Stats().ByState[spool.AtHub] == 3 })
			a.stop()
			a.call(carrier, 1, second.Addr)
			for _, id := range a.ids {
				a.await("to be forgotten", func(uplink.Status) bool {
					_, err := a.spool.Object(id)
					return errors.Is(err, spool.ErrUnknown)
				})
			}
			a.stop()
		})
	}
}

// offers are the objects of a, as a hub knows them.
func (a *liedTo) offers() (list []wire.Object) {
	for _, id := range a.ids {
		o, err := a.spool.Object(id)
		if err != nil {
			a.t.Fatal(err)
		}
		list = append(list, wire.Object{ID: wire.ID(o.ID), Length: o.Length})
	}
	return list
}

// TestAReceiptOfTheNewLedgerEndsTheWait: the hub that took the objects was replaced by
// one with other rows. It is offered them again, and what it says after its own receipts
// counts.
func TestAReceiptOfTheNewLedgerEndsTheWait(t *testing.T) {
	a := newLiedTo(t, 1, 3000)
	honest := func(ledger string, archived bool) func(*liar.Conn) {
		return func(c *liar.Conn) {
			c.WelcomeTo(ledger)
			if o := c.Offers(1); len(o) > 0 && c.Take(o[0]) {
				c.Receipt(o[0])
				if archived {
					c.Archived(o[0])
				}
			}
			c.Drain()
		}
	}
	a.call("tcp", 1, liar.Serve(t, a.ca, honest("old", false)).Addr)
	a.await("the receipt", func(uplink.Status) bool { return a.spool.Stats().ByState[spool.AtHub] == 1 })
	a.stop()
	a.call("tcp", 1, liar.Serve(t, a.ca, honest("new", true)).Addr)
	a.await("to be forgotten", func(uplink.Status) bool {
		_, err := a.spool.Object(a.ids[0])
		return errors.Is(err, spool.ErrUnknown)
	})
	a.stop()
}
