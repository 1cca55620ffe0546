package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// harness drives a core by hand: it plays the executors and the engine,
// writes down every command, and checks the invariants after each event.
type harness struct {
	t      testing.TB
	core   *Core
	now    int64
	out    []string
	quiet  bool // write nothing down
	manual bool // task binaries are not made at once, nor attempts called back

	nodes    map[int]*plan.Node
	shuffles map[int]*plan.ShuffleDep
	cachedAt map[id.Node][][]task.Location

	tasks    map[id.Task]*task.Description // launched, not ended for the executor
	order    []id.Task                     // their order
	before   map[id.Task]id.Task           // of those that follow another
	recall   bool
	killed   map[id.Task]string
	values   map[id.Job]map[int32]string
	ends     map[id.Job]error
	totals   map[id.Job][]int64
	answers  []Answer
	requests []BinaryRequest
	fetches  []FetchResult
	removed  []block.ID
	starts   map[id.Task]int // TaskStart minus TaskEnd
	infos    map[id.Task]event.TaskEnd
	merged   int
	binary   id.Broadcast
	binaries map[id.Broadcast]bool
}

func newHarness(t testing.TB, cfg Config) *harness {
	h := &harness{
		t: t, nodes: map[int]*plan.Node{}, shuffles: map[int]*plan.ShuffleDep{},
		cachedAt: map[id.Node][][]task.Location{}, tasks: map[id.Task]*task.Description{},
		killed: map[id.Task]string{}, values: map[id.Job]map[int32]string{}, ends: map[id.Job]error{},
		totals: map[id.Job][]int64{}, starts: map[id.Task]int{}, infos: map[id.Task]event.TaskEnd{},
		binaries: map[id.Broadcast]bool{}, before: map[id.Task]id.Task{},
	}
	if cfg.Executors == nil {
		cfg.Executors = []ExecutorSpec{{ID: "driver", Host: "h", Slots: 2}}
	}
	h.core = NewCore(cfg, func(n id.Node, parts int) [][]task.Location { return h.cachedAt[n] })
	return h
}

// one returns a config with one executor.
func one(slots int) Config {
	return Config{Executors: []ExecutorSpec{{ID: "driver", Host: "h", Slots: slots}}, MaxFailures: 4}
}

// two returns a config with executors a on host ha and b on host hb.
func two(slots int) Config {
	return Config{Executors: []ExecutorSpec{{ID: "a", Host: "ha", Slots: slots}, {ID: "b", Host: "hb", Slots: slots}}, MaxFailures: 4}
}

// node makes a dataset that reads others: *plan.Node narrowly, *plan.ShuffleDep
// through a shuffle.
func (h *harness) node(parts int, reads ...any) *plan.Node {
	n := &plan.Node{ID: id.Node(len(h.nodes)), Name: fmt.Sprintf("n%d", len(h.nodes)), Partitions: parts}
	h.nodes[len(h.nodes)] = n
	var deps []plan.Dep
	for _, r := range reads {
		switch r := r.(type) {
		case *plan.Node:
			deps = append(deps, &plan.NarrowDep{Parent: r})
		case *plan.ShuffleDep:
			deps = append(deps, r)
		}
	}
	n.SetDeps(deps...)
	return n
}

func (h *harness) shuffle(of *plan.Node, reducers int) *plan.ShuffleDep {
	d := &plan.ShuffleDep{Parent: of, Shuffle: id.Shuffle(len(h.shuffles)), Reducers: reducers}
	h.shuffles[len(h.shuffles)] = d
	return d
}

func (h *harness) submit(j id.Job, final *plan.Node, props ...string) {
	h.submitSpec(j, JobSpec{Final: final, Action: "count", Site: "x.go:1", Properties: pairs(props)})
}

func pairs(kv []string) map[string]string {
	var m map[string]string
	for i := 0; i+1 < len(kv); i += 2 {
		if m == nil {
			m = map[string]string{}
		}
		m[kv[i]] = kv[i+1]
	}
	return m
}

