package explain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// attempt is a task attempt that ran, in nanoseconds.
type attempt struct {
	launch, start, end int64
	worker             int32
	index, number      int32

	gap      int64 // from when its worker could have begun it until it did
	decode   int64
	input    int64
	fetch    int64
	spill    int64
	output   int64
	compute  int64 // and what no part explains
	shuffle  int64 // shuffle write
	encode   int64
	other    int64 // hand-over on the worker
	gc, cpu  int64 // beside the parts: the process's collector, this thread's processor time
	diskSize int64 // bytes spilled
}

// disk is the time that the attempt spent with files or waiting for them.
func (a *attempt) disk() int64 { return a.input + a.fetch + a.spill + a.output }

// processor is the time that it computed.
func (a *attempt) processor() int64 { return a.compute + a.shuffle + a.encode }

func (a *attempt) body() int64 { return a.end - a.start }

// stage is one stage attempt that ran.
type stage struct {
	id                   id.StageAttempt
	name                 string
	job                  int   // in trace.jobs
	before               []int // stages whose end it awaited, in trace.stages
	submitted, completed int64
	gap                  int64 // from the end of those, or the job's start, to its submission
	tail                 int64 // from its last attempt's end to its completion
	attempts             []attempt
}

// job is one job of the window.
type job struct {
	submitted, completed int64
	before               int   // the job whose end it awaited; -1: the window's begin
	gap                  int64 // of the program, from there
	tail                 int64 // from its last stage's end to its own
	stages               []int
}

// trace is what ran in a window: an iteration, or all jobs of a session.
type trace struct {
	begin, end int64
	workers    int
	jobs       []job
	stages     []*stage
}

func (t *trace) wall() int64 { return t.end - t.begin }

// window chooses what to explain: the iteration with the median time, or,
// without iterations, the time from the first job to the last.
func window(m *report.Model) (name string, begin, end int64, err error) {
	var iterations []*report.Account
	for i := range m.Phases {
		if p := &m.Phases[i]; p.Name == "iteration" && p.Error == "" {
			iterations = append(iterations, p)
		}
	}
	if len(iterations) > 0 {
		slices.SortStableFunc(iterations, func(a, b *report.Account) int { return cmp.Compare(a.Wall(), b.Wall()) })
		p := iterations[(len(iterations)-1)/2]
		return fmt.Sprintf("iteration %d of %d, the one with the median time", p.Index, len(iterations)), p.Begin, p.End, nil
	}
	for _, j := range m.Jobs {
		if begin == 0 || j.Submitted < begin {
			begin = j.Submitted
		}
		end = max(end, j.Completed)
	}
	if end <= begin {
		return "", 0, 0, errors.New("there is no iteration, and no job that came to its end, to explain")
	}
	return "all jobs of the session", begin, end, nil
}

// load reads what ran between begin and end.
func load(src report.Source, m *report.Model, begin, end int64) (*trace, error) {
	t := &trace{begin: begin, end: end, workers: int(max(1, m.Session.Workers))}
	jobs := map[id.Job]int{}
	for _, j := range m.Jobs {
		if j.Submitted >= begin && j.Completed > 0 && j.Completed <= end {
			jobs[j.ID] = len(t.jobs)
			t.jobs = append(t.jobs, job{submitted: j.Submitted, completed: j.Completed, before: -1})
		}
	}
	stages := map[id.StageAttempt]int{}
	for _, s := range m.Stages {
		if s.Submitted < begin || s.Submitted > end || s.Completed == 0 {
			continue
		}
		for _, j := range s.Jobs {
			if k, ok := jobs[j]; ok {
				a := id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}
				stages[a] = len(t.stages)
				t.stages = append(t.stages, &stage{id: a, name: s.Name, job: k, submitted: s.Submitted, completed: s.Completed,
					attempts: make([]attempt, 0, max(0, s.Counts.Started))})
				break
			}
		}
	}
	parents := map[id.StageAttempt][]id.Stage{}
	workers := map[workerKey]int32{}
	for e, err := range src() {
		if err != nil {
			var cut *event.Truncated
			if errors.As(err, &cut) {
				break // the model's Problems say so
			}
			return nil, err
		}
		switch e := e.(type) {
		case *event.StageSubmitted:
			parents[e.Stage.StageAttempt] = slices.Clone(e.Stage.Parents)
		case *event.TaskEnd:
			k, ok := stages[e.Info.StageAttempt]
			if !ok || e.Reason == task.Resubmitted || e.Stamps.Start == 0 {
				continue
			}
			w := workerKey{e.Info.Executor, e.Worker}
			if _, known := workers[w]; !known {
				workers[w] = int32(len(workers))
			}
			t.stages[k].attempts = append(t.stages[k].attempts, attemptOf(e, workers[w]))
		}
	}
	t.link(parents)
	t.gaps(len(workers))
	return t, nil
}

