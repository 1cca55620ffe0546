package spill

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// pull yields rows in order.
type pull[T any] interface {
	// next returns at least one and at most limit rows, valid until the call
	// after, or io.EOF.
	next(limit int) ([]T, error)
}

// runSource yields the rows of a run. Rows that are views point into the
// reader's buffer.
type runSource[T any] struct {
	codec codec.Codec[T]
	r     *runReader
	data  []byte // what is left of the frame, encoded
	view  []T    // or in place
	left  int    // rows of the frame not yet handed out
	rows  []T    // decoded
}

func (s *runSource[T]) next(limit int) ([]T, error) {
	for s.left == 0 {
		prev := s.r.env.Timer.Switch(task.PartSpill)
		rows, data, err := s.r.next()
		s.r.env.Timer.Switch(prev)
		if err != nil {
			return nil, err
		}
		s.data, s.left, s.view = data, rows, nil
		if v := codec.View[T](data); len(v) == rows && s.codec.Fixed() >= 0 {
			s.view = v
		}
	}
	n := min(limit, s.left)
	if s.view != nil {
		out := s.view[:n:n]
		s.view = s.view[n:]
		s.left -= n
		return out, nil
	}
	out, rest, err := s.codec.Decode(s.rows[:0], s.data, n)
	if err == nil && len(out) != n {
		err = fmt.Errorf("cannot decode %d rows: the frame holds %d: %w", n, len(out), ErrCorrupt)
	}
	if err != nil {
		return nil, s.r.damaged(err)
	}
	s.rows, s.data = out, rest
	s.left -= n
	return out, nil
}

const (
	batchRows  = 4096      // most rows pushed at a time
	batchBytes = 256 << 10 // and their bytes: half of a second-level cache
	textBytes  = 64 << 10  // encoded rows copied at a time
)

// memSource yields the sorted rows in a sorter's memory, copied out of it:
// so what was handed out stays while the rest is given up.
type memSource[T any] struct {
	s      *Sorter[T]
	pos    int          // entries handed out
	page   *memory.Page // rows handed out, or their bytes
	rows   []T
	direct bool // the rows handed out are views into the store itself
	after  *runSource[T]
	run    *Run
}

// newMemSource books the page that rows are copied to.
func newMemSource[T any](s *Sorter[T]) (*memSource[T], error) {
	if s.n == 0 {
		return &memSource[T]{s: s}, nil
	}
	size := textBytes
	if s.store.plain {
		size = min(batchBytes, batchRows*int(s.store.size), s.n*int(s.store.size))
	}
	p, err := s.c.Alloc(max(size, int(s.store.size), 1))
	if err != nil {
		return nil, err
	}
	return &memSource[T]{s: s, page: p}, nil
}

func (m *memSource[T]) next(limit int) ([]T, error) {
	if m.after != nil {
		return m.after.next(limit)
	}
	m.direct = false
	if m.pos == m.s.n {
		return nil, io.EOF
	}
	if m.s.store.plain {
		return m.gather(limit), nil
	}
	return m.copyOut(limit)
}

// gather copies plain rows. The rows are apart from each other in memory, so
// what takes time is waiting for them; the copies do not depend on each
// other, so the processor waits for several at once.
func (m *memSource[T]) gather(limit int) []T {
	st := &m.s.store
	if st.size == 0 {
		n := min(limit, m.s.n-m.pos)
		m.pos += n
		return make([]T, n)
	}
	out := codec.View[T](m.page.Data[:len(m.page.Data)/int(st.size)*int(st.size)])
	entries := m.s.table()[m.pos:m.s.n]
	n := min(limit, len(out), len(entries))
	out, entries = out[:n], entries[:n]
	for i := range entries {
		out[i] = *st.row(entries[i].ref)
	}
	m.pos += n
	return out
}

// copyOut copies encoded rows together and decodes them at once.
func (m *memSource[T]) copyOut(limit int) (rows []T, err error) {
	st := &m.s.store
	entries := m.s.table()[m.pos:m.s.n]
	buf := m.page.Data[:0]
	n := 0
	for ; n < min(limit, len(entries)); n++ {
		src := st.bytes(entries[n].ref)
		k, err := st.rowLen(src)
		if err != nil {
			return nil, err
		}
		if len(buf)+k > cap(buf) {
			break
		}
		buf = append(buf, src[:k]...)
	}
	if n == 0 { // larger than the page: handed out from where it lies
		m.direct, n = true, 1
		m.rows, err = st.load(m.rows[:0], entries[0].ref)
	} else if m.rows, _, err = st.codec.Decode(m.rows[:0], buf, n); err == nil && len(m.rows) != n {
		err = errRow
	}
	m.pos += n
	return m.rows, err
}

// give writes what was not yet handed out to a run and frees it.
func (m *memSource[T]) give() error {
	s := m.s
	if m.after != nil || m.direct || m.pos == s.n {
		return nil
	}
	defer s.env.Timer.Switch(s.env.Timer.Switch(task.PartSpill))
	held := s.c.Used()
	pinned := s.pinnedBytes()
	r, err := s.writeRun(s.table()[m.pos:s.n])
	if err != nil {
		return err
	}
	m.run = r
	s.written++
	s.n, m.pos = 0, 0
	s.store.free(s.c)
	s.freeTables()
	s.env.spilled(r, held-s.c.Used()+pinned)
	// The buffers of the spill now serve the reading back.
	reader := &runReader{env: &s.env, run: r, c: s.c, page: s.spare}
	if r.frameMax > len(s.spare.Data) {
		if reader.page, err = s.c.Alloc(r.frameMax); err != nil {
			return err
		}
	}
	m.after = &runSource[T]{codec: s.store.codec, r: reader}
	return nil
}

func (m *memSource[T]) close() error {
	if m.run == nil {
		return nil
	}
	r := m.run
	m.run = nil
	return r.close()
}

// open prepares reading: from memory alone, or by merging.
func (s *Sorter[T]) open() (err error) {
	if len(s.runs) == 0 {
		s.rest, err = newMemSource(s)
		if err == nil {
			s.from = s.rest
			return nil
		}
		if !errors.Is(err, memory.ErrNoMemory) || s.n == 0 {
			return err
		}
		if err := s.spillAll(); err != nil {
			return err
		}
	}
	m, err := s.mergeAll()
	if err != nil {
		return err
	}
	s.from = m
	return nil
}

// spillAll leaves nothing in memory but the buffers of a spill.
func (s *Sorter[T]) spillAll() error {
	if s.n > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.freeTables()
	return nil
}
