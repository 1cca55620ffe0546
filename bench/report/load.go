package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Options says how a model is loaded.
type Options struct {
	// MemoryLimit bounds the columns that quantiles are taken from; with
	// less, the events are read more often. A single column is never split.
	// 0 means 32 MiB, which holds 8 figures of a million attempts.
	MemoryLimit units.Bytes
}

const defaultMemoryLimit = 32 * units.MiB

// Load computes the model of a run. It reads the events once for structure
// and sums, and then as often as the memory limit asks for quantiles and
// accounts. Events that were cut off make a model of what is whole, which
// says so in Problems; any other failure to read is an error.
func Load(src Source, o Options) (*Model, error) {
	f := newFolding()
	if err := f.read(src); err != nil {
		return nil, err
	}
	m := f.model()
	if err := m.gather(src, int64(cmp.Or(o.MemoryLimit, defaultMemoryLimit)), f.workers); err != nil {
		return nil, err
	}
	m.judge()
	return m, nil
}

// folding is the state of the first reading.
type folding struct {
	m        *Model
	jobs     map[id.Job]*Job
	stages   map[id.StageAttempt]*Stage
	byStage  map[id.Stage][]*Job // jobs that named the stage at their start
	attempts map[id.Stage]int    // submitted attempts of a stage
	pending  map[id.Stage]*Stage // named by a job and not submitted so far
	done     map[id.Stage]*bits  // successful indices over all attempts
	workers  workerTimes
	cpu      []point // the process's CPU time
	slots    []slots
	last     int64
}

// stageFold is what the first reading keeps of a stage for the later ones.
type stageFold struct {
	done      bits
	low, high Figures
	largest   [FigureCount]Largest
	columns   [FigureCount]*column
	stats     [FigureCount]Quantiles
}

func newFolding() *folding {
	return &folding{
		m:    &Model{SchemaVersion: SchemaVersion, Jobs: []*Job{}, Stages: []*Stage{}, Phases: []Account{}},
		jobs: make(map[id.Job]*Job), stages: make(map[id.StageAttempt]*Stage), byStage: make(map[id.Stage][]*Job),
		attempts: make(map[id.Stage]int), pending: make(map[id.Stage]*Stage), done: make(map[id.Stage]*bits), workers: newWorkerTimes(),
	}
}

// whole iterates over what is whole of the events and stores how they ended.
func whole(src Source, cut **event.Truncated, failed *error) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		for e, err := range src() {
			if err != nil {
				if !errors.As(err, cut) {
					*failed = err
				}
				return
			}
			if !yield(e) {
				return
			}
		}
	}
}

func (f *folding) read(src Source) (failed error) {
	var cut *event.Truncated
	for e := range whole(src, &cut, &failed) {
		f.m.Application.Events++
		f.event(e)
	}
	if failed != nil {
		return failed
	}
	if cut != nil {
		how := "was cut off"
		if !errors.Is(cut, io.ErrUnexpectedEOF) {
			how = "is damaged"
		}
		f.m.Problems = append(f.m.Problems, fmt.Sprintf(
			"the event file %s at byte %d: this report is of the %d events before it, what came after is lost", how, cut.Offset, cut.Events))
	}
	return nil
}

func (f *folding) event(e event.Event) {
	a := &f.m.Application
	switch e := e.(type) {
	case *event.ApplicationStart:
		*a = Application{Name: e.Name, ID: e.ID, Host: e.Host, User: e.User, Cores: e.Cores, Memory: e.Memory,
			WallStart: e.Wall, Start: e.At, Conf: e.Conf, Events: a.Events}
		f.m.Memory.Budget = e.Memory
		f.at(e.At)
	case *event.ExecutorAdded:
		f.slots = append(f.slots, slots{e.Executor, e.Cores, e.At, math.MaxInt64})
		f.at(e.At)
	case *event.ExecutorRemoved:
		for i := range f.slots {
			if s := &f.slots[i]; s.executor == e.Executor {
				s.to = min(s.to, e.At)
			}
		}
		f.workers.lost[e.Executor] = true
		f.at(e.At)
	case *event.JobStart:
		f.jobStart(e)
	case *event.JobEnd:
		f.jobEnd(e)
	case *event.StageSubmitted:
		s := f.stage(e.Stage.StageAttempt)
		s.describe(&e.Stage)
		s.Status, s.Submitted = statusActive, e.Stage.Submitted
		f.attempts[e.Stage.Stage]++
		for _, j := range f.byStage[e.Stage.Stage] {
			if !slices.Contains(s.Jobs, j.ID) {
				s.Jobs = append(s.Jobs, j.ID)
			}
		}
		f.at(e.At)
	case *event.StageCompleted:
		f.stageCompleted(e)
	case *event.TaskStart:
		s := f.stage(e.Info.StageAttempt)
		s.Counts.start(e)
		for _, j := range f.byStage[e.Info.Stage] {
			j.Counts.start(e)
		}
		f.at(e.Info.Launch)
	case *event.TaskEnd:
		f.taskEnd(e)
	case *event.MemorySample:
		f.m.Memory.sample(e)
		if e.CPU > 0 { // 0: not told
			f.cpu = append(f.cpu, point{e.At, e.CPU})
		}
		f.at(e.At)
	case *event.WorkerTime:
		f.workers.add(e)
		f.at(e.At)
	case *event.Phase:
		f.m.Phases = append(f.m.Phases, Account{Name: e.Name, Index: e.Index, Error: e.Error, Begin: e.Begin, End: e.End})
		f.at(e.End)
	case *event.ApplicationEnd:
		a.Complete = true
		f.at(e.At)
	}
}

