package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// TestLSN_005: the whole order of a job of two stages, nothing failing.
func TestLSN_005_Order(t *testing.T) {
	r := start(t, engine.Config{Cores: 1})
	n, err := engine.Repartition(engine.Range(r.Session, 100, 2), 2).Count(t.Context())
	check(t, err, n, 100)
	r.finish()
	var got []string
	for _, e := range r.rec.events() {
		switch e := e.(type) {
		case *event.ApplicationStart:
			got = append(got, "app")
		case *event.ApplicationEnd:
			got = append(got, "app end")
		case *event.JobStart:
			got = append(got, fmt.Sprint("job ", len(e.Stages)))
		case *event.JobEnd:
			got = append(got, "job end")
		case *event.StageSubmitted:
			got = append(got, fmt.Sprint("stage ", e.Stage.StageAttempt))
		case *event.StageCompleted:
			got = append(got, fmt.Sprint("stage end ", e.Stage.StageAttempt, e.Stage.Failure))
		case *event.TaskStart:
			got = append(got, fmt.Sprint("task ", e.Info.Task))
		case *event.TaskEnd:
			got = append(got, fmt.Sprint("task end ", e.Info.Task, " ", e.Reason))
		}
	}
	check(t, nil, got, []string{
		"app", "job 2",
		"stage 0.0", "task 0", "task end 0 Success", "task 1", "task end 1 Success", "stage end 0.0",
		"stage 1.0", "task 2", "task end 2 Success", "task 3", "task end 3 Success", "stage end 1.0",
		"job end", "app end",
	})
}

// TestLSN_004 throws everything at one session at once: errors, panics,
// kills, cancellations, fetch failures. What holds of every stream is checked
// when the session ends.
func TestLSN_004_OneEndForEachStart(t *testing.T) {
	var r *rig
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(n)
	}
	r = start(t, engine.Config{Cores: 4, Conf: conf("task.maxFailures", "3", "stage.maxConsecutiveAttempts", "3", "scheduler.mode", "FAIR")})
	wild := func(t *engine.Task) error {
		switch roll(40) {
		case 0:
			return errors.New("wild")
		case 1:
			panic("wild")
		case 2:
			r.KillTask(t.Task, "wild")
			return t.Check()
		}
		return nil
	}
	jobs := 12
	if testing.Short() {
		jobs = 4
	}
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range jobs {
				ctx, cancel := context.WithCancel(engine.WithPool(t.Context(), fmt.Sprint("pool", k)))
				d := engine.MapBatches(keyed(r.Session, 4000, 100, 8), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
					return append(dst, src...), wild(t)
				})
				if i%3 == 0 {
					d.Persist(block.MemoryAndDisk)
				}
				sums := engine.MapBatches(engine.ReduceByKey(d, add, engine.Partitions(5)), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
					if roll(60) == 0 {
						cancel()
					}
					return append(dst, src...), wild(t)
				})
				got, err := sums.Collect(ctx)
				if err == nil {
					wantPairs(t, err, got, wantSums(4000, 100))
				}
				d.Unpersist()
				cancel()
			}
		})
	}
	wg.Wait()
	// A job that fails does not wait for the attempts that it kills. A barrier
	// stage as wide as the pool starts only when every worker is free.
	if n, err := engine.Barrier(engine.Range(r.Session, 4, 4)).Count(t.Context()); err != nil || n != 4 {
		t.Errorf("the last job counts %d, %v", n, err)
	}
	if err := engine.Idle(r.Session); err != nil {
		t.Error(err)
	}
	if r.rec.ended(task.ExceptionFailure) == 0 || r.rec.ended(task.TaskKilled) == 0 {
		t.Error("nothing went wrong: the test proves nothing")
	}
}

