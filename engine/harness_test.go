package engine_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// recorder keeps a copy of every event. Every session of rig has one, and
// what holds of all event streams is checked at the session's end.
type recorder struct {
	mu   sync.Mutex
	list []event.Event
	hook func(event.Event) // called before the event is recorded, with no lock held
}

func (r *recorder) Emit(e event.Event) {
	if r.hook != nil {
		r.hook(e)
	}
	var kept event.Event
	switch e := e.(type) {
	case *event.TaskEnd:
		c := *e
		if e.Failure != nil {
			f := *e.Failure
			c.Failure = &f
		}
		c.Accums = slices.Clone(e.Accums)
		kept = &c
	case *event.TaskStart:
		c := *e
		kept = &c
	case *event.TaskGettingResult:
		c := *e
		kept = &c
	case *event.StageSubmitted:
		c := *e
		kept = &c
	case *event.StageCompleted:
		c := *e
		kept = &c
	case *event.JobStart:
		c := *e
		c.Stages = slices.Clone(e.Stages)
		kept = &c
	case *event.JobEnd:
		c := *e
		kept = &c
	case *event.BlockUpdated:
		c := *e
		kept = &c
	case *event.ApplicationStart:
		c := *e
		kept = &c
	case *event.ApplicationEnd:
		c := *e
		kept = &c
	case *event.NodeUnpersisted:
		c := *e
		kept = &c
	case *event.ExecutorAdded:
		c := *e
		kept = &c
	case *event.ExecutorRemoved:
		c := *e
		kept = &c
	case *event.BlockManagerAdded:
		c := *e
		kept = &c
	case *event.BlockManagerRemoved:
		c := *e
		kept = &c
	case *event.SpeculativeTaskSubmitted:
		c := *e
		kept = &c
	case *event.Excluded:
		c := *e
		kept = &c
	default:
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, kept)
}

func (r *recorder) events() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// of returns the recorded events of one type.
func of[E event.Event](r *recorder) (list []E) {
	for _, e := range r.events() {
		if x, ok := e.(E); ok {
			list = append(list, x)
		}
	}
	return list
}

// ended counts the attempts of a kind by how they ended.
func (r *recorder) ended(k task.ReasonKind) (n int) {
	for _, e := range of[*event.TaskEnd](r) {
		if e.Reason == k {
			n++
		}
	}
	return n
}

// numbers returns the numbers of the attempts that were launched for one
// index of one stage attempt, in order of launch.
func (r *recorder) numbers(stage id.StageAttempt, index int32) (list []int32) {
	for _, e := range of[*event.TaskStart](r) {
		if e.Info.StageAttempt == stage && e.Info.Index == index {
			list = append(list, e.Info.Number)
		}
	}
	return list
}

// rig is a session under test: its events, and its folder.
type rig struct {
	*engine.Session
	rec  *recorder
	temp string
	t    testing.TB

	closing sync.Once
}

// start opens a session. At its end it is closed, and nothing may be left of
// it: no error from Close (which names what is still reserved), no file, and
// no attempt, stage or job without an end.
func start(t testing.TB, cfg engine.Config, hooks ...func(event.Event)) *rig {
	t.Helper()
	r := &rig{rec: &recorder{}, temp: t.TempDir(), t: t}
	if len(hooks) > 0 {
		r.rec.hook = hooks[0]
	}
	cfg.Temp = r.temp
	if cfg.Cores == 0 && cfg.Conf["master"] == "" {
		cfg.Cores = 2
	}
	if cfg.Memory == 0 {
		cfg.Memory = 128 * units.MiB
	}
	cfg.Events = append(cfg.Events, r.rec)
	var err error
	if r.Session, err = engine.Open(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.finish)
	return r
}

// finish closes the session and checks what is left of it.
func (r *rig) finish() {
	r.closing.Do(func() {
		if err := r.Close(); err != nil {
			r.t.Errorf("Close: %v", err)
		}
		if files := r.files(""); len(files) > 0 {
			r.t.Errorf("files are left: %v", files)
		}
		checkStream(r.t, r.rec.events())
	})
}

