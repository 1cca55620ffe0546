package storage

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Config says whose blocks a store keeps, and where.
type Config struct {
	Executor id.Executor
	Memory   *memory.Manager
	Disk     *Disk
	// Compression is for cached partitions in files; nil: none (Spark's
	// rdd.compress, off by default).
	Compression Compression
	// BroadcastCompression is for broadcasts in files; nil: none (Spark's
	// broadcast.compress). Other blocks of bytes are never compressed.
	BroadcastCompression Compression
	// ReadBack is the most that copies of frames read from files may take;
	// 0: no copies are kept.
	ReadBack units.Bytes
	// OnUpdate, if set, is told of every change of where a block is, with the
	// bytes it takes there; level none means that it is gone. It is called
	// with no lock held, in order for one block, from many goroutines.
	OnUpdate func(b block.ID, level block.Level, mem, disk int64)
	// Logger receives warnings; nil discards them.
	Logger *slog.Logger
}

// Store keeps the blocks of one executor. Its methods may be called from
// several goroutines at once.
type Store struct {
	cfg      Config
	log      *slog.Logger
	readBack *readBack
	reads    reads

	// Owners of memory. Cached partitions are unrolled before they count as
	// cached: pages of an unfinished block cannot be evicted.
	partitions, broadcasts, results, others *memory.Holder
	unroll                                  *memory.Holder
	scratch                                 *memory.Holder

	callers atomic.Int64 // owners of locks that are no attempts, counted down
	holders atomic.Int64 // length of mu.locks; changed under mu, read without

	mu struct {
		sync.Mutex
		blocks  map[block.ID]*entry
		locks   map[owner]map[unlocker]struct{} // what attempts hold
		lru     lru
		files   map[string]struct{} // names in use; a removed block may still have its file
		serials uint64              // files so far
		closed  bool
	}
}

// NewStore returns an empty store.
func NewStore(cfg Config) (*Store, error) {
	if cfg.Memory == nil || cfg.Disk == nil {
		return nil, errors.New("cannot make a block store without memory and disk")
	}
	s := &Store{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	m := cfg.Memory
	s.partitions = m.CacheHolder("cached partitions", s.evictForExecution)
	s.broadcasts = m.CacheHolder("broadcasts", s.evictForExecution)
	s.results = m.CacheHolder("stored results", s.evictForExecution)
	s.others = m.CacheHolder("other blocks", s.evictForExecution)
	s.unroll = m.CacheHolder("unroll", nil)
	s.scratch = m.Holder("block file buffers", nil)
	s.readBack = newReadBack(m, int64(cfg.ReadBack))
	s.callers.Store(-1)
	s.mu.blocks = map[block.ID]*entry{}
	s.mu.locks = map[owner]map[unlocker]struct{}{}
	s.mu.files = map[string]struct{}{}
	return s, nil
}

// holderOf returns the account that a block's memory belongs to.
func (s *Store) holderOf(b block.ID) *memory.Holder {
	switch {
	case strings.HasPrefix(string(b), "rdd_"):
		return s.partitions
	case strings.HasPrefix(string(b), "broadcast_"):
		return s.broadcasts
	case strings.HasPrefix(string(b), "taskresult_"):
		return s.results
	}
	return s.others
}

// compressionOf returns how a block's file is compressed.
func (s *Store) compressionOf(b block.ID) Compression {
	switch s.holderOf(b) {
	case s.partitions:
		return s.cfg.Compression
	case s.broadcasts:
		return s.cfg.BroadcastCompression
	}
	return nil
}

// nodeOf reads the dataset from the name of a cached partition; -1: none.
func nodeOf(b block.ID) id.Node {
	rest, ok := strings.CutPrefix(string(b), "rdd_")
	if !ok {
		return -1
	}
	num, _, _ := strings.Cut(rest, "_")
	n, err := strconv.ParseInt(num, 10, 32)
	if err != nil {
		return -1
	}
	return id.Node(n)
}

// PutBytes stores a copy of data. Memory comes first if level has it, even
// if level has disk too. A block that is there already, or is being written,
// stays as it is: the first writer wins. The error is a memory.ErrNoMemory
// when data does not fit into memory and level has no disk, or that of the
// file.
func (s *Store) PutBytes(b block.ID, level block.Level, data []byte) error {
	e, err := s.create(b, level, s.caller())
	if err != nil || e == nil {
		return err
	}
	defer s.abandon(e) // does nothing once it is published
	e.raw, e.whole = int64(len(data)), true
	e.longest = min(e.raw, pieceSize)
	if level.Memory() {
		err = s.bytesToMemory(e, data)
	}
	if !level.Memory() || err != nil && level.Disk() {
		err = s.toFile(e, func(w *frameWriter) error { return w.bytes(data) })
	}
	if err != nil {
		return fmt.Errorf("cannot store block %s of %s: %w", b, units.Bytes(len(data)), err)
	}
	s.publish(e)
	return nil
}

func (s *Store) bytesToMemory(e *entry, data []byte) error {
	p, err := e.holder.AllocEvicting(len(data), s.makeRoom(e.node))
	if err != nil {
		return err
	}
	copy(p.Data, data)
	e.mem.grow(p)
	return nil
}

// toFile writes e's file; e is locked for writing.
func (s *Store) toFile(e *entry, write func(*frameWriter) error) error {
	w, err := newFrameWriter(s.cfg.Disk, s.scratch, s.compressionOf(e.id))
	if err != nil {
		return err
	}
	defer w.close()
	if err := write(w); err != nil {
		return err
	}
	return s.commitFile(e, w)
}

// commitFile ends e's file under e's name, or, while a removed block of the
// same name still has its file, under another.
func (s *Store) commitFile(e *entry, w *frameWriter) error {
	s.mu.Lock()
	s.mu.serials++
	serial, name := s.mu.serials, string(e.id)
	if _, taken := s.mu.files[name]; taken {
		name += "." + strconv.FormatUint(serial, 10)
	}
	s.mu.files[name] = struct{}{}
	s.mu.Unlock()

	size, err := w.commit(name)

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.mu.files, name)
		return err
	}
	e.serial, e.file, e.disk, e.frames = serial, name, size, int(w.count)
	return nil
}

