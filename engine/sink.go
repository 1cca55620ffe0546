package engine

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/source"
)

// Sink is a dataset with the form in which it is written. It is part of the
// lineage, so a program can build it; Write runs the job.
type Sink struct {
	op    *operator
	write func(t *Task, part int, w *source.PartWriter) error
}

// Written tells what a Write left in its folder.
type Written struct {
	Files   int
	Records int64
	Bytes   int64
}

// TextSink writes one line a record: format appends the record's text, and
// the sink the newline. format must not keep its arguments.
func TextSink[T any](d *Dataset[T], format func(dst []byte, v T) []byte) *Sink {
	return newSink(d, "text", func(w *source.PartWriter, rows []T) error {
		for len(rows) > 0 {
			buf, err := w.Available()
			if err != nil {
				return err
			}
			n := 0
			// Leave room for one line of ordinary length; a longer one makes
			// append move to a new array, which Write takes as well.
			for n < len(rows) && cap(buf)-len(buf) > 512 {
				buf = append(format(buf, rows[n]), '\n')
				n++
			}
			if n == 0 {
				buf, n = append(format(buf, rows[0]), '\n'), 1
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
			w.AddRecords(n)
			rows = rows[n:]
		}
		return nil
	})
}

// RecordSink writes records of a plain type back to back: fixed-width
// records.
func RecordSink[T any](d *Dataset[T]) *Sink {
	if !codec.IsPlain[T]() {
		panic(fmt.Sprintf("engine: RecordSink of %T: only types without pointers have a fixed width", *new(T)))
	}
	return newSink(d, "records", func(w *source.PartWriter, rows []T) error {
		if _, err := w.Write(codec.RawBytes(rows)); err != nil {
			return err
		}
		w.AddRecords(len(rows))
		return nil
	})
}

const (
	// writeBuffer is the size of a sink's write buffer: past the file cache
	// writes of 1 MiB made 1.2 GB/s of a device's 1.4, of 256 KiB 0.95.
	writeBuffer = 1 << 20
	// leastWriteBuffer does where memory is short.
	leastWriteBuffer = 64 << 10
)

func newSink[T any](d *Dataset[T], form string, put func(w *source.PartWriter, rows []T) error) *Sink {
	k := &Sink{op: &operator{node: &plan.Node{
		Name: "write " + form, Site: callSite(), Partitions: d.Partitions(), Determinism: d.op.node.Determinism,
	}}}
	k.op.node.SetDeps(&plan.NarrowDep{Parent: d.op.node})
	k.op.self = k
	k.write = func(t *Task, part int, w *source.PartWriter) error {
		return d.each(t, part, func(rows []T) error { return put(w, rows) })
	}
	d.op.s.graph.add(d.op.s, k.op)
	return k
}

// Node returns the sink's place in the lineage.
func (k *Sink) Node() *plan.Node { return k.op.node }

// Write computes the dataset and writes one file a partition into dir, which
// must be missing or empty. Files are written under temporary names; which
// attempt may commit a partition the output commit coordinator decides; they
// appear in dir, with a _SUCCESS marker, when the whole job has committed. A
// failed or cancelled Write leaves nothing.
func (k *Sink) Write(ctx context.Context, dir string) (Written, error) {
	parts, err := k.run(ctx, dir, job{op: k.op, action: action{kind: actionWrite, dir: dir}, name: "write"})
	w := Written{Files: len(parts)}
	for _, p := range parts {
		w.Records += p.records
		w.Bytes += p.bytes
	}
	return w, err
}

// writtenPart tells of the file of one partition.
type writtenPart struct{ records, bytes int64 }

// writeInner is Write in the service of another job.
func (k *Sink) writeInner(ctx context.Context, dir string) ([]writtenPart, error) {
	return k.run(ctx, dir, job{op: k.op, action: action{kind: actionWrite, dir: dir}, name: "checkpoint", inner: true})
}

// run writes all partitions and tells of each, or leaves nothing.
func (k *Sink) run(ctx context.Context, dir string, j job) ([]writtenPart, error) {
	s := k.op.s
	out, err := source.CreateOutput(s.fs, dir)
	if err != nil {
		return nil, err
	}
	parts, attempts := make([]writtenPart, k.op.node.Partitions), make([]id.Task, k.op.node.Partitions)
	err = s.runJob(ctx, j, func(part int, value []byte) error {
		var told [3]int64 // records, bytes, attempt
		for i, rest := 0, value; i < len(told); i++ {
			n := 0
			if told[i], n = binary.Varint(rest); n <= 0 {
				return fmt.Errorf("cannot decode a write's result of %d bytes", len(value))
			}
			rest = rest[n:]
		}
		parts[part], attempts[part] = writtenPart{told[0], told[1]}, id.Task(told[2])
		return nil
	})
	if err == nil {
		_, err = out.Commit(attempts)
	}
	if err != nil {
		if aerr := out.Abort(); aerr != nil {
			s.log.Warn("cannot clean up after a failed write", "dir", dir, "error", aerr)
		}
		return nil, err
	}
	return parts, nil
}

// result implements resulter: it writes one partition and commits its file.
func (k *Sink) result(t *Task, part int, a action) (encodeFunc, error) {
	if a.kind != actionWrite {
		return nil, fmt.Errorf("cannot run action %d on a sink", a.kind)
	}
	c := t.Memory().Consumer("output", nil)
	defer c.Close()
	size := writeBuffer
	page, err := c.Alloc(size)
	if errors.Is(err, memory.ErrNoMemory) {
		size = leastWriteBuffer
		page, err = c.Alloc(size)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write partition %d: %w", part, err)
	}
	defer c.Free(page)
	w, err := source.JoinOutput(t.s.fs, a.dir).Part(part, t.attemptContext.Task, page.Data[:size])
	if err != nil {
		return nil, err
	}
	w.Metrics, w.Timer, w.Ways = &t.Metrics, &t.Timer, t.s.ways
	err = k.write(t, part, w)
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = t.CanCommit()
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		if aerr := w.Abort(); aerr != nil {
			t.s.log.Warn("cannot remove a file that was not committed", "partition", part, "error", aerr)
		}
		return nil, err
	}
	records, bytes, attempt := w.Records(), w.Bytes(), t.attemptContext.Task
	return func(dst []byte) ([]byte, error) {
		for _, n := range []int64{records, bytes, int64(attempt)} {
			dst = binary.AppendVarint(dst, n)
		}
		return dst, nil
	}, nil
}

// save implements resulter; sinks are not checkpointed.
func (k *Sink) save(*Task, int) error { return fmt.Errorf("cannot checkpoint a sink") }
