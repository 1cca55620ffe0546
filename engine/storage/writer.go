package storage

import (
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// Writer fills a new cached partition. It is used on its attempt's
// goroutine, and must end with Commit or Abort; [Store.ReleaseTask] aborts
// it otherwise.
//
// The frames go into memory if the level has it, even if it has disk too. If
// memory does not suffice, other datasets' blocks are evicted; if that does
// not either, what was written so far moves to disk and the rest follows,
// or, without disk, the block is given up: from then on Frame does nothing,
// and Commit says that it was not stored.
type Writer struct {
	s *Store
	e *entry
	o owner

	mem     unrolled
	file    *frameWriter // nil: in memory so far
	givenUp bool
	ended   bool
	raw     int64
	longest int64 // payload of a frame
	rows    int64
	keys    task.KeySpan
}

// NewWriter begins a cached partition for attempt t. It returns false if the
// block exists or is being written: then Open reads it or waits for it; when
// that says ErrBlockNotFound, the other writer has given up and NewWriter may
// be tried again. It does not wait.
func (s *Store) NewWriter(t *memory.Task, b block.ID, level block.Level) (*Writer, bool) {
	if nodeOf(b) < 0 || level == block.LevelNone {
		invariant.Violated("block %s at level %v is no cached partition", b, level)
	}
	o := taskOwner(t.ID())
	e, err := s.create(b, level, o)
	if e == nil || err != nil { // closed: Open says so
		return nil, false
	}
	w := &Writer{s: s, e: e, o: o}
	w.mem = unrolled{s: s, node: e.node, evicting: true}
	s.hold(o, w)
	return w, true
}

// hold notes that o has something locked.
func (s *Store) hold(o owner, u unlocker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.locks[o] == nil {
		s.mu.locks[o] = map[unlocker]struct{}{}
	}
	s.mu.locks[o][u] = struct{}{}
	s.holders.Store(int64(len(s.mu.locks)))
}

// letGo is the opposite of hold; it reports false if somebody else was first.
func (s *Store) letGo(o owner, u unlocker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.locks[o][u]; !ok {
		return false
	}
	delete(s.mu.locks[o], u)
	if len(s.mu.locks[o]) == 0 {
		delete(s.mu.locks, o)
		s.holders.Store(int64(len(s.mu.locks)))
	}
	return true
}

// Frame adds a batch: its rows, and its encoded bytes, which are copied. That
// it does not fit anywhere is no error; see Writer. The error is that of the
// file; the block is then given up.
func (w *Writer) Frame(rows int, data []byte) error {
	if w.givenUp || w.ended {
		return nil
	}
	if len(data) > frameMax {
		w.giveUp()
		return fmt.Errorf("cannot cache a batch of %d bytes: a frame has at most %d", len(data), frameMax)
	}
	w.rows += int64(rows)
	w.raw += int64(len(data))
	w.longest = max(w.longest, int64(len(data)))
	if w.file == nil && w.e.level.Memory() {
		err := w.mem.append(rows, data)
		if err == nil {
			return nil
		}
		if !errors.Is(err, memory.ErrNoMemory) || !w.e.level.Disk() {
			w.giveUp()
			return nil
		}
	}
	err := w.toFile(rows, data)
	if err != nil {
		w.giveUp()
		return fmt.Errorf("cannot store block %s: %w", w.e.id, err)
	}
	return nil
}

// Keys tells of keys that are whole numbers, of rows that were added.
func (w *Writer) Keys(span task.KeySpan) { w.keys = w.keys.Plus(span) }

// toFile writes a frame to disk, after those that are in memory.
func (w *Writer) toFile(rows int, data []byte) (err error) {
	if w.file == nil {
		w.file, err = newFrameWriter(w.s.cfg.Disk, w.s.scratch, w.s.compressionOf(w.e.id))
		if err != nil {
			return err
		}
		if err := w.file.frames(&w.mem.frames); err != nil {
			return err
		}
		w.mem.release()
	}
	return w.file.frame(rows, data)
}

// giveUp frees what was written; the lock stays until the writer ends.
func (w *Writer) giveUp() {
	w.givenUp = true
	w.mem.release()
	if w.file != nil {
		w.file.close()
		w.file = nil
	}
}

// Commit ends the block and makes it readable. It reports whether it is
// stored; if not, those who wait for it may write it. The error is that of
// the file.
func (w *Writer) Commit() (stored bool, err error) {
	if w.ended || !w.s.letGo(w.o, w) {
		return false, fmt.Errorf("cannot commit block %s: its writer has ended", w.e.id)
	}
	w.ended = true
	defer w.s.abandon(w.e) // does nothing once it is published
	if w.givenUp {
		return false, nil
	}
	if w.file == nil && !w.e.level.Memory() { // an empty block on disk
		if w.file, err = newFrameWriter(w.s.cfg.Disk, w.s.scratch, w.s.compressionOf(w.e.id)); err != nil {
			return false, fmt.Errorf("cannot store block %s: %w", w.e.id, err)
		}
	}
	if w.file != nil {
		if err := w.s.commitFile(w.e, w.file); err != nil {
			return false, fmt.Errorf("cannot store block %s: %w", w.e.id, err)
		}
	} else {
		w.mem.fit()
		w.e.holder.Take(w.s.unroll, w.mem.pages...)
	}
	w.s.mu.Lock()
	w.e.mem = w.mem.frames
	w.e.raw, w.e.longest, w.e.rows, w.e.keys = w.raw, w.longest, w.rows, w.keys
	w.s.mu.Unlock()
	return w.s.publish(w.e), nil
}

// Abort ends the writer without a block. After Commit it does nothing.
func (w *Writer) Abort() {
	if w.s.letGo(w.o, w) {
		w.ended = true
		w.giveUp()
		w.s.abandon(w.e)
	}
}

func (w *Writer) unlock() { w.Abort() }
