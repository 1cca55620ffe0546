package report

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func load(t *testing.T, src Source, o Options) *Model {
	t.Helper()
	m, err := Load(src, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ends(events []event.Event) (out []*event.TaskEnd) {
	for _, e := range events {
		if end, ok := e.(*event.TaskEnd); ok {
			out = append(out, end)
		}
	}
	return out
}

// Every attempt's parts add up, exactly, to what they are parts of.
func TestPartsAddUp(t *testing.T) {
	for seed := range uint64(5) {
		for _, e := range ends(synthetic(seed, 3, 30)) {
			f := FiguresOf(e)
			if sum := f[SchedulerDelay] + f[TaskDecode] + f[Run] + f[ResultEncode] + f[ResultFetch] + f[Other]; sum != f[Wall] || f[Wall] != e.Info.Finish-e.Info.Launch {
				t.Fatalf("%v: parts add up to %d, wall is %d", e.Info.TaskAttempt, sum, f[Wall])
			}
			if sum := f[TaskDecode] + f[Run] + f[ResultEncode] + f[Other]; sum != e.Stamps.End-e.Stamps.Start {
				t.Fatalf("%v: parts on the worker add up to %d, its stamps to %d", e.Info.TaskAttempt, sum, e.Stamps.End-e.Stamps.Start)
			}
			var inside int64
			for p := InputRead; p <= Compute; p++ {
				inside += f[p]
			}
			if inside != f[Run] {
				t.Fatalf("%v: parts of run add up to %d, run is %d", e.Info.TaskAttempt, inside, f[Run])
			}
			for i, v := range f {
				if v < 0 {
					t.Fatalf("%v: %s is %d", e.Info.TaskAttempt, Figure(i).Key(), v)
				}
			}
		}
	}
}

// Under a fake clock, a delay in one part lengthens that part and its sums,
// and no other (design: Per-task breakdown).
func TestDelayShowsInItsPartAlone(t *testing.T) {
	base := func() *event.TaskEnd {
		return &event.TaskEnd{HasMetrics: true,
			Info:    event.TaskInfo{Launch: 100, GettingResult: 800, Finish: 900},
			Stamps:  task.Stamps{Start: 200, RunStart: 300, RunEnd: 500, EncodeEnd: 600, End: 650},
			Metrics: task.Metrics{task.InputReadTime: 20, task.SpillTime: 30, task.ComputeTime: 150}}
	}
	before := FiguresOf(base())
	const delay = 1000
	shift := func(at ...*int64) {
		for _, p := range at {
			*p += delay
		}
	}
	run := func(e *event.TaskEnd, k task.Metric) {
		e.Metrics[k] += delay
		shift(&e.Stamps.RunEnd, &e.Stamps.EncodeEnd, &e.Stamps.End, &e.Info.GettingResult, &e.Info.Finish)
	}
	for name, c := range map[string]struct {
		delay func(e *event.TaskEnd)
		in    []Figure
	}{
		"launch": {func(e *event.TaskEnd) {
			shift(&e.Stamps.Start, &e.Stamps.RunStart, &e.Stamps.RunEnd, &e.Stamps.EncodeEnd, &e.Stamps.End, &e.Info.GettingResult, &e.Info.Finish)
		}, []Figure{SchedulerDelay}},
		"decode": {func(e *event.TaskEnd) {
			shift(&e.Stamps.RunStart, &e.Stamps.RunEnd, &e.Stamps.EncodeEnd, &e.Stamps.End, &e.Info.GettingResult, &e.Info.Finish)
		}, []Figure{TaskDecode}},
		"encode": {func(e *event.TaskEnd) {
			shift(&e.Stamps.EncodeEnd, &e.Stamps.End, &e.Info.GettingResult, &e.Info.Finish)
		}, []Figure{ResultEncode}},
		"other":         {func(e *event.TaskEnd) { shift(&e.Stamps.End, &e.Info.GettingResult, &e.Info.Finish) }, []Figure{Other}},
		"before fetch":  {func(e *event.TaskEnd) { shift(&e.Info.GettingResult, &e.Info.Finish) }, []Figure{SchedulerDelay}},
		"fetch":         {func(e *event.TaskEnd) { shift(&e.Info.Finish) }, []Figure{ResultFetch}},
		"compute":       {func(e *event.TaskEnd) { run(e, task.ComputeTime) }, []Figure{Run, Compute}},
		"input read":    {func(e *event.TaskEnd) { run(e, task.InputReadTime) }, []Figure{Run, InputRead}},
		"fetch wait":    {func(e *event.TaskEnd) { run(e, task.ShuffleFetchWaitTime) }, []Figure{Run, ShuffleFetchWait}},
		"shuffle write": {func(e *event.TaskEnd) { run(e, task.ShuffleWriteTime) }, []Figure{Run, ShuffleWrite}},
		"spill":         {func(e *event.TaskEnd) { run(e, task.SpillTime) }, []Figure{Run, Spill}},
		"output write":  {func(e *event.TaskEnd) { run(e, task.OutputWriteTime) }, []Figure{Run, OutputWrite}},
	} {
		e := base()
		c.delay(e)
		after := FiguresOf(e)
		for f := range Compute + 1 {
			want := before[f]
			if f == Wall || slices.Contains(c.in, f) {
				want += delay
			}
			if after[f] != want {
				t.Errorf("a delay in %s: %s went from %d to %d, want %d", name, f.Key(), before[f], after[f], want)
			}
		}
		if unbalanced(e, &after) {
			t.Errorf("a delay in %s: parts are out of balance", name)
		}
	}
	e := base()
	e.Metrics[task.SpillTime]++ // a moment counted twice
	if f := FiguresOf(e); !unbalanced(e, &f) {
		t.Error("a part counted twice was not noticed")
	}
}

func TestAttemptsCutShort(t *testing.T) {
	never := FiguresOf(&event.TaskEnd{Info: event.TaskInfo{Launch: 10, Finish: 60}})
	if never[SchedulerDelay] != 50 || never[Wall] != 50 || never[Run] != 0 {
		t.Errorf("an attempt that never ran: %v", never)
	}
	died := FiguresOf(&event.TaskEnd{Info: event.TaskInfo{Launch: 10, Finish: 60}, Stamps: task.Stamps{Start: 20, RunStart: 30, End: 50}})
	if died[TaskDecode] != 10 || died[Run] != 0 || died[Other] != 20 || died[SchedulerDelay] != 20 || died[Wall] != 50 {
		t.Errorf("an attempt without later stamps: %v", died)
	}
}

// The model equals one recomputed in the plainest way, however little memory
// it is allowed.
func TestModelAgainstBruteForce(t *testing.T) {
	for seed := range uint64(6) {
		events := synthetic(seed, 4, 25)
		m := load(t, EventSource(events), Options{})
		small := load(t, EventSource(events), Options{MemoryLimit: 1})
		if !reflect.DeepEqual(m, small) {
			t.Fatalf("seed %d: the model depends on the memory limit", seed)
		}
		byStage := make(map[id.StageAttempt][]*event.TaskEnd)
		for _, e := range ends(events) {
			byStage[e.Info.StageAttempt] = append(byStage[e.Info.StageAttempt], e)
		}
		seen := 0
		for _, s := range m.Stages {
			all := byStage[id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}]
			seen += len(all)
			bruteStage(t, s, all)
		}
		if seen != len(ends(events)) {
			t.Errorf("seed %d: stages hold %d attempts, events %d", seed, seen, len(ends(events)))
		}
		bruteAccounts(t, m, events)
	}
}

func bruteStage(t *testing.T, s *Stage, all []*event.TaskEnd) {
	t.Helper()
	where := id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}
	if len(all) == 0 {
		if s.Status != "SKIPPED" || len(s.Figures) > 0 {
			t.Errorf("stage %s without attempts: %s with %d figures", where, s.Status, len(s.Figures))
		}
		return
	}
	indices := make(map[int32]bool)
	var counts Counts
	var good []*event.TaskEnd
	for _, e := range all {
		counts.Started++
		switch e.Reason {
		case task.Success:
			counts.Succeeded++
			indices[e.Info.Index] = true
			good = append(good, e)
		case task.TaskKilled, task.TaskCommitDenied:
			counts.Killed++
		default:
			counts.Failed++
		}
	}
	counts.Indices, counts.KilledBy = int64(len(indices)), s.Counts.KilledBy
	if !reflect.DeepEqual(s.Counts, counts) {
		t.Errorf("stage %s: counts %+v, want %+v", where, s.Counts, counts)
	}
	byFigure := make(map[Figure]FigureStats)
	for _, st := range s.Figures {
		byFigure[st.Figure] = st
	}
	for f := range FigureCount {
		var total int64
		for _, e := range all {
			if v := FiguresOf(e)[f]; f == PeakMemory {
				total = max(total, v)
			} else {
				total += v
			}
		}
		var values []int64
		for _, e := range good {
			values = append(values, FiguresOf(e)[f])
		}
		slices.Sort(values)
		st, ok := byFigure[f]
		if !ok {
			if total != 0 || f <= Compute {
				t.Errorf("stage %s: %s is missing, its total is %d", where, f.Key(), total)
			}
			continue
		}
		n := len(values)
		want := Quantiles{values[0], values[n/4], values[n/2], values[n*3/4], values[min(n*95/100, n-1)], values[n-1]}
		if st.Total != total || s.Total(f) != total || st.Quantiles != want {
			t.Errorf("stage %s, %s: total %d and %+v, want %d and %+v", where, f.Key(), st.Total, st.Quantiles, total, want)
		}
		var named *event.TaskEnd
		for _, e := range good {
			if e.Info.Task == st.Largest.Task {
				named = e
			}
		}
		if named == nil || FiguresOf(named)[f] != want.Max || st.Largest.Value != want.Max || named.Info.Index != st.Largest.Index {
			t.Errorf("stage %s, %s: largest %+v, want %d", where, f.Key(), st.Largest, want.Max)
		}
	}
}

