package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Tasks run in a fresh process: this test binary runs itself, with the tasks
// in a file that the environment names.

const detachedEnv = "EXECBENCH_TEST_DETACHED"

// elsewhere tells that this is the other process.
func elsewhere() bool { return os.Getenv(detachedEnv) != "" }

// detachedRequest is what the other process is to run.
type detachedRequest struct {
	Conf  map[string]string
	Tasks []engine.Detached
}

// detachedOutcome is what RunDetached returned there.
type detachedOutcome struct {
	Status               task.Status
	Err                  string // empty: none
	Corrupt, NotPortable bool
}

func detachedConfig(t testing.TB, conf map[string]string) engine.Config {
	return engine.Config{Cores: 2, Memory: 64 * units.MiB, Conf: conf, Temp: t.TempDir()}
}

func runDetached(ctx context.Context, cfg engine.Config, d engine.Detached) detachedOutcome {
	s, err := engine.RunDetached(ctx, cfg, d)
	o := detachedOutcome{Status: s, Corrupt: errors.Is(err, task.ErrCorrupt), NotPortable: errors.Is(err, engine.ErrNotPortable)}
	if err != nil {
		o.Err = err.Error()
	}
	return o
}

// TestDetachedProcess is the other process's part.
func TestDetachedProcess(t *testing.T) {
	if !elsewhere() {
		t.Skip("started by the other tests only")
	}
	data, err := os.ReadFile(os.Getenv(detachedEnv))
	var r detachedRequest
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	outcomes := []detachedOutcome{}
	for _, d := range r.Tasks {
		outcomes = append(outcomes, runDetached(t.Context(), detachedConfig(t, r.Conf), d))
	}
	if data, err = json.Marshal(outcomes); err == nil {
		err = os.WriteFile(os.Getenv(detachedEnv)+".out", data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runElsewhere runs tasks in a fresh process.
func runElsewhere(t *testing.T, conf map[string]string, tasks ...engine.Detached) []detachedOutcome {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tasks")
	data, err := json.Marshal(detachedRequest{conf, tasks})
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestDetachedProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), detachedEnv+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if data, err = os.ReadFile(path + ".out"); err != nil {
		t.Fatal(err)
	}
	var outcomes []detachedOutcome
	if err := json.Unmarshal(data, &outcomes); err != nil || len(outcomes) != len(tasks) {
		t.Fatalf("%d outcomes of %d tasks, %v", len(outcomes), len(tasks), err)
	}
	return outcomes
}

type wordsBuilt struct {
	counts *engine.Dataset[engine.Pair[string, int64]]
	sorted *engine.Dataset[engine.Pair[string, int64]]
	sink   *engine.Sink
}

// buildWords lays out a lineage with every kind of stage: a source, a
// broadcast, a combining shuffle, a sort with its sampling job, a sink.
func buildWords(s *engine.Session, params []byte) (any, error) {
	n, err := strconv.ParseInt(string(params), 10, 64)
	if err != nil {
		return nil, err
	}
	prefix, err := engine.NewBroadcast(s, "word-")
	if err != nil {
		return nil, err
	}
	words := engine.MapBatches(engine.Range(s, n, 3), func(t *engine.Task, dst []engine.Pair[string, int64], src []int64) ([]engine.Pair[string, int64], error) {
		p, err := prefix.Value()
		for _, v := range src {
			dst = append(dst, engine.Pair[string, int64]{Key: p + strconv.FormatInt(v%977, 10), Value: v})
		}
		return dst, err
	})
	counts := engine.ReduceByKey(words, func(a, b int64) int64 { return a + b }, engine.Partitions(4))
	sorted := engine.SortBy(counts, func(p engine.Pair[string, int64]) string { return p.Key }, engine.Partitions(3))
	sink := engine.TextSink(sorted, func(dst []byte, p engine.Pair[string, int64]) []byte {
		return fmt.Appendf(dst, "%s %d", p.Key, p.Value)
	})
	return &wordsBuilt{counts, sorted, sink}, nil
}

func init() {
	engine.Register(engine.Program{Name: "test/words", Build: buildWords})
	if !elsewhere() {
		engine.Register(engine.Program{Name: "test/words here only", Build: buildWords})
	}
	engine.Register(engine.Program{Name: "test/unfaithful", Build: func(s *engine.Session, params []byte) (any, error) {
		parts := 3
		if elsewhere() && string(params) == "partitions" {
			parts = 4
		}
		d := engine.Range(s, 100, parts)
		if elsewhere() && string(params) == "fewer" {
			return d, nil
		}
		if elsewhere() && string(params) == "more shuffles" {
			d = engine.Repartition(d, 3)
		}
		d = engine.Map(d, func(v int64) int64 { return v })
		if elsewhere() && string(params) == "more" {
			d = engine.Map(d, func(v int64) int64 { return v })
		}
		return d, nil
	}})
	engine.Register(engine.Program{Name: "test/waits", Build: func(s *engine.Session, _ []byte) (any, error) {
		return engine.FromFunc(s, "waits", 1, func(t *engine.Task, _ int, _ func([]int64) error) error {
			waiting <- struct{}{}
			<-t.Context().Done()
			return context.Cause(t.Context())
		}), nil
	}})
	engine.Register(engine.Program{Name: "test/barrier", Build: func(s *engine.Session, params []byte) (any, error) {
		return engine.MapBatches(engine.Barrier(engine.Range(s, 10, len(params))), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			return append(dst, src...), t.Barrier()
		}), nil
	}})
}

var waiting = make(chan struct{}, 10)

// recorded opens a session that records.
func recorded(t *testing.T, conf map[string]string) (*engine.Session, *engine.Recording) {
	t.Helper()
	r := new(engine.Recording)
	return open(t, engine.Config{Conf: conf, Record: r}), r
}

func attempts(t *testing.T, r *engine.Recording) []engine.Recorded {
	t.Helper()
	list, err := r.Attempts()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("nothing is recorded")
	}
	return list
}

