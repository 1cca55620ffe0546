package shuffle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// Storage says where committed map outputs live (shuffle.storage).
type Storage uint8

// Places for map outputs.
const (
	Auto   Storage = iota // memory while there is some, then files
	Memory                // memory alone: what does not fit is an error
	Disk                  // files alone, as in Spark
)

// ParseStorage reads "auto", "memory" or "disk"; empty means auto.
func ParseStorage(s string) (Storage, error) {
	switch s {
	case "", "auto":
		return Auto, nil
	case "memory":
		return Memory, nil
	case "disk":
		return Disk, nil
	}
	return Auto, fmt.Errorf("cannot keep shuffle blocks in %q: there are auto, memory and disk", s)
}

// Config says how an executor keeps map outputs.
type Config struct {
	At          task.Location // goes into map statuses
	Memory      *memory.Manager
	Disk        *storage.Disk // nil only with Storage Memory
	Storage     Storage
	Compression codec.Compression // of frames; nil: none
	FS          fsys.FS           // for the files of other processes (Attach); nil: the system's
	// RowChecksums puts into map statuses a checksum of the rows written that
	// does not depend on their order. Outputs that are combined have none: what
	// is combined depends on the memory there is.
	RowChecksums bool
}

// Manager keeps one executor's committed map outputs. Its methods may be
// called from several goroutines at once.
//
// Lock order: evicting, then mu. No lock is held while files are read or
// written, but for evicting, which orders those who write outputs out.
type Manager struct {
	cfg    Config
	holder *memory.Holder

	evicting struct {
		sync.Mutex
		buf *memory.Page // what outputs are written through; nil: not yet needed
	}

	mu struct {
		sync.Mutex
		outputs map[outputID]*output
		oldest  []*output // in memory, by time of commit
		evicted Evictions
		closed  bool
	}
}

// outputID names a map output: what one map attempt wrote for one shuffle.
type outputID struct {
	shuffle id.Shuffle
	m       id.Task
}

// output is a committed map output: resident, or in files, or both while it
// is being written out.
type output struct {
	outputID
	reducers int

	// Guarded by Manager.mu:
	resident *resident  // nil: in files
	pins     int        // readers that are in it
	leaving  bool       // being written out
	filed    bool       // its files are there
	removed  bool       // to be dropped by whoever lets go last
	foreign  *[3]string // paths of its files, if another process wrote them; set when made
}

// NewManager returns an executor's manager. Close releases it.
func NewManager(c Config) (*Manager, error) {
	if c.Compression == nil {
		c.Compression = codec.None
	}
	if c.FS == nil {
		c.FS = fsys.OS
	}
	if c.Disk == nil && c.Storage != Memory {
		return nil, errors.New("cannot keep shuffle blocks in files: there is no disk")
	}
	m := &Manager{cfg: c}
	m.mu.outputs = map[outputID]*output{}
	evict := m.evict
	if c.Storage == Memory {
		evict = nil
	}
	m.holder = c.Memory.Holder("shuffle", evict)
	if c.Storage == Auto {
		// Booked now: when it is needed there is no memory to be had.
		p, err := m.holder.Alloc(writeSize)
		if err != nil {
			return nil, fmt.Errorf("cannot book the buffer for writing out shuffle blocks: %w", err)
		}
		m.evicting.buf = p
	}
	return m, nil
}

// Used returns the bytes of outputs in memory.
func (m *Manager) Used() int64 {
	n := m.holder.Used()
	if m.evicting.buf != nil {
		n -= m.evicting.buf.Size()
	}
	return n
}

// Outputs returns how many outputs are committed, and how many of them are
// in memory.
func (m *Manager) Outputs() (all, resident int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mu.outputs), len(m.mu.oldest)
}

// Evictions are outputs that were written out because somebody wanted their
// memory, in bytes.
type Evictions struct {
	Memory, Disk int64 // the memory given up, and what was written to files
	// Of both, what was for no attempt (the driver, a harness): what attempts
	// caused is in their own figures of spilling.
	OwnMemory, OwnDisk int64
}

// Add returns the sum of two counts.
func (e Evictions) Add(o Evictions) Evictions {
	return Evictions{e.Memory + o.Memory, e.Disk + o.Disk, e.OwnMemory + o.OwnMemory, e.OwnDisk + o.OwnDisk}
}

// Evicted tells what was written out so far.
func (m *Manager) Evicted() Evictions {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.evicted
}

// commit makes o known. If the same attempt's output is there already, that
// one stays and commit returns it: the first committer wins.
func (m *Manager) commit(o *output) (first *output, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.closed {
		return nil, fmt.Errorf("cannot commit the output of map task %d for shuffle %d: the shuffle is closed", o.m, o.shuffle)
	}
	if old := m.mu.outputs[o.outputID]; old != nil {
		return old, nil
	}
	m.mu.outputs[o.outputID] = o
	if o.resident != nil {
		m.mu.oldest = append(m.mu.oldest, o)
	}
	return o, nil
}

// pin finds an output and keeps it where it is until unpin.
func (m *Manager) pin(n outputID) (*output, *resident) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.mu.outputs[n]
	if o == nil {
		return nil, nil
	}
	o.pins++
	return o, o.resident
}

