package shuffle

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// Target names what a map task writes.
type Target struct {
	Shuffle  id.Shuffle
	Map      id.Task // the attempt: unique for every try
	Reducers int
}

// MaxReducers is the largest number of reducers, Spark's.
const MaxReducers = 1 << 24

// Partitioner says which reducer each row goes to: dst, as long as rows, is
// filled with numbers in [0, reducers). It is called once a batch and keeps
// neither argument.
type Partitioner[T any] func(dst []int32, rows []T)

// Writer cuts one map task's rows by reducer.
//
//  1. Every reducer has a chunk of memory, which is a frame being filled.
//     Plain rows are moved straight into their reducers' chunks; others are
//     grouped by reducer, batch by batch, and encoded together.
//  2. A full chunk is a finished frame and stays where it is; the next chunk
//     is larger, up to 64 KiB, so that a reducer that gets little costs
//     little.
//  3. When memory is refused, all frames go to a temporary file, by reducer,
//     and the pages are used again.
//  4. Commit makes the pages the map output, without a copy; or, after
//     spills or with Storage Disk, writes data, index and checksum files, the
//     spilled pieces of a reducer first.
//
// A Writer is used on its attempt's goroutine.
type Writer[T any] struct {
	m         *Manager
	env       spill.Env
	to        Target
	partition Partitioner[T]
	codec     codec.Codec[T]
	sizer     codec.Rows[T]
	plain     bool
	c         *memory.Consumer
	busy      bool
	arena     arena
	kind           // of the rows that come
	others    kind // of those that came before; without chunks if there were none
	frames    []placed
	buffer    *memory.Page // for spilling and writing files; booked with the first chunk
	spilled   spills

	parts  []int32
	order  []T // rows of a batch, grouped by reducer
	counts []int32
	pack   []byte // a compressed frame
	rows   int64
	sums   []rowSum // [reducers]; nil: not asked for
	closed bool
}

// kind is where rows of one kind go.
type kind struct {
	chunks     []chunkState // [reducers]
	rowSize    uint32       // of plain rows
	uncombined bool         // rows are not of the writer's type, but what it combines
}

// chunkState is the chunk a reducer's rows go to. off ≤ end; with off + a
// row's size > end it is full, which it is at first.
type chunkState struct {
	base  unsafe.Pointer // of the chunk: the header of the frame
	off   uint32         // where the next row goes
	end   uint32
	size  uint32 // of the next chunk
	rows  uint32 // of plain rows only when it is sealed
	place uint64
}

const (
	firstChunk = 1 << 10
	chunkMax   = spill.FrameTarget
	rowsMax    = 1024 // rows handled between two looks at the memory
)

// NewWriter returns the writer of one map task's output. partition must send
// equal keys to one reducer. Close frees what it holds, also after Commit.
func NewWriter[T any](m *Manager, env spill.Env, to Target, partition Partitioner[T], c codec.Codec[T]) (*Writer[T], error) {
	if to.Reducers < 0 || to.Reducers > MaxReducers {
		return nil, fmt.Errorf("cannot shuffle to %d reducers: there may be from 0 to %d", to.Reducers, MaxReducers)
	}
	if env.Metrics == nil {
		env.Metrics = new(task.Metrics)
	}
	if env.Timer == nil {
		env.Timer = new(task.Timer)
	}
	if env.Check == nil {
		env.Check = func() error { return nil }
	}
	w := &Writer[T]{m: m, env: env, to: to, partition: partition, codec: c}
	w.sizer, _ = c.(codec.Rows[T])
	w.plain = codec.IsPlain[T]() && c.Fixed() > 0
	w.rowSize = uint32(max(c.Fixed(), 0))
	if m.cfg.RowChecksums && !codec.Padded[T]() {
		w.sums = make([]rowSum, to.Reducers)
	}
	w.c = env.Memory.Consumer("shuffle write", w.give)
	w.arena.c = w.c
	return w, nil
}

// Add writes the rows of one batch, which it does not keep.
func (w *Writer[T]) Add(rows []T) error {
	return addRows(w, rows, false, w.partition, func(rows []T, parts []int32) error {
		if w.sums != nil {
			w.sumRows(rows, parts)
		}
		if w.plain {
			return scatter(w, rows, parts)
		}
		return w.group(rows, parts)
	})
}