// decode + run + encode + other + idle = wall × workers, exactly, in the
// session and in every phase.
func bruteAccounts(t *testing.T, m *Model, events []event.Event) {
	t.Helper()
	var lives, stepping int64
	for _, e := range events {
		if w, ok := e.(*event.WorkerTime); ok {
			lives += w.At - w.Since
			stepping += w.Stepping
		}
	}
	if m.Session.WorkerTime != lives || m.Session.Scheduling == nil || *m.Session.Scheduling != stepping {
		t.Errorf("session: worker time %d of %d, scheduling %v of %d", m.Session.WorkerTime, lives, m.Session.Scheduling, stepping)
	}
	for _, a := range append([]Account{m.Session}, m.Phases...) {
		if sum := a.TaskDecode + a.Run + a.Encode + a.Other + a.Idle; sum != a.WorkerTime || a.Idle < 0 {
			t.Errorf("%s %d: parts add up to %d, worker time is %d, idle %d", a.Name, a.Index, sum, a.WorkerTime, a.Idle)
		}
		var busy int64
		for _, e := range ends(events) {
			busy += max(0, min(e.Stamps.End, a.End)-max(e.Stamps.Start, a.Begin))
		}
		if a.WorkerTime-a.Idle != busy {
			t.Errorf("%s %d: busy for %d, attempts for %d", a.Name, a.Index, a.WorkerTime-a.Idle, busy)
		}
		if a.Name != "session" && a.WorkerTime != 2*(a.End-a.Begin) {
			t.Errorf("%s %d: worker time %d", a.Name, a.Index, a.WorkerTime)
		}
	}
	var runTotal int64
	for _, s := range m.Stages {
		runTotal += s.Total(Run)
	}
	if m.Session.Run != runTotal {
		t.Errorf("session ran for %d, its stages for %d", m.Session.Run, runTotal)
	}
}

