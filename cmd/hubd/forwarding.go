package main

import (
	"context"

	"edged/hub"
	"edged/hub/forward"
)

func (h *theHub) makeForward(ctx context.Context) error {
	c := forward.Config{Jobs: h.ledger, Logger: h.log, Listening: h.cfg.DICOM.Listen != ""}
	c.Open = func(id hub.ID) (forward.Object, error) { return h.objects.Open(id) }
	for _, d := range h.cfg.Destinations {
		if d.Type == "cstore" {
			c.Destinations = append(c.Destinations, forward.NewCStore(forward.CStoreConfig{
				Name: d.Name, Address: d.Address, Called: d.AETitle, Calling: d.Calling, Associations: d.Associations,
				Commitment: d.Confirm == "commitment"}))
			continue
		}
		c.Destinations = append(c.Destinations, forward.NewDir(forward.DirConfig{
			Name: d.Name, Path: d.Path, Create: d.Create,
			Used: func() (bool, error) { return h.ledger.Used(context.WithoutCancel(ctx), d.Name) }}))
	}
	h.forward = forward.New(c)
	return h.makeDICOM()
}