func build[T any](t *testing.T, s *engine.Session, name, params string) T {
	t.Helper()
	built, err := s.Build(name, []byte(params))
	if err != nil {
		t.Fatal(err)
	}
	return built.(T)
}

// describe decodes what a recorded attempt was told.
func describe(t *testing.T, d engine.Detached) task.Description {
	t.Helper()
	var desc task.Description
	if err := task.DecodeDescription(d.Description, &desc); err != nil {
		t.Fatal(err)
	}
	return desc
}

// repeatable are the figures of an attempt that do not depend on time.
var repeatable = []task.Metric{task.InputRecordsRead, task.ShuffleRecordsRead, task.ShuffleLocalBytesRead, task.ShuffleRecordsWritten, task.ShuffleBytesWritten, task.OutputRecordsWritten, task.OutputBytesWritten}

// wantSame checks that an attempt did elsewhere what it did here.
func wantSame(t *testing.T, here engine.Recorded, there detachedOutcome) {
	t.Helper()
	desc := describe(t, here.Detached)
	if there.Err != "" || there.Status.State != task.Finished || here.Status.State != task.Finished {
		t.Fatalf("%v: %v here, %v there: %s", desc.TaskAttempt, here.Status.State, there.Status.State, there.Err)
	}
	var a, b task.Result
	if err := errors.Join(task.DecodeResult(here.Status.Result, &a), task.DecodeResult(there.Status.Result, &b)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Value, b.Value) {
		t.Errorf("%v: a value of %d bytes here, another of %d there", desc.TaskAttempt, len(a.Value), len(b.Value))
	}
	for _, m := range repeatable {
		if a.Metrics[m] != b.Metrics[m] {
			t.Errorf("%v: %v is %d here, %d there", desc.TaskAttempt, m, a.Metrics[m], b.Metrics[m])
		}
	}
}

// Every attempt of every stage runs from its recorded bytes, by every route
// of results, and does the same.
func TestDetachedTasksDoTheSame(t *testing.T) {
	conf := map[string]string{"shuffle.storage": "disk", "task.maxDirectResultSize": "1KiB"}
	s, rec := recorded(t, conf)
	if _, err := engine.NewBroadcast(s, "shifts the numbers of broadcasts"); err != nil {
		t.Fatal(err)
	}
	engine.Repartition(engine.Range(s, 10, 2), 2) // and of datasets and shuffles
	built := build[*wordsBuilt](t, s, "test/words", "5000")
	if _, err := built.sorted.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := built.sink.Write(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	kept := dir + ".kept"
	if err := os.Rename(dir, kept); err != nil {
		t.Fatal(err)
	}
	if _, err := source.CreateOutput(fsys.OS, dir); err != nil {
		t.Fatal(err)
	}
	list := attempts(t, rec)
	var tasks []engine.Detached
	stages := map[id.Stage]int{}
	routes := map[task.Route]int{}
	for _, a := range list {
		stages[describe(t, a.Detached).Stage]++
		routes[a.Status.Route]++
		tasks = append(tasks, a.Detached)
	}
	// Sampling: 3 maps, 4 samples. Collect: 4 maps, 3 results. Write: 3 results.
	got := slices.Sorted(maps.Values(stages))
	if want := []int{3, 3, 3, 4, 4}; !slices.Equal(got, want) {
		t.Errorf("stages of %v attempts, want %v", got, want)
	}
	if routes[task.RouteDirect] == 0 || routes[task.RouteIndirect] == 0 {
		t.Errorf("results went %v", routes)
	}
	for i, o := range runElsewhere(t, conf, tasks...) {
		wantSame(t, list[i], o)
	}
	for part := range 3 {
		a, err := os.ReadFile(filepath.Join(kept, source.PartName(part)))
		b, err2 := os.ReadFile(committed(t, dir, part))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("partition %d: %d bytes here, other %d there", part, len(a), len(b))
		}
	}
}

