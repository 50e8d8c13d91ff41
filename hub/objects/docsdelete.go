package objects

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/minio/minio-go/v7"
)

// Delete removes a document for good. One that is not there is no error.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := s.Failed(); err != nil {
		return err
	}
	if err := s.shelf.drop(ctx, name); err != nil {
		return fmt.Errorf("delete document %s: %w", name, err)
	}
	return nil
}

func (d directory) drop(_ context.Context, name string) error {
	err := d.s.root.Remove("docs/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.sync(path.Dir("docs/" + name))
}

func (b *bucket) drop(ctx context.Context, name string) error {
	err := within(ctx, requestWait, 3, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.Name, b.key("docs/"+name), minio.RemoveObjectOptions{})
	})
	if absentKey(err) {
		err = nil
	}
	if b.hold {
		err = errors.Join(err, b.old.drop(ctx, name))
	}
	return err
}
