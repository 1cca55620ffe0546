package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// lines writes one integer a line.
func lines(d *engine.Dataset[int64]) *engine.Sink {
	return engine.TextSink(d, func(dst []byte, v int64) []byte { return fmt.Append(dst, v) })
}

// readBack returns the integers that a sink wrote, and the names of all files
// in its folder.
func readBack(t *testing.T, r *rig, dir string) (values []int64, names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if !strings.HasPrefix(e.Name(), "part-") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(data)) {
			var v int64
			if _, err := fmt.Sscan(l, &v); err != nil {
				t.Fatal(err)
			}
			values = append(values, v)
		}
	}
	return values, names
}

func TestOCC_005_FirstAttemptsFail(t *testing.T) {
	for name, conf := range map[string]map[string]string{"retries": nil, "local[2,4]": conf("master", "local[2,4]")} {
		for _, when := range []string{"before", "midway", "panic", "kill"} {
			t.Run(name+" "+when, func(t *testing.T) {
				r := start(t, engine.Config{Conf: conf})
				var seen atomic.Int64
				d := engine.FromFunc(r.Session, "numbers", 5, func(t *engine.Task, part int, emit func([]int64) error) error {
					b := make([]int64, 1000)
					for i := range b {
						b[i] = int64(part*1000 + i)
					}
					if t.Number == 0 {
						seen.Add(1)
						switch when {
						case "before":
							return errors.New("first attempt")
						case "midway":
							if err := emit(b); err != nil {
								return err
							}
							return errors.New("first attempt")
						case "panic":
							if err := emit(b[:500]); err != nil {
								return err
							}
							panic("first attempt")
						case "kill":
							r.KillTask(t.Task, "first attempt")
							return t.Check()
						}
					}
					return emit(b)
				})
				dir := filepath.Join(t.TempDir(), "out")
				w, err := lines(d).Write(t.Context(), dir)
				check(t, err, []int64{int64(w.Files), w.Records, seen.Load()}, []int64{5, 5000, 5})
				values, names := readBack(t, r, dir)
				check(t, nil, values, ints(5000))
				check(t, nil, len(names), 6) // the parts and the mark of success
				size := int64(0)
				for _, n := range names {
					info, err := os.Stat(filepath.Join(dir, n))
					if err != nil {
						t.Fatal(err)
					}
					size += info.Size()
				}
				check(t, nil, w.Bytes, size)
			})
		}
	}
}

// failingCommits is a file system on which each partition's first attempt fails
// at an operation of its commit.
type failingCommits struct {
	fsys.FS
	op string // "close", or "rename" into the folder of what is committed

	mu     sync.Mutex
	failed map[string]bool // by name of the partition's file
}

func (f *failingCommits) fail(op, path string) error {
	_, part, ok := strings.Cut(filepath.Base(path), "-")
	if op != f.op || !ok || !strings.Contains(path, "_temporary") {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed[part] {
		return nil
	}
	f.failed[part] = true
	return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
}

func (f *failingCommits) Rename(from, to string) error {
	if err := f.fail("rename", to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *failingCommits) Create(name string) (fsys.File, error) {
	file, err := f.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &failingClose{file, f}, nil
}

type failingClose struct {
	fsys.File
	f *failingCommits
}

func (c *failingClose) Close() error {
	return errors.Join(c.File.Close(), c.f.fail("close", c.Name()))
}

// An attempt that was given the right to commit fails at it, or just before:
// the right is the next one's, which commits.
func TestOCC_005_CommitItselfFails(t *testing.T) {
	for _, op := range []string{"close", "rename"} {
		t.Run(op, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			rec := &recorder{hook: func(e event.Event) {
				if end, ok := e.(*event.TaskEnd); ok && end.Reason == task.TaskCommitDenied {
					cancel(fmt.Errorf("%v may not commit", end.Info.TaskAttempt))
				}
			}}
			disk := &failingCommits{FS: fsys.OS, op: op, failed: map[string]bool{}}
			s, err := engine.OpenOn(engine.Config{Memory: 128 << 20, Temp: t.TempDir(), Conf: conf("master", "local[2,4]"), Events: []event.Sink{rec}}, disk)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "out")
			w, err := lines(engine.Range(s, 5000, 5)).Write(ctx, dir)
			if err != nil {
				t.Error(err)
			} else {
				check(t, nil, []int{w.Files, int(w.Records)}, []int{5, 5000})
				values, names := readBack(t, nil, dir)
				check(t, nil, values, ints(5000))
				check(t, nil, len(names), 6)
			}
			check(t, nil, []int{len(disk.failed), rec.ended(task.ExceptionFailure), rec.ended(task.Success)}, []int{5, 5, 5})
			check(t, s.Close(), 0, 0)
			checkStream(t, rec.events())
		})
	}
}

