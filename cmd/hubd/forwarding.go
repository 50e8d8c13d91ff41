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
		made, err := h.makeDestination(ctx, d)
		if err != nil {
			return err
		}
		c.Destinations = append(c.Destinations, made)
	}
	h.forward = forward.New(c)
	return h.makeDICOM()
}

func (h *theHub) makeDestination(ctx context.Context, d Destination) (forward.Destination, error) {
	switch d.Type {
	case "cstore":
		c, err := d.cstore()
		return forward.NewCStore(c), err
	case "stow":
		return d.makeStow()
	}
	return forward.NewDir(forward.DirConfig{
		Name: d.Name, Path: d.Path, Node: h.dirNode(), Create: d.Create,
		Used: func() (bool, error) { return h.ledger.Used(context.WithoutCancel(ctx), d.Name) }}), nil
}

// dirNode marks what this node writes, where others may write beside it.
func (h *theHub) dirNode() string {
	if !h.cfg.several() {
		return ""
	}
	return h.cfg.nodeID()
}