// A phase takes of an attempt only what lies within it.
func TestPhaseClipsAttempts(t *testing.T) {
	e := &event.TaskEnd{Info: event.TaskInfo{Launch: 10, Finish: 110}, HasMetrics: true, Stamps: task.Stamps{Start: 10, RunStart: 20, RunEnd: 80, EncodeEnd: 90, End: 100}}
	m := load(t, EventSource([]event.Event{&event.ApplicationStart{Cores: 1}, e,
		&event.Phase{Begin: 0, End: 50, Name: "warmup"}, &event.Phase{Begin: 50, End: 95, Name: "iteration"}, &event.Phase{Begin: 95, End: 200, Name: "verify"}}), Options{})
	for i, want := range []Account{{TaskDecode: 10, Run: 30, Idle: 10}, {Run: 30, Encode: 10, Other: 5}, {Other: 5, Idle: 100}} {
		p := m.Phases[i]
		if p.TaskDecode != want.TaskDecode || p.Run != want.Run || p.Encode != want.Encode || p.Other != want.Other || p.Idle != want.Idle {
			t.Errorf("%s: %+v", p.Name, p)
		}
	}
}

// Spark's quantile rule: the vectors of spark-semantics §13.
func TestQuantileRank(t *testing.T) {
	for _, c := range []struct {
		n    int
		q    []float64
		want []int
	}{
		{10, []float64{0, .05, .25, .5, .75, .95, 1}, []int{0, 0, 2, 5, 7, 9, 9}},
		{4, []float64{0, .25, .5, .75, 1}, []int{0, 1, 2, 3, 3}},
		{1, []float64{0, .5, 1}, []int{0, 0, 0}},
	} {
		for i, q := range c.q {
			if got := rank(q, c.n); got != c.want[i] {
				t.Errorf("rank of %v among %d is %d, want %d", q, c.n, got, c.want[i])
			}
		}
	}
}