// addUncombined is Add for plain rows of another type, which readers find in
// frames of their own. The writer's own rows must be plain, too.
func addUncombined[T, R any](w *Writer[T], rows []R, partition Partitioner[R]) error {
	return addRows(w, rows, true, partition, func(rows []R, parts []int32) error { return scatter(w, rows, parts) })
}

// addRows finds the reducers of rows, which are uncombined or not, and has
// them put.
func addRows[T, R any](w *Writer[T], rows []R, uncombined bool, partition Partitioner[R], put func(rows []R, parts []int32) error) error {
	if w.closed {
		return errors.New("cannot add to a shuffle writer that is committed or closed")
	}
	if err := w.env.Check(); err != nil {
		return err
	}
	if len(rows) == 0 {
		return nil
	}
	defer w.env.Timer.Switch(w.env.Timer.Switch(task.PartShuffleWrite))
	w.busy = true
	defer func() { w.busy = false }()
	if w.parts == nil {
		w.start()
	}
	if uncombined != w.uncombined {
		w.swap(int(unsafe.Sizeof(rows[0])))
	}
	for len(rows) > 0 {
		n := min(len(rows), rowsMax)
		parts := w.parts[:n]
		partition(parts, rows[:n])
		if err := put(rows[:n], parts); err != nil {
			return err
		}
		w.rows += int64(n)
		w.env.Metrics[task.ShuffleRecordsWritten] += int64(n)
		rows = rows[n:]
	}
	return nil
}

func (w *Writer[T]) start() {
	w.parts = make([]int32, rowsMax)
	w.chunks = newChunks(w.to.Reducers)
}

func newChunks(n int) []chunkState {
	chunks := make([]chunkState, n)
	for i := range chunks {
		chunks[i].size = firstChunk
	}
	return chunks
}

// swap turns to rows of the other kind. The chunks of this one wait: a map
// task whose keys hardly repeat looks again and again whether they do.
func (w *Writer[T]) swap(rowSize int) {
	if w.others.chunks == nil {
		w.others = kind{newChunks(w.to.Reducers), uint32(rowSize), !w.uncombined}
	}
	w.kind, w.others = w.others, w.kind
}

// scatter moves plain rows into their reducers' chunks: a row's bytes are
// read once and written once.
func scatter[T, R any](w *Writer[T], rows []R, parts []int32) error {
	for {
		n := moveMost(w.chunks, parts, rows)
		if n == len(rows) {
			return nil
		}
		rows, parts = rows[n:], parts[n:]
		if err := w.turn(int(parts[0]), int(unsafe.Sizeof(rows[0]))); err != nil {
			return err
		}
	}
}

// moveRows moves rows until a chunk is full and returns how many it moved.
func moveRows[T any](chunks []chunkState, parts []int32, rows []T) int {
	var zero T
	size := uint32(unsafe.Sizeof(zero))
	for i := range rows {
		c := &chunks[parts[i]]
		if c.off+size > c.end {
			return i
		}
		*(*T)(unsafe.Add(c.base, c.off)) = rows[i]
		c.off += size
	}
	return len(rows)
}

// groupMax is the number of reducers from which a batch has too few rows for
// each to be worth grouping.
const groupMax = 4 * rowsMax

