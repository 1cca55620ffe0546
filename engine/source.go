package engine

import (
	"fmt"
	"math/rand/v2"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Sources: datasets that read files or make their records. Listing and
// cutting files happens where the dataset is built, on the caller's
// goroutine; reading happens in the tasks.

// Parallelize makes a dataset of rows, cut into parts of about equal size.
// It keeps rows: they must not be changed afterwards. parts below 1 means
// the session's default parallelism.
func Parallelize[T any](s *Session, rows []T, parts int) *Dataset[T] {
	parts = s.parts(parts)
	bytes := int64(len(rows)) * int64(unsafe.Sizeof(*new(T)))
	return newDataset(s, nodeSpec{name: "parallelize", parts: parts, bytes: bytes}, func(t *Task, part int, emit func([]T) error) error {
		from, to := part*len(rows)/parts, (part+1)*len(rows)/parts
		for from < to {
			if err := t.Check(); err != nil {
				return err
			}
			// Batches are the consumer's to read only, so views of rows do.
			end := min(from+batchRows, to)
			t.Metrics[task.InputRecordsRead] += int64(end - from)
			if err := emit(rows[from:end:end]); err != nil {
				return err
			}
			from = end
		}
		return nil
	})
}

// FromFunc makes a dataset whose partitions a function generates: it pushes
// batches to emit, which may reuse one buffer, and returns emit's error at
// once. The same partition must give the same records every time.
func FromFunc[T any](s *Session, name string, parts int, generate func(t *Task, part int, emit func([]T) error) error) *Dataset[T] {
	return newDataset(s, nodeSpec{name: name, parts: s.parts(parts)}, func(t *Task, part int, emit func([]T) error) error {
		return generate(t, part, func(b []T) error {
			if err := t.Check(); err != nil {
				return err
			}
			t.Metrics[task.InputRecordsRead] += int64(len(b))
			return emit(b)
		})
	})
}

// Range makes the integers [0, n) in parts partitions.
func Range(s *Session, n int64, parts int) *Dataset[int64] {
	parts = s.parts(parts)
	return FromFunc(s, "range", parts, func(_ *Task, part int, emit func([]int64) error) error {
		buf := takeBatch[int64]()
		defer buf.put()
		from, to := span(n, part, parts)
		for from < to {
			end := min(from+batchRows, to)
			buf.rows = buf.rows[:0]
			for v := from; v < end; v++ {
				buf.rows = append(buf.rows, v)
			}
			if err := emit(buf.rows); err != nil {
				return err
			}
			from = end
		}
		return nil
	})
}

// span returns part's share of n items in parts nearly equal shares.
func span(n int64, part, parts int) (from, to int64) {
	share, rest := n/int64(parts), n%int64(parts)
	p := int64(part)
	return p*share + min(p, rest), (p+1)*share + min(p+1, rest)
}

// TextFiles reads lines of text (plain, .gz, .zst) from files and folders. A
// line is a view, valid for its batch. parts below 1 means one for each 32
// MiB and at least the default parallelism.
func TextFiles(s *Session, paths []string, parts int) (*Dataset[string], error) {
	splits, err := cut(s, paths, parts, source.CutOptions{})
	if err != nil {
		return nil, err
	}
	return newDataset(s, nodeSpec{name: "textFiles", parts: len(splits), bytes: bytesOf(splits)}, func(t *Task, part int, emit func([]string) error) error {
		r, done := s.reader(t, 0)
		defer done()
		return r.Lines(&splits[part], emit)
	}), nil
}

// chunkBytes is the size of the chunks that Chunks hands on: what an operator
// makes of one (say, words of six bytes as 16-byte strings) should still fit
// a core's second-level cache.
const chunkBytes = 32 << 10

// Chunks reads files and folders as stretches of text cut at any of the
// delimiter bytes: a stretch holds whole items and the delimiters between
// and behind them, and lies within one file. Word scanners want this: no
// per-line work, no item is torn. A chunk is a view, valid for its batch.
func Chunks(s *Session, paths []string, delimiters string, parts int) (*Dataset[[]byte], error) {
	splits, err := cut(s, paths, parts, source.CutOptions{})
	if err != nil {
		return nil, err
	}
	delims := source.DelimitersOf(delimiters)
	return newDataset(s, nodeSpec{name: "chunks", parts: len(splits), bytes: bytesOf(splits)}, func(t *Task, part int, emit func([][]byte) error) error {
		r, done := s.reader(t, 0)
		defer done()
		buf := takeBatch[[]byte]()
		defer buf.put()
		return r.Chunks(&splits[part], delims, func(chunks [][]byte) error {
			for _, c := range chunks {
				for len(c) > 0 {
					n := cutAt(c, delims)
					buf.rows = append(buf.rows[:0], c[:n:n])
					if err := emit(buf.rows); err != nil {
						return err
					}
					c = c[n:]
				}
			}
			return nil
		})
	}), nil
}

// cutAt returns the length of a first piece of c of about chunkBytes that
// ends behind a delimiter, or all of c.
func cutAt(c []byte, delims *source.Delimiters) int {
	if len(c) <= chunkBytes {
		return len(c)
	}
	for i := chunkBytes; i < len(c); i++ {
		if delims[c[i]] {
			return i + 1
		}
	}
	return len(c)
}

// Records reads files of fixed-width binary records; T is a plain type (an
// array of bytes, say) whose size is the width. Records are views over the
// read buffer where T's alignment allows.
func Records[T any](s *Session, paths []string, parts int) (*Dataset[T], error) {
	c := mustCodec[T]("Records")
	if !codec.IsPlain[T]() || c.Fixed() < 1 {
		panic(fmt.Sprintf("engine: Records of %T: only types without pointers have a fixed width", *new(T)))
	}
	width := c.Fixed()
	splits, err := cut(s, paths, parts, source.CutOptions{Unit: width})
	if err != nil {
		return nil, err
	}
	d := newDataset(s, nodeSpec{name: "records", parts: len(splits), bytes: bytesOf(splits)}, func(t *Task, part int, emit func([]T) error) error {
		r, done := s.reader(t, 0)
		defer done()
		buf := takeBatch[T]()
		defer buf.put()
		return r.Records(&splits[part], width, func(block []byte, _ int64) error {
			if rows := codec.View[T](block); rows != nil {
				return emit(rows)
			}
			var err error
			if buf.rows, _, err = c.Decode(buf.rows[:0], block, len(block)/width); err != nil {
				return err
			}
			return emit(buf.rows)
		})
	})
	for _, split := range splits {
		for _, p := range split.Pieces {
			if p.Format != source.Plain {
				return d, nil // a compressed file is read from its beginning only
			}
		}
	}
	d.sampler = func(t *Task, part, k int, seed uint64) (int64, []T, error) {
		return sampleRecords(s, &splits[part], c, k, seed)
	}
	return d, nil
}

// CSV reads comma-separated files with a header. columns are the ones wanted
// (nil: all); parse appends a record for each row of a batch, whose fields
// are views, valid for the call.
func CSV[T any](s *Session, paths []string, columns []string, parts int, parse func(dst []T, rows *source.Rows) ([]T, error)) (*Dataset[T], error) {
	splits, err := cut(s, paths, parts, source.CutOptions{})
	if err != nil {
		return nil, err
	}
	return newDataset(s, nodeSpec{name: "csv", parts: len(splits), bytes: bytesOf(splits)}, func(t *Task, part int, emit func([]T) error) error {
		r, done := s.reader(t, 0)
		defer done()
		buf := takeBatch[T]()
		defer buf.put()
		return r.CSV(&splits[part], source.CSVOptions{Columns: columns}, func(rows *source.Rows) (err error) {
			if buf.rows, err = parse(buf.rows[:0], rows); err != nil {
				return err
			}
			return emit(buf.rows)
		})
	}), nil
}

// inputPart is the input of one partition when the caller names no number.
const inputPart = 32 * units.MiB

func cut(s *Session, paths []string, parts int, o source.CutOptions) ([]source.Split, error) {
	files, err := source.List(s.fs, paths, source.ReadHidden)
	if err != nil {
		return nil, err
	}
	if o.Parts = parts; parts < 1 {
		o.Parts = source.PartsFor(files, inputPart, s.Parallelism())
	}
	return source.Cut(files, o)
}

// bytesOf returns how many bytes of files splits cover.
func bytesOf(splits []source.Split) (n int64) {
	for i := range splits {
		n += splits[i].Bytes()
	}
	return n
}

// reader returns a reader that charges the attempt for its buffers, and a
// function that gives them back.
func (s *Session) reader(t *Task, block units.Bytes) (*source.Reader, func()) {
	c := t.Memory().Consumer("input", nil)
	b := &pageBuffers{c: c}
	return &source.Reader{
		FS: s.fs, Buffers: b, Block: block, Metrics: &t.Metrics, Timer: &t.Timer, Check: t.Check,
		Begin: func(p *source.Piece) { t.input = Input{p.Path, p.Offset} },
	}, c.Close
}

// pageBuffers hands out pages of an attempt as read buffers.
type pageBuffers struct {
	c     *memory.Consumer
	pages []*memory.Page
}

// Alloc implements source.Buffers.
func (b *pageBuffers) Alloc(n int) ([]byte, error) {
	p, err := b.c.Alloc(n)
	if err != nil {
		return nil, err
	}
	b.pages = append(b.pages, p)
	return p.Data, nil
}

// Free implements source.Buffers.
func (b *pageBuffers) Free(buf []byte) {
	for i, p := range b.pages {
		if &p.Data[0] == &buf[0] {
			b.c.Free(p)
			b.pages = append(b.pages[:i], b.pages[i+1:]...)
			return
		}
	}
	panic("BUG: a read buffer was freed that is not of this reader")
}

// sampleRecords reads k records of a split: one at random from each of k
// equal stretches.
func sampleRecords[T any](s *Session, split *source.Split, c codec.Codec[T], k int, seed uint64) (int64, []T, error) {
	width := int64(c.Fixed())
	total := split.Bytes() / width
	rng := rand.New(rand.NewPCG(seed, uint64(split.Index)))
	k = int(min(int64(k), total))
	rows := make([]T, 0, k)
	one := make([]byte, width)
	var f fsys.File
	var open *source.Piece
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	piece, before := 0, int64(0) // records in the pieces before
	for i := range int64(k) {
		from, to := span(total, int(i), k)
		at := from + rng.Int64N(to-from)
		for at >= before+split.Pieces[piece].Length/width {
			before += split.Pieces[piece].Length / width
			piece++
		}
		p := &split.Pieces[piece]
		if p != open {
			if f != nil {
				f.Close()
				f = nil
			}
			var err error
			if f, err = s.fs.Open(p.Path); err != nil {
				return 0, nil, fmt.Errorf("cannot sample records: %w", err)
			}
			open = p
		}
		if _, err := f.ReadAt(one, p.Offset+(at-before)*width); err != nil {
			return 0, nil, fmt.Errorf("cannot sample record %d of %s: %w", at-before, p.Path, err)
		}
		var err error
		if rows, _, err = c.Decode(rows, one, 1); err != nil {
			return 0, nil, err
		}
	}
	return total, rows, nil
}