// refusals checks, at the end of each attempt that may not commit, that nothing
// of what it wrote is in the output folder any more, and that no partition is
// there of which nobody has committed anything. It counts them.
type refusals struct {
	dir     string
	refused atomic.Int64
	t       *testing.T

	committed [3]atomic.Bool
}

func (f *refusals) emit(e event.Event) {
	end, ok := e.(*event.TaskEnd)
	if !ok {
		return
	}
	switch {
	case end.Reason == task.Success:
		f.committed[end.Info.Partition].Store(true)
		return
	case end.Reason == task.TaskKilled: // with its job
		return
	case end.Reason != task.TaskCommitDenied || !end.Info.Killed:
		f.t.Errorf("%v ends as %v: %+v", end.Info.TaskAttempt, end.Reason, end.Failure)
	}
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of another attempt, gone meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		if filepath.Dir(path) == f.dir || strings.HasPrefix(d.Name(), fmt.Sprint(end.Info.Task, "-")) ||
			d.Name() == source.PartName(int(end.Info.Partition)) && !f.committed[end.Info.Partition].Load() {
			f.t.Errorf("%v was refused, and there is %s", end.Info.TaskAttempt, path)
		}
		return nil
	})
	if err != nil {
		f.t.Error(err)
	}
	f.refused.Add(1)
}

// ofAttempts is a dataset of three partitions, of which each holds its own
// number and that of the attempt that made it. Who commits is the attempt of
// number owner.
func ofAttempts(s *engine.Session, owner func(part int32) int32) *engine.Dataset[int64] {
	return engine.FromFunc(s, "numbered", 3, func(t *engine.Task, part int, emit func([]int64) error) error {
		engine.CanCommit(s, t.StageAttempt, t.Partition, owner(t.Partition))
		return emit([]int64{int64(100*part + int(t.Number))})
	})
}

// Every commit is refused, since an attempt has the right that never comes:
// the job goes on, though its first failure would end it, and no output is
// there, neither then nor when it is cancelled.
func TestOCC_004_RefusedAttemptsLeaveNoOutput(t *testing.T) {
	f := &refusals{dir: filepath.Join(t.TempDir(), "out"), t: t}
	enough := make(chan struct{})
	var once sync.Once
	r := start(t, engine.Config{Conf: conf("master", "local[2]")}, func(e event.Event) {
		if f.emit(e); f.refused.Load() == 30 {
			once.Do(func() { close(enough) })
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := lines(ofAttempts(r.Session, func(int32) int32 { return 1_000_000 })).Write(ctx, f.dir)
		done <- err
	}()
	select {
	case <-enough:
	case err := <-done:
		t.Fatalf("%d commits were refused, and the job ends with %v", f.refused.Load(), err)
	}
	check(t, nil, len(of[*event.JobEnd](r.rec)), 0)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(f.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the output folder is left: %v", err)
	}
}

// The right belongs to a later attempt of one partition: what is in the output
// is what that one wrote.
func TestOCC_004_OutputIsOfWhoMayCommit(t *testing.T) {
	f := &refusals{dir: filepath.Join(t.TempDir(), "out"), t: t}
	r := start(t, engine.Config{Conf: conf("master", "local[2]")}, f.emit)
	d := ofAttempts(r.Session, func(part int32) int32 { return 5 * (part % 2) })
	w, err := lines(d).Write(t.Context(), f.dir)
	check(t, err, []int64{int64(w.Files), w.Records, f.refused.Load()}, []int64{3, 3, 5})
	values, names := readBack(t, r, f.dir)
	check(t, nil, values, []int64{0, 105, 200})
	check(t, nil, names, []string{source.SuccessMarker, "part-00000", "part-00001", "part-00002"})
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "2")})
	bad := engine.MapBatches(engine.Range(r.Session, 100, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 3 {
			return nil, errors.New("never")
		}
		return append(dst, src...), nil
	})
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	_, err := lines(bad).Write(t.Context(), dir)
	wantError(t, err, "never")
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		if inner, _ := os.ReadDir(dir); len(inner) > 0 {
			t.Errorf("a failed write left %v", inner)
		}
	}
	// The folder can be written then.
	w, err := lines(engine.Range(r.Session, 100, 4)).Write(t.Context(), dir)
	check(t, err, w.Records, 100)
	values, names := readBack(t, r, dir)
	check(t, nil, values, ints(100))
	check(t, nil, len(names), 5)
	// And not a second time.
	_, err = lines(engine.Range(r.Session, 5, 1)).Write(t.Context(), dir)
	wantError(t, err, dir)
	values, _ = readBack(t, r, dir)
	check(t, nil, values, ints(100))
}