// group encodes rows reducer by reducer.
func (w *Writer[T]) group(rows []T, parts []int32) error {
	if w.to.Reducers > groupMax {
		for i, p := range parts {
			if err := w.encode(int(p), rows[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if w.counts == nil {
		w.counts = make([]int32, w.to.Reducers+1)
		w.order = make([]T, rowsMax)
	}
	counts := w.counts
	clear(counts)
	for _, p := range parts {
		counts[p+1]++
	}
	for r := range w.to.Reducers {
		counts[r+1] += counts[r]
	}
	for i, p := range parts {
		w.order[counts[p]] = rows[i]
		counts[p]++
	}
	from := int32(0)
	for r := range w.to.Reducers { // counts[r] is now where r's rows end
		if to := counts[r]; to > from {
			if err := w.encode(r, w.order[from:to]); err != nil {
				return err
			}
			from = to
		}
	}
	clear(w.order[:len(rows)])
	return nil
}

// encode appends rows to reducer r's chunk, as many at a time as fit.
func (w *Writer[T]) encode(r int, rows []T) error {
	c := &w.chunks[r]
	for len(rows) > 0 {
		n := len(rows)
		size := w.encodedLen(rows)
		free := int(c.end - c.off)
		for size > free && n > 1 { // halve until it fits, or turn when not even half of a small chunk is used
			if free >= chunkMax/2 || size > chunkMax {
				n /= 2
				size = w.encodedLen(rows[:n])
				continue
			}
			break
		}
		if size > free || c.base == nil {
			if err := w.turn(r, size); err != nil {
				return err
			}
		}
		chunk := unsafe.Slice((*byte)(c.base), c.end)
		out := w.codec.Append(chunk[:c.off:c.end], rows[:n])
		if len(out) != int(c.off)+size {
			return fmt.Errorf("cannot encode %d rows: codec %s wrote %d bytes, and %d before", n, w.codec.Name(), len(out)-int(c.off), size)
		}
		c.off = uint32(len(out))
		c.rows += uint32(n)
		rows = rows[n:]
	}
	return nil
}

func (w *Writer[T]) encodedLen(rows []T) int {
	if w.sizer != nil {
		return w.sizer.Size(rows)
	}
	w.pack = w.codec.Append(w.pack[:0], rows)
	return len(w.pack)
}

// turn ends reducer r's chunk and begins one with room for need bytes.
func (w *Writer[T]) turn(r, need int) error {
	if err := w.seal(r); err != nil {
		return err
	}
	if w.buffer == nil {
		p, err := w.c.Alloc(writeSize)
		if err != nil {
			return err
		}
		w.buffer = p
	}
	c := &w.chunks[r]
	if c.base != nil && int(c.end)-spill.FrameHeader >= need { // compressed away: the chunk is free again
		c.off = spill.FrameHeader
		return nil
	}
	size := (max(int(c.size), need+spill.FrameHeader) + 7) &^ 7
	b, place, err := w.arena.take(size)
	if err != nil {
		if !errors.Is(err, memory.ErrNoMemory) {
			return err
		}
		if err = w.spill(); err != nil {
			return err
		}
		// Spilling ended this chunk with the others, and freed them all.
		if b, place, err = w.arena.take(size); err != nil && size > need+64 {
			size = (max(firstChunk, need+spill.FrameHeader) + 7) &^ 7
			b, place, err = w.arena.take(size)
		}
		if err != nil {
			return err
		}
	}
	*c = chunkState{
		base: unsafe.Pointer(unsafe.SliceData(b)), off: spill.FrameHeader, end: uint32(size),
		size: min(2*c.size, chunkMax), place: place,
	}
	return nil
}

// seal makes a frame of what is in reducer r's chunk.
func (w *Writer[T]) seal(r int) error {
	c := &w.chunks[r]
	if w.plain && c.off > spill.FrameHeader {
		c.rows = (c.off - spill.FrameHeader) / w.rowSize
	}
	if c.rows == 0 {
		return nil
	}
	chunk := unsafe.Slice((*byte)(c.base), c.end)
	raw := chunk[spill.FrameHeader:c.off]
	f := spill.Frame{Rows: int(c.rows), Raw: len(raw), Stored: len(raw), Uncombined: w.uncombined}
	place := c.place
	if comp := w.m.cfg.Compression; comp != codec.None {
		if w.pack = comp.Compress(w.pack[:0], raw); len(w.pack) > 0 && len(w.pack) < len(raw) {
			f.Stored = len(w.pack)
			b, at, err := w.arena.take(f.Padded())
			if err == nil {
				spill.PutFrameHead(b, f)
				copy(b[spill.FrameHeader:], w.pack)
				w.frames = append(w.frames, placed{int32(r), int32(f.Padded()), at})
				c.off, c.rows = spill.FrameHeader, 0
				return nil
			}
			if !errors.Is(err, memory.ErrNoMemory) {
				return err
			}
			f.Stored = len(raw) // no room beside: it stays as it is
		}
	}
	spill.PutFrameHead(chunk, f)
	w.frames = append(w.frames, placed{int32(r), int32(f.Padded()), place})
	*c = chunkState{size: c.size}
	return nil
}

// sealAll ends every chunk.
func (w *Writer[T]) sealAll() error {
	if err := w.sealKind(); err != nil {
		return err
	}
	w.kind, w.others = w.others, w.kind
	err := w.sealKind()
	w.kind, w.others = w.others, w.kind
	return err
}

func (w *Writer[T]) sealKind() error {
	for r := range w.chunks {
		if err := w.seal(r); err != nil {
			return err
		}
		w.chunks[r].base, w.chunks[r].off, w.chunks[r].end = nil, 0, 0
	}
	return nil
}
