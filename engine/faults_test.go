package engine_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Faults, end to end: one run of everything that touches files and memory
// (chores), with one thing going wrong in it, at every place where it can.
// Afterwards there is the right answer or an error that tells of the fault,
// and nothing is left: no open handle, no goroutine, no reserved byte; and no
// file, unless a removal was struck and that was told (checkFolders).

var (
	soak = flag.Bool("soak", false, "let every fault strike everywhere, instead of here and there")
	seed = flag.Uint64("seed", 1, "where faults strike without -soak, and what user code does")
)

// row is large, so that few of them do not fit.
type row [12]int64

const rowsEach = 1800 // rows of a line

// chores runs jobs that read text, sort beyond memory, combine, cache on
// disk, checkpoint, return stored results, and write output, all on one
// worker, so that a run does the same as the run before. It returns what came
// out of them.
func chores(ctx context.Context, s *engine.Session, dir string) (answer string, err error) {
	lines, err := engine.TextFiles(s, []string{filepath.Join(dir, "input.txt")}, 2)
	if err != nil {
		return "", err
	}
	numbers := engine.MapBatches(lines, func(_ *engine.Task, dst []int64, src []string) ([]int64, error) {
		for _, l := range src {
			n, err := strconv.ParseInt(l, 10, 64)
			if err != nil {
				return nil, &engine.InputError{Path: "input.txt", Cause: err}
			}
			dst = append(dst, n)
		}
		return dst, nil
	})
	wide := engine.FlatMap(numbers, func(dst []row, n int64) []row {
		for i := range int64(rowsEach) {
			dst = append(dst, row{(n*rowsEach + i) * 7919 % 1_000_003})
		}
		return dst
	})
	sorted, err := engine.Map(engine.SortBy(wide, func(r row) int64 { return r[0] }, engine.Partitions(1)),
		func(r row) int64 { return r[0] }).Collect(ctx)
	if err != nil {
		return "", err
	}
	sums := engine.ReduceByKey(engine.Map(wide, func(r row) engine.Pair[int64, int64] {
		return engine.Pair[int64, int64]{Key: r[0] % 50, Value: r[0]}
	}), add, engine.Partitions(2)).Persist(block.DiskOnly)
	defer sums.Unpersist()
	for range 2 {
		n, err := sums.Count(ctx)
		if err != nil {
			return "", err
		}
		answer += fmt.Sprintln(n)
	}
	kept := engine.Map(sums, func(p engine.Pair[int64, int64]) int64 { return p.Key*1_000_000_007 + p.Value }).Checkpoint(filepath.Join(dir, "checkpoint"))
	if _, err := kept.Count(ctx); err != nil {
		return "", err
	}
	totals, err := kept.Collect(ctx)
	if err != nil {
		return "", err
	}
	slices.Sort(totals)
	out := filepath.Join(dir, "out")
	if _, err := engine.TextSink(kept, func(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }).Write(ctx, out); err != nil {
		return "", err
	}
	written, err := readOutput(out)
	if err != nil {
		return "", err
	}
	return answer + fmt.Sprintln(len(sorted), slices.IsSorted(sorted), digest(sorted), totals, written), nil
}

func digest(list []int64) (sum uint64) {
	for _, n := range list {
		sum = sum*1_000_003 + uint64(n)
	}
	return sum
}

// readOutput returns the sorted lines of an output that is complete.
func readOutput(dir string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "_SUCCESS")); err != nil {
		return nil, err
	}
	parts, err := filepath.Glob(filepath.Join(dir, "part-*"))
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, p := range parts {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.Fields(string(text))...)
	}
	slices.Sort(lines)
	return lines, nil
}

// trial is one run of jobs.
type trial struct {
	answer string
	err    error // of the jobs, or of opening the session
	closed error
	rec    *recorder
	files  *fsys.Faulty
	s      *engine.Session
}

// closeSoon closes the session from a goroutine of its own, which ends before
// another Close returns.
func (r *trial) closeSoon() {
	began := make(chan struct{})
	go func() {
		close(began)
		_ = r.s.Close() // the next Close tells the same
	}()
	<-began
}