func (h *harness) submitSpec(j id.Job, spec JobSpec) { h.do(&JobSubmitted{Job: j, Spec: &spec}) }

// do takes one event through the core.
func (h *harness) do(e Event) {
	h.t.Helper()
	if !h.manual && h.core.waits > 0 && disturbs(e) {
		h.callBack()
	}
	commands := h.core.Handle(h.now, e)
	made := len(h.requests)
	for _, c := range commands {
		h.note(c)
	}
	if h.manual {
		return
	}
	for _, r := range h.requests[made:] {
		h.makeBinary(r, nil)
	}
	if h.recall {
		h.callBack()
	}
	if err := h.core.Check(); err != nil {
		h.t.Fatalf("after %T %+v: %v\n%s", e, e, err, strings.Join(h.out, "\n"))
	}
}

func (h *harness) makeBinary(r BinaryRequest, err error) {
	h.t.Helper()
	h.binary++
	if err == nil {
		h.binaries[h.binary] = true
	}
	h.do(&BinaryMade{Stage: r.StageAttempt, Binary: h.binary, Err: err})
}

func (h *harness) write(format string, args ...any) {
	if !h.quiet {
		h.out = append(h.out, fmt.Sprintf(format, args...))
	}
}

// note writes a command down and keeps what tests look at.
func (h *harness) note(c Command) {
	switch c := c.(type) {
	case *Launch:
		h.launch("launch", c.Executor, task.Launch{Task: c.Task, Desc: c.Desc})
		before := c.Task
		for _, l := range c.Then {
			h.launch("then", c.Executor, l)
			h.before[l.Task] = before
			before = l.Task
		}
	case *Recall:
		h.recall = true
	case *Kill:
		if d := h.tasks[c.Task]; d != nil && d.Executor != c.Executor {
			h.t.Fatalf("kill of %d on %s, which runs on %s", c.Task, c.Executor, d.Executor)
		}
		h.killed[c.Task] = c.Reason
		h.write("kill %d interrupt=%v: %s", c.Task, c.Interrupt, c.Reason)
	case *DropExecutor:
		h.write("drop executor %s: %s", c.Executor, c.Reason)
	case *Emit:
		h.merged += len(c.Merge)
		h.event(c.Event)
	case *MakeBinary:
		h.requests = append(h.requests, c.Request)
	case *DropBinary:
		if !h.binaries[c.Binary] {
			h.t.Fatalf("task binary %d dropped twice", c.Binary)
		}
		delete(h.binaries, c.Binary)
	case *FetchResult:
		h.fetches = append(h.fetches, *c)
		h.write("fetch %s", c.Block)
	case *RemoveBlock:
		h.removed = append(h.removed, c.Block)
		h.write("remove %s", c.Block)
	case *Deliver:
		if h.values[c.Job] == nil {
			h.values[c.Job] = map[int32]string{}
		}
		if _, twice := h.values[c.Job][c.Index]; twice {
			h.t.Fatalf("result %d of job %d delivered twice", c.Index, c.Job)
		}
		h.values[c.Job][c.Index] = string(c.Value)
		h.totals[c.Job] = c.Totals
		h.write("deliver job %d, result %d", c.Job, c.Index)
	case *EndJob:
		if _, twice := h.ends[c.Job]; twice {
			h.t.Fatalf("job %d ended twice", c.Job)
		}
		h.ends[c.Job] = c.Err
		h.write("end job %d: %v", c.Job, c.Err)
	case *SetTimer:
		h.write("timer at %v", time.Duration(c.At))
	case *Answer:
		h.answers = append(h.answers, *c)
		h.write("answer %v %q err=%v", c.OK, c.Messages, c.Err)
	case *Warn:
		h.write("warn %s", c.Text)
	}
}