// Attempts that are deaf to their kill outlive their job, and return, fail or
// panic when it is long over: still each start has its one end.
func TestLSN_004_TasksOfACancelledJob(t *testing.T) {
	const width = 4
	r := start(t, engine.Config{Cores: width})
	began, over := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for range width {
			<-began
		}
		cancel()
	})
	var once [6]sync.Once
	_, err := engine.MapBatches(engine.Range(r.Session, 60, 6), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		once[t.Partition].Do(func() { began <- struct{}{} })
		<-over
		switch t.Partition {
		case 0:
			return append(dst, src...), nil
		case 1:
			return nil, errors.New("late")
		case 2:
			panic("late")
		}
		return dst, t.Check()
	}).Collect(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the job ended with %v", err)
	}
	close(over)
	wg.Wait()
	if n, err := engine.Barrier(engine.Range(r.Session, width, width)).Count(t.Context()); err != nil || n != width { // every worker is free
		t.Fatalf("the last job counts %d, %v", n, err)
	}
	ends := map[id.Task]int{}
	for _, e := range of[*event.TaskEnd](r.rec) {
		ends[e.Info.Task]++
	}
	for _, e := range of[*event.TaskStart](r.rec) {
		if ends[e.Info.Task] != 1 {
			t.Errorf("task %d ended %d times", e.Info.Task, ends[e.Info.Task])
		}
	}
	check(t, nil, len(ends), 2*width)
	check(t, nil, engine.Idle(r.Session), nil)
}

// TestEventFile: what a sink sees is what the file tells.
func TestEventFileHoldsWhatHappened(t *testing.T) {
	var out buffer
	file, err := event.NewFile(&out, "events")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, engine.Config{Events: []event.Sink{file}})
	if _, err := failing(r.Session, 8, 2, func(*engine.Task) error { return errors.New("again") }).Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.finish()
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	back := &recorder{}
	for e, err := range event.Read(bytes.NewReader(out.Bytes())) {
		if err != nil {
			t.Fatal(err)
		}
		back.Emit(e)
	}
	checkStream(t, back.events())
	a, b := of[*event.TaskEnd](r.rec), of[*event.TaskEnd](back)
	check(t, nil, len(b), len(a))
	for i := range a {
		if a[i].Info != b[i].Info || a[i].Metrics != b[i].Metrics || a[i].Stamps != b[i].Stamps || a[i].Reason != b[i].Reason {
			t.Errorf("attempt %v:\n%+v\n%+v", a[i].Info.TaskAttempt, a[i], b[i])
		}
	}
	// And as Spark's JSON.
	if err := event.WriteSpark(io.Discard, event.Read(bytes.NewReader(out.Bytes())), event.SparkOptions{}); err != nil {
		t.Error(err)
	}
}

