package spill

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// Sorter sorts rows of T, stably, in as much memory as it gets.
//
//  1. Add copies rows into pages; AddFrame leaves frames where they lie and
//     pins them. Either has an entry for each row: eight bytes of its key and
//     where it is. Those of pinned plain rows are only booked, and written
//     when rows are to be ordered: who takes the rows as they lie, as a join's
//     [Grouper.Table] does, is spared them.
//  2. When the memory manager refuses more, the entries are sorted, the rows
//     gathered in that order into a run on disk, and everything let go.
//  3. Sort sorts what is left. Without runs, Next gathers from memory, batch
//     by batch: a row is copied once. With runs, Next merges them with what
//     is in memory; if memory does not allow to merge all at once, some are
//     merged into longer ones first.
//
// While it is being read a Sorter gives its memory to who needs it: it
// writes what it has not yet handed out and reads it back later.
type Sorter[T any] struct {
	env   Env
	order Order[T]
	store rowStore[T]
	c     *memory.Consumer
	busy  bool // inside a change: not to be spilled from outside

	n            int         // rows in memory, each with room for its entry
	unnoted      []frameRows // the last of them, whose entries are not written yet
	entries, tmp *memory.Page
	keys         []uint64
	decoded      []T          // a chunk of a frame that is copied
	spare        *memory.Page // buffers of a spill, booked before memory runs out

	runs  []*Run
	from  pull[T]       // where Next gets its rows
	rest  *memSource[T] // what is read from memory, alone or merged; nil: nothing
	state sorterState

	factor  int // most runs merged at once; 0: as many as memory allows
	written int // runs spilled
	rounds  int // merging passes before the last one
}

type sorterState uint8

const (
	adding sorterState = iota
	reading
	closed
)

// chunk is how many rows are handled between two looks at the memory.
const chunk = 1024

// NewSorter returns a sorter. name is its account in memory reports.
func NewSorter[T any](env Env, name string, c codec.Codec[T], o Order[T]) *Sorter[T] {
	s := &Sorter[T]{env: env.complete(), order: o, store: newRowStore(c)}
	s.c = s.env.Memory.Consumer(name, s.give)
	return s
}

// Limit bounds how many runs are merged at once, from 2; 0 means by memory.
func (s *Sorter[T]) Limit(factor int) { s.factor = factor }

// Expect tells how many rows will come, so that the table of entries need
// not grow. It is a hint: where memory is short it does nothing.
func (s *Sorter[T]) Expect(rows int) {
	if rows > s.capacity() && s.n == 0 {
		_ = s.grow(rows, tableSize(rows*entrySize)) // a refusal shows again when the rows come
	}
}

// Add copies rows.
func (s *Sorter[T]) Add(rows []T) error {
	if err := s.ready(); err != nil {
		return err
	}
	s.busy = true
	defer func() { s.busy = false }()
	s.note()
	for len(rows) > 0 {
		n, err := s.room(rows[:min(len(rows), chunk)])
		if err != nil {
			return err
		}
		s.order.Prefixes(s.keys[:n], rows[:n])
		s.store.put(s.table()[s.n:s.n+n], s.keys[:n], rows[:n])
		s.n += n
		rows = rows[n:]
	}
	return s.env.Check()
}

func (s *Sorter[T]) ready() error {
	if s.state != adding {
		return errors.New("cannot add to a sorter that is being read or closed")
	}
	if s.keys == nil {
		s.keys = make([]uint64, chunk)
	}
	return nil
}

// room makes room for the first n ≥ 1 of rows.
func (s *Sorter[T]) room(rows []T) (n int, err error) {
	if err := s.reserve(len(rows)); err != nil {
		return 0, err
	}
	n, need := s.store.fits(rows)
	if n > 0 {
		return n, nil
	}
	p, err := s.alloc(max(need, s.env.pageFor(s.store.held)), need)
	if err != nil {
		return 0, err
	}
	s.store.addPage(p)
	n, _ = s.store.fits(rows)
	return n, nil
}

// alloc gets a page of want bytes; or a smaller one, of at least need, which
// puts off a spill; or spills the sorter's own rows first.
func (s *Sorter[T]) alloc(want, need int) (*memory.Page, error) {
	var p *memory.Page
	err := error(nil)
	for n := want; ; n /= 4 {
		p, err = s.c.Alloc(max(n, need))
		if err == nil || !errors.Is(err, memory.ErrNoMemory) {
			return p, err
		}
		if n <= max(need, 4*firstPage) {
			break
		}
	}
	if s.n == 0 {
		return nil, err
	}
	if err := s.spill(); err != nil {
		return nil, err
	}
	return s.c.Alloc(need)
}

