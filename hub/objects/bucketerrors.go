package objects

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// meaning is what an error of the bucket says.
type meaning struct {
	say   string // for the administrator
	ours  bool   // configuration: it does not go away by itself
	full  bool   // there is no room
	again bool   // it may be better in a moment
	alone bool   // it is about this request and no other
}

// understand tells the errors of servers apart. What it does not know concerns one
// object alone: others must not wait for it (P6).
func understand(err error) meaning {
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return unreachable(err)
	}
	switch response.Code {
	case "AccessDenied", "AllAccessDisabled", "AccountProblem":
		return meaning{ours: true, say: "our keys may not do what a hub must: allow them s3:GetObject, PutObject, DeleteObject, ListBucket, AbortMultipartUpload, ListMultipartUploadParts, ListBucketMultipartUploads"}
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "XAdminUserNotFound":
		return meaning{ours: true, say: "the server does not know our keys, or they are wrong: look into objects_credentials"}
	case "NoSuchBucket", "InvalidBucketName":
		return meaning{ours: true, say: "there is no such bucket: make it, or mend the name in objects"}
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "InvalidRegion", "IllegalLocationConstraintException":
		return meaning{ours: true, say: "the bucket is in another region: name it by region= in objects"}
	case "RequestTimeTooSkewed":
		return meaning{ours: true, say: "the clock of this machine differs from that of the server: set both by NTP"}
	case "XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "InsufficientCapacity", "ServiceQuotaExceeded", "NotEnoughSpace":
		return meaning{full: true, say: "the bucket is full: give it more space or a larger quota"}
	case "EntityTooLarge":
		return meaning{alone: true, say: "the server takes no objects of this size"}
	}
	switch c := response.StatusCode; {
	case c == http.StatusInsufficientStorage:
		return meaning{full: true, say: "the bucket is full: give it more space or a larger quota"}
	case c >= 500, c == http.StatusTooManyRequests, c == http.StatusRequestTimeout:
		return meaning{again: true, say: "the server cannot now: " + response.Code}
	case c == http.StatusUnauthorized, c == http.StatusForbidden:
		return meaning{ours: true, say: "the server refuses us: look into objects_credentials and the policy of the bucket"}
	}
	return meaning{alone: true, again: true, say: "the server refuses an object: " + response.Code}
}

// unreachable is about errors that are no answers.
func unreachable(err error) meaning {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown), errors.As(err, &host):
		return meaning{ours: true, say: "the certificate of the server is not trusted: name its CA by SSL_CERT_FILE, or the host it is for in endpoint="}
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return meaning{ours: true, say: "the server does not speak TLS there: say tls=false in objects, or name its other port"}
	case errors.Is(err, errStale):
		return meaning{ours: true, say: "what was just written is not read back: this storage or what stands before it does not keep read-after-write"}
	case errors.Is(err, context.Canceled):
		return meaning{say: "ended"}
	case errors.Is(err, context.DeadlineExceeded):
		return meaning{again: true, say: "the server does not answer in time"}
	}
	return meaning{again: true, say: "the server cannot be reached"}
}

// trouble is what is wrong with the bucket, until something was stored again.
type trouble struct {
	say   string
	since time.Time
	full  bool
	asked time.Time // when it was last looked whether it is over
}

// askAgain is how often that is.
const askAgain = 10 * time.Second

// failed remembers an error and says what it means for whoever calls the store: the
// object waits at its appliance, and what is here of it stays.
func (b *bucket) failed(err error) error { return b.means(understand(err), err) }

// justNow is how long ago another object was stored, at most, when what a server cannot
// is about one object alone.
const justNow = 5 * time.Second

// failedAt is failed for an object that was tried since then. Where the server cannot
// store it, but did others meanwhile or just before, it is alone: a key that is answered
// with 503 for ever must stop nobody else (P6).
func (b *bucket) failedAt(began time.Time, err error) error {
	m := understand(err)
	b.mu.Lock()
	m.alone = m.alone || m.again && b.stored.After(began.Add(-justNow))
	b.mu.Unlock()
	return b.means(m, err)
}

func (b *bucket) means(m meaning, err error) error {
	if m.alone {
		b.s.log.Warn("an object is not stored", "bucket", b.String(), "why", m.say, "error", err)
		b.mu.Lock()
		if b.trouble.say == "" {
			b.trouble = trouble{say: m.say, since: time.Now()}
		}
		b.mu.Unlock()
		return fmt.Errorf("%w: %s: %w", ErrTooBig, m.say, err)
	}
	if b.ctx.Err() == nil && !errors.Is(err, context.Canceled) { // else somebody has lost interest
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.trouble.say != m.say {
			b.s.log.Warn("bucket in trouble: appliances keep their copies", "bucket", b.String(), "why", m.say, "error", err)
		}
		if b.trouble.say == "" {
			b.trouble.since = time.Now()
		}
		b.trouble.say, b.trouble.full = m.say, m.full
	}
	return fmt.Errorf("%w: %s: %w", ErrFull, m.say, err)
}

// worked ends the trouble.
func (b *bucket) worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stored = time.Now()
	if b.trouble.say != "" {
		b.s.log.Info("bucket works again", "bucket", b.String(), "after", time.Since(b.trouble.since).Round(time.Second))
		b.trouble = trouble{}
	}
}

// wrong words the trouble. It is asked for by who shows it: a hub that receives nothing
// would not hear otherwise that the bucket is back.
func (b *bucket) wrong() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.trouble.say == "" {
		return ""
	}
	if now := time.Now(); !b.closed && now.Sub(b.trouble.since) > askAgain && now.Sub(b.trouble.asked) > askAgain {
		b.trouble.asked = now
		b.flying.Go(b.ask) // close waits for it
	}
	return fmt.Sprintf("%s: %s (since %s)", b.Bucket, b.trouble.say, b.trouble.since.UTC().Format(time.RFC3339))
}

func (b *bucket) ask() {
	ctx, cancel := context.WithTimeout(b.ctx, requestWait)
	defer cancel()
	if err := b.store(ctx, b.key("hubd.txt"), []byte(welcome)); err != nil {
		_ = b.failed(err) // it is remembered
		return
	}
	b.worked()
}

func (b *bucket) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.trouble.full
}

// absentKey reports whether an error says that there is no such key; there makes it certain.
func absentKey(err error) bool {
	return minio.ToErrorResponse(err).Code == minio.NoSuchKey
}

// noUpload means that a multipart upload was completed or aborted by somebody.
func noUpload(err error) bool {
	return minio.ToErrorResponse(err).Code == minio.NoSuchUpload
}

// patiently tries f until it works, or the error is none that passes, a few times.
func patiently(ctx context.Context, tries int, f func(context.Context) error) error {
	for try := 1; ; try++ {
		err := f(ctx)
		if err == nil || try == tries || !understand(err).again || noUpload(err) || absentKey(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(100*time.Millisecond<<(2*(try-1)), 2*time.Second)):
		}
	}
}

// within is patiently with a time for each try.
func within(ctx context.Context, wait time.Duration, tries int, f func(context.Context) error) error {
	return patiently(ctx, tries, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		return f(ctx)
	})
}