// try runs chores on a file system with a fault, on one worker.
func try(t *testing.T, f fsys.Fault, hook func(*trial, event.Event), settings ...string) *trial {
	t.Helper()
	return tryOf(t, 1, chores, f, hook, settings...)
}

// tryOf runs jobs on a file system with a fault, and checks that nothing is
// left that the fault cannot explain. settings come on top of all trials' own.
func tryOf(t *testing.T, cores int, jobs func(context.Context, *engine.Session, string) (string, error), f fsys.Fault,
	hook func(*trial, event.Event), settings ...string) *trial {
	t.Helper()
	dir := t.TempDir()
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintln(&text, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "input.txt"), []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	r := &trial{rec: &recorder{}, files: fsys.NewFaulty(fsys.OS, f)}
	if hook != nil {
		r.rec.hook = func(e event.Event) { hook(r, e) }
	}
	r.s, r.err = engine.OpenOn(engine.Config{Cores: cores, Memory: units.Bytes(32+16*cores) * units.MiB, Temp: temp, Events: []event.Sink{r.rec},
		Conf: conf(append([]string{"shuffle.storage", "disk", "task.maxDirectResultSize", "1KiB",
			"unsafe.exceptionOnMemoryLeak", "true", "storage.exceptionOnPinLeak", "true"}, settings...)...)}, r.files)
	if r.err == nil {
		r.answer, r.err = jobs(t.Context(), r.s, dir)
		r.idle(t)
		r.closed = r.s.Close()
		if r.closed == nil {
			checkStream(t, r.rec.events())
		}
	}
	if open := r.files.StillOpen(); len(open) > 0 {
		t.Errorf("still open: %v", open)
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
			break
		}
	}
	if r.closed != nil {
		for line := range strings.Lines(r.closed.Error()) { // a leak is told beside it, not hidden by it
			if !tells(errors.New(line), f) {
				t.Errorf("Close: %v", r.closed)
				break
			}
		}
	}
	r.checkFolders(t, dir, temp)
	if path := namedTwice(r.err); path != "" {
		t.Errorf("the error names %s twice: %v", path, r.err)
	}
	return r
}

// idle waits until the session holds nothing of its jobs any more. Attempts of
// a job that failed may have to notice first.
func (r *trial) idle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		err := engine.Idle(r.s)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("not idle after %v: %v", r.err, err)
			return
		}
	}
}

// checkFolders looks for what a run left behind. The folder of temporary files
// is empty unless its removal failed, which Close tells. Outputs and
// checkpoints are whole or not there, unless what removes them was struck.
func (r *trial) checkFolders(t *testing.T, dir, temp string) {
	t.Helper()
	entries := func(dir string) []os.DirEntry {
		list, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		return list
	}
	if r.closed == nil || r.files.Struck()&fsys.OpRemove == 0 {
		for _, e := range entries(temp) {
			t.Errorf("left of the session: %s", e.Name())
		}
	}
	if r.files.Struck()&(fsys.OpRemove|fsys.OpOther) != 0 {
		return
	}
	outputs := []string{"out"}
	for _, e := range entries(filepath.Join(dir, "checkpoint")) {
		outputs = append(outputs, filepath.Join("checkpoint", e.Name()))
	}
	for _, out := range outputs {
		var names []string
		for _, e := range entries(filepath.Join(dir, out)) {
			names = append(names, e.Name())
		}
		if whole := slices.Contains(names, source.SuccessMarker); len(names) > 0 && !whole || slices.Contains(names, "_temporary") {
			t.Errorf("%s holds %v; the run ended with %v", out, names, r.err)
		}
	}
}

// namedTwice returns a file that one line of an error names twice.
func namedTwice(err error) string {
	if err == nil {
		return ""
	}
	for line := range strings.Lines(err.Error()) {
		seen := map[string]bool{}
		for word := range strings.FieldsSeq(line) {
			word = strings.Trim(word, ":,;()")
			if strings.HasPrefix(word, os.TempDir()) && seen[word] {
				return word
			}
			seen[word] = true
		}
	}
	return ""
}

// cause returns what a fault fails with.
func cause(f fsys.Fault) error {
	if f.Err == nil {
		return syscall.EIO
	}
	return f.Err
}