// resubmitted checks that an attempt's second end repeats what its first one
// said of a success, and no more.
func (h *harness) resubmitted(e *event.TaskEnd) {
	want, first := h.infos[e.Info.Task].Info, h.infos[e.Info.Task].Reason
	want.GettingResult = 0
	if first != task.Success || e.Info != want || e.Kind != task.ShuffleMapTask || e.HasMetrics || e.Metrics != (task.Metrics{}) ||
		e.Stamps != (task.Stamps{}) || e.StatusBytes != [3]int32{} || e.Accums != nil || e.Failure != nil {
		h.t.Fatalf("resubmitted %+v after its end as %v, %+v", e, first, want)
	}
	h.infos[e.Info.Task] = *e
	h.write("event TaskEnd %d Resubmitted", e.Info.Task)
}

func (h *harness) launch(how string, at id.Executor, l task.Launch) {
	d := new(task.Description)
	if err := task.DecodeDescription(l.Desc, d); err != nil {
		h.t.Fatal(err)
	}
	if d.Task != l.Task || d.Executor != at {
		h.t.Fatalf("launch of %d on %s describes %d on %s", l.Task, at, d.Task, d.Executor)
	}
	if !h.binaries[d.Binary] {
		h.t.Fatalf("launch of %d names a task binary that is gone: %d", l.Task, d.Binary)
	}
	h.tasks[l.Task] = d
	h.order = append(h.order, l.Task)
	h.write("%s %d: %d.%d of %v, partition %d, on %s, %v", how, d.Task, d.Index, d.Number, d.StageAttempt, d.Partition, d.Executor, d.Locality)
}

// callBack plays executors that give back the attempts that follow others and
// have not begun: those before them have not ended.
func (h *harness) callBack() {
	h.t.Helper()
	h.recall = false
	var back []id.Task
	for _, n := range h.order {
		if before, ok := h.before[n]; ok && h.tasks[before] != nil {
			back = append(back, n)
		}
	}
	for _, n := range back {
		delete(h.tasks, n)
		delete(h.before, n)
	}
	h.order = slices.DeleteFunc(h.order, func(n id.Task) bool { return h.tasks[n] == nil })
	h.write("recalled %v", back)
	h.do(&Recalled{Tasks: back})
}

func (h *harness) event(e event.Event) {
	switch e := e.(type) {
	case *event.JobStart:
		var stages []string
		for _, s := range e.Stages {
			stages = append(stages, fmt.Sprintf("%v(%d)", s.StageAttempt, s.NumTasks))
		}
		h.write("event JobStart %d %q stages %s", e.Job, e.Name, strings.Join(stages, " "))
	case *event.JobEnd:
		h.write("event JobEnd %d %q", e.Job, e.Error)
	case *event.StageSubmitted:
		skipped := ""
		if e.Stage.Submitted == 0 && h.now != 0 {
			skipped = ", not submitted"
		}
		h.write("event StageSubmitted %v %v, %d tasks, parents %v, job %d%s", e.Stage.StageAttempt, e.Stage.Kind, e.Stage.NumTasks, e.Stage.Parents, e.Job, skipped)
	case *event.StageCompleted:
		h.write("event StageCompleted %v %q", e.Stage.StageAttempt, e.Stage.Failure)
	case *event.TaskStart:
		h.starts[e.Info.Task]++
		h.write("event TaskStart %d", e.Info.Task)
	case *event.TaskGettingResult:
		h.write("event TaskGettingResult %d", e.Info.Task)
	case *event.TaskEnd:
		if e.Reason == task.Resubmitted {
			h.resubmitted(e)
			return
		}
		h.starts[e.Info.Task]--
		if h.starts[e.Info.Task] != 0 {
			h.t.Fatalf("TaskEnd of %d does not close one TaskStart", e.Info.Task)
		}
		end := *e
		h.infos[e.Info.Task] = end
		h.write("event TaskEnd %d %v failed=%v killed=%v", e.Info.Task, e.Reason, e.Info.Failed, e.Info.Killed)
	case *event.Excluded:
		h.write("event Excluded %s of %s for stage=%v %v after %d", e.Executor, e.Host, e.ForStage, e.Stage, e.Failures)
	case *event.Unexcluded:
		h.write("event Unexcluded %s of %s", e.Executor, e.Host)
	case *event.SpeculativeTaskSubmitted:
		h.write("event SpeculativeTaskSubmitted %d of %v, partition %d", e.Index, e.Stage, e.Partition)
	case *event.ExecutorAdded:
		h.write("event ExecutorAdded %s", e.Executor)
	case *event.ExecutorRemoved:
		h.write("event ExecutorRemoved %s: %s", e.Executor, e.Reason)
	default:
		h.t.Fatalf("event of type %T", e)
	}
}

