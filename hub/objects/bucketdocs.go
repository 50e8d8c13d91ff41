package objects

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// listWait bounds a listing: a thousand names a request.
const listWait = 5 * time.Minute

// put is one request; its answer is the commit point.
func (b *bucket) put(ctx context.Context, name string, data []byte) error {
	err := within(ctx, requestWait, 3, func(ctx context.Context) error { return b.store(ctx, b.key("docs/"+name), data) })
	if err != nil {
		return b.failed(err)
	}
	b.worked()
	return nil
}

func (b *bucket) get(ctx context.Context, name string) (data []byte, err error) {
	key := b.key("docs/" + name)
	err = within(ctx, requestWait, 3, func(ctx context.Context) (err error) {
		data, err = b.fetch(ctx, key)
		return err
	})
	if err != nil {
		err = b.missing(ctx, key, err)
	}
	if errors.Is(err, fs.ErrNotExist) && b.hold {
		return b.old.get(ctx, name)
	}
	return data, err
}

func (b *bucket) fetch(ctx context.Context, key string) ([]byte, error) {
	body, _, _, err := b.core.GetObject(ctx, b.Name, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return limited(body)
}

func (b *bucket) list(ctx context.Context, prefix string) (names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	below := b.key("docs/")
	for o := range b.core.ListObjectsIter(ctx, b.Name, minio.ListObjectsOptions{Prefix: below + prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if !strings.HasSuffix(o.Key, "/") { // what some servers have for a directory
			names = append(names, strings.TrimPrefix(o.Key, below))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.hold {
		old, err := b.old.list(ctx, prefix)
		if err != nil {
			return nil, err
		}
		names = append(names, old...)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names, nil
}
