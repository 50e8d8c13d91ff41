package spool

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
)

// memFS is a file system that keeps apart what was synced and what was not, and
// that forgets the second part when told to crash. It is stricter than ext4 or
// XFS: a synced file whose name was not synced is gone, a directory whose
// parent was not synced is gone with all that is in it, a rename may lose both
// names, unsynced content may be any mixture of blocks. What a failed sync was to
// make durable no later one does, syncfs neither: the kernel takes it for written.
// Only what is changed anew, a file or a name, has another chance.
//
// Operations that change something are counted; after crashAt of them nothing
// works any more. fault may fail any of them first.
type memFS struct {
	mu          sync.Mutex
	root        *memNode
	ops         int
	crashAt     int // 0: never
	fault       func(kind, name string) error
	log         []string   // kind and name of every operation
	made        []*memNode // every file that was ever created, by this life
	secondSyncs int        // of files, and by this life of directories, of which a sync had failed
	key         []byte     // for the spools on it; nil: they are plain. It outlives the crash
	free        int64      // bytes that can still be written; negative: no limit
	locked      bool
}

type memNode struct {
	dir     bool
	data    []byte
	synced  []byte // what a power cut leaves of data
	bad     bool   // a sync of it failed: later ones say yes and do nothing, as Linux does
	names   map[string]*memNode
	durable map[string]*memNode // what a power cut leaves of names
	lost    map[string]*memNode // names that a failed sync was to make durable; nil: that they are gone
	failed  *memFS              // the life in which that was
}

var errPower = errors.New("power is gone")

var _ FS = (*memFS)(nil)

func newMemFS() *memFS { return &memFS{root: newMemDir(), free: -1} }

func newMemDir() *memNode {
	return &memNode{dir: true, names: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// begin counts an operation. Callers hold mu.
func (m *memFS) begin(kind, name string) error {
	if m.crashAt > 0 && m.ops >= m.crashAt {
		return errPower
	}
	m.ops++
	m.log = append(m.log, kind+" "+name)
	if m.fault != nil {
		return m.fault(kind, name)
	}
	return nil
}

func (m *memFS) walk(name string) (*memNode, error) {
	n := m.root
	for part := range strings.SplitSeq(path.Clean(name), "/") {
		if part == "." {
			continue
		}
		if !n.dir || n.names[part] == nil {
			return nil, os.ErrNotExist
		}
		n = n.names[part]
	}
	return n, nil
}

func (m *memFS) parent(name string) (*memNode, string, error) {
	dir, base := path.Split(path.Clean(name))
	n, err := m.walk(path.Clean(dir + "."))
	return n, base, err
}

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("create", name); err != nil {
		return nil, err
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	if dir.names[base] != nil {
		return nil, os.ErrExist
	}
	n := &memNode{}
	m.made = append(m.made, n)
	dir.names[base] = n
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *memFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.walk(name)
	if err != nil {
		return nil, err
	}
	return &memFile{m: m, n: n, name: name}, nil
}

func (m *memFS) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("rename", newName); err != nil {
		return err
	}
	from, a, err := m.parent(oldName)
	to, b, err2 := m.parent(newName)
	if err = errors.Join(err, err2); err != nil {
		return err
	}
	if from.names[a] == nil {
		return os.ErrNotExist
	}
	to.names[b] = from.names[a]
	delete(from.names, a)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("remove", name); err != nil {
		return err
	}
	dir, base, err := m.parent(name)
	if err != nil || dir.names[base] == nil {
		return os.ErrNotExist
	}
	if len(dir.names[base].names) > 0 {
		return syscall.ENOTEMPTY
	}
	if m.free >= 0 {
		m.free += int64(len(dir.names[base].data))
	}
	delete(dir.names, base)
	return nil
}

func (m *memFS) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("mkdir", name); err != nil {
		return err
	}
	dir, base, err := m.parent(name)
	if err != nil {
		return err
	}
	if dir.names[base] == nil {
		dir.names[base] = newMemDir()
	}
	return nil
}

func (m *memFS) ReadDir(name string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.walk(name)
	if err != nil {
		return nil, err
	}
	var out []string
	for base := range n.names {
		out = append(out, base)
	}
	return out, nil
}

func (m *memFS) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.begin("syncdir", name)
	n, werr := m.walk(name)
	switch {
	case err == nil && werr == nil:
		if n.failed == m {
			m.secondSyncs++
		}
		n.syncNames()
	case werr == nil && !errors.Is(err, errPower):
		n.failed = m
		n.loseNames()
	}
	return errors.Join(err, werr)
}

