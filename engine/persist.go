package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// Persist keeps the partitions where level says when an action computes
// them. A level once set cannot be changed, but for Unpersist. It returns d.
func (d *Dataset[T]) Persist(level block.Level) *Dataset[T] {
	if !level.Disk() && !level.Memory() {
		panic("engine: Persist at a level that keeps nothing")
	}
	mustCodec[T]("Persist")
	if old := d.op.node.Level(); old != block.LevelNone && old != level {
		panic(fmt.Sprintf("engine: Persist at %v of a dataset persisted at %v", level, old))
	}
	d.op.node.SetLevel(level)
	return d
}

// Cache is Persist in memory only, Spark's default.
func (d *Dataset[T]) Cache() *Dataset[T] { return d.Persist(block.MemoryOnly) }

// Unpersist drops the kept partitions.
func (d *Dataset[T]) Unpersist() {
	s := d.op.s
	d.op.node.SetLevel(block.LevelNone)
	for g := range s.groups.live() {
		g.store.RemoveNode(d.op.node.ID)
	}
	s.events.Emit(&event.NodeUnpersisted{At: s.now(), Node: d.op.node.ID})
}

// cached pushes a persisted partition: from its block, or computed, and then
// written into its block on the way. Two attempts of an executor that want one
// partition compute it once: the second waits for the first and reads. A block
// that only another executor has is read there, and not kept here.
func (d *Dataset[T]) cached(t *Task, part int, level block.Level, emit func([]T) error) error {
	id := block.Node(d.op.node.ID, part)
	for {
		r, err := t.openBlock(id)
		if err == nil && d.op.s.visible.hidden(t.Task, t.g, id) {
			r.Close()
			return d.run(t, part, emit)
		}
		if err == nil {
			return d.readBlock(t, r, emit)
		}
		if !errors.Is(err, storage.ErrBlockNotFound) {
			return fmt.Errorf("cannot read cached partition %d of %s: %w", part, d.op.node.Name, err)
		}
		w, mine := t.g.store.NewWriter(t.Memory(), id, level)
		if mine {
			d.op.s.visible.writes(t.Task, t.g, id)
			return d.writeBlock(t, w, part, emit)
		}
		if err := t.Check(); err != nil {
			return err
		}
	}
}

// readBlock pushes the batches of a kept partition: plain rows are views into
// the block, which stays where it is while it is read, so that rows at rest in
// memory cost what reading memory costs. Reading counts as input, as in Spark.
func (d *Dataset[T]) readBlock(t *Task, r *storage.Reader, emit func([]T) error) error {
	defer r.Close()
	c, err := d.codec()
	if err != nil {
		return err
	}
	buf := takeBatch[T]()
	defer buf.put()
	for {
		prev := t.Timer.Switch(task.PartInputRead)
		n, data, err := r.Next()
		t.Timer.Switch(prev)
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		rows, err := buf.decode(c, data, n)
		if err != nil {
			return err
		}
		t.Metrics[task.InputBytesRead] += int64(len(data))
		t.Metrics[task.InputRecordsRead] += int64(n)
		if err := emit(rows); err != nil {
			return err
		}
	}
}

// writeBlock computes a partition and writes it into its block while pushing
// it on. A consumer that has enough does not end it: the block is kept whole
// or not at all.
func (d *Dataset[T]) writeBlock(t *Task, w *storage.Writer, part int, emit func([]T) error) (err error) {
	defer func() {
		if w != nil {
			w.Abort()
		}
	}()
	c, err := d.codec()
	if err != nil {
		return err
	}
	enough, plain, keyed := false, codec.IsPlain[T](), codec.KeyLeads[T]()
	var frame []byte
	err = d.run(t, part, func(b []T) error {
		if plain {
			frame = codec.RawBytes(b) // Frame makes the only copy
		} else {
			frame = c.Append(frame[:0], b)
		}
		if err := w.Frame(len(b), frame); err != nil {
			return fmt.Errorf("cannot keep partition %d of %s: %w", part, d.op.node.Name, err)
		}
		if keyed {
			w.Keys(spill.SpanOf(b))
		}
		if enough {
			return nil
		}
		if err := emit(b); !stopped(err) {
			return err
		}
		enough = true
		return nil
	})
	if err != nil {
		return err
	}
	done := w
	w = nil
	if _, err := done.Commit(); err != nil {
		return fmt.Errorf("cannot keep partition %d of %s: %w", part, d.op.node.Name, err)
	}
	if enough {
		return errStop
	}
	return nil
}
