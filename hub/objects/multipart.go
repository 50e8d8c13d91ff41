package objects

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"edged/internal/dicom"
)

const (
	partBytes    = 8 << 20 // of each part but the last; more where there would be too many
	mostParts    = 10_000  // of an upload, by S3
	maxParts     = 8       // under way at the same time, of all objects
	slowest      = 128 << 10
	completeWait = 5 * time.Minute // the server may copy all of it
	oldUpload    = 72 * time.Hour
	lookForOld   = 6 * time.Hour
)

// partSize depends on nothing but the size of the object: whoever goes on with an
// upload, at whatever node, cuts it into the same parts.
func partSize(size int64) int64 {
	n := max(partBytes, (size+mostParts-1)/mostParts)
	return (n + 1<<20 - 1) >> 20 << 20
}

// stale reports whether an upload has gone away below us, or was begun by somebody with
// other parts.
func stale(err error) bool {
	switch minio.ToErrorResponse(err).Code {
	case minio.NoSuchUpload, "InvalidPart", "InvalidPartOrder", "EntityTooSmall":
		return true
	}
	return false
}

// upload goes on with an unfinished upload of this object, its own of a former life or
// that of another node, or begins one. The commit point is the answer to its completion.
func (b *bucket) upload(ctx context.Context, g *cargo, class uint8) error {
	key := b.objectKey(g.id)
	id, have, err := b.resume(ctx, key)
	if err != nil {
		return err
	}
	g.digest = g.names.NewHash()
	parts, err := b.sendParts(ctx, g, class, id, have)
	if err == nil && !g.holds() {
		err = ErrDigest
	}
	if err == nil {
		err = within(ctx, completeWait, 3, func(ctx context.Context) error {
			_, err := b.core.CompleteMultipartUpload(ctx, b.Name, key, id, parts, minio.PutObjectOptions{})
			return err
		})
	}
	if errors.Is(err, ErrDigest) || stale(err) && !noUpload(err) {
		b.abort(ctx, key, id)
	}
	return err
}

// resume finds the newest unfinished upload of a key and its parts, or begins one.
func (b *bucket) resume(ctx context.Context, key string) (id string, have map[int]minio.ObjectPart, err error) {
	var newest minio.ObjectMultipartInfo
	err = b.uploads(ctx, key, func(u minio.ObjectMultipartInfo) {
		if u.Key == key && u.Initiated.After(newest.Initiated) {
			newest = u
		}
	})
	if err != nil && minio.ToErrorResponse(err).StatusCode != http.StatusNotImplemented {
		return "", nil, err
	}
	if newest.UploadID != "" {
		if have, err = b.parts(ctx, key, newest.UploadID); !noUpload(err) {
			return newest.UploadID, have, err
		}
	}
	err = within(ctx, requestWait, 3, func(ctx context.Context) (err error) {
		id, err = b.core.NewMultipartUpload(ctx, b.Name, key, minio.PutObjectOptions{
			ContentType: "application/dicom", UserMetadata: map[string]string{"X-Amz-Checksum-Algorithm": "SHA256"}})
		return err
	})
	return id, nil, err
}

// uploads gives each unfinished upload of the keys with a prefix.
func (b *bucket) uploads(ctx context.Context, prefix string, give func(minio.ObjectMultipartInfo)) error {
	const pages = 1000
	var key, id string
	for range pages {
		var page minio.ListMultipartUploadsResult
		err := within(ctx, requestWait, 3, func(ctx context.Context) (err error) {
			page, err = b.core.ListMultipartUploads(ctx, b.Name, prefix, key, id, "", 1000)
			return err
		})
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			give(u)
		}
		if !page.IsTruncated || page.NextKeyMarker == key && page.NextUploadIDMarker == id {
			return nil
		}
		key, id = page.NextKeyMarker, page.NextUploadIDMarker
	}
	return nil
}