func (f *folding) at(t int64) { f.last = max(f.last, t) }

func (f *folding) jobStart(e *event.JobStart) {
	j := &Job{ID: e.Job, Name: e.Name, Status: "RUNNING", Submitted: e.At}
	f.jobs[e.Job] = j
	f.m.Jobs = append(f.m.Jobs, j)
	for i := range e.Stages {
		s := &e.Stages[i]
		j.Stages = append(j.Stages, s.Stage)
		if s.Completed == 0 {
			j.Tasks += int64(s.NumTasks)
		}
		f.byStage[s.Stage] = append(f.byStage[s.Stage], j)
		if f.attempts[s.Stage] == 0 { // known from here if it never runs
			if st := f.stage(s.StageAttempt); st.Status == "" {
				st.describe(s)
				st.Status = statusPending
				f.pending[s.Stage] = st
			}
		}
		if st := f.stages[s.StageAttempt]; st != nil && !slices.Contains(st.Jobs, j.ID) {
			st.Jobs = append(st.Jobs, j.ID)
		}
	}
	f.at(e.At)
}

// jobEnd closes a job: its stages that were never submitted were skipped.
func (f *folding) jobEnd(e *event.JobEnd) {
	f.at(e.At)
	j := f.jobs[e.Job]
	if j == nil {
		return
	}
	j.Completed, j.Error, j.Status = e.At, e.Error, "SUCCEEDED"
	if e.Error != "" {
		j.Status = "FAILED"
	}
	for _, sid := range j.Stages {
		if f.attempts[sid] > 0 {
			continue
		}
		if s := f.pending[sid]; s != nil {
			s.Status = statusSkipped
			j.SkippedStages++
			j.SkippedTasks += int64(s.Tasks)
		}
	}
}

func (f *folding) stage(a id.StageAttempt) *Stage {
	s := f.stages[a]
	if s == nil {
		s = &Stage{ID: a.Stage, Attempt: a.Attempt, fold: new(stageFold)}
		f.stages[a] = s
		f.m.Stages = append(f.m.Stages, s)
	}
	return s
}

func (s *Stage) describe(i *event.StageInfo) {
	s.Name, s.Kind, s.Tasks = i.Name, i.Kind.String(), i.NumTasks
}

func (f *folding) stageCompleted(e *event.StageCompleted) {
	s := f.stage(e.Stage.StageAttempt)
	s.describe(&e.Stage)
	s.Submitted, s.Completed, s.Failure = e.Stage.Submitted, e.Stage.Completed, e.Stage.Failure
	jobs := f.byStage[e.Stage.Stage]
	switch {
	case e.Stage.Submitted == 0:
		s.Status = statusSkipped
	case e.Stage.Failure != "":
		s.Status = statusFailed
		for _, j := range jobs {
			j.FailedStages++
		}
	default:
		s.Status = statusComplete
		for _, j := range jobs {
			j.CompletedStages++
		}
	}
	f.at(e.At)
}

func (f *folding) taskEnd(e *event.TaskEnd) {
	s := f.stage(e.Info.StageAttempt)
	fresh := s.fold.done.set(e)
	s.Counts.end(e, fresh)
	if jobs := f.byStage[e.Info.Stage]; len(jobs) > 0 {
		done := f.done[e.Info.Stage]
		if done == nil {
			done = new(bits)
			f.done[e.Info.Stage] = done
		}
		fresh := done.set(e)
		for _, j := range jobs {
			j.Counts.end(e, fresh)
		}
	}
	f.at(e.Info.Finish)
	if kindOf(e) == failed {
		f.m.failed(e)
	}
	if !counted(e) {
		return
	}
	figures := FiguresOf(e)
	s.totals.add(&figures)
	s.routed(e.Route, &figures)
	if unbalanced(e, &figures) {
		s.Unbalanced++
	}
	if sampled(e) {
		s.sample(e, &figures)
	}
}