// attempt returns the start and end of one attempt of stage 0.
func attempt(tid id.Task, stageAttempt, index int32, reason task.ReasonKind) []event.Event {
	info := event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: id.StageAttempt{Attempt: stageAttempt}, Index: index, Task: tid}, Launch: 1}
	start := &event.TaskStart{Info: info}
	info.Finish, info.Failed = 2, reason != task.Success
	return []event.Event{start, &event.TaskEnd{Info: info, Reason: reason, HasMetrics: true}}
}

func stageOf(tasks int32, stage id.Stage, attempt int32) event.StageInfo {
	return event.StageInfo{StageAttempt: id.StageAttempt{Stage: stage, Attempt: attempt}, NumTasks: tasks, Submitted: 1}
}

// jobOfOneStage returns how a job and its only stage, of that many tasks, begin.
func jobOfOneStage(tasks int32) []event.Event {
	stage := stageOf(tasks, 0, 0)
	return []event.Event{&event.ApplicationStart{}, &event.JobStart{Stages: []event.StageInfo{stage}}, &event.StageSubmitted{Stage: stage}}
}

// A stage of 4 tasks with 1 failure, 1 kill, 1 denied commit and 4 final
// successes.
func TestEVT_001_Counters(t *testing.T) {
	events := jobOfOneStage(4)
	reasons := []task.ReasonKind{task.ExceptionFailure, task.TaskKilled, task.TaskCommitDenied, task.Success, task.Success, task.Success, task.Success}
	for i, r := range reasons {
		events = append(events, attempt(id.Task(i), 0, int32(i%4), r)...)
	}
	m := load(t, EventSource(append(events, &event.StageCompleted{Stage: stageOf(4, 0, 0)}, &event.JobEnd{At: 5})), Options{})
	for where, c := range map[string]Counts{"stage": m.Stages[0].Counts, "job": m.Jobs[0].Counts} {
		if c.Started != 7 || c.Running != 0 || c.Succeeded != 4 || c.Failed != 1 || c.Killed != 2 || c.Indices != 4 ||
			len(c.KilledBy) != 2 || c.KilledBy["TaskCommitDenied"] != 1 || c.KilledBy["TaskKilled"] != 1 {
			t.Errorf("%s: %+v", where, c)
		}
	}
}