// reserve makes room for k more entries.
func (s *Sorter[T]) reserve(k int) error {
	if s.n+k <= s.capacity() {
		return nil
	}
	if err := s.book(); err != nil {
		return err
	}
	want := max(s.n+k, s.n*2)
	err := s.grow(want, tableSize(want*entrySize))
	if err != nil && errors.Is(err, memory.ErrNoMemory) { // a little more puts off the spill
		want = s.n + max(k, s.n/4)
		err = s.grow(want, want*entrySize)
	}
	if err == nil || !errors.Is(err, memory.ErrNoMemory) || s.n == 0 {
		return err
	}
	if err := s.spill(); err != nil {
		return err
	}
	if k <= s.capacity() {
		return nil
	}
	return s.grow(k, k*entrySize)
}

// book gets the buffers of a spill while there is memory.
func (s *Sorter[T]) book() (err error) {
	if s.spare == nil {
		s.spare, err = s.c.Alloc(writeSize + FrameTarget)
	}
	return err
}

// adopt makes a run that somebody else wrote, in order, one of the sorter's.
func (s *Sorter[T]) adopt(r *Run) {
	s.runs = append(s.runs, r)
	s.written++
}

func (s *Sorter[T]) capacity() int {
	if s.tmp == nil {
		return 0
	}
	return min(len(s.entries.Data), len(s.tmp.Data)) / entrySize
}

const entrySize = int(unsafe.Sizeof(entry{}))

// grow makes the tables of entries hold n, in pages of so many bytes. After
// an error they hold what they held.
func (s *Sorter[T]) grow(n, bytes int) error {
	for _, table := range []**memory.Page{&s.entries, &s.tmp} {
		if *table != nil && len((*table).Data) >= n*entrySize {
			continue
		}
		p, err := s.c.Alloc(bytes)
		if err != nil {
			return err
		}
		if *table != nil {
			if table == &s.entries {
				copy(entriesOf(p), s.entriesNoted())
			}
			s.c.Free(*table)
		}
		*table = p
	}
	return nil
}

// entriesNoted returns the entries that are written.
func (s *Sorter[T]) entriesNoted() []entry {
	n := s.n
	for _, f := range s.unnoted {
		n -= f.n
	}
	if n == 0 {
		return nil
	}
	return s.table()[:n]
}

func (s *Sorter[T]) table() []entry   { return entriesOf(s.entries) }
func (s *Sorter[T]) scratch() []entry { return entriesOf(s.tmp) }

func entriesOf(p *memory.Page) []entry { return codec.View[entry](p.Data) }

// AddFrame adds the encoded rows in data. With a pin they stay where they
// are, retained until they are written to a run or the sorter is closed;
// without, they are copied.
func (s *Sorter[T]) AddFrame(data []byte, rows int, pin Pin) error {
	if err := s.ready(); err != nil {
		return err
	}
	if pin == nil || s.store.plain && (s.store.size == 0 || codec.View[T](data) == nil) {
		return s.addCopy(data, rows)
	}
	s.busy = true
	defer func() { s.busy = false }()
	if err := s.reserve(min(rows, chunk)); err != nil {
		return err
	}
	var err error
	if s.store.plain {
		err = s.addView(codec.View[T](data), data, rows, pin)
	} else {
		err = s.addEncoded(data, rows, pin)
	}
	if err != nil {
		return err
	}
	return s.env.Check()
}

func (s *Sorter[T]) pinned(data []byte, pin Pin) {
	pin.Retain()
	s.store.addBlock(block{data: data, pin: pin})
	s.store.room = false
}

// frameRows are plain rows of one frame: those from row at on of a block.
type frameRows struct{ block, at, n int }

// addView books entries for plain rows in place. A spill in the middle lets
// the block go, so the rest of the frame is pinned anew.
func (s *Sorter[T]) addView(view []T, data []byte, rows int, pin Pin) error {
	if len(view) != rows {
		return fmt.Errorf("cannot add %d rows: the frame holds %d: %w", rows, len(view), ErrCorrupt)
	}
	for at := 0; at < rows; {
		n := min(rows-at, viewStep)
		if err := s.reserve(n); err != nil {
			return err
		}
		if k := len(s.unnoted) - 1; at > 0 && k >= 0 { // not spilled since
			s.unnoted[k].n += n
		} else {
			s.pinned(data, pin)
			s.unnoted = append(s.unnoted, frameRows{len(s.store.blocks) - 1, at, n})
		}
		s.n += n
		at += n
	}
	return nil
}

