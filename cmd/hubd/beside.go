package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
)

// beside opens the bucket without touching data_dir, which belongs to a hub that may
// run: the store gets an empty directory for what has arrived in part.
func beside(c Config) (documents, func(), error) {
	dir, err := os.MkdirTemp("", "hubd-beside-")
	if err != nil {
		return nil, nil, err
	}
	c.DataDir = dir
	h := &theHub{cfg: c, log: slog.New(slog.DiscardHandler)}
	if err := h.openObjects(context.Background()); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h.objects, func() { _ = errors.Join(h.objects.Close(), os.RemoveAll(dir)) }, nil
}
