package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"edged/hub/ledger"
)

type receiptsKeyCmd struct{}

// Run prints the public key alone on standard output.
func (receiptsKeyCmd) Run(e *env) error {
	return e.withLedger(func(cfg Config, l *ledger.Ledger) error {
		ca, err := openCA(e.ctx, cfg, l)
		if err != nil {
			return err
		}
		key, err := ca.ReceiptsKey()
		if err != nil {
			return err
		}
		text, fingerprint, err := publicPEM(key.Public().(ed25519.PublicKey))
		if err != nil {
			return err
		}
		fmt.Fprintf(e.out, "%s", text)
		fmt.Fprintf(e.errOut, "SHA-256 of this key: %s\n", fingerprint)
		return nil
	})
}

type receiptsShowCmd struct {
	Study string `required:"" placeholder:"UID" help:"Study Instance UID."`
}

// Run prints the files as they are; what is wrong with one is said, and all are shown.
func (c receiptsShowCmd) Run(e *env) error {
	cfg, err := e.load()
	if err != nil {
		return err
	}
	h := &theHub{cfg: cfg, log: newLogger(e.errOut, cfg.Log)}
	lc := ledgerConfig(cfg)
	lc.Beside = true
	if h.ledger, err = ledger.Open(e.ctx, lc); err != nil {
		return err
	}
	return errors.Join(h.showReceipts(e, c.Study), h.close())
}

func (h *theHub) showReceipts(e *env, study string) error {
	docs, done, err := readDocuments(h.cfg)
	if err != nil {
		return err
	}
	defer done()
	k, err := newKeeper(e.ctx, h.cfg, h.ledger, docs)
	if err != nil {
		return err
	}
	if err := h.ledger.Audit(e.ctx, actor(), "receipts show", study, ""); err != nil {
		return err
	}
	files, err := h.ledger.FoldedOf(e.ctx, study)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no file of receipts for this study: receipts of a study are folded %s after the last one, when all of it is archived", humanAge(h.cfg.Receipts.FoldAfter))
	}
	var errs []error
	for _, f := range files {
		file, _, err := k.read(e.ctx, f)
		errs = append(errs, err)
		if _, err := e.out.Write(file); err != nil {
			return err
		}
		fmt.Fprintf(e.errOut, "part %d of %s: %d objects, %d receipts, %s\n", f.Part, f.At.Format(time.RFC3339), f.Objects, f.Receipts, verdict(err))
	}
	return errors.Join(errs...)
}

// readDocuments opens the files of receipts beside a running hub, whose own directory
// belongs to that hub alone: a bucket by way of an empty directory, else the files.
func readDocuments(c Config) (documents, func(), error) {
	if c.Objects == "" {
		return filesOf(filepath.Join(objectsDir(c), "docs")), func() {}, nil
	}
	return beside(c)
}

// filesOf reads documents where objects.Store keeps them as files.
type filesOf string

var errReadOnly = errors.New("this command only reads")

func (d filesOf) Get(_ context.Context, name string) ([]byte, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}

func (filesOf) Put(context.Context, string, []byte) error { return errReadOnly }
func (filesOf) List(context.Context, string) ([]string, error) {
	return nil, errReadOnly
}
func (filesOf) Delete(context.Context, string) error { return errReadOnly }

func verdict(err error) string {
	if err != nil {
		return "NOT what was signed"
	}
	return "signature and digest are good"
}

type receiptsVerifyCmd struct {
	File string `arg:"" help:"A file of receipts, as hubd receipts show prints it."`
	Key  string `placeholder:"FILE" help:"The public key, as hubd receipts key prints it. Default: this hub's."`
}

func (c receiptsVerifyCmd) Run(e *env) error {
	key, err := c.key(e)
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	return verifyParts(key, f, func(r receiptsFile) { r.tell(e.out) })
}

func (r *receiptsFile) tell(w io.Writer) {
	receipts := 0
	for _, o := range r.Objects {
		receipts += len(o.Receipts)
	}
	before := ""
	if r.Before != "" {
		before = ", after the part with the SHA-256 " + r.Before
	}
	fmt.Fprintf(w, "good: study %.80q, part %d%s, %d objects, %d receipts, folded %s by the hub with ledger %s\n",
		r.Study, r.Part, before, len(r.Objects), receipts, r.FoldedAt.Format(time.RFC3339), r.Ledger)
}

func (c receiptsVerifyCmd) key(e *env) (key ed25519.PublicKey, err error) {
	if c.Key != "" {
		text, err := os.ReadFile(c.Key)
		if err != nil {
			return nil, err
		}
		return parsePublicPEM(text)
	}
	err = e.withLedger(func(cfg Config, l *ledger.Ledger) error {
		ca, err := openCA(e.ctx, cfg, l)
		if err != nil {
			return err
		}
		private, err := ca.ReceiptsKey()
		if err == nil {
			key = private.Public().(ed25519.PublicKey)
		}
		return err
	})
	return key, err
}
