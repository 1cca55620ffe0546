package explain

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

func explainEvents(t *testing.T, events []event.Event) *Explanation {
	t.Helper()
	x, err := Explain(report.EventSource(events))
	if err != nil {
		t.Fatal(err)
	}
	if x.Problems != nil {
		t.Fatalf("problems %q", x.Problems)
	}
	return x
}

// one makes a run of one iteration with a job of the stages given.
func one(workers int, stages ...[]work) []event.Event {
	c := newCluster(workers)
	c.iteration(0, stages)
	return c.done()
}

var overhead = work{gap: 5 * us, decode: 2 * us, encode: us, other: us}

func with(change func(*work)) work {
	w := overhead
	change(&w)
	return w
}

func TestBoundsAreNamed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	computing := repeat(r, 16, with(func(w *work) { w.compute, w.input, w.shuffle = 90*ms, 5*ms, 3*ms }))
	spilling := repeat(r, 16, with(func(w *work) { w.compute, w.spill, w.fetch, w.output = 30*ms, 40*ms, 15*ms, 10*ms }))
	reading := repeat(r, 16, with(func(w *work) { w.compute, w.input = 20*ms, 80*ms }))
	skewed := repeat(r, 16, with(func(w *work) { w.compute = 10 * ms }))
	skewed[5].compute = 400 * ms
	late := repeat(r, 16, with(func(w *work) { w.compute = 10 * ms }))
	late[15].compute = 150 * ms
	empty := repeat(r, 5000, work{gap: 2 * us, decode: us, compute: 300, encode: 200, other: 200})
	collecting := repeat(r, 16, with(func(w *work) { w.compute, w.gc = 90*ms, 100*ms }))
	for _, c := range []struct {
		name    string
		stages  [][]work
		want    Bound
		because string
	}{
		{"computing", [][]work{computing}, CPU, "computing is 9"},
		{"spilling", [][]work{spilling}, Disk, "most of it is spilling: 16.0 MiB did not fit a memory budget of 256 MiB"},
		{"reading", [][]work{reading}, Disk, "input read 80.0 %"},
		{"skewed", [][]work{skewed}, Skew, "task 5 of stage 0.0 took 400 ms"},
		{"skewed at the end", [][]work{late, computing[:2]}, Skew, "task 15 of stage 0.0"},
		{"empty", [][]work{empty}, Scheduling, "an attempt, which then computes for"},
		{"collecting", [][]work{collecting}, GC, "the collector had 5"},
		{"computing, then a little reading", [][]work{computing, reading[:4]}, CPU, ""},
	} {
		x := explainEvents(t, one(2, c.stages...))
		if x.Bound != c.want || !strings.Contains(x.Because, c.because) {
			t.Errorf("%s: bound by %s (%s), want %s (…%s…)", c.name, x.Bound, x.Because, c.want, c.because)
		}
		if len(c.stages) == 1 && x.Stages[0].Bound != c.want {
			t.Errorf("%s: its stage is bound by %s", c.name, x.Stages[0].Bound)
		}
		if math.Abs(x.Error) > 1e-9 {
			t.Errorf("%s: the replay is off by %v", c.name, x.Error)
		}
	}
}

// A task that others kept from its processor is no skew.
func TestWaitingForAProcessorIsNoSkew(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tasks := repeat(r, 8, with(func(w *work) { w.compute = 10 * ms }))
	tasks[3].compute, tasks[3].waited = 200*ms, 190*ms
	x := explainEvents(t, one(2, tasks))
	if x.Bound != CPU || len(x.Notes) == 0 || !strings.Contains(x.Notes[0], "task 3 of stage 0.0 took ") || x.answer(EvenTasks).Ratio < 1.2 {
		t.Errorf("bound by %s, notes %q", x.Bound, x.Notes)
	}
}

func TestProgramBetweenJobsIsNamed(t *testing.T) {
	c := newCluster(2)
	c.jobGap = 500 * ms
	tasks := repeat(rand.New(rand.NewPCG(1, 2)), 8, with(func(w *work) { w.compute = 10 * ms }))
	c.iteration(0, [][]work{tasks}, [][]work{tasks})
	if x := explainEvents(t, c.done()); x.Bound != Program || x.Figures.Outside != 1500*ms {
		t.Errorf("bound by %s, %d ns outside", x.Bound, x.Figures.Outside)
	}
}

