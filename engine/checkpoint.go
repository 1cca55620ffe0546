package engine

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// checkpointing is what an operator is to do after the next job over it.
type checkpointing struct {
	wanted atomic.Bool
	// run saves every partition and cuts the lineage.
	run func(ctx context.Context) error
}

// Checkpoint saves the partitions in files under dir when the next action
// over the dataset ends, and from then on reads them in place of computing:
// the lineage before it is cut. Saving computes the dataset once more, unless
// it is persisted (as in Spark). dir must outlive the session's use of it. It
// returns d.
func (d *Dataset[T]) Checkpoint(dir string) *Dataset[T] {
	mustCodec[T]("Checkpoint")
	d.op.checkpoint.run = func(ctx context.Context) error { return d.checkpointTo(ctx, dir) }
	d.op.checkpoint.wanted.Store(true)
	return d
}

// LocalCheckpoint is Checkpoint with the block store in place of files: fast,
// and gone with the session. An unpersisted dataset becomes persisted on
// disk, one in memory only in memory and on disk. It returns d.
func (d *Dataset[T]) LocalCheckpoint() *Dataset[T] {
	mustCodec[T]("LocalCheckpoint")
	switch d.op.node.Level() {
	case block.LevelNone:
		d.op.node.SetLevel(block.DiskOnly)
	case block.MemoryOnly:
		d.op.node.SetLevel(block.MemoryAndDisk)
	case block.MemoryOnlySer:
		d.op.node.SetLevel(block.MemoryAndDiskSer)
	}
	d.op.checkpoint.run = d.checkpointLocally
	d.op.checkpoint.wanted.Store(true)
	return d
}

// checkpointLineage carries out the checkpoints that the lineage of a
// finished job asks for.
func (s *Session) checkpointLineage(ctx context.Context, n *plan.Node) error {
	return ancestors(n, func(n *plan.Node) bool { return n.Checkpointed() == nil }, func(n *plan.Node) error {
		op, ok := s.graph.op(n.ID)
		if !ok || !op.checkpoint.wanted.CompareAndSwap(true, false) {
			return nil
		}
		return op.checkpoint.run(ctx)
	})
}

// cutTo makes d read its partitions with run from now on.
func (d *Dataset[T]) cutTo(name string, run compute[T]) {
	r := newDataset(&Session{core: d.op.s.core}, nodeSpec{
		name: name, parts: d.Partitions(), determinism: plan.Determinate, barrier: d.op.node.Barrier,
	}, run)
	d.restored.Store(r)
	d.op.node.SetCheckpoint(r.op.node)
}

// checkpointLocally saves the partitions that the job did not, and cuts.
func (d *Dataset[T]) checkpointLocally(ctx context.Context) error {
	s := d.op.s
	var missing []int32
	for part := range d.Partitions() {
		if !s.hasBlock(block.Node(d.op.node.ID, part)) {
			missing = append(missing, int32(part))
		}
	}
	if len(missing) > 0 {
		err := s.runJob(ctx, job{op: d.op, parts: missing, name: "localCheckpoint", inner: true, action: action{kind: actionSave}},
			func(int, []byte) error { return nil })
		if err != nil {
			return fmt.Errorf("cannot checkpoint %s: %w", d.op.node.Name, err)
		}
	}
	node := d.op.node.ID
	var damaged sync.Map // partition → why its block was dropped
	d.cutTo("localCheckpoint", func(t *Task, part int, emit func([]T) error) error {
		b := block.Node(node, part)
		gone := func(cause error) error {
			return &checkpointError{fmt.Sprintf("checkpointed block %s, whose lineage is cut", b), cause}
		}
		r, err := t.openBlock(b)
		if errors.Is(err, storage.ErrBlockNotFound) {
			if why, ok := damaged.Load(part); ok { // an attempt before this one found it so
				return gone(why.(error))
			}
			return gone(errors.New("it is lost (Checkpoint, which writes files, would have kept it)"))
		}
		if err == nil {
			err = d.readBlock(t, r, emit)
		}
		if why := damageOf(err); why != nil && !s.hasBlock(b) {
			damaged.Store(part, why)
			return gone(why)
		}
		return err
	})
	return nil
}

