package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// owner is who holds a lock: an attempt (its number + 1), or a caller that is
// none (negative). 0 is nobody.
type owner int64

func taskOwner(t id.Task) owner {
	if t >= 0 {
		return owner(t) + 1
	}
	return owner(t) - 1<<32 // far from callers'
}

// caller returns a new owner that is no attempt.
func (s *Store) caller() owner { return owner(s.callers.Add(-1)) }

// unlocker is something of an attempt that holds a lock.
type unlocker interface{ unlock() }

// entry is one block. It is guarded by Store.mu, but for its content, which
// the writer changes before it is published, and whoever holds the write lock
// afterwards.
type entry struct {
	id     block.ID
	level  block.Level
	node   id.Node // -1: no cached partition
	whole  bool    // put as bytes, not by frames
	holder *memory.Holder

	writer    owner // 0: nobody
	readers   int
	changed   chan struct{} // closed when the lock or the place changes; nil: nobody waits
	published bool
	removed   bool // no longer in the table

	content

	listed     bool // in the memory tier
	prev, next *entry
}

// content is what a block has and where. A reader takes a copy when it pins
// the block: pages and file stay as they are until it is done.
type content struct {
	mem    frames // a block of bytes: one page, without headers
	disk   int64  // bytes of its file; 0: none
	file   string // its name
	serial uint64 // of the file, for its frames' copies
	frames int    // in the file
	raw    int64  // bytes of payload
	// longest are those of the longest frame: a header that says more is
	// damaged, whatever memory there is.
	longest int64
	rows    int64
	keys    task.KeySpan // as far as the writer told
}

// lru lists the blocks of the memory tier in order of access.
type lru struct{ oldest, newest *entry }

func (l *lru) add(e *entry) {
	e.listed = true
	e.prev, e.next = l.newest, nil
	if l.newest != nil {
		l.newest.next = e
	} else {
		l.oldest = e
	}
	l.newest = e
}

func (l *lru) remove(e *entry) {
	e.listed = false
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.oldest = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.newest = e.prev
	}
	e.prev, e.next = nil, nil
}

// create makes a new block, locked for writing by o. It returns nil without
// an error if the block is there or is being written.
func (s *Store) create(b block.ID, level block.Level, o owner) (*entry, error) {
	if !level.Memory() && !level.Disk() {
		return nil, fmt.Errorf("cannot store block %s at a level that keeps nothing", b)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		return nil, fmt.Errorf("cannot store block %s: %w", b, ErrClosed)
	}
	if s.mu.blocks[b] != nil {
		return nil, nil
	}
	e := &entry{id: b, level: level, node: nodeOf(b), holder: s.holderOf(b), writer: o}
	s.mu.blocks[b] = e
	return e, nil
}