// What an answer predicts comes true: a run without the part takes as long
// as was said, whatever the run.
func TestAnswersComeTrue(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 3))
		workers := 1 + r.IntN(4)
		c := newCluster(workers)
		var jobs [][][]work
		for range 1 + r.IntN(3) {
			var stages [][]work
			for range 1 + r.IntN(3) {
				var tasks []work
				for range 1 + r.IntN(20) {
					some := func() int64 { return r.Int64N(20 * ms) }
					tasks = append(tasks, work{r.Int64N(50 * us), r.Int64N(50 * us), some(), some(), some(), some(), some(), some(), r.Int64N(ms), r.Int64N(10 * us), 0, 0})
				}
				stages = append(stages, tasks)
			}
			jobs = append(jobs, stages)
		}
		c.iteration(0, jobs...)
		x := explainEvents(t, c.done())
		if math.Abs(x.Error) > 1e-9 {
			t.Fatalf("seed %d: the replay is off by %v", seed, x.Error)
		}
		for _, q := range []struct {
			name   string
			change func([]work, *work)
			free   bool
		}{
			{NoDisk, func(_ []work, w *work) { w.input, w.fetch, w.spill, w.output = 0, 0, 0, 0 }, false},
			{NoSpill, func(_ []work, w *work) { w.spill = 0 }, false},
			{NoGC, func([]work, *work) {}, false},
			{EvenTasks, func(all []work, w *work) {
				sum := int64(0)
				for _, o := range all {
					sum += o.body()
				}
				*w = work{gap: w.gap, compute: sum / int64(len(all))}
			}, false},
			{FreeScheduling, func(_ []work, w *work) { w.gap, w.decode, w.other = 0, 0, 0 }, true},
			{InstantCompute, func(_ []work, w *work) { w.compute, w.shuffle, w.encode = 0, 0, 0 }, false},
		} {
			without := newCluster(workers)
			if q.free {
				without.stageGap, without.tail = 0, 0
			}
			var changed [][][]work
			for _, stages := range jobs {
				var s [][]work
				for _, tasks := range stages {
					var n []work
					for _, w := range tasks {
						q.change(tasks, &w)
						n = append(n, w)
					}
					s = append(s, n)
				}
				changed = append(changed, s)
			}
			without.iteration(0, changed...)
			want := explainEvents(t, without.done()).Measured
			if got := x.answer(q.name).Time; math.Abs(float64(got-want)) > 5 {
				t.Errorf("seed %d: %s takes %d ns, predicted %d", seed, q.name, want, got)
			}
		}
	}
}

// The parts add up to the workers' time.
func TestFiguresAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	tasks := repeat(r, 9, with(func(w *work) {
		w.compute, w.spill, w.fetch, w.output, w.input, w.shuffle = 30*ms, 40*ms, 15*ms, 10*ms, ms, 2*ms
	}))
	x := explainEvents(t, one(2, tasks, tasks[:1]))
	f := x.Figures
	if got := f.CPU + f.InputRead + f.FetchWait + f.Spill + f.OutputWrite + f.Scheduling + f.Idle; got != f.WorkerTime || f.WorkerTime != 2*x.Measured {
		t.Errorf("parts %d, workers' time %d, measured %d", got, f.WorkerTime, x.Measured)
	}
	if f.Attempts != 10 || f.BytesSpilled != 10<<20 {
		t.Errorf("figures %+v", f)
	}
	if note := x.Stages[1].Notes; len(note) == 0 || !strings.Contains(note[0], "fewer tasks (1) than workers (2)") {
		t.Errorf("notes %q", note)
	}
}

// Of several iterations it is the median one; what runs outside of them is
// left out; failed tries count as the time they took.
func TestTheMedianIterationIsExplained(t *testing.T) {
	c := newCluster(2)
	fast := []work{{compute: 10 * ms}, {compute: 10 * ms}}
	slow := []work{{compute: 90 * ms}, {compute: 90 * ms}}
	middle := []work{{compute: 50 * ms}, {compute: 50 * ms}, {compute: ms}}
	c.runJob([][]work{slow})
	c.iteration(0, [][]work{slow})
	c.iteration(1, [][]work{fast})
	c.iteration(2, [][]work{middle})
	events := c.done()
	for _, e := range events { // the third task is a second try of the second
		if e, ok := e.(*event.TaskEnd); ok && e.Info.Stage == 3 && e.Info.Index == 2 {
			e.Info.Index, e.Info.Number = 1, 1
		} else if ok && e.Info.Stage == 3 && e.Info.Index == 1 {
			e.Reason, e.Info.Failed, e.Failure = task.ExceptionFailure, true, &task.Failure{Kind: task.ExceptionFailure}
		}
	}
	x := explainEvents(t, events)
	if !strings.HasPrefix(x.Of, "iteration 2 of 3") || x.Figures.CPU != 101*ms || len(x.Stages) != 1 {
		t.Errorf("%s, %d ns of CPU in %d stages", x.Of, x.Figures.CPU, len(x.Stages))
	}
}

func TestSessionsWithoutIterations(t *testing.T) {
	c := newCluster(2)
	c.runJob([][]work{{{compute: ms}}})
	x := explainEvents(t, c.done())
	if x.Of != "all jobs of the session" || x.Bound != CPU {
		t.Errorf("%s is bound by %s", x.Of, x.Bound)
	}
	if _, err := Explain(report.EventSource(newCluster(1).done())); err == nil || !strings.Contains(err.Error(), "no job") {
		t.Errorf("nothing to explain: %v", err)
	}
}

func TestTablesAndJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x := explainEvents(t, one(2, repeat(r, 16, with(func(w *work) { w.compute = 50 * ms })), repeat(r, 8, with(func(w *work) { w.output = 100 * ms }))))
	var out bytes.Buffer
	if err := x.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Bound by ", "no disk", "even tasks", "free scheduling", "no collector", "1.0 ", "The replay of the tasks as they were takes", ": 0.0 % off", "Stage 1.0 is bound by disk"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, &out)
		}
	}
	text, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"bound":"`, `"replay_error":0`, `"question":"no disk"`, `"predicted_ns":`, `"times_faster":`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the JSON lacks %s: %s", want, text)
		}
	}
}