// Ends that come after those of the stage and the job count on both.
func TestEVT_005_EndsAfterTheJobs(t *testing.T) {
	late, killed := attempt(0, 0, 0, task.Success), attempt(1, 0, 1, task.TaskKilled)
	events := append(jobOfOneStage(2), late[0], killed[0], &event.StageCompleted{Stage: stageOf(2, 0, 0)}, &event.JobEnd{At: 5})
	for _, c := range []struct {
		what                       string
		ends                       []event.Event
		running, succeeded, killed int
	}{
		{"before the ends", nil, 2, 0, 0},
		{"after the kill", []event.Event{killed[1]}, 1, 0, 1},
		{"after both", []event.Event{killed[1], late[1]}, 0, 1, 1},
	} {
		m := load(t, EventSource(append(slices.Clone(events), c.ends...)), Options{})
		for where, n := range map[string]Counts{"stage": m.Stages[0].Counts, "job": m.Jobs[0].Counts} {
			if int(n.Started) != 2 || int(n.Running) != c.running || int(n.Succeeded) != c.succeeded || int(n.Killed) != c.killed || int(n.Failed) != 0 || int(n.Indices) != c.succeeded {
				t.Errorf("%s, %s: %+v", c.what, where, n)
			}
		}
		if m.Stages[0].Status != "COMPLETE" || m.Jobs[0].Status != "SUCCEEDED" {
			t.Errorf("%s: stage %s, job %s", c.what, m.Stages[0].Status, m.Jobs[0].Status)
		}
	}
}

// A failed attempt of a stage and then a good one; a later job skips
// the stage.
func TestEVT_004_StageCounters(t *testing.T) {
	failed := stageOf(2, 1, 0)
	failed.Failure = "fetch failed"
	m := load(t, EventSource([]event.Event{&event.ApplicationStart{},
		&event.JobStart{Job: 0, Stages: []event.StageInfo{stageOf(3, 0, 0), stageOf(2, 1, 0)}},
		&event.StageSubmitted{Stage: stageOf(3, 0, 0)}, &event.StageCompleted{Stage: stageOf(3, 0, 0)},
		&event.StageSubmitted{Stage: stageOf(2, 1, 0)}, &event.StageCompleted{Stage: failed},
		&event.StageSubmitted{Stage: stageOf(2, 1, 1)}, &event.StageCompleted{Stage: stageOf(2, 1, 1)},
		&event.JobEnd{Job: 0, At: 9},
		&event.JobStart{Job: 1, Stages: []event.StageInfo{stageOf(3, 2, 0), stageOf(2, 3, 0)}},
		&event.StageSubmitted{Stage: stageOf(2, 3, 0)}, &event.StageCompleted{Stage: stageOf(2, 3, 0)},
		&event.JobEnd{Job: 1, At: 10, Error: "no"},
	}), Options{})
	if j := m.Jobs[0]; j.FailedStages != 1 || j.CompletedStages != 2 || j.SkippedStages != 0 || j.Status != "SUCCEEDED" || j.Tasks != 5 {
		t.Errorf("first job: %+v", j)
	}
	if j := m.Jobs[1]; j.SkippedStages != 1 || j.SkippedTasks != 3 || j.CompletedStages != 1 || j.Status != "FAILED" {
		t.Errorf("second job: %+v", j)
	}
	var statuses []string
	for _, s := range m.Stages {
		statuses = append(statuses, fmt.Sprint(s.ID, ".", s.Attempt, " ", s.Status))
	}
	if want := []string{"0.0 COMPLETE", "1.0 FAILED", "1.1 COMPLETE", "2.0 SKIPPED", "3.0 COMPLETE"}; !slices.Equal(statuses, want) {
		t.Errorf("stages %v", statuses)
	}
}