// parts lists what an upload has.
func (b *bucket) parts(ctx context.Context, key, id string) (map[int]minio.ObjectPart, error) {
	have := map[int]minio.ObjectPart{}
	for after := 0; ; {
		var page minio.ListObjectPartsResult
		err := within(ctx, requestWait, 3, func(ctx context.Context) (err error) {
			page, err = b.core.ListObjectParts(ctx, b.Name, key, id, after, 1000)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, p := range page.ObjectParts {
			have[p.PartNumber] = p
		}
		if !page.IsTruncated || page.NextPartNumberMarker <= after || len(have) > mostParts {
			return have, nil
		}
		after = page.NextPartNumberMarker
	}
}

// sendParts sends what the upload has not, and reads all of the file once for it. Memory
// is that of a few copies: a part is read for its checksum, and again when it is sent.
func (b *bucket) sendParts(ctx context.Context, g *cargo, class uint8, id string, have map[int]minio.ObjectPart) ([]minio.CompletePart, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	step := partSize(g.size)
	parts := make([]minio.CompletePart, (g.size+step-1)/step)
	var wg sync.WaitGroup
	for i := range parts {
		if err := b.turns.take(ctx, class); err != nil {
			break
		}
		off := int64(i) * step
		n := min(step, g.size-off)
		sum, err := g.sum(off, n)
		if err != nil {
			b.turns.give()
			cancel(fmt.Errorf("%w: %w", ErrFull, err))
			break
		}
		if p, ok := have[i+1]; ok && g.same(p, off, n, sum) {
			parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256}
			b.turns.give()
			continue
		}
		wg.Go(func() { // waited for below
			defer b.turns.give()
			if parts[i], err = b.sendPart(ctx, g, id, i+1, off, n, sum); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return parts, context.Cause(ctx)
}

// sendPart stores one part; the server gets its SHA-256 first and refuses other bytes.
func (b *bucket) sendPart(ctx context.Context, g *cargo, id string, number int, off, n int64, sum [sha256.Size]byte) (done minio.CompletePart, err error) {
	header := http.Header{}
	header.Set("X-Amz-Checksum-Sha256", base64.StdEncoding.EncodeToString(sum[:]))
	err = within(ctx, transferWait(n), 4, func(ctx context.Context) error {
		p, err := b.core.PutObjectPart(ctx, b.Name, b.objectKey(g.id), id, number, g.section(off, n), n,
			minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), CustomHeader: header.Clone(), DisableContentSha256: true})
		done = minio.CompletePart{PartNumber: number, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256}
		return err
	})
	return done, err
}

// same reports whether a part that the server has is what we would send: by its SHA-256,
// or by its MD5 where the server keeps no other checksum.
func (g *cargo) same(p minio.ObjectPart, off, n int64, sum [sha256.Size]byte) bool {
	switch {
	case p.Size != n:
		return false
	case p.ChecksumSHA256 != "":
		return p.ChecksumSHA256 == base64.StdEncoding.EncodeToString(sum[:])
	}
	h := md5.New()
	_, err := io.Copy(h, g.section(off, n))
	return err == nil && p.ETag == hex.EncodeToString(h.Sum(nil))
}

func (b *bucket) abort(ctx context.Context, key, id string) {
	err := within(ctx, requestWait, 2, func(ctx context.Context) error { return b.core.AbortMultipartUpload(ctx, b.Name, key, id) })
	if err != nil && !noUpload(err) {
		b.s.log.Warn("unfinished upload not removed: it goes in some days", "bucket", b.String(), "error", err)
	}
}

// abortOld removes uploads that were begun days ago: their objects came otherwise, or
// are with their appliances. What was aborted below somebody begins again.
func (b *bucket) abortOld() {
	b.mu.Lock()
	due := time.Since(b.swept) > lookForOld
	if due {
		b.swept = time.Now()
	}
	b.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	b.abortBefore(ctx, time.Now().Add(-oldUpload))
}

func (b *bucket) abortBefore(ctx context.Context, then time.Time) {
	var old []minio.ObjectMultipartInfo
	err := b.uploads(ctx, b.key("objects/"), func(u minio.ObjectMultipartInfo) {
		if u.Initiated.Before(then) && !b.isFlying(u.Key) {
			old = append(old, u)
		}
	})
	if err != nil && ctx.Err() == nil {
		b.s.log.Warn("unfinished uploads not looked for", "bucket", b.String(), "error", err)
	}
	for _, u := range old {
		b.abort(ctx, u.Key, u.UploadID)
	}
}

func (b *bucket) isFlying(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.flights {
		if b.objectKey(id) == key {
			return true
		}
	}
	return false
}

// stat asks for the size of a key; -1 when it is not there.
func (b *bucket) stat(ctx context.Context, key string) (size int64, err error) {
	err = within(ctx, requestWait, 3, func(ctx context.Context) error {
		info, err := b.core.StatObject(ctx, b.Name, key, minio.StatObjectOptions{})
		size = info.Size
		return err
	})
	if err != nil && absentKey(err) {
		return -1, nil
	}
	return size, err
}

// whole reports whether the bucket has all of the object, and nobody found it damaged.
func (b *bucket) whole(ctx context.Context, g *cargo) (bool, error) {
	size, err := b.stat(ctx, b.objectKey(g.id))
	if err != nil || size != g.size {
		return false, err
	}
	mark, err := b.stat(ctx, b.mark(g.id))
	return mark < 0, err
}

// mark is the key that says that an object's bytes were found to be others: it is
// stored again when it comes again, though there is something of its size.
func (b *bucket) mark(id dicom.ID) string { return b.key("damaged/" + id.String()) }

// unmark forgets it after the object was stored.
func (b *bucket) unmark(ctx context.Context, g *cargo) error {
	mark, err := b.stat(ctx, b.mark(g.id))
	if err != nil || mark < 0 {
		return err
	}
	return within(ctx, requestWait, 3, func(ctx context.Context) error {
		return b.core.RemoveObject(ctx, b.Name, b.mark(g.id), minio.RemoveObjectOptions{})
	})
}
