package spill

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

const (
	window      = 256      // rows of a source whose keys are held ready
	mergeMemory = 16 << 20 // what a merge takes for reading ahead, at most; more does not read faster
	mergeMargin = 1 << 20  // left free for those who take the rows
)

// merger yields the rows of several sources in order.
type merger[T any] struct {
	order   *Order[T]
	plain   bool
	sources []mergeSource[T]
	heads   []uint64
	tree    losers
	out     []T
	empty   bool // the winner's window is used up and must be filled before the next row
	readers []*runReader
}

// mergeSource is a source with the window of its rows that are in memory.
type mergeSource[T any] struct {
	from pull[T]
	rows []T
	keys []uint64
	i    int
	done bool
}

// fill gets the next window.
func (m *merger[T]) fill(i int32) error {
	s := &m.sources[i]
	rows, err := s.from.next(window)
	if err == io.EOF {
		s.rows, s.i, s.done = nil, 0, true
		m.heads[i] = ^uint64(0)
		return nil
	}
	if err != nil {
		return err
	}
	s.rows, s.i = rows, 0
	m.order.Prefixes(s.keys[:len(rows)], rows)
	m.heads[i] = s.keys[0]
	return nil
}

func newMerger[T any](o *Order[T], c codec.Codec[T], out []T, from []pull[T]) (*merger[T], error) {
	m := &merger[T]{order: o, plain: codec.IsPlain[T](), out: out}
	m.heads = make([]uint64, len(from))
	m.sources = make([]mergeSource[T], len(from))
	keys := make([]uint64, window*len(from))
	for i := range from {
		m.sources[i] = mergeSource[T]{from: from[i], keys: keys[i*window : (i+1)*window]}
		if err := m.fill(int32(i)); err != nil {
			return nil, err
		}
	}
	m.tree = newLosers(m.heads, m.tie)
	return m, nil
}

// tie decides between sources whose prefixes are equal. Earlier sources hold
// earlier rows, so that the merge is stable.
func (m *merger[T]) tie(a, b int32) bool {
	x, y := &m.sources[a], &m.sources[b]
	switch {
	case x.done || y.done:
		return !x.done
	case m.order.Exact:
		return a < b
	}
	if c := m.order.Compare(&x.rows[x.i], &y.rows[y.i]); c != 0 {
		return c < 0
	}
	return a < b
}

// next copies rows to the output batch. A batch of rows that are views ends
// where a source must read on, because that overwrites what they point to.
func (m *merger[T]) next(limit int) ([]T, error) {
	out := m.out[:min(limit, cap(m.out))]
	n := 0
	for n < len(out) {
		w := m.tree.winner()
		if m.empty {
			if n > 0 && !m.plain {
				break
			}
			if err := m.fill(w); err != nil {
				return nil, err
			}
			m.empty = false
			m.tree.replay()
			continue
		}
		s := &m.sources[w]
		if s.done {
			break
		}
		out[n] = s.rows[s.i]
		n++
		if s.i++; s.i == len(s.rows) {
			m.empty = true
			continue
		}
		m.heads[w] = s.keys[s.i]
		m.tree.replay()
	}
	if n == 0 {
		return nil, io.EOF
	}
	return out[:n], nil
}

// mergeAll makes one merger of all runs and what is in memory.
//
//  1. Open all runs beside the rows in memory. If that does not fit, write
//     those rows to a run, too, and try again.
//  2. If not all fit, merge neighbouring runs, as many at a time as do, until
//     all do. Only neighbours: the order of equal keys is kept.
func (s *Sorter[T]) mergeAll() (*merger[T], error) {
	if s.n > 0 {
		if s.factor == 0 || len(s.runs) < s.factor {
			m, err := s.mergeWithMemory()
			if m != nil || err != nil {
				return m, err
			}
		}
	}
	if err := s.spillAll(); err != nil {
		return nil, err
	}
	out := s.outBatch(s.spare)
	at := 0 // the next run of this pass
	for {
		readers, err := s.openRuns(s.runs)
		if err != nil {
			return nil, err
		}
		fits := len(readers)
		if fits == len(s.runs) {
			return s.mergerOf(readers, nil, out)
		}
		for _, r := range readers {
			r.close()
		}
		for len(s.runs) > fits {
			g := min(fits, len(s.runs)-fits+1)
			if at+g > len(s.runs) {
				at = 0
			}
			if at == 0 {
				s.rounds++
			}
			if err := s.mergeRuns(at, g); err != nil {
				return nil, err
			}
			at++
		}
	}
}

// mergeWithMemory returns nil if memory does not suffice.
func (s *Sorter[T]) mergeWithMemory() (*merger[T], error) {
	rest, err := newMemSource(s)
	if err != nil {
		return nil, unlessNoMemory(err)
	}
	page, err := s.c.Alloc(batchBytes)
	if err != nil {
		s.c.Free(rest.page)
		return nil, unlessNoMemory(err)
	}
	readers, err := s.openRuns(s.runs)
	if err != nil && !errors.Is(err, memory.ErrNoMemory) {
		return nil, err
	}
	if len(readers) < len(s.runs) {
		for _, r := range readers {
			r.close()
		}
		s.c.Free(page)
		s.c.Free(rest.page)
		return nil, nil
	}
	s.rest = rest
	return s.mergerOf(readers, rest, s.outBatch(page))
}

