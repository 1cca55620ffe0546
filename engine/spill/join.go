package spill

import (
	"errors"
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// Join ends adding to both groupers, which must be by the same key, and
// calls emit with the matches of each key that both have: every pair of one
// of left and one of right is a match. A key with many values is emitted in
// several calls that together cover all its pairs, each once. What emit gets
// is valid until it returns.
//
//  1. Where one side of a key is a single chunk of values, that is kept and
//     the other side streams by.
//  2. Where neither is, the right side is written to a spool, in memory or
//     on disk, which is read again for every chunk of the left.
func Join[K, V, W any](env Env, left *Grouper[K, V], right *Grouper[K, W], emit func(key K, left []V, right []W) error) error {
	lefts, err := codec.For[V]()
	if err != nil {
		return err
	}
	rights, err := codec.For[W]()
	if err != nil {
		return err
	}
	j := joining[K, V, W]{
		left: left, right: right, emit: emit,
		l: held[V]{codec: lefts, plain: codec.IsPlain[V]()}, r: held[W]{codec: rights, plain: codec.IsPlain[W]()},
		spool: newSpool(env, rights),
	}
	err = merged(left, right, func(side int) error {
		if side != 0 {
			return nil
		}
		return j.key()
	})
	return errors.Join(err, j.spool.close())
}

type joining[K, V, W any] struct {
	left  *Grouper[K, V]
	right *Grouper[K, W]
	emit  func(key K, left []V, right []W) error
	l     held[V]
	r     held[W]
	spool *spool[W]
}

// key joins the values of the present key.
func (j *joining[K, V, W]) key() error {
	l, more, err := first(j.left, &j.l)
	if err != nil {
		return err
	}
	if !more {
		return stream(j.right, func(r []W) error { return j.emit(j.left.cur, l, r) })
	}
	r, more, err := first(j.right, &j.r)
	if err != nil {
		return err
	}
	replay := func(l []V) error { return j.emit(j.left.cur, l, r) }
	if more {
		if err := j.spool.add(r); err != nil {
			return err
		}
		if err := stream(j.right, j.spool.add); err != nil {
			return err
		}
		replay = func(l []V) error {
			return j.spool.each(func(r []W) error { return j.emit(j.left.cur, l, r) })
		}
	}
	if err := replay(l); err != nil {
		return err
	}
	if err := stream(j.left, replay); err != nil {
		return err
	}
	return j.spool.reset()
}

// first keeps a group's first chunk and tells whether there is more.
func first[K, V any](g *Grouper[K, V], h *held[V]) (vals []V, more bool, err error) {
	if vals, err = g.nextValues(); err != nil {
		return nil, false, err
	}
	if vals, err = h.keep(vals); err != nil {
		return nil, false, err
	}
	more, err = g.more()
	return vals, more, err
}

// stream calls each with what is left of the present group.
func stream[K, V any](g *Grouper[K, V], each func([]V) error) error {
	for {
		vals, err := g.nextValues()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = each(vals)
		}
		if err != nil {
			return err
		}
	}
}

// held is a chunk of values kept beyond their batch.
type held[V any] struct {
	codec codec.Codec[V]
	plain bool
	buf   []byte
	vals  []V
}

func (h *held[V]) keep(vals []V) (kept []V, err error) {
	if h.plain {
		h.vals = append(h.vals[:0], vals...)
		return h.vals, nil
	}
	h.buf = h.codec.Append(h.buf[:0], vals)
	h.vals, _, err = h.codec.Decode(h.vals[:0], h.buf, len(vals))
	if err == nil && len(h.vals) != len(vals) {
		err = ErrCorrupt
	}
	return h.vals, err
}

// spool keeps values that are read several times: encoded in pages, and in a
// run once those are refused.
type spool[V any] struct {
	env   Env
	c     *memory.Consumer
	codec codec.Codec[V]
	pages []*memory.Page
	used  []int
	rows  []int
	spare *memory.Page
	w     *runWriter
	run   *Run
	buf   []byte
	vals  []V
}

func newSpool[V any](env Env, c codec.Codec[V]) *spool[V] {
	s := &spool[V]{env: env.complete(), codec: c}
	s.c = s.env.Memory.Consumer("join spool", nil)
	return s
}

// spoolMax is what a spool holds in memory: replaying more from there gains
// little over the page cache.
const spoolMax = 16 << 20

func (s *spool[V]) add(vals []V) error {
	if s.spare == nil {
		p, err := s.c.Alloc(writeSize)
		if err != nil {
			return err
		}
		s.spare = p
	}
	s.buf = s.codec.Append(s.buf[:0], vals)
	if s.w == nil && s.c.Used() < spoolMax {
		p, err := s.c.Alloc(max(len(s.buf), 1))
		if err == nil {
			copy(p.Data, s.buf)
			s.pages = append(s.pages, p)
			s.used = append(s.used, len(s.buf))
			s.rows = append(s.rows, len(vals))
			return nil
		}
		if !errors.Is(err, memory.ErrNoMemory) {
			return err
		}
	}
	defer s.env.Timer.Switch(s.env.Timer.Switch(task.PartSpill))
	if s.w == nil {
		w, err := newRun(&s.env, s.spare.Data)
		if err != nil {
			return err
		}
		s.w = w
	}
	return s.w.frame(len(vals), s.buf)
}

// each calls f with all values, in the order they were added.
func (s *spool[V]) each(f func([]V) error) error {
	if s.w != nil {
		r, err := s.w.finish()
		s.w = nil
		if err != nil {
			return err
		}
		s.run = r
		s.env.spilled(r, 0)
	}
	for i, p := range s.pages {
		if err := s.decode(p.Data[:s.used[i]], s.rows[i], f); err != nil {
			return err
		}
	}
	if s.run == nil {
		return nil
	}
	r := &runReader{env: &s.env, run: s.run, c: s.c, page: s.spare}
	if s.run.frameMax > len(s.spare.Data) {
		var err error
		if r, err = openRun(&s.env, s.c, s.run, s.run.frameMax); err != nil {
			return err
		}
		defer r.close()
	} else {
		defer func() {
			if r.raw != nil {
				s.c.Free(r.raw)
			}
		}()
	}
	for {
		rows, data, err := r.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = s.decode(data, rows, f)
		}
		if err != nil {
			return err
		}
	}
}

func (s *spool[V]) decode(data []byte, rows int, f func([]V) error) (err error) {
	s.vals, _, err = s.codec.Decode(s.vals[:0], data, rows)
	if err == nil && len(s.vals) != rows {
		err = ErrCorrupt
	}
	if err != nil {
		return err
	}
	if err := s.env.Check(); err != nil {
		return err
	}
	return f(s.vals)
}

// reset empties the spool for the next key.
func (s *spool[V]) reset() (err error) {
	for _, p := range s.pages {
		s.c.Free(p)
	}
	clear(s.pages)
	s.pages, s.used, s.rows = s.pages[:0], s.used[:0], s.rows[:0]
	if s.w != nil {
		s.w.abort()
		s.w = nil
	}
	if s.run != nil {
		err = s.run.close()
		s.run = nil
	}
	return err
}

func (s *spool[V]) close() error {
	err := s.reset()
	s.c.Close()
	return err
}