// GetBytes returns the bytes of a block that was put whole. They are a view
// into the store, valid until release, which must be called once, from any
// goroutine. It waits while the block is being written or moved. The error
// is ErrBlockNotFound, ErrCorrupt (then the block is dropped), or that of
// the file.
//
// A block that is only in a file is read into memory, and stays there if its
// level has memory; when no managed memory is left for it, the bytes come
// from the Go heap.
func (s *Store) GetBytes(b block.ID) (data []byte, release func(), err error) {
	e, c, err := s.pin(b, s.caller(), nil)
	if err != nil {
		return nil, nil, err
	}
	if !e.whole {
		invariant.Violated("block %s was written by frames, and is read whole", b)
	}
	release = sync.OnceFunc(func() { s.unpin(e) })
	if len(c.mem.pages) > 0 {
		return c.mem.pages[0].Data[:c.raw:c.raw], release, nil
	}
	data, page, err := s.readBytes(e, &c)
	if err != nil {
		if isLost(err) {
			s.remove(e)
		}
		release()
		return nil, nil, fmt.Errorf("cannot read block %s: %w", b, err)
	}
	if page == nil || s.promote(e, frames{pages: []*memory.Page{page}, size: page.Size()}) {
		return data, release, nil
	}
	return data, sync.OnceFunc(func() {
		e.holder.Free(page)
		s.unpin(e)
	}), nil
}

// readBytes reads a pinned block of bytes from its file, into a page if there
// is memory for one.
func (s *Store) readBytes(e *entry, c *content) (data []byte, page *memory.Page, err error) {
	r, err := openFrames(s.cfg.Disk, c, s.compressionOf(e.id))
	if err != nil {
		return nil, nil, err
	}
	defer r.f.Close()
	var packed *memory.Page
	defer func() {
		if packed != nil {
			s.scratch.Free(packed)
		}
		if err != nil && page != nil {
			e.holder.Free(page)
		}
	}()
	if page, err = e.holder.AllocEvicting(int(c.raw), s.makeRoom(e.node)); err == nil {
		data = page.Data[:c.raw:c.raw]
	} else {
		data = make([]byte, c.raw)
	}
	rest := data
	for range c.frames {
		h, err := r.header()
		if err != nil {
			return nil, page, err
		}
		if int(h.raw) > len(rest) {
			return nil, page, r.corrupt("it holds more than the %d bytes that were written", c.raw)
		}
		err = r.payload(h, rest[:h.raw], func(n int) ([]byte, error) {
			if packed == nil {
				if packed, err = s.scratch.Alloc(pieceSize); err != nil {
					return make([]byte, n), nil // as for the whole: from the Go heap
				}
			}
			return packed.Data[:n], nil
		})
		if err != nil {
			return nil, page, err
		}
		rest = rest[h.raw:]
	}
	if len(rest) > 0 {
		return nil, page, r.corrupt("%d of %d bytes are missing", len(rest), c.raw)
	}
	return data, page, r.end(c.frames)
}