// viewStep is how many rows of a frame are booked at a time: with the tables
// refused, so many make a run.
const viewStep = 4 * chunk

// view returns the rows of f.
func (s *Sorter[T]) view(f frameRows) []T {
	return codec.View[T](s.store.blocks[f.block].data)[f.at : f.at+f.n]
}

// asTheyLie pushes the rows in memory in the order in which they came: those
// of pinned frames from where they are, others copied into buf, which must
// have room. It is for plain rows.
func (s *Sorter[T]) asTheyLie(buf []T, each func(rows []T) error) error {
	for entries := s.entriesNoted(); len(entries) > 0; {
		n := min(len(entries), len(buf))
		for i, e := range entries[:n] {
			buf[i] = *s.store.row(e.ref)
		}
		if err := each(buf[:n]); err != nil {
			return err
		}
		entries = entries[n:]
	}
	for _, f := range s.unnoted {
		for rows := s.view(f); len(rows) > 0; {
			n := min(len(rows), len(buf))
			if err := each(rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

// note writes the entries that were put off.
func (s *Sorter[T]) note() {
	if len(s.unnoted) == 0 {
		return
	}
	dst := s.table()[len(s.entriesNoted()):s.n]
	for _, f := range s.unnoted {
		rows, ref := s.view(f), uint64(f.block)<<32|uint64(f.at)
		for len(rows) > 0 {
			n := min(len(rows), chunk)
			s.order.Prefixes(s.keys[:n], rows[:n])
			for i, k := range s.keys[:n] {
				dst[i] = entry{k, ref + uint64(i)}
			}
			rows, dst, ref = rows[n:], dst[n:], ref+uint64(n)
		}
	}
	s.unnoted = s.unnoted[:0]
}

// addEncoded notes rows of varying length in place.
func (s *Sorter[T]) addEncoded(data []byte, rows int, pin Pin) error {
	block := -1
	rest := data
	for rows > 0 {
		n := min(rows, chunk)
		runs := len(s.runs)
		if err := s.reserve(n); err != nil {
			return err
		}
		if block < 0 || len(s.runs) != runs {
			block = len(s.store.blocks)
			s.pinned(data, pin)
		}
		out, after, err := s.store.codec.Decode(s.store.one[:0], rest, n)
		if err != nil {
			return err
		}
		if len(out) != n {
			return fmt.Errorf("cannot add %d rows: the frame lacks %d: %w", rows, n-len(out), ErrCorrupt)
		}
		s.store.one = out[:0]
		s.order.Prefixes(s.keys[:n], out)
		dst := s.table()[s.n : s.n+n]
		for i := range dst {
			dst[i] = entry{s.keys[i], uint64(block)<<32 | uint64(len(data)-len(rest))}
			k, err := s.store.rowLen(rest)
			if err != nil {
				return err
			}
			rest = rest[k:]
		}
		clear(out)
		if len(rest) != len(after) {
			return errRow
		}
		s.n += n
		rows -= n
	}
	return nil
}

func (s *Sorter[T]) addCopy(data []byte, rows int) error {
	for rows > 0 {
		out, rest, err := s.store.codec.Decode(s.decoded[:0], data, min(rows, chunk))
		if err != nil {
			return err
		}
		if len(out) == 0 {
			return fmt.Errorf("cannot add %d rows: the frame lacks them: %w", rows, ErrCorrupt)
		}
		s.decoded = out
		if err := s.Add(out); err != nil {
			return err
		}
		data, rows = rest, rows-len(out)
	}
	return nil
}

// arrange sorts the entries.
func (s *Sorter[T]) arrange() {
	if s.n == 0 {
		return
	}
	s.note()
	var ties func(group, tmp []entry)
	if !s.order.Exact {
		ties = func(group, tmp []entry) { mergeSort(group, tmp, s.less) }
	}
	sortEntries(s.table()[:s.n], s.scratch()[:s.n], ties)
}

// less compares two rows of one prefix in full.
func (s *Sorter[T]) less(x, y uint64) bool {
	if s.store.plain {
		return s.order.Compare(s.store.row(x), s.store.row(y)) < 0
	}
	out, err := s.store.load(s.store.one[:0], x)
	if err == nil {
		out, err = s.store.load(out, y)
	}
	if err != nil {
		return false // damaged rows keep their place; reading them reports it
	}
	s.store.one = out[:0]
	return s.order.Compare(&out[0], &out[1]) < 0
}

// spill writes the rows in memory to a run and lets them go. The tables of
// entries stay.
func (s *Sorter[T]) spill() error {
	defer s.env.Timer.Switch(s.env.Timer.Switch(task.PartSpill))
	s.arrange()
	held := s.c.Used()
	pinned := s.pinnedBytes()
	r, err := s.writeRun(s.table()[:s.n])
	if err != nil {
		return err
	}
	s.adopt(r)
	s.n = 0
	s.store.free(s.c)
	s.env.spilled(r, held-s.c.Used()+pinned)
	return nil
}

func (s *Sorter[T]) pinnedBytes() (n int64) {
	for i := range s.store.blocks {
		if b := &s.store.blocks[i]; b.pin != nil {
			n += int64(len(b.data))
		}
	}
	return n
}

// writeRun gathers the rows of entries into a run, through the spare page.
func (s *Sorter[T]) writeRun(entries []entry) (*Run, error) {
	w, err := newRun(&s.env, s.spare.Data[FrameTarget:FrameTarget+writeSize])
	if err != nil {
		return nil, err
	}
	frame := s.spare.Data[:0:FrameTarget]
	rows := 0
	for i := range entries {
		src := s.store.bytes(entries[i].ref)
		k := int(s.store.size)
		if !s.store.plain {
			if k, err = s.store.rowLen(src); err != nil {
				w.abort()
				return nil, err
			}
		}
		if rows > 0 && len(frame)+k > FrameTarget {
			if err := w.frame(rows, frame); err != nil {
				w.abort()
				return nil, err
			}
			frame, rows = frame[:0], 0
		}
		if k > FrameTarget { // a frame of its own, from where it lies
			if err := w.frame(1, src[:k]); err != nil {
				w.abort()
				return nil, err
			}
			continue
		}
		frame = append(frame, src[:k]...)
		rows++
	}
	if rows > 0 {
		if err := w.frame(rows, frame); err != nil {
			w.abort()
			return nil, err
		}
	}
	return w.finish()
}

// give is called when somebody else in the attempt needs memory.
func (s *Sorter[T]) give(int64) (freed int64, err error) {
	if s.busy || s.state == closed || s.spare == nil {
		return 0, nil
	}
	s.busy = true
	defer func() { s.busy = false }()
	before := s.c.Used()
	if s.state == reading {
		if s.rest != nil {
			err = s.rest.give()
		}
	} else if s.n > 0 {
		if err = s.spill(); err == nil {
			s.freeTables()
		}
	}
	return before - s.c.Used(), err
}

func (s *Sorter[T]) freeTables() {
	for _, table := range []**memory.Page{&s.entries, &s.tmp} {
		if *table != nil {
			s.c.Free(*table)
			*table = nil
		}
	}
}

// Runs returns how many runs were written, and how many merging passes there
// were before the last.
func (s *Sorter[T]) Runs() (written, rounds int) { return s.written, s.rounds }

// Sort ends adding. Next then returns the rows in order.
func (s *Sorter[T]) Sort() error {
	if s.state != adding {
		return errors.New("cannot sort twice")
	}
	s.busy = true
	defer func() { s.busy = false }()
	s.arrange()
	s.state = reading
	return s.open()
}

// Next returns the next rows in order, valid until the next call, or io.EOF.
func (s *Sorter[T]) Next() ([]T, error) {
	if s.state != reading {
		return nil, errors.New("cannot read a sorter before Sort or after Close")
	}
	if err := s.env.Check(); err != nil {
		return nil, err
	}
	s.busy = true
	defer func() { s.busy = false }()
	return s.from.next(batchRows)
}

// Sorted sorts and pushes all rows in order.
func (s *Sorter[T]) Sorted(emit func([]T) error) error {
	if err := s.Sort(); err != nil {
		return err
	}
	for {
		rows, err := s.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := emit(rows); err != nil {
			return err
		}
	}
}

// Close frees all memory and files.
func (s *Sorter[T]) Close() error {
	if s.state == closed {
		return nil
	}
	s.state = closed
	var err error
	for _, r := range s.runs {
		err = errors.Join(err, r.close())
	}
	s.runs = nil
	if s.rest != nil {
		err = errors.Join(err, s.rest.close())
	}
	s.store.free(s.c)
	s.c.Close()
	return err
}