// committed returns the only file that an attempt has committed of a partition.
func committed(t *testing.T, dir string, part int) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "_temporary", "committed", "*-"+source.PartName(part)))
	if err != nil || len(list) != 1 {
		t.Fatalf("partition %d has files %v, error %v", part, list, err)
	}
	return list[0]
}

// A fresh process refuses what it cannot rebuild faithfully.
func TestDetachedTasksAreRefused(t *testing.T) {
	var tasks []engine.Detached
	var want [][]string
	add := func(count func(s *engine.Session) error, says ...string) {
		s, rec := recorded(t, nil)
		if err := count(s); err != nil {
			t.Fatal(err)
		}
		a := attempts(t, rec)
		tasks, want = append(tasks, a[len(a)-1].Detached), append(want, says)
	}
	add(func(s *engine.Session) error {
		_, err := build[*wordsBuilt](t, s, "test/words here only", "10").counts.Count(t.Context())
		return err
	}, `"test/words here only"`, "registers no such program")
	for change, says := range map[string]string{
		"partitions":    "other operations or partitions",
		"fewer":         "1 datasets, fewer by 1",
		"more":          "more datasets",
		"more shuffles": "more shuffles",
	} {
		add(func(s *engine.Session) error {
			_, err := build[*engine.Dataset[int64]](t, s, "test/unfaithful", change).Count(t.Context())
			return err
		}, `"test/unfaithful"`, says)
	}
	for i, o := range runElsewhere(t, nil, tasks...) {
		if o.Status.State != task.Failed || o.Corrupt || o.NotPortable {
			t.Errorf("task %d: %+v", i, o)
		}
		for _, w := range want[i] {
			if !strings.Contains(o.Err, w) {
				t.Errorf("task %d does not say %q: %s", i, w, o.Err)
			}
		}
	}
}

// What only this process knows is named as such, wherever it meets a task.
func TestDetachedTasksNeedAProgram(t *testing.T) {
	ctx := t.Context()
	for name, run := range map[string]func(s *engine.Session) error{
		"no program": func(s *engine.Session) error {
			_, err := engine.Range(s, 10, 1).Count(ctx)
			return err
		},
		"built upon a program": func(s *engine.Session) error {
			d := build[*wordsBuilt](t, s, "test/words", "100").counts
			_, err := engine.Filter(d, func(engine.Pair[string, int64]) bool { return true }).Count(ctx)
			return err
		},
		"shuffle upon a program": func(s *engine.Session) error {
			d := build[*engine.Dataset[int64]](t, s, "test/unfaithful", "")
			_, err := engine.Repartition(d, 1).Count(ctx)
			return err
		},
		"sort upon a program": func(s *engine.Session) error { // its sampling job
			d := build[*engine.Dataset[int64]](t, s, "test/unfaithful", "")
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			for _, err := range engine.SortBy(d, func(v int64) int64 { return v }).Batches(ctx) {
				return err
			}
			return nil
		},
		"function of the driver": func(s *engine.Session) error {
			_, _, err := build[*engine.Dataset[int64]](t, s, "test/unfaithful", "").Reduce(ctx, func(a, b int64) int64 { return a + b })
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, rec := recorded(t, map[string]string{"shuffle.storage": "disk"})
			if err := run(s); err != nil {
				t.Fatal(err)
			}
			refused := 0
			for _, a := range attempts(t, rec) {
				o := runDetached(t.Context(), detachedConfig(t, nil), a.Detached)
				if o.Err == "" {
					continue // a stage below, which is the program's own
				}
				refused++
				if o.Status.State != task.Failed || !strings.Contains(o.Err, "outside any registered program") {
					t.Errorf("%+v", o)
				}
			}
			if refused == 0 {
				t.Error("no task is refused")
			}
		})
	}
}