// Contains reports whether a block is there to be read, now. It does not
// count as an access, and waits for nobody.
func (s *Store) Contains(b block.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.mu.blocks[b]
	return e != nil && e.published
}

// NodeBytes returns the bytes of the content of a dataset's cached partitions.
func (s *Store) NodeBytes(n id.Node) (bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.mu.blocks {
		if e.node == n && e.published {
			bytes += e.raw
		}
	}
	return bytes
}

// NodeKeys returns the span of the keys of a dataset's cached partitions, if
// the writers of all of them told.
func (s *Store) NodeKeys(n id.Node) (span task.KeySpan, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.mu.blocks {
		if e.node == n && e.published {
			if e.keys.Rows != e.rows {
				return task.KeySpan{}, false
			}
			span = span.Plus(e.keys)
		}
	}
	return span, true
}

// Remove removes a block and reports whether it was there. Nobody finds it
// any more; its memory comes free when those who read it are done.
func (s *Store) Remove(b block.ID) bool {
	s.mu.Lock()
	e := s.mu.blocks[b]
	s.mu.Unlock()
	return e != nil && s.remove(e)
}

// RemoveNode removes the cached partitions of a dataset.
func (s *Store) RemoveNode(n id.Node) {
	s.mu.Lock()
	var gone []*entry
	for _, e := range s.mu.blocks {
		if e.node == n {
			gone = append(gone, e)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(gone, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
	for _, e := range gone {
		s.remove(e)
	}
}

// Info is the state of one block.
type Info struct {
	ID      block.ID
	Level   block.Level // as it was asked for
	Memory  int64       // bytes of pages
	Disk    int64       // bytes of its file
	Bytes   int64       // of its content
	Rows    int64       // of a cached partition
	Readers int
	Writing bool
}

// Blocks returns all blocks by name.
func (s *Store) Blocks() []Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Info, 0, len(s.mu.blocks))
	for _, e := range s.mu.blocks {
		i := Info{ID: e.id, Level: e.level, Readers: e.readers, Writing: e.writer != 0}
		if !i.Writing || e.published {
			i.Memory, i.Disk, i.Bytes, i.Rows = e.mem.size, e.disk, e.raw, e.rows
		}
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Info) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// ReleaseTask releases what the attempt still has locked: its readers are
// closed, its writers aborted. It returns how many there were.
func (s *Store) ReleaseTask(t id.Task) (leakedPins int) {
	if s.holders.Load() == 0 {
		return 0
	}
	s.mu.Lock()
	var held []unlocker
	for u := range s.mu.locks[taskOwner(t)] {
		held = append(held, u)
	}
	s.mu.Unlock()
	for _, u := range held {
		u.unlock()
	}
	return len(held)
}

// Close removes all blocks and joins the read-back cache. It returns an
// error that names a block that is still read or written; its memory stays
// reserved. It is safe to call twice.
func (s *Store) Close() error {
	s.mu.Lock()
	s.mu.closed = true
	var all []*entry
	for _, e := range s.mu.blocks {
		all = append(all, e)
	}
	s.mu.Unlock()
	var errs []error
	for _, e := range all {
		s.mu.Lock()
		busy := e.readers > 0 || e.writer != 0
		s.mu.Unlock()
		if busy {
			errs = append(errs, fmt.Errorf("cannot close the block store: block %s is still in use", e.id))
		}
		s.remove(e)
	}
	s.readBack.close()
	return errors.Join(errs...)
}
