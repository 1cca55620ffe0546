package shuffle

import (
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// rig is an executor's shuffle with attempts that share its memory. Its
// cleanup asserts that nothing is left: no byte, no file.
type rig struct {
	tb      testing.TB
	memory  *memory.Manager
	disk    *storage.Disk
	m       *Manager
	metrics task.Metrics
	timer   task.Timer
}

func newRig(tb testing.TB, budget units.Bytes, c Config) *rig {
	return newRigOn(tb, budget, c, fsys.OS)
}

func newRigOn(tb testing.TB, budget units.Bytes, c Config, fs fsys.FS) *rig {
	tb.Helper()
	mem, err := memory.NewManager(memory.Config{Budget: budget, Reserved: -1, StorageFraction: -1, Floor: 1, Cores: 1})
	if err != nil {
		tb.Fatal(err)
	}
	disk, err := storage.OpenDisk(tb.TempDir(), fs)
	if err != nil {
		tb.Fatal(err)
	}
	c.At = task.Location{Host: "localhost", Executor: id.Driver}
	c.Memory, c.Disk = mem, disk
	m, err := NewManager(c)
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{tb: tb, memory: mem, disk: disk, m: m}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
		if names := disk.Names(); len(names) != 0 {
			tb.Errorf("files left: %v", names)
		}
		if err := disk.Close(); err != nil {
			tb.Error(err)
		}
		if err := mem.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// attempt runs f as an attempt and asserts that it leaves no memory behind.
func (r *rig) attempt(n id.Task, f func(env spill.Env) error) error {
	a := r.memory.NewTask(n)
	err := f(spill.Env{Memory: a, Disk: r.disk, Metrics: &r.metrics, Timer: &r.timer})
	if leaked := a.Close(); leaked != 0 {
		r.tb.Errorf("task %d leaks %d bytes", n, leaked)
	}
	return err
}

// frames reads what shuffle 1 has for reducer p.
func (r *rig) frames(env spill.Env, statuses []*task.MapStatus, p int, each func(f Frame) error) error {
	rd := NewReader(r.m, env, Source{Shuffle: 1, Statuses: statuses, From: p, To: p + 1})
	defer rd.Close()
	for {
		f, err := rd.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = each(f)
		}
		if err != nil {
			return err
		}
	}
}

// write runs a map attempt over batches.
func write[T any](r *rig, to Target, c codec.Codec[T], partition Partitioner[T], batches ...[]T) (status *task.MapStatus, err error) {
	err = r.attempt(to.Map, func(env spill.Env) error {
		w, err := NewWriter(r.m, env, to, partition, c)
		if err != nil {
			return err
		}
		defer w.Close()
		for _, b := range batches {
			if err := w.Add(b); err != nil {
				return err
			}
		}
		status, err = w.Commit()
		return err
	})
	return status, err
}

// read runs a reduce attempt and returns copies of what it read.
func read[T any](r *rig, from Source, c codec.Codec[T], clone func(T) T) (rows []T, err error) {
	err = eachFrame(r, from, c, func(_ int, batch []T) {
		for _, v := range batch {
			rows = append(rows, clone(v))
		}
	})
	return rows, err
}

// eachFrame runs a reduce attempt and calls f with the rows of each frame,
// which are f's only until it returns, and with the index of their map.
func eachFrame[T any](r *rig, from Source, c codec.Codec[T], f func(index int, batch []T)) error {
	return r.attempt(1<<40, func(env spill.Env) error {
		rd := NewReader(r.m, env, from)
		defer rd.Close()
		for {
			frame, err := rd.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			batch, rest, err := c.Decode(nil, frame.Data, frame.Rows)
			if err != nil {
				return err
			}
			if len(batch) != frame.Rows || len(rest) != 0 {
				return errors.New("a frame does not hold its rows")
			}
			f(rd.index, batch)
		}
	})
}

func same[T any](v T) T { return v }

func mustCodec[T any](tb testing.TB) codec.Codec[T] {
	tb.Helper()
	c, err := codec.For[T]()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func compression(tb testing.TB, name string) codec.Compression {
	tb.Helper()
	c, err := codec.CompressionByName(name)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// byValue sends v to reducer v mod n.
func byValue(n int) Partitioner[int64] {
	return func(dst []int32, rows []int64) {
		for i, v := range rows {
			dst[i] = int32(uint64(v) % uint64(n))
		}
	}
}

func byText(n int) Partitioner[string] {
	return func(dst []int32, rows []string) {
		for i, v := range rows {
			dst[i] = codec.Reducer(codec.HashText(v), n)
		}
	}
}

// writtenFS counts the bytes that are written to files.
type writtenFS struct {
	fsys.FS
	written int64
}

type writtenFile struct {
	fsys.File
	fs *writtenFS
}

func (s *writtenFS) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return writtenFile{f, s}, nil
}

func (f writtenFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	f.fs.written += int64(n)
	return n, err
}
