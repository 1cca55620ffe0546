package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// counted passes ints(n) through and counts how many were computed.
func counted(s *engine.Session, n, parts int, computed *atomic.Int64) *engine.Dataset[int64] {
	return engine.MapBatches(engine.Range(s, int64(n), parts), func(_ *engine.Task, dst, src []int64) ([]int64, error) {
		computed.Add(int64(len(src)))
		return append(dst, src...), nil
	})
}

func TestCLN_001_LocalCheckpoint(t *testing.T) {
	for _, c := range []struct{ before, after block.Level }{
		{block.LevelNone, block.DiskOnly},
		{block.MemoryOnly, block.MemoryAndDisk},
		{block.MemoryOnlySer, block.MemoryAndDiskSer},
		{block.DiskOnly, block.DiskOnly},
	} {
		t.Run(c.before.String(), func(t *testing.T) {
			r := start(t, engine.Config{})
			var computed atomic.Int64
			d := counted(r.Session, 1000, 5, &computed)
			if c.before != block.LevelNone {
				d.Persist(c.before)
			}
			d.LocalCheckpoint()
			check(t, nil, d.Node().Level(), c.after)
			got, err := d.Take(t.Context(), 3) // reads one partition only
			check(t, err, got, ints(3))
			check(t, nil, computed.Load(), 1000)
			for p := range 5 {
				if !engine.HasBlock(r.Session, block.Node(d.Node().ID, p)) {
					t.Errorf("partition %d was not saved", p)
				}
			}
			if s := engine.Explain(d); strings.Contains(s, "range") {
				t.Errorf("the lineage is not cut:\n%s", s)
			}
			all, err := engine.Map(d, func(v int64) int64 { return v }).Collect(t.Context())
			check(t, err, all, ints(1000))
			check(t, nil, computed.Load(), 1000)
		})
	}
}

func TestCLN_002_LostLocalCheckpoint(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	var computed atomic.Int64
	d := counted(r.Session, 100, 2, &computed).LocalCheckpoint()
	n, err := d.Count(t.Context())
	check(t, err, n, 100)
	b := block.Node(d.Node().ID, 1)
	check(t, nil, engine.RemoveBlock(r.Session, b), true)
	_, err = d.Count(t.Context())
	wantError(t, err, string(b), "Checkpoint")
	check(t, nil, computed.Load(), 100)
}

func TestCLN_003_ReliableCheckpoint(t *testing.T) {
	dir := t.TempDir()
	r := start(t, engine.Config{})
	var computed, failures atomic.Int64
	d := engine.MapBatches(engine.Repartition(counted(r.Session, 1000, 4, &computed), 3), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Number == 0 && failures.Add(1) <= 20 {
			return nil, errors.New("not the first time") // in the job and in the saving
		}
		return append(dst, src...), nil
	}).Checkpoint(dir)
	first, err := d.Collect(t.Context())
	check(t, err, len(first), 1000)
	after := computed.Load()
	again, err := d.Collect(t.Context())
	check(t, err, again, first)
	check(t, nil, computed.Load(), after)
	if failures.Load() < 4 {
		t.Errorf("%d failures: none while the checkpoint was written", failures.Load())
	}
	// A sort over it, so that a new stage reads it.
	sorted, err := engine.SortBy(d, func(v int64) int64 { return v }).Collect(t.Context())
	check(t, err, sorted, ints(1000))
	stages := 0
	for _, j := range of[*event.JobStart](r.rec) {
		stages = len(j.Stages) // of the last
	}
	check(t, nil, stages, 2) // the checkpoint's and the sort's: the repartition is cut off
	// Nothing temporary is left beside the parts.
	left, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	check(t, err, len(left), 4)
}

// While the checkpoint is written its input is lost, so that the map stage
// before it is tried again.
func TestCLN_003_StageTriedAgainWhileItIsWritten(t *testing.T) {
	var r *rig
	jobs := 0
	r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk")}, func(e event.Event) {
		if _, ok := e.(*event.JobStart); ok {
			if jobs++; jobs == 2 { // the one that writes
				damages["all files deleted"](t, r)
			}
		}
	})
	d := engine.Repartition(engine.Range(r.Session, 1000, 4), 3).Checkpoint(t.TempDir())
	first, err := d.Collect(t.Context())
	check(t, err, len(first), 1000)
	if r.rec.ended(task.FetchFailed) == 0 {
		t.Error("nothing failed to be fetched")
	}
	retried := false
	for _, e := range of[*event.StageSubmitted](r.rec) {
		retried = retried || e.Job == 1 && e.Stage.Kind == task.ShuffleMapTask && e.Stage.Attempt == 1
	}
	check(t, nil, retried, true)
	for range 2 {
		again, err := d.Collect(t.Context())
		check(t, err, again, first)
	}
}