// What executors report.

func (h *harness) launched(n id.Task) *task.Description {
	h.t.Helper()
	d := h.tasks[n]
	if d == nil {
		h.t.Fatalf("task %d is not launched\n%s", n, strings.Join(h.out, "\n"))
	}
	return d
}

func (h *harness) gone(n id.Task) *task.Description {
	h.t.Helper()
	d := h.launched(n)
	delete(h.tasks, n)
	h.order = slices.DeleteFunc(h.order, func(o id.Task) bool { return o == n })
	return d
}

// attemptsOn returns the attempts on an executor, in the order of their launch.
func (h *harness) attemptsOn(x id.Executor) (list []id.Task) {
	for _, n := range h.order {
		if h.tasks[n].Executor == x {
			list = append(list, n)
		}
	}
	return list
}

func (h *harness) running(n id.Task) {
	h.t.Helper()
	d := h.launched(n)
	h.do(&TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: task.Running}, Bytes: 40})
}

// hostOf returns the host of an executor.
func (h *harness) hostOf(x id.Executor) string { return h.core.executor(x).host }

// value is what an attempt returns: a map status for map tasks.
func (h *harness) value(d *task.Description) []byte {
	if d.Kind == task.ResultTask {
		return fmt.Appendf(nil, "%d/%d", d.Partition, d.Task)
	}
	reducers := 1
	for _, s := range h.shuffles {
		if st := h.core.shuffles[s.Shuffle]; st != nil && st.id == d.Stage {
			reducers = s.Reducers
		}
	}
	sizes := make([]int64, reducers)
	for i := range sizes {
		sizes[i] = 100
	}
	at := task.Location{Host: h.hostOf(d.Executor), Executor: d.Executor}
	return task.AppendMapStatus(nil, task.NewMapStatus(at, d.Task, sizes))
}

func (h *harness) ok(tasks ...id.Task) {
	h.t.Helper()
	for _, n := range tasks {
		d := h.gone(n)
		e := &TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect}, Bytes: 100}
		e.Result.Value = h.value(d)
		e.Result.Accums = []task.AccumUpdate{{ID: 1}}
		e.Status.Size = int64(len(e.Result.Value)) + 50
		h.do(e)
	}
}

// stored reports a result that is kept as a block.
func (h *harness) stored(n id.Task, size int64, route task.Route) {
	h.t.Helper()
	d := h.gone(n)
	s := task.Status{Task: n, Executor: d.Executor, State: task.Finished, Route: route, Size: size}
	if route == task.RouteIndirect {
		s.Block = string(block.TaskResult(n))
	}
	h.do(&TaskStatus{Status: s, Bytes: 60})
}

func (h *harness) failWith(n id.Task, f *task.Failure) {
	h.t.Helper()
	d := h.gone(n)
	state := task.Failed
	if f.Kind == task.TaskKilled || f.Kind == task.TaskCommitDenied {
		state = task.Killed
	}
	h.do(&TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: state}, Failure: f, Bytes: 80})
}

func (h *harness) fail(n id.Task) {
	h.t.Helper()
	h.failWith(n, &task.Failure{Kind: task.ExceptionFailure, Class: "*errors.errorString", Message: "boom"})
}

// dies reports the ends of attempts as killed.
func (h *harness) dies(tasks ...id.Task) {
	h.t.Helper()
	for _, n := range tasks {
		h.failWith(n, &task.Failure{Kind: task.TaskKilled, Message: h.killed[n]})
	}
}