// files returns the files below the session's folder whose names contain
// part, its lock aside.
func (r *rig) files(part string) (list []string) {
	err := filepath.WalkDir(r.temp, func(path string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && !d.IsDir() && d.Name() != "owner.lock" && strings.Contains(d.Name(), part) {
			list = append(list, path)
		}
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
	return list
}

// held returns the bytes that owners whose name contains part hold.
func (r *rig) held(part string) (n int64) {
	for _, a := range r.Accounts() {
		if strings.Contains(a.Name, part) {
			n += a.Bytes
		}
	}
	return n
}

// checkStream checks what holds of the events of every session that was
// closed (LSN-004, LSN-005): each start has exactly one end, in this order;
// stages lie within jobs and task starts within stage attempts; stamps are
// ordered and parts add up; an attempt has its encoded messages.
func checkStream(t testing.TB, events []event.Event) {
	t.Helper()
	jobs := map[id.Job]int{}
	stages, failed := map[id.StageAttempt]int{}, map[id.StageAttempt]bool{}
	tasks, launched := map[id.Task]int{}, map[id.Task]int32{}
	for i, e := range events {
		bad := func(format string, args ...any) {
			t.Helper()
			t.Errorf("event %d (%T): %s", i, e, fmt.Sprintf(format, args...))
		}
		begin := func(n, want int, what any) {
			t.Helper()
			if n != want {
				bad("%v: %d of its events came before, want %d", what, n, want)
			}
		}
		switch e := e.(type) {
		case *event.JobStart:
			begin(jobs[e.Job], 0, e.Job)
			jobs[e.Job]++
		case *event.JobEnd:
			begin(jobs[e.Job], 1, e.Job)
			jobs[e.Job]++
		case *event.StageSubmitted:
			begin(jobs[e.Job], 1, "job of the stage")
			begin(stages[e.Stage.StageAttempt], 0, e.Stage.StageAttempt)
			stages[e.Stage.StageAttempt]++
		case *event.StageCompleted:
			begin(stages[e.Stage.StageAttempt], 1, e.Stage.StageAttempt)
			stages[e.Stage.StageAttempt]++
			failed[e.Stage.StageAttempt] = e.Stage.Failure != ""
			if e.Stage.Completed < e.Stage.Submitted {
				bad("stage %v completed at %d, submitted at %d", e.Stage.StageAttempt, e.Stage.Completed, e.Stage.Submitted)
			}
		case *event.TaskStart:
			// One that follows another may have begun, unknown to the driver,
			// when its stage failed or was cancelled.
			if n := stages[e.Info.StageAttempt]; n != 2 || !failed[e.Info.StageAttempt] {
				begin(n, 1, "stage attempt of "+e.Info.TaskAttempt.String())
			}
			begin(tasks[e.Info.Task], 0, e.Info.TaskAttempt)
			tasks[e.Info.Task]++
			if launched[e.Info.Task] = e.LaunchBytes; e.LaunchBytes <= 0 {
				bad("%v: its description has %d bytes", e.Info.TaskAttempt, e.LaunchBytes)
			}
		case *event.TaskEnd:
			if e.Reason == task.Resubmitted { // the second end of one that succeeded
				begin(tasks[e.Info.Task], 2, e.Info.TaskAttempt)
				if e.HasMetrics || e.Stamps != (task.Stamps{}) || e.Metrics != (task.Metrics{}) {
					bad("%v: resubmitted with figures", e.Info.TaskAttempt)
				}
				continue
			}
			begin(tasks[e.Info.Task], 1, e.Info.TaskAttempt)
			tasks[e.Info.Task]++
			// One that never began has no running message: one that was taken
			// back, or one that a closed executor refused, which has no worker.
			if b := e.StatusBytes; e.Stamps != (task.Stamps{}) && e.Worker >= 0 && (b[0] != launched[e.Info.Task] || b[1] <= 0 || b[2] <= b[1]) {
				bad("%v: messages of %v bytes, launched with %d", e.Info.TaskAttempt, b, launched[e.Info.Task])
			}
			checkTimes(bad, e)
		}
	}
	for j, n := range jobs {
		if n != 2 {
			t.Errorf("job %d has %d events, want a start and an end", j, n)
		}
	}
	for s, n := range stages {
		if n != 2 {
			t.Errorf("stage attempt %v has %d events, want a submission and a completion", s, n)
		}
	}
	for k, n := range tasks {
		if n != 2 {
			t.Errorf("task %d has %d events, want a start and an end", k, n)
		}
	}
}

// checkTimes checks that an attempt's times are ordered and add up exactly.
func checkTimes(bad func(string, ...any), e *event.TaskEnd) {
	s, m := &e.Stamps, &e.Metrics
	if *s == (task.Stamps{}) { // it never ran
		return
	}
	if e.Info.Launch > s.Start || s.Start > s.RunStart || s.RunStart > s.RunEnd || s.RunEnd > s.EncodeEnd || s.EncodeEnd > s.End || s.End > e.Info.Finish {
		bad("%v: stamps are out of order: launch %d, %+v, finish %d", e.Info.TaskAttempt, e.Info.Launch, *s, e.Info.Finish)
	}
	if g := e.Info.GettingResult; g != 0 && (g < s.End || g > e.Info.Finish) {
		bad("%v: getting its result began at %d, which is not between %d and %d", e.Info.TaskAttempt, g, s.End, e.Info.Finish)
	}
	if !e.HasMetrics {
		return
	}
	if e.Reason != task.Success {
		if m[task.ExecutorRunTime] != 0 && m[task.ExecutorRunTime] != s.RunEnd-s.RunStart {
			bad("%v: run time %d, stamps say %d", e.Info.TaskAttempt, m[task.ExecutorRunTime], s.RunEnd-s.RunStart)
		}
		return
	}
	if got, want := m[task.ExecutorDeserializeTime], s.RunStart-s.Start; got != want {
		bad("%v: decode time %d, stamps say %d", e.Info.TaskAttempt, got, want)
	}
	if got, want := m[task.ExecutorRunTime], s.RunEnd-s.RunStart; got != want {
		bad("%v: run time %d, stamps say %d", e.Info.TaskAttempt, got, want)
	}
	if got, want := m[task.ResultSerializationTime], s.EncodeEnd-s.RunEnd; got != want {
		bad("%v: encode time %d, stamps say %d", e.Info.TaskAttempt, got, want)
	}
	parts := int64(0)
	for p := range task.PartCount {
		n := m[p.Metric()]
		if n < 0 {
			bad("%v: %v is %d", e.Info.TaskAttempt, p.Metric(), n)
		}
		parts += n
	}
	if parts != m[task.ExecutorRunTime] {
		bad("%v: the parts of its run add up to %d of %d", e.Info.TaskAttempt, parts, m[task.ExecutorRunTime])
	}
	if m[task.ExecutorCPUTime] > m[task.ExecutorRunTime] || m[task.ExecutorDeserializeCPUTime] > m[task.ExecutorDeserializeTime] {
		bad("%v: more CPU time than wall time: %d of %d, %d of %d", e.Info.TaskAttempt, m[task.ExecutorCPUTime], m[task.ExecutorRunTime],
			m[task.ExecutorDeserializeCPUTime], m[task.ExecutorDeserializeTime])
	}
	if m[task.LeakedMemory] < 0 || m[task.PeakExecutionMemory] < 0 {
		bad("%v: leaked %d, peak %d", e.Info.TaskAttempt, m[task.LeakedMemory], m[task.PeakExecutionMemory])
	}
}

// conf is a configuration as pairs of keys and values.
func conf(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// keyed makes n pairs over keys in parts partitions; summing the values by
// key must give wantSums(n, keys).
func keyed(s *engine.Session, n, keys, parts int) *engine.Dataset[engine.Pair[int64, int64]] {
	return engine.Map(engine.Range(s, int64(n), parts), func(v int64) engine.Pair[int64, int64] {
		return engine.Pair[int64, int64]{Key: v % int64(keys), Value: v}
	})
}

func wantSums(n, keys int) map[int64]int64 {
	m := map[int64]int64{}
	for v := range int64(n) {
		m[v%int64(keys)] += v
	}
	return m
}

func add(a, b int64) int64 { return a + b }

// wantPairs checks a collected result against a map.
func wantPairs(t testing.TB, err error, got []engine.Pair[int64, int64], want map[int64]int64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d keys, want %d", len(got), len(want))
	}
	for _, p := range got {
		if want[p.Key] != p.Value {
			t.Fatalf("key %d has %d, want %d", p.Key, p.Value, want[p.Key])
		}
	}
}

// wantError checks that err says all of parts.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("the error does not say %q: %v", p, err)
		}
	}
}

// yieldNow lets others run in a loop that waits for what no channel tells.
func yieldNow() { runtime.Gosched() }

// noRecords is a dataset whose partitions hold nothing: the text of no file.
func noRecords(t testing.TB, r *rig) *engine.Dataset[string] {
	t.Helper()
	d, err := engine.TextFiles(r.Session, []string{t.TempDir()}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