// tells reports whether an error tells of a fault. Failures of attempts travel
// as text.
func tells(err error, f fsys.Fault) bool {
	return errors.Is(err, cause(f)) || strings.Contains(err.Error(), cause(f).Error())
}

// strike lets a fault strike at places from 1 to n: at all of them in a soak,
// else at a few. at says whether the right answer came in spite of it.
func strike(t *testing.T, n, few int, at func(k int) bool) {
	t.Helper()
	all := rand.New(rand.NewPCG(*seed, uint64(n))).Perm(n)
	if !*soak {
		all = all[:min(n, few)]
	}
	right := 0
	for i, k := range all {
		if at(k + 1) {
			right++
		}
		if t.Failed() {
			t.Fatalf("place %d of %d; repeat with -seed %d", k+1, n, *seed)
		}
		if (i+1)%100 == 0 {
			t.Logf("%d of %d faults", i+1, len(all))
		}
	}
	t.Logf("%d places; %d faults, in spite of which %d right answers came", n, len(all), right)
}

// sound runs chores without a fault, which counts the places where it can strike.
func sound(t *testing.T, f fsys.Fault) (answer string, places int) {
	t.Helper()
	f.K = 0
	r := try(t, f, nil)
	if r.err != nil || r.closed != nil {
		t.Fatalf("without any fault: %v, %v", r.err, r.closed)
	}
	spills := int64(0)
	stored := 0
	for _, e := range of[*event.TaskEnd](r.rec) {
		spills += e.Metrics[task.SpillCount]
		if e.Route == task.RouteIndirect {
			stored++
		}
	}
	if spills == 0 || stored == 0 || r.files.Counted() == 0 {
		t.Fatalf("%d spills, %d stored results, %d places for a fault: the test proves nothing", spills, stored, r.files.Counted())
	}
	return r.answer, r.files.Counted()
}

// right reports whether the answer came in spite of a fault. If it did not, the
// error must tell of the fault; if one came, it must be the one that is wanted.
func (r *trial) right(t *testing.T, want string, f fsys.Fault) bool {
	t.Helper()
	switch {
	case r.err == nil && r.answer != want:
		t.Errorf("the answer is wrong:\n%s\nwant\n%s", r.answer, want)
	case r.err != nil && !tells(r.err, f):
		t.Errorf("the error does not tell of the fault: %v", r.err)
	case r.err != nil && !errors.Is(r.err, cause(f)) && !errors.As(r.err, new(*engine.JobError)):
		t.Errorf("the error is neither the fault nor a job's: %T: %v", r.err, r.err)
	}
	return r.err == nil
}

// TestFaultsOfFiles fails one file operation after the other.
func TestFaultsOfFiles(t *testing.T) {
	for _, f := range []fsys.Fault{
		{Err: syscall.EIO},
		{Err: syscall.ENOSPC, Ops: fsys.OpMutates, Short: 100},
		{Err: syscall.ENOSPC, Ops: fsys.OpMutates, After: true},
		{Err: syscall.EIO, Ops: fsys.OpRead | fsys.OpWrite, Short: 7},
	} {
		t.Run(fmt.Sprintf("%v ops=%d short=%d after=%v", f.Err, f.Ops, f.Short, f.After), func(t *testing.T) {
			want, n := sound(t, f)
			strike(t, n, 4, func(k int) bool {
				f.K = k
				return try(t, f, nil).right(t, want, f)
			})
		})
	}
}

// harms are what may become of a file between its writing and a reading.
var harms = map[string]func(*testing.T, string) error{
	"deleted":   func(_ *testing.T, path string) error { return os.Remove(path) },
	"emptied":   func(_ *testing.T, path string) error { return os.Truncate(path, 0) },
	"truncated": func(_ *testing.T, path string) error { return halve(path) },
	"flipped":   func(t *testing.T, path string) error { flip(t, path); return nil },
}

// harm does harm to a file, unless it is gone or empty already.
func harm(t *testing.T, path string, do func(*testing.T, string) error) {
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		return
	}
	if err := do(t, path); err != nil {
		t.Error(err)
	}
}