// diesAll ends every attempt that was told to.
func (h *harness) diesAll() {
	h.t.Helper()
	for _, n := range slices.Clone(h.order) {
		if _, ok := h.killed[n]; ok {
			h.dies(n)
		}
	}
}

func (h *harness) fetchFail(n id.Task, s id.Shuffle, mapIndex int32, at id.Executor) {
	h.t.Helper()
	h.failWith(n, &task.Failure{Kind: task.FetchFailed, Message: "block is gone",
		Fetch: task.FetchFailure{Executor: at, Shuffle: s, Map: 0, MapIndex: mapIndex}})
}

// after lets time pass and the timer fire.
func (h *harness) after(d time.Duration) {
	h.t.Helper()
	h.now += int64(d)
	h.do(&TimerDue{})
}

// find returns the launched attempt of a stage's index, of the newest stage
// attempt.
func (h *harness) find(s id.Stage, index int32) id.Task {
	h.t.Helper()
	found := id.Task(-1)
	for n, d := range h.tasks {
		if d.Stage == s && d.Index == index && n > found {
			found = n
		}
	}
	if found < 0 {
		h.t.Fatalf("no attempt of task %d of stage %d is launched\n%s", index, s, strings.Join(h.out, "\n"))
	}
	return found
}

// finish lets everything that is launched succeed, in order, until nothing is.
func (h *harness) finish() {
	h.t.Helper()
	for i := 0; len(h.order) > 0; i++ {
		if i > 100000 {
			h.t.Fatal("it never ends")
		}
		if _, ok := h.killed[h.order[0]]; ok {
			h.dies(h.order[0])
		} else {
			h.ok(h.order[0])
		}
	}
}

// ended expects that a job succeeded with so many results, and that nothing
// is left of it.
func (h *harness) succeeded(j id.Job, results int) {
	h.t.Helper()
	err, ok := h.ends[j]
	if !ok || err != nil || len(h.values[j]) != results {
		h.t.Fatalf("job %d: ended %v with error %v and %d results, want %d\n%s", j, ok, err, len(h.values[j]), results, strings.Join(h.out, "\n"))
	}
}

func (h *harness) failedWith(j id.Job, texts ...string) error {
	h.t.Helper()
	err, ok := h.ends[j]
	if !ok || err == nil {
		h.t.Fatalf("job %d did not fail: ended %v\n%s", j, ok, strings.Join(h.out, "\n"))
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			h.t.Fatalf("job %d failed with %q, which does not tell %q", j, err, text)
		}
	}
	return err
}

func (h *harness) active(j id.Job) {
	h.t.Helper()
	if _, ok := h.ends[j]; ok || h.core.jobs[j] == nil {
		h.t.Fatalf("job %d is not active: %v\n%s", j, h.ends[j], strings.Join(h.out, "\n"))
	}
}

func (h *harness) empty() {
	h.t.Helper()
	if err := h.core.Empty(); err != nil {
		h.t.Fatalf("%v\n%s", err, strings.Join(h.out, "\n"))
	}
	for n, open := range h.starts {
		if open != 0 {
			h.t.Fatalf("attempt %d has a TaskStart and no TaskEnd", n)
		}
	}
	if len(h.binaries) != 0 {
		h.t.Fatalf("task binaries are left: %v", slices.Sorted(maps.Keys(h.binaries)))
	}
}

// lines returns the written lines that begin so.
func (h *harness) lines(prefix string) []string {
	var found []string
	for _, l := range h.out {
		if strings.HasPrefix(l, prefix) {
			found = append(found, l)
		}
	}
	return found
}

// clear forgets what was written.
func (h *harness) clear() { h.out = nil }

// available returns the number of map outputs that are there.
func (o *outputs) available(s id.Shuffle) int {
	if m := o.shuffles[s]; m != nil {
		return len(m.statuses) - m.missing
	}
	return 0
}