func (m *Manager) unpin(o *output) {
	m.mu.Lock()
	o.pins--
	last := o.removed && o.pins == 0 && !o.leaving
	r := m.droppableLocked(o)
	m.mu.Unlock()
	if last {
		m.drop(r, o)
	}
}

// droppableLocked takes the pages of an output that was removed and that
// nobody uses any more.
func (m *Manager) droppableLocked(o *output) *resident {
	if !o.removed || o.pins > 0 || o.leaving {
		return nil
	}
	r := o.resident
	o.resident = nil
	return r
}

// drop frees what an output has left: pages, then files.
func (m *Manager) drop(r *resident, o *output) {
	if r != nil {
		r.free(m.holder)
	}
	if o.foreign == nil && m.cfg.Disk != nil {
		for _, name := range o.files() {
			m.cfg.Disk.Remove(name)
		}
	}
}

// evict writes outputs that nobody reads to files, oldest first, until need
// bytes are free, and tells the attempt that asks, if it is one. An output that
// cannot be written stays in memory.
func (m *Manager) evict(by *memory.Task, need int64) (freed int64) {
	m.evicting.Lock()
	defer m.evicting.Unlock()
	if m.evicting.buf == nil {
		return 0
	}
	for tried := map[*output]bool{}; freed < need; {
		o := m.leave(tried)
		if o == nil {
			break
		}
		tried[o] = true
		var err error
		written := int64(0)
		if !o.filed {
			var sizes []int64
			sizes, err = m.writeOut(o.outputID, o.reducers, o.resident, nil, m.evicting.buf.Data)
			for _, n := range sizes {
				written += n
			}
		}
		gone := m.left(o, err == nil) // 0 if a reader came meanwhile
		freed += gone
		m.count(by, gone, written)
	}
	return freed
}

// count books what the writing out of an output freed and wrote.
func (m *Manager) count(by *memory.Task, gone, written int64) {
	if by != nil {
		by.Evicted(gone, written)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.evicted.Memory += gone
	m.mu.evicted.Disk += written
	if by == nil {
		m.mu.evicted.OwnMemory += gone
		m.mu.evicted.OwnDisk += written
	}
}

// leave chooses the next output to write out.
func (m *Manager) leave(tried map[*output]bool) *output {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range m.mu.oldest {
		if o.pins == 0 && !o.leaving && !o.removed && !tried[o] {
			o.leaving = true
			return o
		}
	}
	return nil
}

// left ends what leave began.
func (m *Manager) left(o *output, written bool) (freed int64) {
	m.mu.Lock()
	o.leaving = false
	o.filed = o.filed || written
	last := o.removed && o.pins == 0
	r := m.droppableLocked(o)
	if r == nil && written && o.pins == 0 && !o.removed {
		r, o.resident = o.resident, nil
		m.forgetLocked(o)
	}
	m.mu.Unlock()
	if r != nil {
		freed = r.bytes()
		r.free(m.holder)
	}
	if last {
		m.drop(nil, o)
	}
	return freed
}

func (m *Manager) forgetLocked(o *output) {
	m.mu.oldest = slices.DeleteFunc(m.mu.oldest, func(p *output) bool { return p == o })
}

// Remove drops one map output and reports whether there was one. Readers
// that are in it finish.
func (m *Manager) Remove(s id.Shuffle, mapTask id.Task) bool {
	return m.remove(func(o outputID) bool { return o == outputID{s, mapTask} }) > 0
}

// RemoveShuffle drops every output of a shuffle, pages and files, and
// returns how many there were. Readers that are in one finish.
func (m *Manager) RemoveShuffle(s id.Shuffle) int {
	return m.remove(func(o outputID) bool { return o.shuffle == s })
}

func (m *Manager) remove(which func(outputID) bool) int {
	type dropped struct {
		r *resident
		o *output
	}
	var drops []dropped
	m.mu.Lock()
	n := 0
	for key, o := range m.mu.outputs {
		if !which(key) {
			continue
		}
		n++
		delete(m.mu.outputs, key)
		o.removed = true
		m.forgetLocked(o)
		if o.pins == 0 && !o.leaving {
			drops = append(drops, dropped{m.droppableLocked(o), o})
		}
	}
	m.mu.Unlock()
	slices.SortFunc(drops, func(a, b dropped) int { // files go in the order of their names, whatever the map's
		return cmp.Or(cmp.Compare(a.o.shuffle, b.o.shuffle), cmp.Compare(a.o.m, b.o.m))
	})
	for _, d := range drops {
		m.drop(d.r, d.o)
	}
	return n
}

// Close drops everything. The error says if readers are still in an output.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.mu.closed = true
	m.mu.Unlock()
	m.remove(func(outputID) bool { return true })
	m.evicting.Lock()
	if m.evicting.buf != nil {
		m.holder.Free(m.evicting.buf)
		m.evicting.buf = nil
	}
	m.evicting.Unlock()
	if n := m.holder.Used(); n != 0 {
		return fmt.Errorf("cannot close the shuffle: %d bytes of map outputs are still being read", n)
	}
	return nil
}