// TestFaultsOfFilesDamaged damages a file of the engine's own between its
// writing and a reading, at one reading after the other. What it held is made
// again.
func TestFaultsOfFilesDamaged(t *testing.T) {
	for name, do := range harms {
		t.Run(name, func(t *testing.T) {
			f := fsys.Fault{Ops: fsys.OpOpen | fsys.OpRead, Glob: "*_*"}
			want, n := sound(t, f)
			strike(t, n, 4, func(k int) bool {
				struck := ""
				f.K, f.Do = k, func(path string) { struck = path; harm(t, path, do) }
				r := try(t, f, nil)
				if r.err != nil || r.answer != want {
					t.Errorf("%s was damaged: %v\n%s\nwant\n%s", struck, r.err, r.answer, want)
				}
				return r.err == nil
			})
		})
	}
}

// TestFaultsOfAllFilesDamaged damages every file of a kind at its first
// reading, so that no attempt fares better than the one before it.
func TestFaultsOfAllFilesDamaged(t *testing.T) {
	// What may come of it, besides the right answer.
	corrupt := func(r *trial, struck []string) bool {
		var te *engine.TaskError
		return errors.Is(r.err, engine.ErrCorrupt) && errors.As(r.err, &te) && te.Failures == 4 &&
			slices.ContainsFunc(struck, func(path string) bool { return strings.Contains(te.Failure.Message, path) })
	}
	unfetched := func(r *trial, _ []string) bool {
		var f *task.Failure
		return errors.As(r.err, &f) && f.Kind == task.FetchFailed && f.Fetch.Shuffle >= 0 && f.Fetch.MapIndex >= 0 &&
			r.rec.ended(task.FetchFailed) == 4
	}
	madeAgain := func(r *trial, _ []string) bool { return r.err == nil && r.rec.ended(task.ExceptionFailure) > 0 }
	kept := func(r *trial, _ []string) bool {
		return r.err == nil && r.rec.ended(task.Success) == len(of[*event.TaskEnd](r.rec))
	}

	want, _ := sound(t, fsys.Fault{})
	for _, kind := range []struct {
		what, glob string
		gives      func(*trial, []string) bool
		deleted    func(*trial, []string) bool // else gives
	}{
		{what: "spilled runs", glob: "temp_local_*", gives: corrupt, deleted: kept}, // they are open
		{what: "map outputs", glob: "shuffle_*.data", gives: unfetched},
		{what: "indexes of map outputs", glob: "shuffle_*.index", gives: unfetched},
		{what: "cached blocks", glob: "rdd_*", gives: madeAgain},
		{what: "checkpoints", glob: "part-*", gives: corrupt},
	} {
		for name, do := range harms {
			t.Run(kind.what+" "+name, func(t *testing.T) {
				var struck []string
				r := try(t, fsys.Fault{Ops: fsys.OpOpen | fsys.OpRead, Glob: kind.glob, K: 1, After: true, Do: func(path string) {
					if !slices.Contains(struck, path) {
						struck = append(struck, path)
						harm(t, path, do)
					}
				}}, nil)
				gives := kind.gives
				if name == "deleted" && kind.deleted != nil {
					gives = kind.deleted
				}
				switch {
				case len(struck) == 0:
					t.Error("no such file was read")
				case !gives(r, struck):
					t.Errorf("%v were damaged, %d attempts failed: %v", struck, r.rec.ended(task.ExceptionFailure), r.err)
				case r.err == nil && r.answer != want:
					t.Errorf("%v were damaged: the answer is wrong", struck)
				case r.err != nil && !errors.As(r.err, new(*engine.JobError)):
					t.Errorf("it is no JobError: %v", r.err)
				}
			})
		}
	}
}

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// TestFaultsAtEveryEvent ends something at one event of a run after the
// other: an attempt, the job, every job, a stored result, the session.
func TestFaultsAtEveryEvent(t *testing.T) {
	want, _ := sound(t, fsys.Fault{})
	n := len(try(t, fsys.Fault{}, nil).rec.events()) - 1 // the last tells that all is over
	interrupt(t, want, n, func(hook func(*trial, event.Event)) *trial { return try(t, fsys.Fault{}, hook) })
}