// changedLocked tells those who wait for e.
func (e *entry) changedLocked() {
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

// publish makes a written block readable, unless it was removed meanwhile.
func (s *Store) publish(e *entry) (stored bool) {
	s.mu.Lock()
	e.published = true
	if len(e.mem.pages) > 0 {
		s.mu.lru.add(e)
	}
	s.mu.Unlock()
	return s.unlockWrite(e)
}

// unlockWrite ends the write lock and tells where the block is now; if it was
// removed meanwhile, it is freed instead, and stored is false.
func (s *Store) unlockWrite(e *entry) (stored bool) {
	s.mu.Lock()
	e.writer = 0
	e.changedLocked()
	level, mem, disk := e.placeLocked()
	removed := e.removed
	s.mu.Unlock()
	if removed {
		s.free(e)
		return false
	}
	s.update(e, level, mem, disk)
	return true
}

// placeLocked says where e is, as OnUpdate is told.
func (e *entry) placeLocked() (level block.Level, mem, disk int64) {
	if len(e.mem.pages) > 0 {
		level |= e.level &^ block.UseDisk
	}
	if e.disk > 0 {
		level |= block.UseDisk
	}
	return level, e.mem.size, e.disk
}

func (s *Store) update(e *entry, level block.Level, mem, disk int64) {
	if s.cfg.OnUpdate != nil {
		s.cfg.OnUpdate(e.id, level, mem, disk)
	}
}

// abandon drops a block that could not be written. It does nothing to one
// that was published.
func (s *Store) abandon(e *entry) {
	s.mu.Lock()
	if e.published {
		s.mu.Unlock()
		return
	}
	if !e.removed {
		e.removed = true
		delete(s.mu.blocks, e.id)
	}
	e.writer = 0
	e.changedLocked()
	s.mu.Unlock()
	s.free(e)
}

// free gives back what a removed block has that nobody uses any more: its
// file unless it is being written, its memory unless it is being read.
func (s *Store) free(e *entry) {
	s.mu.Lock()
	if !e.removed || e.writer != 0 {
		s.mu.Unlock()
		return
	}
	c := e.content
	e.disk = 0
	var pages []*memory.Page
	if e.readers == 0 {
		pages = s.leaveMemoryLocked(e)
	}
	s.mu.Unlock()
	freePages(e.holder, pages)
	if c.disk > 0 {
		s.cfg.Disk.Remove(c.file) // those who have it open read on
		s.readBack.forget(c.serial, c.frames)
		s.mu.Lock()
		delete(s.mu.files, c.file)
		s.mu.Unlock()
	}
}

// leaveMemoryLocked takes e out of the memory tier; its pages are to be freed
// outside the lock.
func (s *Store) leaveMemoryLocked(e *entry) []*memory.Page {
	pages := e.mem.pages
	if e.listed {
		s.mu.lru.remove(e)
	}
	e.mem = frames{}
	return pages
}

func freePages(h *memory.Holder, pages []*memory.Page) {
	for _, p := range pages {
		h.Free(p)
	}
}

// waitFor waits until changed is closed, as an attempt does: its kill ends
// the wait with the cause, and requests to spill are served meanwhile. t may
// be nil.
func waitFor(t *memory.Task, changed <-chan struct{}) error {
	if t == nil {
		<-changed
		return nil
	}
	for {
		select {
		case <-changed:
			return nil
		case <-t.Done():
			return t.Err()
		case <-t.Requested():
			t.Serve()
		}
	}
}

// pin locks a block for reading and marks it as just used. It waits while the
// block is written or moved.
func (s *Store) pin(b block.ID, o owner, t *memory.Task) (*entry, content, error) {
	for {
		s.mu.Lock()
		if s.mu.closed {
			s.mu.Unlock()
			return nil, content{}, fmt.Errorf("cannot read block %s: %w", b, ErrClosed)
		}
		e := s.mu.blocks[b]
		if e == nil {
			s.mu.Unlock()
			return nil, content{}, fmt.Errorf("cannot read block %s: %w", b, ErrBlockNotFound)
		}
		if e.writer == 0 {
			e.readers++
			if e.listed {
				s.mu.lru.remove(e)
				s.mu.lru.add(e)
			}
			c := e.content
			s.mu.Unlock()
			return e, c, nil
		}
		if e.writer == o {
			s.mu.Unlock()
			return nil, content{}, fmt.Errorf("cannot read block %s: the same attempt is writing it", b)
		}
		if e.changed == nil {
			e.changed = make(chan struct{})
		}
		changed := e.changed
		s.mu.Unlock()
		if err := waitFor(t, changed); err != nil {
			return nil, content{}, fmt.Errorf("cannot read block %s: %w", b, err)
		}
	}
}

func (s *Store) unpin(e *entry) {
	s.mu.Lock()
	e.readers--
	s.mu.Unlock()
	s.free(e)
}

// remove takes a block out of the table and reports whether it was in it. Its
// file goes at once, its memory with its last reader; if it is being written
// or moved, both go when that is done.
func (s *Store) remove(e *entry) bool {
	s.mu.Lock()
	if e.removed {
		s.mu.Unlock()
		return false
	}
	e.removed = true
	delete(s.mu.blocks, e.id)
	published := e.published
	e.changedLocked()
	s.mu.Unlock()
	s.free(e)
	if published {
		s.update(e, block.LevelNone, 0, 0)
	}
	return true
}

// isLost reports whether an error means that a block's file is of no use.
func isLost(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist)
}
