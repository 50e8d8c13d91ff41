package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"edged/hub/ledger"
)

// keepEvery is how often figures are added up and receipts are folded and expire.
const keepEvery = time.Hour

// foldPage is how many rows one look at what can be folded reads.
const foldPage = 500

// documents are where files of receipts lie: objects.Store.
type documents interface {
	Put(ctx context.Context, name string, b []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix string) ([]string, error)
}

// keeper looks after what must outlive the objects: receipts and figures.
type keeper struct {
	ledger *ledger.Ledger
	docs   documents
	config Receipts
	key    ed25519.PrivateKey
	id     string           // of the ledger
	now    func() time.Time // of this machine; orders nothing

	orphans map[string]bool // files without a row, a round ago
}

func newKeeper(ctx context.Context, c Config, l *ledger.Ledger, docs documents) (*keeper, error) {
	ca, err := openCA(ctx, c, l)
	if err != nil {
		return nil, err
	}
	key, err := ca.ReceiptsKey()
	if err != nil {
		return nil, err
	}
	id, _, err := l.Identity(ctx)
	return &keeper{ledger: l, docs: docs, config: c.Receipts, key: key, id: id, now: time.Now}, err
}

// keepReceipts runs in the hub.
func (h *theHub) keepReceipts(ctx context.Context) error {
	k, err := newKeeper(ctx, h.cfg, h.ledger, h.objects)
	if err != nil {
		return err
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		folded, expired, err := k.round(ctx)
		if folded+expired > 0 {
			h.log.Info("receipts folded", "files", folded, "expired", expired)
		}
		if err != nil && ctx.Err() == nil {
			h.log.Error("receipts not folded, or figures not added up; tried again in an hour", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// round adds up first, because what is folded is no longer looked at for figures.
func (k *keeper) round(ctx context.Context) (folded, expired int, err error) {
	if err := k.ledger.AddUp(ctx); err != nil {
		return 0, 0, err
	}
	if folded, err = k.fold(ctx); err != nil {
		return folded, 0, err
	}
	if expired, err = k.expire(ctx); err != nil {
		return folded, expired, err
	}
	swept, err := k.sweep(ctx)
	return folded, expired + swept, err
}

// otherNode is after how many studies that somebody else folded meanwhile a round ends:
// another node is at it.
const otherNode = 3

func (k *keeper) fold(ctx context.Context) (files int, err error) {
	before := k.now().Add(-k.config.FoldAfter)
	var from ledger.FoldCursor
	for changed := 0; ctx.Err() == nil && changed < otherNode; {
		studies, next, err := k.ledger.Foldable(ctx, before, from, foldPage)
		if err != nil || len(studies) == 0 {
			return files, err
		}
		from = next
		for _, study := range studies {
			n, err := k.foldStudy(ctx, study, before)
			files += n
			if errors.Is(err, ledger.ErrFoldChanged) {
				changed++
			} else if err != nil {
				return files, err
			}
		}
	}
	return files, ctx.Err()
}

// foldStudy folds all that can be, part by part. The order is: file durable, then one
// transaction that has the row of the file and lets the receipts go. A file without a
// row is left by a crash in between, and means nothing (sweep).
func (k *keeper) foldStudy(ctx context.Context, study string, before time.Time) (files int, err error) {
	for ctx.Err() == nil {
		f, err := k.ledger.FoldOf(ctx, study, before)
		if err != nil || f == nil {
			return files, err
		}
		file, err := signedReceipts(k.key, k.id, f, k.now())
		if err != nil {
			return files, err
		}
		name, digest := receiptsName(f, file, k.now()), sha256.Sum256(file)
		if err := k.docs.Put(ctx, name, file); err != nil {
			return files, err
		}
		if err := k.ledger.Folded(ctx, f, name, digest); err != nil {
			return files, err
		}
		files++
	}
	return files, ctx.Err()
}

// receiptsName has no byte of a peer in it, and another one for other bytes: of two
// nodes that fold the same study none writes over the other's file.
func receiptsName(f *ledger.Fold, file []byte, now time.Time) string {
	study, digest := sha256.Sum256([]byte(f.Study)), sha256.Sum256(file)
	return fmt.Sprintf("receipts/%s/%s-%d-%s.json", now.UTC().Format("2006/01/02"), hex.EncodeToString(study[:16]), f.Part, hex.EncodeToString(digest[:8]))
}

// expire removes files that were kept for long enough: file, then row.
func (k *keeper) expire(ctx context.Context) (expired int, err error) {
	for ctx.Err() == nil {
		old, err := k.ledger.FoldedBefore(ctx, k.now().Add(-k.config.Keep), foldPage)
		if err != nil || len(old) == 0 {
			return expired, err
		}
		for _, f := range old {
			if err := k.docs.Delete(ctx, f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return expired, err
			}
		}
		if err := k.ledger.FoldExpired(ctx, old, "hubd"); err != nil {
			return expired, err
		}
		expired += len(old)
	}
	return expired, ctx.Err()
}

// read returns a file after having compared its digest with the row's, and its
// signature with the key.
func (k *keeper) read(ctx context.Context, f ledger.FoldedFile) ([]byte, receiptsFile, error) {
	file, err := k.docs.Get(ctx, f.Name)
	if err != nil {
		return nil, receiptsFile{}, err
	}
	if sha256.Sum256(file) != f.Digest {
		return file, receiptsFile{}, fmt.Errorf("%s: it does not have the digest that the ledger has: %w", f.Name, errForged)
	}
	r, err := verifyReceipts(k.key.Public().(ed25519.PublicKey), file)
	return file, r, err
}