// sample takes an attempt into the stage's extremes.
func (s *Stage) sample(e *event.TaskEnd, f *Figures) {
	k := s.fold
	for i, v := range f {
		if s.Sampled == 0 || v < k.low[i] {
			k.low[i] = v
		}
		if l := &k.largest[i]; s.Sampled == 0 || v > k.high[i] || v == k.high[i] && e.Info.Task < l.Task {
			k.high[i] = v
			*l = Largest{e.Info.Task, e.Info.Index, e.Info.Number, v}
		}
	}
	s.Sampled++
}

// routed counts a result by its route.
func (s *Stage) routed(by task.Route, f *Figures) {
	if by == task.RouteNone {
		return
	}
	i := slices.IndexFunc(s.Routes, func(r Route) bool { return r.route == by })
	if i < 0 {
		i = len(s.Routes)
		s.Routes = append(s.Routes, Route{Name: by.String(), route: by})
	}
	r := &s.Routes[i]
	r.Results++
	r.Bytes += f[ResultBytes]
	r.Largest = max(r.Largest, f[ResultBytes])
	r.Fetch += f[ResultFetch]
}

func (c *Counts) start(e *event.TaskStart) {
	c.Started++
	c.Running++
	if e.Info.Speculative {
		c.Speculative.Started++
	}
}

// end counts an attempt's end; fresh says that its index had no success yet.
func (c *Counts) end(e *event.TaskEnd, fresh bool) {
	if counted(e) {
		c.Running--
	}
	copies := &c.Speculative
	if !e.Info.Speculative {
		copies = new(Speculative) // not looked at
	}
	switch kindOf(e) {
	case ended:
		c.Succeeded++
		copies.Succeeded++
	case killed:
		c.Killed++
		copies.Killed++
		if c.KilledBy == nil {
			c.KilledBy = make(map[string]int64)
		}
		c.KilledBy[killReason(e)]++
	default:
		c.Failed++
		copies.Failed++
		if !counted(e) {
			c.Resubmitted++
		}
	}
	if fresh {
		c.Indices++
	}
}

// model completes what only the whole of the events can tell.
func (f *folding) model() *Model {
	m := f.m
	a := &m.Application
	a.End = max(f.last, a.Start)
	// A stage that was there at its job's start and later ran as a further
	// attempt never had the first one.
	m.Stages = slices.DeleteFunc(m.Stages, func(s *Stage) bool { return s.Status == statusPending && f.attempts[s.ID] > 0 })
	slices.SortStableFunc(m.Stages, func(x, y *Stage) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), cmp.Compare(x.Attempt, y.Attempt))
	})
	slices.SortStableFunc(m.Phases, func(x, y Account) int { return cmp.Compare(x.Begin, y.Begin) })
	for _, s := range m.Stages {
		slices.Sort(s.Jobs)
		slices.SortFunc(s.Routes, func(x, y Route) int { return cmp.Compare(x.route, y.route) })
	}
	workers := cmp.Or(mostSlots(f.slots), a.Cores)
	m.Session = Account{Name: "session", Begin: a.Start, End: a.End, Workers: workers}
	f.workers.apply(&m.Session)
	for i := range m.Phases {
		p := &m.Phases[i]
		p.Workers, p.WorkerTime = workers, p.Wall()*int64(workers)
		if f.slots != nil {
			p.WorkerTime = slotsWithin(f.slots, p.Begin, p.End)
		}
	}
	m.Session.CPU = between(f.cpu, m.Session.Begin, m.Session.End)
	for i := range m.Phases {
		p := &m.Phases[i]
		p.CPU = between(f.cpu, p.Begin, p.End)
		p.Scheduling = f.workers.scheduling(p.Begin, p.End)
	}
	if len(f.cpu) > 0 && m.Session.CPU == nil {
		// No sample lies at the very edges of a session; those next to them do.
		n := f.cpu[len(f.cpu)-1].value - f.cpu[0].value
		m.Session.CPU = &n
	}
	var seconds []float64
	for i := range m.Phases {
		if p := &m.Phases[i]; p.Name == "iteration" && p.Error == "" {
			seconds = append(seconds, float64(p.Wall())/1e9)
		}
	}
	if len(seconds) > 0 {
		s := Summarise(seconds)
		m.Samples = &s
	}
	return m
}