// A failed job of 16 tasks with 15 done.
func TestEVT_006_FailedJob(t *testing.T) {
	events := []event.Event{&event.ApplicationStart{}, &event.JobStart{Stages: []event.StageInfo{stageOf(16, 0, 0)}}, &event.StageSubmitted{Stage: stageOf(16, 0, 0)}}
	for i := range id.Task(16) {
		reason := task.Success
		if i == 11 {
			reason = task.ExceptionFailure
		}
		events = append(events, attempt(i, 0, int32(i), reason)...)
	}
	failed := stageOf(16, 0, 0)
	failed.Failure = "task 11 failed"
	m := load(t, EventSource(append(events, &event.StageCompleted{Stage: failed}, &event.JobEnd{At: 3, Error: "aborted"})), Options{})
	if j := m.Jobs[0]; j.Status != "FAILED" || j.Counts.Indices != 15 || j.Counts.Failed != 1 || j.FailedStages != 1 || m.Stages[0].Status != "FAILED" {
		t.Errorf("%+v", j)
	}
}

// Resubmitted ends repeat an attempt: they count as failures and add nothing.
func TestResubmitted(t *testing.T) {
	events := append(attempt(0, 0, 0, task.Success), attempt(0, 0, 0, task.Resubmitted)[1])
	m := load(t, EventSource(append([]event.Event{&event.ApplicationStart{}}, events...)), Options{})
	if s := m.Stages[0]; s.Counts.Running != 0 || s.Counts.Failed != 1 || s.Counts.Resubmitted != 1 || s.Counts.Succeeded != 1 || s.Counts.ended() != 1 || s.Total(Wall) != 1 ||
		len(m.Failures) != 1 || m.Failures[0].Reason != "Resubmitted" || m.Failures[0].Cause == "" {
		t.Errorf("%+v, wall %d", s.Counts, s.Total(Wall))
	}
}

func TestMemoryAddsUp(t *testing.T) {
	m := load(t, EventSource(synthetic(1, 5, 4)), Options{}).Memory
	sum := m.Runtime + m.Other
	for _, a := range m.Accounts {
		sum += a.Bytes
	}
	if sum != m.RSS || m.RSS != 103<<20 || m.PeakRSS != 115<<20 || m.Accounts[0].Name != "free pages" || m.Budget != 512<<20 {
		t.Errorf("%+v adds up to %d", m, sum)
	}
}

func TestProcessCPU(t *testing.T) {
	m := load(t, EventSource(synthetic(1, 3, 4)), Options{})
	p := m.Phases[2] // between samples: CPU grows 1.5 times as fast as the clock
	if p.CPU == nil || *p.CPU < p.Wall()*149/100 || *p.CPU > p.Wall()*151/100 {
		t.Errorf("CPU %v in %d", p.CPU, p.Wall())
	}
	if m.Session.CPU == nil {
		t.Error("the session has no CPU time")
	}
	if m.Phases[0].CPU != nil && m.Phases[0].Begin < 30 {
		t.Error("CPU before the first sample is not known")
	}
}

// The scheduler's share of a phase lies on the lines through the workers'
// samples; a worker that replaced another counts from its beginning.
func TestSchedulingOfPhases(t *testing.T) {
	w := func(at int64, slot int32, stepping, since int64) event.Event {
		return &event.WorkerTime{At: at, Executor: id.Driver, Worker: slot, Stepping: stepping, Since: since}
	}
	m := load(t, EventSource([]event.Event{&event.ApplicationStart{Cores: 2},
		w(100, 0, 10, 0), w(100, 1, 20, 0), w(200, 0, 30, 0), // slot 1 ends here and is replaced
		w(200, 1, 6, 140), w(300, 0, 30, 0), w(300, 1, 26, 140),
		&event.Phase{Name: "a", Begin: 0, End: 100}, &event.Phase{Name: "b", Begin: 150, End: 250}, &event.Phase{Name: "c", Begin: 250, End: 301}}), Options{})
	for i, want := range []int64{30, 10 + 15, -1} {
		got := m.Phases[i].Scheduling
		if want < 0 && got != nil || want >= 0 && (got == nil || *got != want) {
			t.Errorf("phase %s: scheduling %v, want %d", m.Phases[i].Name, got, want)
		}
	}
	if got := *m.Session.Scheduling; got != 30+20+26 {
		t.Errorf("session: scheduling %d", got)
	}
}