// workerKey names a worker of the session.
type workerKey struct {
	executor id.Executor
	slot     int32
}

// attemptOf takes an attempt's figures apart.
func attemptOf(e *event.TaskEnd, worker int32) attempt {
	f := report.FiguresOf(e)
	end := e.Stamps.Start + f[report.TaskDecode] + f[report.Run] + f[report.ResultEncode] + f[report.Other]
	return attempt{launch: e.Info.Launch, start: e.Stamps.Start, end: end, worker: worker, index: e.Info.Index, number: e.Info.Number,
		decode: f[report.TaskDecode], input: f[report.InputRead], fetch: f[report.ShuffleFetchWait], spill: f[report.Spill],
		output: f[report.OutputWrite], compute: f[report.Compute], shuffle: f[report.ShuffleWrite], encode: f[report.ResultEncode],
		other: f[report.Other], gc: f[report.GC], cpu: f[report.DecodeCPU] + f[report.RunCPU] + f[report.EncodeCPU], diskSize: f[report.DiskSpilled]}
}

// link finds what each job and stage awaited.
func (t *trace) link(parents map[id.StageAttempt][]id.Stage) {
	for i := range t.jobs {
		j := &t.jobs[i]
		from := t.begin
		for k := range t.jobs {
			if c := t.jobs[k].completed; k != i && c <= j.submitted && (j.before < 0 || c > from) {
				j.before, from = k, c
			}
		}
		j.gap = max(0, j.submitted-from)
		j.tail = j.completed - j.submitted
	}
	for i, s := range t.stages {
		j := &t.jobs[s.job]
		j.stages = append(j.stages, i)
		j.tail = min(j.tail, max(0, j.completed-s.completed))
		from := j.submitted
		for k, o := range t.stages {
			// A stage that runs again awaited whatever was over by then.
			awaited := slices.Contains(parents[s.id], o.id.Stage) || s.id.Attempt > 0 && o.job == s.job
			if k != i && awaited && o.completed <= s.submitted {
				s.before = append(s.before, k)
				from = max(from, o.completed)
			}
		}
		s.gap = max(0, s.submitted-from)
	}
}

// gaps computes what lies between the attempts of each worker while there was
// something to run, and orders the attempts of a stage by their launch.
func (t *trace) gaps(workers int) {
	type place struct{ stage, at int }
	lanes := make([][]place, workers)
	for i, s := range t.stages {
		slices.SortStableFunc(s.attempts, func(a, b attempt) int {
			return cmp.Or(cmp.Compare(a.launch, b.launch), cmp.Compare(a.start, b.start))
		})
		last := s.submitted
		for k := range s.attempts {
			a := &s.attempts[k]
			lanes[a.worker] = append(lanes[a.worker], place{i, k})
			last = max(last, a.end)
		}
		s.tail = max(0, s.completed-last)
	}
	retried := map[place]int64{} // stage and index: the end of the try before
	for _, lane := range lanes {
		slices.SortFunc(lane, func(p, q place) int {
			return cmp.Compare(t.stages[p.stage].attempts[p.at].start, t.stages[q.stage].attempts[q.at].start)
		})
		free := int64(0)
		for _, p := range lane {
			s := t.stages[p.stage]
			a := &s.attempts[p.at]
			a.gap = max(0, a.start-max(free, s.submitted))
			free = a.end
		}
	}
	for i, s := range t.stages {
		for k := range s.attempts {
			a := &s.attempts[k]
			if before, again := retried[place{i, int(a.index)}]; again && a.number > 0 {
				a.gap = min(a.gap, max(0, a.start-before))
			}
			if a.number > 0 || len(s.attempts) < 1<<16 {
				retried[place{i, int(a.index)}] = a.end
			}
		}
	}
}