// The log that a session writes as it goes: a version line first, then what
// happened, in order; its mark is gone when the session has ended.
func TestEVT_002_SparkLogOfASession(t *testing.T) {
	dir := t.TempDir()
	l, err := event.NewSparkLog(dir, event.SparkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, engine.Config{Cores: 1, Events: []event.Sink{l}})
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
	if _, err := os.Stat(l.Path() + ".inprogress"); err != nil {
		t.Errorf("while it is written: %v", err)
	}
	r.finish()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(string(text)) {
		var e struct{ Event string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if k := strings.TrimPrefix(e.Event, "SparkListener"); k != "StageExecutorMetrics" {
			kinds = append(kinds, k)
		}
	}
	check(t, nil, kinds, []string{"LogStart", "ResourceProfileAdded", "ExecutorAdded", "BlockManagerAdded", "EnvironmentUpdate", "ApplicationStart",
		"JobStart", "StageSubmitted", "TaskStart", "TaskEnd", "TaskStart", "TaskEnd", "StageCompleted", "JobEnd", "ApplicationEnd"})
}

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

// Each part of an attempt's run is charged where the work is done.
func TestPartsAreChargedWhereWorkIsDone(t *testing.T) {
	r := start(t, engine.Config{Cores: 1, Memory: 64 << 20, Conf: conf("shuffle.storage", "disk")})
	dir := t.TempDir()
	sorted := engine.SortBy(noise(r.Session, 60_000, 2), func(v [100]byte) [10]byte { return [10]byte(v[:10]) }, engine.Partitions(1))
	w, err := engine.RecordSink(sorted).Write(t.Context(), dir)
	check(t, err, w.Records, 60_000)
	sum := map[task.Kind]*task.Metrics{task.ShuffleMapTask: {}, task.ResultTask: {}}
	for _, e := range of[*event.TaskEnd](r.rec) {
		sum[e.Kind].Add(&e.Metrics)
	}
	m, res := sum[task.ShuffleMapTask], sum[task.ResultTask]
	for name, v := range map[string]int64{
		"map: compute": m[task.ComputeTime], "map: shuffle write": m[task.ShuffleWriteTime], "map: CPU": m[task.ExecutorCPUTime],
		"result: fetch wait": res[task.ShuffleFetchWaitTime], "result: output write": res[task.OutputWriteTime],
		"result: compute": res[task.ComputeTime],
	} {
		if v <= 0 {
			t.Errorf("%s is %d", name, v)
		}
	}
	if m[task.ShuffleFetchWaitTime] != 0 || m[task.OutputWriteTime] != 0 || res[task.ShuffleWriteTime] != 0 {
		t.Errorf("time is charged where no such work is done:\n%v\n%v", *m, *res)
	}
	check(t, nil, []int64{m[task.ShuffleRecordsWritten], res[task.ShuffleRecordsRead], res[task.OutputRecordsWritten], res[task.OutputBytesWritten]},
		[]int64{60_000, 60_000, 60_000, 6_000_000})
}

// sinkFunc is a sink that is a function.
type sinkFunc func(event.Event)

func (f sinkFunc) Emit(e event.Event) { f(e) }

// A sink that panics does not take the process with it, nor the session, nor
// the sinks after it; Close says so, with the number.
func TestPanickingSink(t *testing.T) {
	before, after := 0, 0
	var log bytes.Buffer
	s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Temp: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil)), Events: []event.Sink{
		sinkFunc(func(e event.Event) {
			if _, ok := e.(*event.TaskEnd); ok {
				before++
				panic("planted")
			}
		}),
		sinkFunc(func(e event.Event) {
			if _, ok := e.(*event.TaskEnd); ok {
				after++
			}
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		n, err := engine.Range(s, 100, 7).Count(t.Context())
		check(t, err, n, 100)
	}
	check(t, nil, []int{before, after}, []int{21, 21})
	wantError(t, s.Close(), "sinkFunc panicked 21 times", "first on *event.TaskEnd: planted")
	if n := strings.Count(log.String(), "planted"); n != 1 || !strings.Contains(log.String(), "TestPanickingSink") {
		t.Errorf("the log tells of it %d times:\n%s", n, log.String())
	}
}

// Queues have the capacity of their name's key, and 10,000 without one; their
// listeners get what happened, late as they may be.
func TestLSN_006_CapacitiesOfQueues(t *testing.T) {
	prefix := "spark.scheduler.listenerbus.eventqueue."
	for _, c := range []struct {
		conf map[string]string
		want map[string]int
	}{
		{conf(prefix+"capacity", "5", prefix+"shared.capacity", "1", prefix+"eventLog.capacity", "2"), map[string]int{"shared": 1, "eventLog": 2, "mine": 5, "appStatus": 5}},
		{nil, map[string]int{"shared": 10_000, "eventLog": 10_000, "mine": 10_000, "appStatus": 10_000}},
	} {
		heard := &recorder{}
		r := start(t, engine.Config{Conf: c.conf, Listeners: []engine.Listener{
			{Sink: heard}, {Queue: "eventLog", Sink: &recorder{}}, {Queue: "mine", Sink: &recorder{}}, {Queue: "appStatus", Sink: &recorder{}}, {Sink: &recorder{}}}})
		check(t, nil, engine.QueueCapacities(r.Session), c.want)
		n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
		check(t, err, n, 10)
		r.finish()
		if c.conf == nil {
			check(t, nil, len(heard.events()), len(r.rec.events()))
			checkStream(t, heard.events())
		}
	}
}

// The properties in a job's start are its own: what is done to them there
// reaches neither the caller's nor the tasks'.
func TestLSN_007_PropertiesAreACopy(t *testing.T) {
	var seen map[string]string
	r := start(t, engine.Config{Events: []event.Sink{sinkFunc(func(e event.Event) {
		if j, ok := e.(*event.JobStart); ok {
			seen = maps.Clone(j.Properties)
			j.Properties["color"] = "blue"
		}
	})}})
	ctx := engine.WithProperty(t.Context(), "color", "red")
	for range 2 {
		got, err := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst []string, _ []int64) ([]string, error) {
			return append(dst, t.Property("color")), nil
		}).Collect(ctx)
		check(t, err, got, []string{"red"})
		check(t, nil, seen, map[string]string{"color": "red"})
	}
}

// A listener cannot close the session that waits for it.
func TestLSN_008_ListenerClosesTheSession(t *testing.T) {
	var session atomic.Pointer[engine.Session]
	closed := make(chan error, 1)
	ready := make(chan struct{})
	r := start(t, engine.Config{Listeners: []engine.Listener{{Sink: sinkFunc(func(e event.Event) {
		if j, ok := e.(*event.JobStart); ok && j.Job == 0 {
			<-ready
			closed <- session.Load().Close()
		}
	})}}})
	session.Store(r.Session)
	close(ready)
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
	if err := <-closed; !errors.Is(err, engine.ErrInSink) {
		t.Errorf("got %v", err)
	}
	n, err = engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
}