// A lost executor's workers count while it lived.
func TestWorkersOfALostExecutor(t *testing.T) {
	w := func(at int64, x id.Executor, stepping int64) event.Event {
		return &event.WorkerTime{At: at, Executor: x, Stepping: stepping, Since: 0}
	}
	m := load(t, EventSource([]event.Event{&event.ApplicationStart{Cores: 2},
		&event.ExecutorAdded{At: 0, Executor: "0", Cores: 1}, &event.ExecutorAdded{At: 0, Executor: "1", Cores: 1},
		w(100, "0", 10), w(100, "1", 20), w(160, "0", 16), &event.ExecutorRemoved{At: 160, Executor: "0", Reason: "pulled"},
		w(200, "1", 40), &event.ExecutorAdded{At: 250, Executor: "2", Cores: 1}, w(300, "1", 60),
		&event.WorkerTime{At: 300, Executor: "2", Stepping: 5, Since: 250},
		// One that came and was lost between two samples has its first word last.
		&event.ExecutorAdded{At: 170, Executor: "3", Cores: 1}, &event.ExecutorRemoved{At: 190, Executor: "3", Reason: "pulled"},
		&event.WorkerTime{At: 190, Executor: "3", Stepping: 4, Since: 170},
		&event.Phase{Name: "a", Begin: 0, End: 100}, &event.Phase{Name: "b", Begin: 100, End: 200}, &event.Phase{Name: "c", Begin: 200, End: 300}}), Options{})
	for i, want := range []struct{ time, scheduling int64 }{{200, 30}, {180, 30}, {150, 25}} {
		p := &m.Phases[i]
		if p.WorkerTime != want.time || p.Scheduling == nil || *p.Scheduling != want.scheduling || p.Workers != 2 {
			t.Errorf("phase %s: %d workers with %d ns, %v of it scheduling; want 2, %v", p.Name, p.Workers, p.WorkerTime, p.Scheduling, want)
		}
	}
}

// What workers say of their time is set against the attempts' times, but for
// attempts that ended with their executor or slot and have none.
func TestTimeInsideAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		busy    int64
		lost    int64 // how long an attempt lived that has no times
		problem bool
	}{
		"as much":                           {20e6, 0, false},
		"more":                              {70e6, 0, true},
		"more, an attempt lost":             {70e6, 60e6, false},
		"more than the lost one lived":      {70e6, 20e6, true},
		"as much, the lost one did nothing": {20e6, 60e6, false},
		"less, an attempt lost":             {5e6, 60e6, true},
	} {
		pair := attempt(1, 0, 0, task.Success)
		pair[1].(*event.TaskEnd).Stamps = task.Stamps{Start: 0, RunStart: 0, RunEnd: 20e6, EncodeEnd: 20e6, End: 20e6}
		events := append([]event.Event{&event.ApplicationStart{Cores: 1}, &event.ExecutorAdded{Executor: id.Driver, Cores: 1}}, pair...)
		if c.lost > 0 {
			lost := attempt(2, 0, 1, task.ExecutorLostFailure)
			end := lost[1].(*event.TaskEnd)
			end.Stamps, end.Info.Launch, end.Info.Finish = task.Stamps{}, 20e6, 20e6+c.lost
			events = append(events, lost...)
		}
		events = append(events, &event.WorkerTime{At: 100e6, Executor: id.Driver, Busy: c.busy})
		m := load(t, EventSource(events), Options{})
		problem := slices.ContainsFunc(m.Problems, func(p string) bool { return strings.HasPrefix(p, "workers were inside attempts for") })
		if problem != c.problem {
			t.Errorf("%s: problems %q", name, m.Problems)
		}
	}
}

