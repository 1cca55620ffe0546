package shuffle

import (
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// spills are the temporary files of a map task that did not fit.
type spills struct {
	parts []spillPart
	buf   []byte // for reading back
}

// spillPart is one temporary file and where each reducer's bytes are in it.
type spillPart struct {
	file    *storage.File
	offsets []int64 // [reducers+1]
}

// copyTo implements segments.
func (s *spills) copyTo(reducer int, put func([]byte) error) error {
	for _, p := range s.parts {
		for at, end := p.offsets[reducer], p.offsets[reducer+1]; at < end; {
			b := s.buf[:min(int64(len(s.buf)), end-at)]
			if n, err := p.file.ReadAt(b, at); n < len(b) {
				return fmt.Errorf("cannot read back %s at byte %d: %w", p.file.Path(), at, err)
			}
			if err := put(b); err != nil {
				return err
			}
			at += int64(len(b))
		}
	}
	return nil
}

func (s *spills) close() (err error) {
	for _, p := range s.parts {
		err = errors.Join(err, p.file.Close())
	}
	s.parts = nil
	return err
}

// stand makes what is in memory a resident output; the directory is in dir.
func (w *Writer[T]) stand(dir []byte) *resident {
	r := &resident{reducers: w.to.Reducers, pages: w.arena.pages}
	r.starts, r.places = layDirectory(dir, w.to.Reducers, w.frames)
	return r
}

// spill writes all frames to a temporary file and frees their pages.
func (w *Writer[T]) spill() error {
	if w.m.cfg.Storage == Memory {
		return fmt.Errorf("cannot keep the output of map task %d for shuffle %d in memory alone: %w", w.to.Map, w.to.Shuffle, memory.ErrNoMemory)
	}
	if err := w.sealAll(); err != nil {
		return err
	}
	if len(w.frames) == 0 {
		return nil
	}
	defer w.env.Timer.Switch(w.env.Timer.Switch(task.PartSpill))
	r := w.stand(make([]byte, directorySize(w.to.Reducers, len(w.frames))))
	f := fileWriter{disk: w.m.cfg.Disk, buf: w.buffer.Data}
	defer f.close()
	part := spillPart{offsets: make([]int64, w.to.Reducers+1)}
	for p := range w.to.Reducers {
		from, to := r.span(p)
		for i := from; i < to; i++ {
			if err := f.frame(r.frame(i)); err != nil {
				return fmt.Errorf("cannot spill: %w", err)
			}
		}
		part.offsets[p+1] = f.total
	}
	if err := f.flush(); err != nil {
		return fmt.Errorf("cannot spill: %w", err)
	}
	part.file, f.file = f.file, nil
	w.spilled.parts = append(w.spilled.parts, part)
	w.env.Metrics[task.SpillCount]++
	w.env.Metrics[task.MemoryBytesSpilled] += w.arena.held
	w.env.Metrics[task.DiskBytesSpilled] += f.total
	w.frames = w.frames[:0]
	w.arena.free()
	return nil
}

// give is called when somebody else in the attempt needs memory.
func (w *Writer[T]) give(int64) (freed int64, err error) {
	if w.busy || w.closed || w.buffer == nil || w.m.cfg.Storage == Memory {
		return 0, nil
	}
	w.busy = true
	defer func() { w.busy = false }()
	before := w.c.Used()
	err = w.spill()
	return before - w.c.Used(), err
}

// Commit ends the output and makes it known; the first output of an attempt
// that is committed stays, and a second takes over its sizes. The Writer then
// holds nothing but needs Close all the same.
func (w *Writer[T]) Commit() (*task.MapStatus, error) {
	if w.closed {
		return nil, errors.New("cannot commit a shuffle writer twice or after Close")
	}
	defer w.env.Timer.Switch(w.env.Timer.Switch(task.PartShuffleWrite))
	w.busy = true
	defer func() { w.busy = false }()
	if err := w.sealAll(); err != nil {
		return nil, err
	}
	name := outputID{w.to.Shuffle, w.to.Map}
	if sizes, ok := w.m.existing(name, w.to.Reducers); ok {
		return w.status(sizes), w.Close()
	}
	sizes, err := w.commit(name)
	if err != nil {
		return nil, fmt.Errorf("cannot commit the output of map task %d for shuffle %d: %w", w.to.Map, w.to.Shuffle, err)
	}
	total := int64(0)
	for _, n := range sizes {
		total += n
	}
	w.env.Metrics[task.ShuffleBytesWritten] += total
	return w.status(sizes), w.Close()
}

func (w *Writer[T]) status(sizes []int64) *task.MapStatus {
	s := task.NewMapStatus(w.m.cfg.At, w.to.Map, sizes)
	if w.sums != nil {
		s.RowSum = aggregate(w.sums)
	}
	return s
}

func (w *Writer[T]) commit(name outputID) (sizes []int64, err error) {
	o := &output{outputID: name, reducers: w.to.Reducers}
	if len(w.spilled.parts) == 0 && w.m.cfg.Storage != Disk {
		sizes = make([]int64, w.to.Reducers)
		for _, f := range w.frames {
			sizes[f.reducer] += int64(f.stored)
		}
		err := w.keep(o)
		if err == nil {
			return sizes, nil
		}
		if !errors.Is(err, memory.ErrNoMemory) || w.m.cfg.Storage == Memory {
			return nil, err
		}
	}
	var r *resident
	if len(w.frames) > 0 {
		r = w.stand(make([]byte, directorySize(w.to.Reducers, len(w.frames))))
	}
	buf := make([]byte, 64)
	if w.buffer != nil {
		buf = w.buffer.Data[:writeSize/2]
		w.spilled.buf = w.buffer.Data[writeSize/2:]
	}
	if sizes, err = w.m.writeOut(name, w.to.Reducers, r, &w.spilled, buf); err != nil {
		return nil, err
	}
	o.filed = true
	_, err = w.m.commit(o)
	return sizes, err
}

// keep makes the writer's pages the output. Where much of them is air, as it
// is when there is little for each of many reducers, the frames move together
// first. That costs about 6 ns for a row of 16 bytes, nearly as much as all
// else that is done to it here; the half-filled last chunks of reducers that
// have two full ones are not worth it.
func (w *Writer[T]) keep(o *output) error {
	stored := 0
	for _, f := range w.frames {
		stored += int(f.stored)
	}
	dir := directorySize(w.to.Reducers, len(w.frames))
	if w.arena.held > int64(stored+dir)*3/2 {
		if err := w.compact(stored + dir); err != nil {
			return err
		}
	}
	b, _, err := w.arena.take((dir + 7) &^ 7)
	if err != nil {
		return err
	}
	r := w.stand(b)
	if w.buffer != nil {
		w.c.Free(w.buffer)
		w.buffer = nil
	}
	r.pages = w.arena.forget()
	w.frames = w.frames[:0]
	w.m.holder.Adopt(w.c, r.pages...)
	o.resident = r
	first, err := w.m.commit(o)
	if err != nil || first != o {
		r.free(w.m.holder)
	}
	return err
}

// compact copies the frames, reducer by reducer, into as few pages as hold
// them and what else is needed. Failing that they stay where they are.
func (w *Writer[T]) compact(total int) error {
	next := arena{c: w.c, want: total}
	old := w.stand(make([]byte, directorySize(w.to.Reducers, len(w.frames))))
	moved := make([]placed, 0, len(w.frames))
	for r := range w.to.Reducers {
		from, to := old.span(r)
		for i := from; i < to; i++ {
			f, head, body := old.frame(i)
			b, place, err := next.take(f.Padded())
			if err != nil {
				next.free()
				if errors.Is(err, memory.ErrNoMemory) {
					return nil
				}
				return err
			}
			copy(b, head)
			copy(b[spill.FrameHeader:], body)
			moved = append(moved, placed{int32(r), int32(f.Padded()), place})
		}
	}
	w.arena.free()
	w.arena, w.frames = next, moved
	return nil
}

// Close frees what the writer holds. It is safe to call twice.
func (w *Writer[T]) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	err := w.spilled.close()
	w.c.Close()
	return err
}

