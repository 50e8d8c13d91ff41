//go:build linux

package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

// index is a disposable cache in one bbolt file: sequence number to ID and
// Meta, so that lists need not open every object's file. It holds only what
// never changes after a commit; states live in the journal. A row is written
// after its object is durable, so the index never runs ahead (SPOOL-12); every
// value carries a checksum (SPOOL-13); on any doubt the file is thrown away and
// made again (SPOOL-11). It is outside every promise: all of its errors end in
// reading the object's file instead.
//
// A nil *index is an index that knows nothing.
type index struct {
	path string
	rows rowCipher
	log  func(msg string, args ...any)

	mu    sync.RWMutex // guards db and doubt
	db    *bolt.DB     // nil while there is none
	doubt bool         // a row did not match its checksum

	faults atomic.Int64 // of the mapped file, since it was opened; see guarded
	left   int          // databases left alone after faults; owned by Open and Run's goroutine
}

// indexBatch bounds a transaction.
const indexBatch = 1000

// openIndex opens the index if a child process finds it sound, or makes a new one.
func (s *Spool) openIndex(ctx context.Context, fs *osFS) *index {
	x := s.newIndex(fs)
	if s.probed == nil {
		err := probeIndex(ctx, x.path)
		s.probed = &err
	}
	err := *s.probed
	if err == nil {
		err = x.open()
	}
	if err == nil {
		err = x.compare(s)
	}
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			x.log("index is not usable, it is made again", "reason", err)
		}
		x.remake(s)
	}
	return x
}

func (x *index) open() error {
	if x.left >= maxLeft {
		return errors.New("its file cannot be read again and again")
	}
	x.faults.Store(0)
	var db *bolt.DB
	err := x.guarded(func() (err error) {
		if db, err = bolt.Open(x.path, 0o600, &bolt.Options{Timeout: time.Second, NoFreelistSync: false}); err != nil {
			return err
		}
		return db.Update(func(tx *bolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists(x.rows.bucket)
			return err
		})
	})
	if err != nil {
		x.letGo(db)
		return err
	}
	x.mu.Lock()
	x.db, x.doubt = db, false
	x.mu.Unlock()
	return nil
}

// remake throws the file away; every object is to be written again.
func (x *index) remake(s *Spool) {
	x.close()
	err := os.Remove(x.path)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = x.open()
	}
	if err != nil {
		x.log("no index: lists read the objects' files", "reason", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale = s.stale[:0]
	for _, e := range s.order {
		if !e.gone {
			s.stale = append(s.stale, e)
		}
	}
}

// compare leaves in s.stale what the index does not have yet, and takes rows
// out that are of no object here. It runs in Open, alone.
func (x *index) compare(s *Spool) error {
	have := map[uint64]bool{}
	var extra [][]byte
	err := x.each(func(k []byte, r row) {
		if e := s.atSeq(r.seq); e != nil && e.id == r.id {
			have[r.seq] = true
		} else {
			extra = append(extra, append([]byte(nil), k...))
		}
	})
	if err != nil {
		return err
	}
	var missing []*entry
	for _, e := range s.stale {
		if !have[e.seq] {
			missing = append(missing, e)
		}
	}
	s.stale = missing
	if !s.roomForIndex() {
		return nil // they prove nothing, the next start sees them again
	}
	return x.write(extra, nil)
}

// each reads all rows. Nobody else uses the index meanwhile.
func (x *index) each(f func(k []byte, r row)) error {
	return x.guarded(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			if tx.Bucket(x.rows.strange()) != nil {
				return errors.New("encryption was switched")
			}
			return tx.Bucket(x.rows.bucket).ForEach(func(k, v []byte) error {
				r, err := x.rows.open(k, v)
				if err == nil {
					f(k, r)
				}
				return err
			})
		})
	})
}

// row is what is written for one object.
type row struct {
	seq  uint64
	id   ID
	meta []byte
}

func indexKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// encode: CRC-32C over key, ID and Meta, then ID, then Meta.
func (r row) encode() []byte {
	b := make([]byte, 4, 4+len(r.id)+len(r.meta))
	b = append(b, r.id[:]...)
	b = append(b, r.meta...)
	binary.BigEndian.PutUint32(b, checksumAdd(checksum(indexKey(r.seq)), b[4:]))
	return b
}

func decodeRow(k, v []byte) (id ID, meta []byte, err error) {
	if len(k) != 8 || len(v) < 4+len(id) || binary.BigEndian.Uint32(v) != checksumAdd(checksum(k), v[4:]) {
		return id, nil, errors.New("index row does not match its checksum")
	}
	copy(id[:], v[4:])
	return id, append([]byte{}, v[4+len(id):]...), nil
}

// meta looks an object up. False means: look into its file.
func (x *index) meta(seq uint64) (meta []byte, ok bool) {
	if x == nil {
		return nil, false
	}
	meta, err := x.look(seq)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		x.mu.Lock()
		x.doubt = true // Run makes it again
		x.mu.Unlock()
	}
	return meta, err == nil
}

func (x *index) look(seq uint64) (meta []byte, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil || x.doubt {
		return nil, os.ErrNotExist
	}
	err = x.guarded(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			k := x.rows.key(seq)
			v := tx.Bucket(x.rows.bucket).Get(k)
			if v == nil {
				return os.ErrNotExist
			}
			r, err := x.rows.open(k, v)
			meta = r.meta
			return err
		})
	})
	return meta, err
}

// indexTurn is how long update may hold up what else Run does. Two batches it always
// does, more than are forgotten between two of its calls.
const indexTurn = 200 * time.Millisecond

// update writes rows for new objects and deletes those of forgotten ones, for a
// turn; then Run comes back for the rest. It eats nothing of the reserve: that is for
// receipts, and bbolt takes new pages even for a deletion. Called by Run's goroutine.
func (x *index) update(ctx context.Context, s *Spool) {
	x.mu.RLock()
	doubt := x.doubt
	x.mu.RUnlock()
	if doubt {
		x.remake(s)
	}
	for began, batch := time.Now(), 0; ctx.Err() == nil && s.roomForIndex(); batch++ {
		if batch >= 2 && time.Since(began) > indexTurn {
			s.wakeRun()
			return
		}
		put, del, n := s.staleRows(x.rows)
		if n == 0 {
			return
		}
		if err := x.write(del, put); err != nil {
			x.log("index is not usable, it is made again", "reason", err)
			x.remake(s)
			return
		}
	}
}

func (s *Spool) roomForIndex() bool {
	free, err := s.fs.Free()
	return err == nil && free >= s.cfg.ReserveBytes
}

// indexAhead is what the mutant of that name does.
func (s *Spool) indexAhead(e *entry) {
	s.mu.Lock()
	s.stale = append(s.stale, e)
	s.mu.Unlock()
	s.updateIndex(context.Background())
}

// staleRows takes a batch off the list.
func (s *Spool) staleRows(rows rowCipher) (put []row, del [][]byte, n int) {
	s.mu.Lock()
	n = min(len(s.stale), indexBatch)
	for _, e := range s.stale[:n] {
		if e.gone {
			del = append(del, rows.key(e.seq))
		} else {
			put = append(put, row{seq: e.seq, id: e.id})
		}
	}
	s.stale = append(s.stale[:0], s.stale[n:]...)
	s.mu.Unlock()
	readable := put[:0]
	for _, r := range put {
		if r.meta = s.metaFromFile(r.seq); r.meta != nil {
			readable = append(readable, r)
		}
	}
	return readable, del, n
}

func (x *index) write(del [][]byte, put []row) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.db == nil || len(del)+len(put) == 0 {
		return nil
	}
	return x.guarded(func() error {
		return x.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(x.rows.bucket)
			for _, k := range del {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			for _, r := range put {
				k, v := x.rows.seal(r)
				if err := b.Put(k, v); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

func (x *index) close() {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.letGo(x.db)
	x.db = nil
}