// A Write is cancelled while an attempt is about to make its file, to close it,
// or to hand it in. The Write does not wait for it: nothing is there when it
// returns, nor when the attempt has gone on.
func TestCancelledWriteLeavesNothingOfLateAttempts(t *testing.T) {
	for name, op := range map[string]fsys.Op{"make": fsys.OpCreate, "close": fsys.OpClose, "hand in": fsys.OpRename} {
		t.Run(name, func(t *testing.T) {
			at, goOn := make(chan struct{}), make(chan struct{})
			files := fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: op, Glob: "*-part-00001", K: 1, Do: func(string) { close(at); <-goOn }})
			s, err := engine.OpenOn(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir()}, files)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "out")
			gone := func(when string) {
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s the output folder is there: %v", when, err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			wait := background(func() error { _, err := lines(engine.Range(s, 1000, 3)).Write(ctx, dir); return err })
			<-at
			cancel()
			if err := wait(); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			gone("when the write returns")
			close(goOn)
			if err := s.Close(); err != nil { // it waits for the attempt
				t.Error(err)
			}
			gone("when the attempt has ended")
			if open := files.StillOpen(); len(open) > 0 {
				t.Errorf("still open: %v", open)
			}
		})
	}
}

// A stage that writes and is retried after a fetch failure: partitions that
// were committed stay as they are (OCC-006).
func TestOCC_006_WriteSurvivesFetchFailure(t *testing.T) {
	var r *rig
	var once sync.Once
	r = start(t, engine.Config{Cores: 1, Conf: conf("shuffle.storage", "disk")}, func(e event.Event) {
		if te, ok := e.(*event.TaskEnd); ok && te.Metrics[task.OutputRecordsWritten] > 0 && te.Reason == task.Success {
			once.Do(func() { // the first partition is committed
				for _, f := range r.files("shuffle_") {
					os.Remove(f)
				}
			})
		}
	})
	sorted := engine.SortBy(engine.Map(engine.Range(r.Session, 5000, 3), func(v int64) int64 { return v * 7919 % 5003 }),
		func(v int64) int64 { return v }, engine.Partitions(4))
	dir := filepath.Join(t.TempDir(), "out")
	w, err := lines(sorted).Write(t.Context(), dir)
	check(t, err, w.Records, 5000)
	if r.rec.ended(task.FetchFailed) == 0 {
		t.Error("nothing failed to be fetched")
	}
	values, names := readBack(t, r, dir)
	check(t, nil, []int{len(values), len(names)}, []int{5000, w.Files + 1})
	if !slices.IsSorted(values) {
		t.Error("not sorted")
	}
}

func TestRecordSink(t *testing.T) {
	r := start(t, engine.Config{})
	type rec struct{ A, B int32 }
	d := engine.Map(engine.Range(r.Session, 10000, 3), func(v int64) rec { return rec{int32(v), int32(-v)} })
	dir := filepath.Join(t.TempDir(), "out")
	w, err := engine.RecordSink(d).Write(t.Context(), dir)
	check(t, err, []int64{int64(w.Files), w.Records, w.Bytes}, []int64{3, 10000, 80000})
	back, err := engine.Records[rec](r.Session, []string{dir}, 5)
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.SortBy(back, func(v rec) int32 { return v.A }, engine.Partitions(2)).Collect(t.Context())
	check(t, err, len(got), 10000)
	for i, v := range got {
		if v != (rec{int32(i), int32(-i)}) {
			t.Fatalf("record %d is %v", i, v)
		}
	}
}