func TestCLN_003_NoRecords(t *testing.T) {
	r := start(t, engine.Config{})
	for _, d := range []*engine.Dataset[string]{noRecords(t, r).Checkpoint(t.TempDir()), noRecords(t, r).LocalCheckpoint()} {
		for range 2 {
			n, err := d.Count(t.Context())
			check(t, err, n, 0)
		}
	}
}

func TestDamagedCheckpoint(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"deleted":   remove,
		"flipped":   flip,
		"truncated": func(t *testing.T, path string) { check(t, os.Truncate(path, 5), 0, 0) },
		"emptied":   func(t *testing.T, path string) { check(t, os.Truncate(path, 0), 0, 0) },
		"of fewer rows": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			check(t, err, b[0] > 0, true)
			b[0]-- // the rows of its first frame
			check(t, os.WriteFile(path, b, 0o666), 0, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := start(t, engine.Config{Conf: conf("task.maxFailures", "1")})
			d := engine.Map(engine.Range(r.Session, 1000, 2), func(v int64) int64 { return v }).Checkpoint(dir)
			n, err := d.Count(t.Context())
			check(t, err, n, 1000)
			parts, err := filepath.Glob(filepath.Join(dir, "*", "part-*"))
			check(t, err, len(parts), 2)
			harm(t, parts[1])
			_, err = d.Count(t.Context())
			wantError(t, err, parts[1])
			if !errors.Is(err, engine.ErrCorrupt) {
				t.Errorf("it is not ErrCorrupt: %v", err)
			}
		})
	}
}

// A damaged block of a local checkpoint is ErrCorrupt, however often it is
// tried: it is not there any more when the second attempt comes.
func TestDamagedLocalCheckpoint(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, path string){
		"deleted":   remove,
		"flipped":   flip,
		"truncated": func(t *testing.T, path string) { check(t, os.Truncate(path, 100), 0, 0) },
	} {
		for _, attempts := range []string{"1", "2"} {
			t.Run(name+" of "+attempts, func(t *testing.T) {
				r := start(t, engine.Config{Conf: conf("task.maxFailures", attempts, "storage.readBackFraction", "0")})
				d := engine.Map(engine.Range(r.Session, 1000, 2), func(v int64) int64 { return v }).LocalCheckpoint()
				n, err := d.Count(t.Context())
				check(t, err, n, 1000)
				file := r.shuffleFiles(t, "rdd_")[1]
				harm(t, file)
				for range 2 {
					_, err = d.Count(t.Context())
					wantError(t, err, string(block.Node(d.Node().ID, 1)), file, "lineage is cut")
					if !errors.Is(err, engine.ErrCorrupt) {
						t.Errorf("it is not ErrCorrupt: %v", err)
					}
				}
			})
		}
	}
}