// existing returns the sizes of an output that is committed and whole.
// Files that are not what their index says make room for new ones.
func (m *Manager) existing(n outputID, reducers int) (sizes []int64, ok bool) {
	o, r := m.pin(n)
	if o == nil {
		return nil, false
	}
	if o.reducers == reducers {
		if r != nil {
			sizes = make([]int64, reducers)
			for p := range reducers {
				from, to := r.span(p)
				for i := from; i < to; i++ {
					f, _, _ := r.frame(i)
					sizes[p] += int64(f.Padded())
				}
			}
		} else if o.foreign == nil {
			sizes = m.fileSizes(n, reducers)
		}
	}
	m.unpin(o)
	if sizes == nil {
		m.Remove(n.shuffle, n.m)
	}
	return sizes, sizes != nil
}

// fileSizes reads the sizes from an index, or returns nil if it and the data
// file do not agree.
func (m *Manager) fileSizes(n outputID, reducers int) []int64 {
	names := n.files()
	index, err := m.cfg.Disk.Open(names[fileIndex])
	if err != nil {
		return nil
	}
	defer index.Close()
	sizes := make([]int64, reducers)
	last := int64(0)
	for p := range reducers {
		start, end, err := readIndex(index, index.Size(), reducers, p, p+1)
		if err != nil || start != last {
			return nil
		}
		sizes[p], last = end-start, end
	}
	if size, ok := m.cfg.Disk.Size(names[fileData]); !ok || size != last {
		return nil
	}
	return sizes
}
