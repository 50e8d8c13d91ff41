package objects

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"edged/internal/dicom"
)

// bucket is the shelf of S3-compatible storage.
type bucket struct {
	Bucket
	s    *Store
	core *minio.Core
	old  directory // objects and documents from before there was a bucket
	hold bool      // there are such

	ctx    context.Context // of all that is under way
	cancel context.CancelFunc
	slots  chan struct{} // a place for each request that stores a small object
	turns  *turns        // for those that store a part
	flying sync.WaitGroup

	patience time.Duration // sealWait, but in tests

	mu      sync.Mutex // guards what follows
	trouble trouble
	stored  time.Time // when something was, last
	flights map[dicom.ID]*flight
	swept   time.Time // when old uploads were looked for
	closed  bool      // nothing is begun any more
}

// How long a request may take, when it is not about much data.
const (
	dialWait    = 3 * time.Second
	requestWait = 10 * time.Second
)

// maxSmall is how many small objects are stored at the same time.
const maxSmall = 64

func openBucket(s *Store, c Bucket) (*bucket, error) {
	core, err := minio.NewCore(c.Endpoint, &minio.Options{
		Creds:        credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure:       c.Secure,
		Region:       cmp.Or(c.Region, "us-east-1"), // nobody is asked for it
		BucketLookup: minio.BucketLookupAuto,
		Transport:    transport(c.Secure),
		MaxRetries:   1, // this package knows better when
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	b := &bucket{Bucket: c, s: s, core: core, old: directory{s},
		slots: make(chan struct{}, maxSmall), turns: newTurns(maxParts), flights: map[dicom.ID]*flight{}, patience: sealWait}
	if b.hold, err = b.old.any(); err != nil {
		return nil, err
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	if err := b.prove(); err != nil {
		b.cancel()
		return nil, fmt.Errorf("%s: %w", c, err)
	}
	return b, nil
}

// transport is the library's, with shorter patience and more connections kept.
func transport(secure bool) *http.Transport {
	t, err := minio.DefaultTransport(secure)
	if err != nil {
		t = http.DefaultTransport.(*http.Transport).Clone()
	}
	t.DialContext = (&net.Dialer{Timeout: dialWait, KeepAlive: 15 * time.Second}).DialContext
	t.TLSHandshakeTimeout = dialWait
	t.MaxIdleConnsPerHost = maxSmall + maxParts
	return t
}

// close ends what is under way and waits for it.
func (b *bucket) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.flying.Wait()
}

// any reports whether there are whole objects or documents in the directory.
func (d directory) any() (found bool, err error) {
	for _, dir := range []string{"objects", "docs"} {
		err = errors.Join(err, fs.WalkDir(d.s.root.FS(), dir, func(_ string, e fs.DirEntry, err error) error {
			if found = found || err == nil && !e.IsDir(); found {
				return fs.SkipAll
			}
			return err
		}))
	}
	return found, err
}

func (b *bucket) key(name string) string {
	if b.Prefix == "" {
		return name
	}
	return b.Prefix + "/" + name
}

func (b *bucket) objectKey(id dicom.ID) string { return b.key(objectPath(id)) }

// welcome is written at each start: it proves that we may.
const welcome = "hubd keeps DICOM objects here. Nobody else may write or delete below this prefix, no rule may expire it.\n"

// prove asks at the start for all that is needed. An error is one that an administrator
// must mend. A bucket that cannot be reached is no error: it comes back.
func (b *bucket) prove() error {
	ctx, cancel := context.WithTimeout(b.ctx, requestWait)
	defer cancel()
	key := b.key("hubd.txt")
	err := b.store(ctx, key, []byte(welcome))
	if err == nil {
		err = b.readsBack(ctx, key)
	}
	if err == nil {
		_, err = b.there(ctx, key)
	}
	if err == nil {
		return nil
	}
	if w := understand(err); w.ours || w.alone {
		return fmt.Errorf("%s (%w)", w.say, err)
	}
	b.failed(err)
	return nil
}

func (b *bucket) readsBack(ctx context.Context, key string) error {
	got, err := b.fetch(ctx, key)
	if err == nil && string(got) != welcome {
		err = errStale
	}
	return err
}

// errStale means that the server does not keep the one promise everything stands on.
var errStale = errors.New("what was written cannot be read back")

// store puts bytes under a key, in one request. The server gets their SHA-256 before them,
// twice: as what it checks the signed request by, and as what it keeps with the object.
func (b *bucket) store(ctx context.Context, key string, data []byte) error {
	sum := sha256.Sum256(data)
	_, err := b.core.PutObject(ctx, b.Name, key, bytes.NewReader(data), int64(len(data)), "", hex.EncodeToString(sum[:]), putOptions(sum))
	return err
}

func putOptions(sum [sha256.Size]byte) minio.PutObjectOptions {
	return minio.PutObjectOptions{
		ContentType:          "application/dicom",
		DisableContentSha256: true, // not in chunks that are signed each: of the whole
		UserMetadata:         map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum[:])},
	}
}

// there asks the bucket's listing for a key and returns its size, -1 when it is not
// there. A listing is an answer of the server itself; a 404 may come from anything between.
func (b *bucket) there(ctx context.Context, key string) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range b.core.ListObjectsIter(ctx, b.Name, minio.ListObjectsOptions{Prefix: key, MaxKeys: 1}) {
		if o.Err != nil {
			return -1, o.Err
		}
		if o.Key == key {
			return o.Size, nil
		}
		break // keys come sorted, and ours is the first with this prefix
	}
	return -1, ctx.Err()
}