// interrupt ends something at the events from 1 to n of runs whose right answer
// is want.
func interrupt(t *testing.T, want string, n int, run func(hook func(*trial, event.Event)) *trial) {
	for name, end := range map[string]func(r *trial, last id.Task, job id.Job){
		"kill":          func(r *trial, last id.Task, _ id.Job) { r.s.KillTask(last, "fault") },
		"cancel":        func(r *trial, _ id.Task, job id.Job) { r.s.CancelJob(job, "fault") },
		"close":         func(r *trial, _ id.Task, _ id.Job) { r.closeSoon() },
		"stored result": func(r *trial, last id.Task, _ id.Job) { engine.RemoveBlock(r.s, block.TaskResult(last)) },
	} {
		t.Run(name, func(t *testing.T) {
			strike(t, n, 4, func(k int) bool {
				var mu sync.Mutex // events come from several goroutines
				seen, last, job := 0, id.Task(-1), id.Job(-1)
				r := run(func(r *trial, e event.Event) {
					mu.Lock()
					switch e := e.(type) {
					case *event.JobStart:
						job = e.Job
					case *event.TaskStart:
						last = e.Info.Task
					}
					seen++
					now, task, job := seen == k && last >= 0, last, job
					mu.Unlock()
					if now { // a task has started, so the session is open
						end(r, task, job)
					}
				})
				switch {
				case r.err == nil && r.answer != want:
					t.Error("the answer is wrong")
				case r.err == nil:
				case name == "close" && (errors.Is(r.err, engine.ErrClosed) || errors.Is(r.err, scheduler.ErrClosed)):
				case name != "cancel" || !errors.Is(r.err, scheduler.ErrCancelled):
					t.Error(r.err)
				}
				return r.err == nil
			})
		})
	}
}

// TestFaultsOfUserCode lets functions of three stages fail at chosen attempts:
// by errors, panics, leaving their goroutine, killing themselves.
func TestFaultsOfUserCode(t *testing.T) {
	n := 1000
	if *soak {
		n = 3000
	}
	strike(t, n, 12, func(k int) bool {
		r := rand.New(rand.NewPCG(*seed, uint64(k)))
		s := start(t, engine.Config{Cores: 1 + r.IntN(3), Conf: conf("shuffle.storage", []string{"disk", "memory", "auto"}[r.IntN(3)])})
		worst := 0
		faulty := func(d *engine.Dataset[int64]) *engine.Dataset[int64] {
			times, how := make([]int, d.Partitions()), make([]int, d.Partitions())
			for p := range times {
				if r.IntN(4) == 0 {
					times[p], how[p] = 1+r.IntN(3), r.IntN(4)
				}
				if r.IntN(40) == 0 {
					times[p], how[p] = 4, r.IntN(3)
				}
				worst = max(worst, times[p])
			}
			late := r.IntN(2) == 0
			return engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
				if dst = append(dst, src...); int(t.Number) >= times[t.Partition] || late && len(src) == 0 {
					return dst, nil
				}
				switch how[t.Partition] {
				case 0:
					return nil, fmt.Errorf("fault %d", t.Number)
				case 1:
					panic("fault")
				case 2:
					runtime.Goexit()
				}
				s.KillTask(t.Task, "fault")
				return nil, context.Cause(t.Context())
			})
		}
		const rows, keys = 3000, 70
		in := faulty(engine.Range(s.Session, rows, 4))
		sums := engine.ReduceByKey(engine.Map(in, func(v int64) engine.Pair[int64, int64] {
			return engine.Pair[int64, int64]{Key: v % keys, Value: v}
		}), add, engine.Partitions(3))
		made := faulty(engine.Map(sums, func(p engine.Pair[int64, int64]) int64 { return p.Key*1_000_000 + p.Value }))
		got, err := faulty(engine.SortBy(made, func(v int64) int64 { return v }, engine.Partitions(2))).Collect(t.Context())
		defer s.finish()
		if err != nil {
			var te *engine.TaskError
			if worst < 4 || !errors.As(err, &te) || te.Failures != 4 {
				t.Errorf("%d failures at most: %v", worst, err)
			}
			return false
		}
		want := make([]int64, 0, keys)
		for k, v := range wantSums(rows, keys) {
			want = append(want, k*1_000_000+v)
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Error("the answer is wrong")
		}
		return true
	})
}