// damageOf returns what the store drops a block for, if that is in err.
func damageOf(err error) error {
	if why, ok := errors.AsType[*storage.CorruptError](err); ok {
		return why
	}
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// save implements resulter: it computes one partition for its side effect.
func (d *Dataset[T]) save(t *Task, part int) error {
	err := d.each(t, part, func([]T) error { return nil })
	if stopped(err) {
		return nil
	}
	return err
}

// checkpointTo writes the partitions into files and cuts. A file is a row of
// frames: rows, length and CRC-32C of both and the payload (uint32 each),
// payload. How long each file is the dataset that reads them knows: one cut
// between two frames would lack rows.
func (d *Dataset[T]) checkpointTo(ctx context.Context, dir string) error {
	fail := func(err error) error {
		return fmt.Errorf("cannot checkpoint %s: %w", d.op.node.Name, err) // which names dir
	}
	dir = filepath.Join(dir, fmt.Sprintf("rdd-%d", d.op.node.ID))
	c := mustCodec[T]("Checkpoint")
	saved := newSink(d, "checkpoint", func(w *source.PartWriter, rows []T) error {
		frame := c.Append(nil, rows)
		var head [12]byte
		binary.LittleEndian.PutUint32(head[0:], uint32(len(rows)))
		binary.LittleEndian.PutUint32(head[4:], uint32(len(frame)))
		binary.LittleEndian.PutUint32(head[8:], checkpointSum(head[:8], frame))
		if _, err := w.Write(head[:]); err != nil {
			return err
		}
		_, err := w.Write(frame)
		w.AddRecords(len(rows))
		return err
	})
	parts, err := saved.writeInner(ctx, dir)
	if err != nil {
		return fail(err)
	}
	d.cutTo("checkpoint", func(t *Task, part int, emit func([]T) error) error {
		return d.readCheckpoint(t, filepath.Join(dir, source.PartName(part)), parts[part].bytes, emit)
	})
	return nil
}

func checkpointSum(head, frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, frame)
}

// errCheckpointSum: a frame of a checkpoint is not what was written.
var errCheckpointSum = fmt.Errorf("the checksum differs: %w", codec.ErrCorrupt)

// checkpointDamage sums up a frame of n bytes at a place in a file without
// holding it: one that memory is refused for may have a damaged length. It
// returns nil for a frame that is as it was written.
func checkpointDamage(f io.ReaderAt, at, n int64, head []byte) error {
	sum := crc32.New(castagnoli)
	_, _ = sum.Write(head[:8]) // a hash takes all
	if _, err := io.CopyN(sum, io.NewSectionReader(f, at+12, n), n); err != nil {
		return err
	}
	if sum.Sum32() != binary.LittleEndian.Uint32(head[8:]) {
		return errCheckpointSum
	}
	return nil
}

// checkpointError says that a checkpoint's file or block is gone or not what
// was written.
type checkpointError struct {
	what  string
	cause error
}

func (e *checkpointError) Error() string { return fmt.Sprintf("cannot read %s: %v", e.what, e.cause) }

func (e *checkpointError) Unwrap() error { return e.cause }

// readCheckpoint pushes the batches of one file of so many bytes.
func (d *Dataset[T]) readCheckpoint(t *Task, path string, size int64, emit func([]T) error) error {
	bad := func(err error) error { return fmt.Errorf("cannot read checkpoint file %s: %w", path, fsys.Cause(err)) }
	damaged := func(err error) error { return &checkpointError{"checkpoint file " + path, fsys.Cause(err)} }
	f, err := d.op.s.fs.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damaged(err)
	}
	if err != nil {
		return bad(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return bad(err)
	}
	if info.Size() != size {
		return damaged(fmt.Errorf("it has %d bytes, and %d were written", info.Size(), size))
	}
	c, err := d.codec()
	if err != nil {
		return err
	}
	buf := newTaskBuffer(t, "checkpoint")
	defer buf.close()
	rows := takeBatch[T]()
	defer rows.put()
	t.input = Input{Path: path}
	for at := int64(0); at < size; {
		prev := t.Timer.Switch(task.PartInputRead)
		var head [12]byte
		_, err := io.ReadFull(io.NewSectionReader(f, at, 12), head[:])
		n := int64(binary.LittleEndian.Uint32(head[4:]))
		if err == nil && at+12+n > size {
			err = fmt.Errorf("a frame of %d bytes reaches beyond its end: %w", n, codec.ErrCorrupt)
		}
		if err == nil {
			buf.b = buf.b[:0]
			if err = buf.room(int(n)); errors.Is(err, ErrNoMemory) {
				err = cmp.Or(checkpointDamage(f, at, n, head[:]), err)
			}
		}
		if err == nil {
			buf.b = buf.b[:n]
			_, err = f.ReadAt(buf.b, at+12)
		}
		if err == nil && checkpointSum(head[:8], buf.b) != binary.LittleEndian.Uint32(head[8:]) {
			err = errCheckpointSum
		}
		t.Timer.Switch(prev)
		if err != nil {
			err = fmt.Errorf("at byte %d: %w", at, fsys.Cause(err))
			if errors.Is(err, codec.ErrCorrupt) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return damaged(err)
			}
			return bad(err)
		}
		k := int(binary.LittleEndian.Uint32(head[0:]))
		if rows.rows, _, err = c.Decode(rows.rows[:0], buf.b, k); err != nil {
			return damaged(err)
		}
		at += 12 + n
		t.Metrics[task.InputBytesRead] += 12 + n
		t.Metrics[task.InputRecordsRead] += int64(k)
		if err := emit(rows.rows); err != nil {
			return err
		}
	}
	return nil
}