func unlessNoMemory(err error) error {
	if errors.Is(err, memory.ErrNoMemory) {
		return nil
	}
	return err
}

// outBatch returns the batch that a merge fills: in the page for plain rows,
// on the heap, and short, for others.
func (s *Sorter[T]) outBatch(p *memory.Page) []T {
	if size := int(s.store.size); s.store.plain && size > 0 && size <= len(p.Data) {
		n := min(len(p.Data)/size, batchRows)
		return codec.View[T](p.Data[:n*size])
	}
	return make([]T, 2*window)
}

// openRuns opens the first runs, as many as memory and the limit allow, at
// least two of several.
func (s *Sorter[T]) openRuns(runs []*Run) (readers []*runReader, err error) {
	if s.factor > 0 {
		runs = runs[:min(len(runs), max(2, s.factor))]
	}
	want := max(readSize, min(readSizeMax, mergeMemory/max(1, len(runs))))
	for {
		for _, r := range runs {
			var rr *runReader
			if rr, err = openRun(&s.env, s.c, r, want); err != nil {
				break
			}
			readers = append(readers, rr)
		}
		if err != nil && !errors.Is(err, memory.ErrNoMemory) {
			break
		}
		if err == nil || want == readSize {
			err = s.leaveMargin(&readers)
			if len(readers) >= min(2, len(runs)) {
				return readers, nil
			}
			break
		}
		for _, r := range readers {
			r.close()
		}
		readers, want = readers[:0], max(readSize, want/2)
	}
	for _, r := range readers {
		r.close()
	}
	if err == nil {
		err = fmt.Errorf("cannot merge %d runs two at a time: %w", len(runs), memory.ErrNoMemory)
	}
	return nil, err
}

// leaveMargin closes readers until those who take the rows find memory, too;
// two it leaves in any case.
func (s *Sorter[T]) leaveMargin(readers *[]*runReader) error {
	for len(*readers) > 2 {
		p, err := s.c.Alloc(mergeMargin)
		if err == nil {
			s.c.Free(p)
			return nil
		}
		if !errors.Is(err, memory.ErrNoMemory) {
			return err
		}
		last := len(*readers) - 1
		(*readers)[last].close()
		*readers = (*readers)[:last]
	}
	return nil
}

func (s *Sorter[T]) mergerOf(readers []*runReader, rest *memSource[T], out []T) (*merger[T], error) {
	var from []pull[T]
	for _, r := range readers {
		from = append(from, &runSource[T]{codec: s.store.codec, r: r})
	}
	if rest != nil {
		from = append(from, rest)
	}
	m, err := newMerger(&s.order, s.store.codec, out, from)
	if err != nil {
		return nil, err
	}
	m.readers = readers
	return m, nil
}

// mergeRuns replaces the runs [at, at+n) by one.
func (s *Sorter[T]) mergeRuns(at, n int) (err error) {
	defer s.env.Timer.Switch(s.env.Timer.Switch(task.PartSpill))
	old := s.runs[at : at+n]
	readers, err := s.openRuns(old)
	if err != nil {
		return err
	}
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	n = len(readers) // fewer than a moment ago, if others took memory
	old = old[:n]
	m, err := s.mergerOf(readers, nil, make([]T, 2*window))
	if err != nil {
		return err
	}
	m.readers = nil
	r, err := s.rewrite(m)
	if err != nil {
		return err
	}
	s.env.Metrics[task.DiskBytesSpilled] += r.file.Size()
	for _, o := range old {
		err = errors.Join(err, o.close())
	}
	s.runs = append(append(s.runs[:at:at], r), s.runs[at+n:]...)
	return err
}

// rewrite writes merged rows to a run.
func (s *Sorter[T]) rewrite(m *merger[T]) (*Run, error) {
	w, err := newRun(&s.env, s.spare.Data[FrameTarget:FrameTarget+writeSize])
	if err != nil {
		return nil, err
	}
	f := framer[T]{store: &s.store, w: w, buf: s.spare.Data[:0:FrameTarget]}
	for {
		rows, err := m.next(batchRows)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = s.env.Check()
		}
		if err == nil {
			err = f.add(rows)
		}
		if err != nil {
			w.abort()
			return nil, err
		}
	}
	if err := f.flush(); err != nil {
		w.abort()
		return nil, err
	}
	return w.finish()
}

// framer cuts rows into frames.
type framer[T any] struct {
	store *rowStore[T]
	w     *runWriter
	buf   []byte // of fixed capacity
	rows  int
}

func (f *framer[T]) add(rows []T) error {
	for i := range rows {
		k := f.store.encodedLen(rows[i : i+1])
		if f.rows > 0 && len(f.buf)+k > cap(f.buf) {
			if err := f.flush(); err != nil {
				return err
			}
		}
		if k > cap(f.buf) {
			if err := f.w.frame(1, f.store.codec.Append(nil, rows[i:i+1])); err != nil {
				return err
			}
			continue
		}
		f.buf = f.store.codec.Append(f.buf, rows[i:i+1])
		f.rows++
	}
	return nil
}

func (f *framer[T]) flush() error {
	if f.rows == 0 {
		return nil
	}
	err := f.w.frame(f.rows, f.buf)
	f.buf, f.rows = f.buf[:0], 0
	return err
}
