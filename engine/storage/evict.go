package storage

import (
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
)

// evictor holds the write lock of blocks on their way out of memory.
const evictor owner = -1

// makeRoom returns what frees memory for a new block of that dataset: it
// never touches blocks of the same one (spark-semantics §5.4), which would
// only throw out what the next pass over the dataset reads first.
func (s *Store) makeRoom(node id.Node) func(need int64) int64 {
	return func(need int64) int64 { return s.evict(need, node) }
}

// evictForExecution frees memory for anybody but storage itself.
func (s *Store) evictForExecution(need int64) int64 { return s.evict(need, -1) }

// evict frees at least need bytes of the memory tier, or none, and returns
// how many; fewer if a block could not be written to disk.
//
//  1. Lock the oldest blocks that nobody uses, but those of dataset same,
//     until they sum to need.
//  2. Move each to disk if its level has it, and free its pages.
func (s *Store) evict(need int64, same id.Node) (freed int64) {
	s.mu.Lock()
	var victims []*entry
	sum := int64(0)
	for e := s.mu.lru.oldest; e != nil && sum < need; e = e.next {
		if e.readers > 0 || e.writer != 0 || e.removed || same >= 0 && e.node == same {
			continue
		}
		victims = append(victims, e)
		sum += e.mem.size
	}
	if sum < need {
		s.mu.Unlock()
		return 0
	}
	for _, e := range victims {
		e.writer = evictor
	}
	s.mu.Unlock()

	done := 0
	defer func() { // after an error, or a panic of the file system
		for _, e := range victims[done:] {
			s.unlockKept(e)
		}
	}()
	for _, e := range victims {
		n, err := s.drop(e)
		if err != nil {
			s.log.Warn("cannot move a block from memory to disk", "block", string(e.id), "bytes", e.mem.size, "error", err)
			return freed
		}
		freed += n
		done++
	}
	return freed
}

// drop takes a block, locked by the evictor, out of memory, and unlocks it.
func (s *Store) drop(e *entry) (freed int64, err error) {
	if e.level.Disk() && e.disk == 0 {
		write := func(w *frameWriter) error { return w.frames(&e.mem) }
		if e.whole {
			write = func(w *frameWriter) error { return w.bytes(e.mem.pages[0].Data[:e.raw]) }
		}
		if err := s.toFile(e, write); err != nil {
			return 0, err
		}
	}
	s.mu.Lock()
	freed = e.mem.size
	pages := s.leaveMemoryLocked(e)
	gone := e.disk == 0 && !e.removed
	if gone {
		e.removed = true
		delete(s.mu.blocks, e.id)
	}
	s.mu.Unlock()
	freePages(e.holder, pages)
	s.unlockWrite(e)
	if gone {
		s.update(e, block.LevelNone, 0, 0)
	}
	return freed, nil
}

// unlockKept ends the write lock of a block that stays in memory.
func (s *Store) unlockKept(e *entry) {
	s.mu.Lock()
	e.writer = 0
	e.changedLocked()
	s.mu.Unlock()
	s.free(e) // if it was removed meanwhile
}

// promote puts a block that was read from its file into the memory tier too,
// with its pages, and reports whether it did: not if its level has no memory,
// if somebody else was first, or if it is gone. The caller has it pinned, and
// its pages are of e.holder.
func (s *Store) promote(e *entry, mem frames) bool {
	s.mu.Lock()
	if !e.level.Memory() || e.listed || e.removed {
		s.mu.Unlock()
		return false
	}
	e.mem = mem
	s.mu.lru.add(e)
	level, size, disk := e.placeLocked()
	s.mu.Unlock()
	s.update(e, level, size, disk)
	return true
}

// unrolled is memory of a block being written or read back, not yet part of
// the memory tier.
type unrolled struct {
	frames
	s        *Store
	node     id.Node
	evicting bool // may evict to grow
}

// append copies a payload in, in a page that grows the whole by half, so that
// a small block wastes little and a large one has few pages (Spark's
// unrollGrowthFactor). The error is a memory.ErrNoMemory.
func (u *unrolled) append(rows int, payload []byte) error {
	if !u.room(len(payload)) {
		p, err := u.alloc(len(payload))
		if err != nil {
			return err
		}
		u.grow(p)
	}
	u.add(rows, payload)
	return nil
}

func (u *unrolled) alloc(n int) (*memory.Page, error) {
	var makeRoom func(int64) int64
	if u.evicting {
		makeRoom = u.s.makeRoom(u.node)
	}
	least := frameSize(n)
	more := min(int(u.size/2), u.s.cfg.Memory.PageSize())
	if more > least {
		if p, err := u.s.unroll.Alloc(more); err == nil { // only what is free: nobody is evicted for room to grow
			return p, nil
		}
	}
	return u.s.unroll.AllocEvicting(least, makeRoom)
}

// fit moves the last page's content into a smaller page, if that is at most
// half as large and free.
func (u *unrolled) fit() {
	last := len(u.pages) - 1
	if last < 0 || u.used[last] > len(u.pages[last].Data)/2 {
		return
	}
	p, err := u.s.unroll.Alloc(u.used[last])
	if err != nil {
		return
	}
	old := u.pages[last]
	if p.Size() >= old.Size() {
		u.s.unroll.Free(p)
		return
	}
	copy(p.Data, old.Data[:u.used[last]])
	u.pages[last] = p
	u.size += p.Size() - old.Size()
	u.s.unroll.Free(old)
}

// release frees it all.
func (u *unrolled) release() {
	freePages(u.s.unroll, u.pages)
	u.frames = frames{}
}