// Bytes that are not what was recorded are an error of a kind, not a crash.
func TestDetachedTasksOfDamagedBytes(t *testing.T) {
	s, rec := recorded(t, map[string]string{"shuffle.storage": "disk"})
	built := build[*wordsBuilt](t, s, "test/words", "100")
	if _, err := built.counts.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := attempts(t, rec)
	last := list[len(list)-1].Detached
	damage := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x10
		return b
	}
	try := func(d engine.Detached) detachedOutcome { return runDetached(t.Context(), detachedConfig(t, nil), d) }
	for _, at := range []int{0, 5, len(last.Binary) / 2, len(last.Binary) - 1} {
		d := last
		d.Binary = damage(last.Binary, at)
		if o := try(d); !o.Corrupt || o.Status.State != task.Failed || !strings.Contains(o.Err, "task binary") {
			t.Errorf("byte %d of the binary: %+v", at, o)
		}
	}
	d := last
	d.Binary = nil
	if o := try(d); !o.Corrupt || o.Status.State != task.Failed {
		t.Errorf("no binary: %+v", o)
	}
	d = last
	d.Description = damage(last.Description, 20)
	if o := try(d); !o.Corrupt || o.Status.State != task.Launching {
		t.Errorf("description: %+v", o)
	}
	d = last
	d.Outputs = map[id.Shuffle][][]byte{}
	for n, statuses := range last.Outputs {
		d.Outputs[n] = slices.Clone(statuses)
		d.Outputs[n][0] = damage(statuses[0], 3)
	}
	if o := try(d); !o.Corrupt {
		t.Errorf("map status: %+v", o)
	}
	fetchFailure := func(what string, d engine.Detached, says string) {
		t.Helper()
		status, err := engine.RunDetached(t.Context(), detachedConfig(t, nil), d)
		var f *task.Failure
		if !errors.As(err, &f) || f.Kind != task.FetchFailed || status.State != task.Failed || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v %v", what, status.State, err)
		}
	}
	d = last
	d.Outputs = nil
	fetchFailure("no map statuses", d, "nothing is known of shuffle")
	for n, statuses := range last.Outputs {
		d.Outputs = map[id.Shuffle][][]byte{n: append([][]byte{nil}, statuses[1:]...)}
	}
	fetchFailure("a missing map status", d, "the output of map 0 is missing")
	d = last
	d.Blocks = t.TempDir()
	fetchFailure("no files", d, "is not there")
	d.Blocks = filepath.Join(d.Blocks, "none")
	if o := try(d); o.Err == "" || !strings.Contains(o.Err, d.Blocks) {
		t.Errorf("no folder: %+v", o)
	}
	if o := try(last); o.Err != "" {
		t.Errorf("undamaged: %s", o.Err)
	}
}

func TestDetachedTaskEndsWithItsContext(t *testing.T) {
	s, rec := recorded(t, nil)
	stop := errors.New("enough of this")
	cancelled := func() context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-waiting; cancel(stop) }()
		return ctx
	}
	if _, err := build[*engine.Dataset[int64]](t, s, "test/waits", "").Count(cancelled()); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	status, err := engine.RunDetached(cancelled(), detachedConfig(t, nil), attempts(t, rec)[0].Detached)
	var f *task.Failure
	if !errors.As(err, &f) || f.Kind != task.TaskKilled || f.Message != stop.Error() || status.State != task.Killed {
		t.Errorf("%v: %v", status.State, err)
	}
}

func TestDetachedBarrierTask(t *testing.T) {
	s, rec := recorded(t, nil)
	for _, parts := range []string{"x", "xx"} {
		if _, err := build[*engine.Dataset[int64]](t, s, "test/barrier", parts).Count(t.Context()); err != nil {
			t.Fatal(err)
		}
		list := attempts(t, rec)
		o := runDetached(t.Context(), detachedConfig(t, nil), list[len(list)-1].Detached)
		if alone := parts == "x"; alone && o.Err != "" || !alone && !strings.Contains(o.Err, "runs alone") {
			t.Errorf("%d tasks: %+v", len(parts), o)
		}
	}
}

// A recording of an attempt that still runs has no status yet.
func TestRecordingOfARunningAttempt(t *testing.T) {
	s, rec := recorded(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	ended := make(chan error)
	d := build[*engine.Dataset[int64]](t, s, "test/waits", "")
	go func() { _, err := d.Count(ctx); ended <- err }()
	<-waiting
	if a := attempts(t, rec)[0]; a.Status.State != task.Launching || a.Status.Result != nil {
		t.Errorf("%+v", a.Status)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