func (n *memNode) syncNames() {
	next := map[string]*memNode{}
	for _, base := range bases(n) {
		is := n.names[base]
		if n.isLost(base) {
			is = n.durable[base]
		} else {
			delete(n.lost, base)
		}
		if is != nil {
			next[base] = is
		}
	}
	n.durable = next
}

// loseNames is what a failed sync does to the names that are not durable.
func (n *memNode) loseNames() {
	for _, base := range bases(n) {
		if n.names[base] == n.durable[base] {
			continue
		}
		if n.lost == nil {
			n.lost = map[string]*memNode{}
		}
		n.lost[base] = n.names[base]
	}
}

func (n *memNode) isLost(base string) bool {
	was, lost := n.lost[base]
	return lost && was == n.names[base]
}

// lose is loseNames for all that is below n, and for the bytes of files.
func (n *memNode) lose() {
	if !n.dir {
		n.bad = n.bad || string(n.data) != string(n.synced)
		return
	}
	n.loseNames()
	for _, child := range n.names {
		child.lose()
	}
}

func (m *memFS) SyncFS() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("syncfs", "."); err != nil {
		if !errors.Is(err, errPower) {
			m.root.lose()
		}
		return err
	}
	m.root.syncAll()
	return nil
}

func (n *memNode) syncAll() {
	if n.bad {
		return
	}
	if !n.dir {
		n.synced = append([]byte(nil), n.data...)
		return
	}
	n.syncNames()
	for _, child := range n.names {
		child.syncAll()
	}
}

func (m *memFS) Free() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free < 0 {
		return 1 << 40, nil
	}
	return m.free, nil
}

func (m *memFS) Lock(bool) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return nil, ErrLocked
	}
	m.locked = true
	return memLock{m}, nil
}

type memLock struct{ m *memFS }

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.locked = false
	return nil
}

type memFile struct {
	m    *memFS
	n    *memNode
	name string
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.begin("write", f.name); err != nil {
		return 0, err
	}
	n := len(p)
	if f.m.free >= 0 {
		n = int(min(int64(n), f.m.free))
		f.m.free -= int64(n)
	}
	f.n.data = append(f.n.data, p[:n]...)
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.n.bad {
		f.m.secondSyncs++
		return f.m.begin("sync", f.name)
	}
	if err := f.m.begin("sync", f.name); err != nil {
		f.n.bad = !errors.Is(err, errPower)
		return err
	}
	f.n.synced = append([]byte(nil), f.n.data...)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error { return nil }

// kill is the end of the process only: the page cache lives on, and so does the
// difference between synced and not. The next process gets the same disk.
func (m *memFS) kill() *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &memFS{root: m.root, free: m.free, key: m.key}
}

// powerCut returns the disk as the next boot finds it: keep is how many percent
// of what was not synced got through, piece by piece, by rnd.
func (m *memFS) powerCut(keep int, rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := crasher{keep: keep, rnd: rnd, seen: map[*memNode]*memNode{}}
	return &memFS{root: c.node(m.root), free: m.free, key: m.key}
}

type crasher struct {
	keep int
	rnd  *rand.Rand
	seen map[*memNode]*memNode // a file with two names stays one file
}

func (c *crasher) luck() bool { return c.rnd.IntN(100) < c.keep }

func (c *crasher) node(n *memNode) *memNode {
	if n == nil {
		return nil
	}
	if done := c.seen[n]; done != nil {
		return done
	}
	out := &memNode{dir: n.dir}
	c.seen[n] = out
	if !n.dir {
		out.data = c.content(n)
		out.synced = append([]byte(nil), out.data...)
		return out
	}
	out.names = map[string]*memNode{}
	for _, base := range bases(n) {
		was, is := n.durable[base], n.names[base]
		if was != is && !n.isLost(base) && c.luck() {
			was = is
		}
		if was != nil {
			out.names[base] = c.node(was)
		}
	}
	out.syncNames()
	return out
}

// bases lists all names of a directory, durable or not, in a fixed order.
func bases(n *memNode) []string {
	var out []string
	for base := range n.names {
		out = append(out, base)
	}
	for base := range n.durable {
		if n.names[base] == nil {
			out = append(out, base)
		}
	}
	sortStrings(out)
	return out
}

// content mixes synced and unsynced blocks; a block that did not get through
// shows its old bytes or zeros.
func (c *crasher) content(n *memNode) []byte {
	if string(n.data) == string(n.synced) {
		return append([]byte(nil), n.synced...)
	}
	const block = 512
	out := append([]byte(nil), n.synced...)
	for off := 0; off < len(n.data); off += block {
		end := min(off+block, len(n.data))
		if !c.luck() {
			continue
		}
		if len(out) < end {
			out = append(out, make([]byte, end-len(out))...)
		}
		copy(out[off:end], n.data[off:end])
	}
	return out
}