// Jobs are found by their group or tag in the events: all jobs of an action
// that needs several, and those without either.
func TestEVT_010_JobsOfAGroup(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Range(r.Session, 1000, 4)
	sorted := engine.SortBy(d, func(v int64) int64 { return -v }, engine.Partitions(2))
	count := func(ctx context.Context, d *engine.Dataset[int64]) {
		t.Helper()
		n, err := d.Count(ctx)
		check(t, err, n, 1000)
	}
	count(t.Context(), d)
	count(engine.WithJobGroup(t.Context(), "g", ""), d)
	count(engine.WithJobGroup(t.Context(), "g", ""), sorted) // samples first
	count(engine.WithTags(engine.WithJobGroup(t.Context(), "g2", ""), "x", "y"), d)
	count(engine.WithTags(t.Context(), "y"), d)
	jobs := func(key, value string) (list []id.Job) {
		for _, j := range of[*event.JobStart](r.rec) {
			if key == engine.PropertyTags && slices.Contains(strings.Split(j.Properties[key], ","), value) || j.Properties[key] == value {
				list = append(list, j.Job)
			}
		}
		return list
	}
	check(t, nil, jobs(engine.PropertyJobGroup, "g"), []id.Job{1, 2, 3})
	check(t, nil, jobs(engine.PropertyJobGroup, "g2"), []id.Job{4})
	check(t, nil, jobs(engine.PropertyJobGroup, ""), []id.Job{0, 5})
	check(t, nil, jobs(engine.PropertyTags, "x"), []id.Job{4})
	check(t, nil, jobs(engine.PropertyTags, "y"), []id.Job{4, 5})
	check(t, nil, jobs(engine.PropertyTags, "z"), nil)
}

// LSN-008: a sink that would wait for the scheduler, which waits for the sink,
// gets an error, and the session goes on. What need not wait works.
func TestLSN_008_SinkCallsTheSession(t *testing.T) {
	var session atomic.Pointer[engine.Session]
	var called sync.Map // types of events
	d := map[string]func(s *engine.Session) error{
		"close": func(s *engine.Session) error { return s.Close() },
		"count": func(s *engine.Session) error { _, err := engine.Range(s, 10, 2).Count(t.Context()); return err },
		"batches": func(s *engine.Session) (last error) {
			for _, err := range engine.Range(s, 10, 2).Batches(t.Context()) {
				last = err
			}
			return last
		},
	}
	var victim atomic.Int64
	chosen := make(chan struct{})
	sink := sinkFunc(func(e event.Event) {
		s, where := session.Load(), fmt.Sprintf("%T", e)
		if s == nil { // it is being opened
			return
		}
		if _, again := called.LoadOrStore(where, true); again {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(d)) {
			if err := d[name](s); !errors.Is(err, engine.ErrInSink) {
				t.Errorf("%s in a sink on %s: %v", name, where, err)
			}
		}
		s.Phase("mark", 0)(nil)
		s.CancelJobGroup("nobody's", "for the test", false)
		if x, ok := e.(*event.TaskStart); ok {
			check(t, nil, s.KillTask(x.Info.Task, "by the sink"), true)
			victim.Store(int64(x.Info.Task))
			close(chosen)
		}
	})
	r := start(t, engine.Config{Events: []event.Sink{sink}})
	s := r.Session
	session.Store(s)
	numbers := engine.MapBatches(engine.Range(s, 1000, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if <-chosen; int64(t.Task) == victim.Load() { // it does not end before its kill comes
			<-t.Context().Done()
			return nil, context.Cause(t.Context())
		}
		return append(dst, src...), nil
	})
	n, err := engine.Repartition(numbers, 3).Count(t.Context())
	check(t, err, n, 1000)
	for _, where := range []string{"*event.JobStart", "*event.StageSubmitted", "*event.TaskStart", "*event.TaskEnd", "*event.StageCompleted", "*event.JobEnd", "*event.BlockUpdated"} {
		if _, ok := called.Load(where); !ok {
			t.Errorf("the sink was not told of %s", where)
		}
	}
	check(t, nil, r.rec.ended(task.TaskKilled), 1)
	s.CancelJob(99, "unknown")
	n, err = engine.Range(s, 1000, 4).Count(t.Context())
	check(t, err, n, 1000)
}