func TestOtherBound(t *testing.T) {
	for other, ok := range map[int64]bool{500: true, 1500: true, 1520: false, 40_000: false} {
		var events []event.Event
		for i := range id.Task(5) {
			pair := attempt(i, 0, int32(i), task.Success)
			e := pair[1].(*event.TaskEnd)
			e.Stamps = task.Stamps{Start: 10, RunStart: 20, RunEnd: 100_010, EncodeEnd: 100_010, End: 100_010 + other}
			e.Metrics[task.ComputeTime] = 99_990
			events = append(events, pair...)
		}
		m := load(t, EventSource(append(append([]event.Event{&event.ApplicationStart{}}, events...), &event.ApplicationEnd{At: 9e6})), Options{})
		if b := m.Stages[0].Other; b.OK != ok || b.Median != other {
			t.Errorf("other %d: %+v", other, b)
		}
		told := slices.ContainsFunc(m.Problems, func(p string) bool { return strings.Contains(p, "median attempt's other") })
		if told == ok {
			t.Errorf("other %d: problems %q", other, m.Problems)
		}
	}
}

// A cut file makes a report of what is whole, which says what is not.
func TestCutFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.bin")
	f, err := event.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	events := synthetic(3, 3, 10)
	for _, e := range events {
		f.Emit(e)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	whole := load(t, FileSource(path), Options{})
	if !reflect.DeepEqual(whole, load(t, EventSource(events), Options{})) || len(whole.Problems) > 0 {
		t.Errorf("a model from the file differs from one of the events, or has problems: %q", whole.Problems)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)*2/3], 0o666); err != nil {
		t.Fatal(err)
	}
	cut := load(t, FileSource(path), Options{})
	if len(cut.Problems) != 2 || !strings.Contains(cut.Problems[0], "was cut off at byte") || len(cut.Jobs) == 0 || len(cut.Jobs) >= len(whole.Jobs) {
		t.Errorf("%d jobs, problems %q", len(cut.Jobs), cut.Problems)
	}
	var rows bytes.Buffer
	var truncated *event.Truncated
	if err := WriteTasks(&rows, FileSource(path), CSV); !errors.As(err, &truncated) || bytes.Count(rows.Bytes(), []byte("\n")) < 2 {
		t.Errorf("attempts of a cut file: %v, %d bytes", err, rows.Len())
	}
	if err := os.WriteFile(path, []byte("what is this?!??"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(FileSource(path), Options{}); !errors.Is(err, event.ErrNotEvents) {
		t.Errorf("a file of something else: %v", err)
	}
	if _, err := Load(FileSource(path+".missing"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// Columns hold four bytes a value and stay within the limit, whatever the
// number of attempts.
func TestGatherKeepsToItsLimit(t *testing.T) {
	events := synthetic(9, 1, 2000)
	readings := 0
	src := func() iter.Seq2[event.Event, error] {
		readings++
		return EventSource(events)()
	}
	load(t, src, Options{})
	if readings != 2 {
		t.Errorf("events were read %d times, want 2 when memory allows", readings)
	}
	readings = 0
	load(t, src, Options{MemoryLimit: 30 << 10})
	if readings < 6 {
		t.Errorf("events were read %d times with little memory", readings)
	}
	c := newColumn(10, fitsNarrow(-1<<31, 1<<31-1))
	for i := range int64(10) {
		c.append(-1<<31 + i*400_000_000)
	}
	if q := c.quantiles(); c.wide != nil || q.Min != -1<<31 || q.Max != -1<<31+3_600_000_000 {
		t.Errorf("narrow column: %+v", q)
	}
	if fitsNarrow(0, 1<<31) || fitsNarrow(-1<<31-1, 0) {
		t.Error("values beyond 32 bits were put in a narrow column")
	}
}
