package spill

import (
	"io/fs"
	"testing"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// slowFS moves a clock by a fixed step at every write and read.
type slowFS struct {
	fsys.FS
	clock *int64
	ops   int64
}

const step = 1000

func (s *slowFS) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	return &slowFile{f, s}, err
}

type slowFile struct {
	fsys.File
	s *slowFS
}

func (f *slowFile) WriteAt(p []byte, off int64) (int, error) {
	*f.s.clock += step
	f.s.ops++
	return f.File.WriteAt(p, off)
}

func (f *slowFile) ReadAt(p []byte, off int64) (int, error) {
	*f.s.clock += step
	f.s.ops++
	return f.File.ReadAt(p, off)
}

// Time on spill files is spill time, and nothing else is.
func TestSpillTimeIsTheTimeOnRuns(t *testing.T) {
	var clock int64
	slow := &slowFS{FS: fsys.OS, clock: &clock}
	b := newBenchOn(t, 1*units.MiB, slow)
	b.timer.Start(func() int64 { return clock }, 0)

	s := NewSorter(b.env, "sorter", mustCodec[int64](t), By(mustKey[int64](t), func(v int64) int64 { return v }))
	defer s.Close()
	g, err := NewAggregator(b.env, "aggregator", mustKey[int64](t), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	const emitted = 7 // what the consumer takes a batch
	var batches int64
	rows := make([]int64, 60_000)
	for i := range rows {
		rows[i] = int64(i*7919) % 60_013
	}
	if err := s.Add(rows); err != nil {
		t.Fatal(err)
	}
	if err := s.Sorted(func([]int64) error { clock += emitted; batches++; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	pairs := make([]pair[int64, int64], len(rows))
	for i, v := range rows {
		pairs[i] = kv(v, int64(1))
	}
	if err := g.Add(pairs); err != nil {
		t.Fatal(err)
	}
	if err := g.Emit(func([]pair[int64, int64]) error { clock += emitted; batches++; return nil }); err != nil {
		t.Fatal(err)
	}
	b.timer.Stop(clock, &b.metrics)
	if slow.ops < 10 {
		t.Fatalf("only %d file operations: this test should spill", slow.ops)
	}
	if got := b.metrics[task.SpillTime]; got != slow.ops*step {
		t.Errorf("spill time is %d, the files took %d", got, slow.ops*step)
	}
	if got := b.metrics[task.ComputeTime]; got != batches*emitted {
		t.Errorf("compute time is %d, the consumer took %d", got, batches*emitted)
	}
}

// No record costs an allocation.
func TestAggregatingAllocatesNothingPerRecord(t *testing.T) {
	b := newBench(t, 64*units.MiB)
	g, err := NewAggregator(b.env, "aggregator", mustKey[string](t), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	pairs := make([]pair[string, int64], 4096)
	for i := range pairs {
		pairs[i] = kv([]string{"a", "word", "and", "something longer than fifteen"}[i%4], int64(1))
	}
	if n := testing.AllocsPerRun(50, func() {
		if err := g.Add(pairs); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%.0f allocations a batch of %d records", n, len(pairs))
	}
}