// A damaged length of a checkpoint's frame is damage, not want of memory, and
// a frame of that length is want of memory.
func TestDamagedLengthOfACheckpoint(t *testing.T) {
	const long = 2 << 20
	dir := t.TempDir()
	r := start(t, engine.Config{Cores: 1, Memory: 64 * units.MiB, Conf: conf("task.maxFailures", "1")})
	d := engine.Map(engine.Range(r.Session, 400_000, 1), func(v int64) int64 { return v }).Checkpoint(dir)
	n, err := d.Count(t.Context())
	check(t, err, n, 400_000)
	parts, err := filepath.Glob(filepath.Join(dir, "*", "part-*"))
	check(t, err, len(parts), 1)
	file, err := os.ReadFile(parts[0])
	check(t, err, len(file) > long+12, true)
	for size := 32 * units.MiB; size >= units.MiB; size /= 2 {
		for {
			hog, err := r.Reserve("most of it", size)
			if err != nil {
				break
			}
			defer hog.Release()
		}
	}
	n, err = d.Count(t.Context()) // there is enough for it as it was written
	check(t, err, n, 400_000)
	binary.LittleEndian.PutUint32(file[4:], long)
	check(t, os.WriteFile(parts[0], file, 0o666), 0, 0)
	_, err = d.Count(t.Context())
	if !errors.Is(err, engine.ErrCorrupt) || errors.Is(err, engine.ErrNoMemory) {
		t.Errorf("a damaged length: %v, want ErrCorrupt", err)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	binary.LittleEndian.PutUint32(file[8:], crc32.Update(crc32.Checksum(file[:8], table), table, file[12:12+long]))
	check(t, os.WriteFile(parts[0], file, 0o666), 0, 0)
	_, err = d.Count(t.Context())
	if !errors.Is(err, engine.ErrNoMemory) {
		t.Errorf("a long frame: %v, want ErrNoMemory", err)
	}
}

// lateFS holds the first commit of partition 0 back until another attempt has
// committed it.
type lateFS struct {
	fsys.FS
	ctx                     context.Context // of the test
	commits                 atomic.Int32
	arrived, retried, ended chan struct{}
}

func (l *lateFS) Rename(from, to string) error {
	if !strings.Contains(to, "committed") || !strings.HasSuffix(to, source.PartName(0)) {
		return l.FS.Rename(from, to)
	}
	wait := func(c chan struct{}) {
		select {
		case <-c:
		case <-l.ctx.Done():
		}
	}
	switch l.commits.Add(1) {
	case 1:
		close(l.arrived)
		wait(l.retried)
		defer close(l.ended)
	case 2:
		defer wait(l.ended)
		defer close(l.retried)
	}
	return l.FS.Rename(from, to)
}

// An attempt that may commit, is lost with its executor and comes to its
// rename after its retry did leaves the retry's file as it is.
func TestLateCommitOfALostExecutor(t *testing.T) {
	late := &lateFS{FS: fsys.OS, ctx: t.Context(), arrived: make(chan struct{}), retried: make(chan struct{}), ended: make(chan struct{})}
	s, err := engine.OpenOn(engine.Config{Cores: 2, Executors: 2, Memory: 128 * units.MiB, Temp: t.TempDir()}, late)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, s.Close(), 0, 0) }()
	var on atomic.Value
	d := engine.FromFunc(s, "of another length each time", 2, func(t *engine.Task, part int, emit func([]int64) error) error {
		if part == 0 && t.Number == 0 {
			on.Store(t.Executor)
		}
		return emit(ints(100 + 100*int(t.Number)))
	}).Checkpoint(t.TempDir())
	end := background(func() error { _, err := d.Count(context.Background()); return err })
	<-late.arrived
	check(t, s.LoseExecutor(on.Load().(id.Executor), "test"), 0, 0)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	n, err := d.Count(t.Context())
	check(t, err, n, 300)
}

// Checkpointing in the midst of a lineage, twice, with readers of both ends.
func TestCheckpointOfAnAncestor(t *testing.T) {
	r := start(t, engine.Config{})
	var computed atomic.Int64
	a := counted(r.Session, 100, 3, &computed).Checkpoint(t.TempDir())
	b := engine.Map(a, func(v int64) int64 { return v * 2 }).LocalCheckpoint()
	c := engine.Filter(b, func(v int64) bool { return v < 20 })
	got, err := c.Collect(t.Context())
	check(t, err, got, []int64{0, 2, 4, 6, 8, 10, 12, 14, 16, 18})
	after := computed.Load()
	all, err := a.Collect(t.Context())
	check(t, err, all, ints(100))
	check(t, nil, computed.Load(), after)
}

func TestCheckpointIntoAnImpossibleFolder(t *testing.T) {
	r := start(t, engine.Config{})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := engine.Map(engine.Range(r.Session, 10, 2), func(v int64) int64 { return v }).Checkpoint(file)
	_, err := d.Count(t.Context())
	wantError(t, err, "cannot checkpoint", file)
	if n := strings.Count(err.Error(), file); n != 1 {
		t.Errorf("the error names the folder %d times: %v", n, err)
	}
	n, err := d.Count(t.Context()) // the lineage is not cut
	check(t, err, n, 10)
}
