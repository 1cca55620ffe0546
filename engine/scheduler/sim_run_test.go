package scheduler

import (
	queues "container/heap"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// sim is a world in virtual time: executors that run attempts, keep map
// outputs, cached partitions and results, and lose them; callers of jobs; and
// messages on their way. Everything that happens is in one queue by time.
type sim struct {
	*harness
	w        *world
	queue    moments
	pushed   int
	sent     int // messages that began their way at sentAt
	sentAt   int64
	pending  int // moments that are not beside
	adding   id.Executor
	nodes    []*plan.Node
	shuffles []*plan.ShuffleDep

	execs    []*simExecutor
	runs     map[id.Task]*run
	order    []id.Task // of runs, as launched
	rows     []*row
	due      []Event                        // what commands led to, to be handled before the next event
	requests map[id.Broadcast]BinaryRequest // by task binary
	noBinary bool                           // the next one cannot be made
	alarm    int64
	asked    map[Token]func(*Answer)
	token    Token
	blocks   map[blockKey]*mapOutput
	stored   map[id.Task]storedResult
	made     map[id.Task]derived // what results were made from
	versions bool                // rows may be written otherwise the second time, and that is to be made good
	jobs     []*simJob
	steps    int
	over     bool // the world is healed
	again    bool // and ran what afterwards asks for

	launched map[id.Task]bool
	rights   map[id.Task]bool // attempts that may commit

	followed, calledBack int // attempts that were to follow others
	tooLarges            int // stage attempts that failed for the size of a description

	stream *stream // what the events tell
}

type simExecutor struct {
	site
	id    id.Executor
	alive bool
	mute  bool
	core  int // rows of which the core knows an attempt
	// What it remembers of map outputs, and as of which epoch.
	epoch int64
	known map[id.Shuffle][]*task.MapStatus
}

type blockKey struct {
	shuffle id.Shuffle
	by      id.Task
}

type mapOutput struct {
	at   *simExecutor
	part int32
	from derived
}

type storedResult struct {
	on    *simExecutor
	value []byte
}

// run is an attempt on its executor.
type run struct {
	*task.Description
	fate
	on       *simExecutor
	row      *row
	req      BinaryRequest
	launched int64
	step     int   // as which it was launched
	began    int64 // 0: it has not
	over     bool  // ended; its report may still be held back
	killed   bool
	right    bool // may commit
	waiting  bool // in a global sync
	from     derived
	walked   []*plan.Node
}

type simJob struct {
	spec    JobSpec
	got     []bool
	left    int
	untaken int64 // bytes of results delivered and not handled
	ended   bool
	err     error
	from    derived

	fates    []fate
	launches int
	after    bool
	commits  bool // its attempts ask before they commit
}

// moments is a heap of what happens when.
type moments []moment

type moment struct {
	at  int64
	seq int
	do  func()

	beside bool // it goes on for ever, and nothing waits for it
}

func (m moments) Len() int { return len(m) }
func (m moments) Less(i, j int) bool {
	return m[i].at < m[j].at || m[i].at == m[j].at && m[i].seq < m[j].seq
}
func (m moments) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *moments) Push(x any)   { *m = append(*m, x.(moment)) }
func (m *moments) Pop() any {
	last := len(*m) - 1
	x := (*m)[last]
	(*m)[last] = moment{}
	*m = (*m)[:last]
	return x
}

// broken is what the simulation panics with when something does not hold.
type broken string

// catcher is the harness's test: what it reports ends the run.
type catcher struct{ testing.TB }

func (catcher) Helper()                   {}
func (catcher) Fatalf(f string, a ...any) { panic(broken(fmt.Sprintf(f, a...))) }
func (catcher) Fatal(a ...any)            { panic(broken(fmt.Sprint(a...))) }

// simulate runs a world and returns what did not hold, "" if all did. With
// loud the harness has written down all that happened.
func simulate(w *world, loud bool) (failure string, s *sim) {
	cfg := w.config()
	s = &sim{w: w, runs: map[id.Task]*run{}, requests: map[id.Broadcast]BinaryRequest{},
		asked: map[Token]func(*Answer){}, blocks: map[blockKey]*mapOutput{}, stored: map[id.Task]storedResult{}, made: map[id.Task]derived{}, rights: map[id.Task]bool{},
		launched: map[id.Task]bool{}}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case broken:
			failure = string(p)
		default:
			failure = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	s.harness = newHarness(catcher{}, cfg)
	s.quiet, s.manual = !loud, true
	s.nodes, s.shuffles = w.build(s.harness)
	for i, x := range w.executors {
		s.execs = append(s.execs, &simExecutor{site: x, id: cfg.Executors[i].ID, alive: true, epoch: -1})
	}
	s.stream = newStream()
	s.versions = w.versions()
	for _, a := range w.acts {
		s.at(int64(a.at), func() { s.act(a) })
	}
	for i := range s.execs {
		s.beat(i)
	}
	s.play()
	return "", s
}

// calm reports whether nothing goes wrong any more.
func (s *sim) calm() bool { return s.over || s.steps >= s.w.steps }

// at puts something into the queue; soon, so late as a message takes.
func (s *sim) at(t int64, do func()) {
	s.pending++
	s.push(moment{at: t, do: do})
}

func (s *sim) push(m moment) {
	s.pushed++
	m.seq = s.pushed
	queues.Push(&s.queue, m)
}

// soon does so after what a message takes: some time that depends on the
// moment alone, so that what is dropped from a world changes little else.
func (s *sim) soon(do func()) {
	x := uint64(s.now)*0x9e3779b97f4a7c15 + s.w.seed + uint64(s.sent)
	if s.sentAt != s.now {
		s.sent, s.sentAt = 0, s.now
	}
	s.sent++
	x ^= x >> 31
	x *= 0xbf58476d1ce4e5b9
	s.at(s.now+int64(s.w.scaled(time.Duration(100_000+(x>>32)%2_000_000))), do)
}

// play lets everything happen, heals the world when the storm is over, and
// looks at what is left.
func (s *sim) play() {
	for len(s.queue) > 0 || !s.again {
		if !s.over && (s.calm() || s.pending == 0) {
			s.over = true
			s.heal()
			continue
		}
		if s.over && s.pending == 0 && !slices.ContainsFunc(s.jobs, func(j *simJob) bool { return !j.ended }) {
			if s.again {
				break
			}
			s.again = true
			s.afterwards()
			continue
		}
		if len(s.queue) == 0 {
			break // some job never ends
		}
		s.next()
		if s.steps > 20*s.w.steps+20_000 {
			s.t.Fatalf("it never ends")
		}
	}
	s.atRest()
}

// next does what comes next.
func (s *sim) next() {
	m := queues.Pop(&s.queue).(moment)
	if !m.beside {
		s.pending--
	}
	s.now = max(s.now, m.at)
	m.do()
}

// afterwards runs a job on every dataset of the healed world.
func (s *sim) afterwards() {
	for i := range s.nodes {
		s.submitJob(act{kind: submitJob, a: i, b: 8 + 9*len(s.jobs)}) // in a group that is not cancelled
		s.jobs[len(s.jobs)-1].after = true
	}
}

// heal brings back the executors.
func (s *sim) heal() {
	for i, x := range s.execs {
		if x.mute = false; x.alive && s.w.beats {
			s.sign(x)
		}
		s.bring(i)
	}
}

func (s *sim) bring(i int) {
	x := s.execs[i]
	if x.alive {
		return
	}
	if s.core.executor(x.id).alive { // it does not know yet
		s.soon(func() { s.bring(i) })
		return
	}
	s.dropAll(x)
	// A new one, which the old one's attempts are no part of.
	s.execs[i] = &simExecutor{site: s.w.executors[i], id: x.id, alive: true, epoch: -1}
	s.adding = x.id
	s.do(&ExecutorAdded{s.execs[i].spec(i, s.execs[i].slots)})
	s.adding = ""
	s.beat(i)
}

// beat gives a sign of life now and then. Who is told to come again does.
func (s *sim) beat(i int) {
	x := s.execs[i]
	if !s.w.beats {
		return
	}
	s.push(moment{at: s.now + int64(s.w.scaled(150*time.Millisecond)), beside: true, do: func() {
		if s.execs[i] != x || !x.alive {
			return
		}
		if !x.mute {
			s.sign(x)
		}
		s.beat(i)
	}})
}

func (s *sim) sign(x *simExecutor) {
	e := &Heartbeat{Executor: x.id}
	for _, n := range s.order {
		if r := s.runs[n]; r.on == x && r.began > 0 {
			e.Progress = append(e.Progress, Progress{Task: n, Records: int64(n % 3), RunTime: int64(1 + s.now - r.LaunchTime)})
		}
	}
	s.ask(func(k Token) Event { e.Token = k; return e }, func(a *Answer) {
		if known := s.core.executor(x.id).alive; a.OK != known {
			s.t.Fatalf("executor %s is alive: %v, and is answered %v", x.id, known, a.OK)
		}
	})
}

// do takes an event through the core, and what it leads to. As the driver
// does, it calls back before what disturbs chains.
func (s *sim) do(e Event) {
	if s.core.waits > 0 && disturbs(e) {
		s.recall = true
		s.handleDue()
	}
	after := s.steps
	s.handle(e)
	s.handleDue()
	s.checkChains(e, after)
}

func (s *sim) handleDue() {
	for s.recall || len(s.due) > 0 {
		if s.recall {
			s.recall = false
			s.callBack()
			continue
		}
		e := s.due[0]
		s.due = s.due[1:]
		if e, ok := e.(*TaskStatus); ok {
			s.reported(e)
		}
		s.handle(e)
	}
}

// handle takes one event through the core, carries out its commands, and
// checks all that must hold.
func (s *sim) handle(e Event) {
	s.steps++
	if !s.quiet {
		s.write("> %v %s", time.Duration(s.now), describe(e))
	}
	s.harness.do(e)
	var launched []*run
	var won []id.TaskAttempt
	for _, c := range s.core.out {
		switch c := c.(type) {
		case *Launch:
			launched = append(launched, s.launchRow(c)...)
		case *Kill:
			if !s.launched[c.Task] {
				s.t.Fatalf("attempt %d is killed before it is launched", c.Task)
			}
			s.stream.killed[c.Task] = c.Reason
			s.kill(c.Task)
		case *Emit:
			if end, ok := c.Event.(*event.TaskEnd); ok && end.Reason == task.Success {
				won = append(won, end.Info.TaskAttempt)
			}
			s.stream.emit(s, c.Event, len(c.Merge) > 0)
		case *MakeBinary:
			s.make(c.Request)
		case *FetchResult:
			n := c.Task
			s.soon(func() { s.fetch(n) })
		case *RemoveBlock:
			for n := range s.stored {
				if block.TaskResult(n) == c.Block {
					delete(s.stored, n)
				}
			}
		case *Deliver:
			s.deliver(c)
		case *EndJob:
			s.end(c)
		case *SetTimer:
			at := c.At
			s.alarm = at
			ring := func() {
				if s.alarm == at {
					s.alarm = 0
					s.do(&TimerDue{})
				}
			}
			if at == s.core.silence {
				s.push(moment{at: at, do: ring, beside: true})
			} else {
				s.at(at, ring)
			}
		case *DropExecutor:
			s.dropped(c.Executor)
		case *Answer:
			answered := s.asked[c.Token]
			if answered == nil {
				s.t.Fatalf("an answer to question %d, which nobody asked or which is answered", c.Token)
			}
			delete(s.asked, c.Token)
			a := *c
			answered(&a)
		}
	}
	s.answers, s.harness.requests, s.fetches, s.removed = s.answers[:0], s.harness.requests[:0], s.fetches[:0], s.removed[:0]
	if err := s.core.Check(); err != nil {
		s.t.Fatalf("%v", err)
	}
	s.checkLaunches(launched)
	s.checkWinners(won)
	s.checkSlots()
	s.checkCounts()
	s.checkDue()
	s.checkWaits()
	if s.w.planted != nil {
		if what := s.w.planted(s, e); what != "" {
			s.t.Fatal(what)
		}
	}
}

func (s *sim) ask(e func(Token) Event, answered func(*Answer)) {
	s.token++
	s.asked[s.token] = answered
	s.do(e(s.token))
}

// Outside.

func (s *sim) act(a act) {
	if s.calm() {
		return
	}
	job := func() id.Job { return id.Job(max(0, len(s.jobs)-1-a.a%4)) }
	running := func() *run {
		if len(s.order) == 0 {
			return nil
		}
		return s.runs[s.order[a.a%len(s.order)]]
	}
	output := func() blockKey {
		var keys []blockKey
		for k := range s.blocks {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b blockKey) int { return int(a.by - b.by) })
		if len(keys) == 0 {
			return blockKey{}
		}
		return keys[a.a%len(keys)]
	}
	x := a.a % len(s.execs)
	switch a.kind {
	case submitJob, submitMapJob:
		s.submitJob(a)
	case cancelJob:
		s.do(&JobCancelled{Job: job(), Reason: "sim"})
	case cancelGroup, cancelFuture:
		s.do(&GroupCancelled{Group: fmt.Sprint("g", a.a%8), Reason: "sim", Future: a.kind == cancelFuture})
	case cancelTag:
		s.do(&TagCancelled{Tag: fmt.Sprint("t", a.a%5), Reason: "sim"})
	case cancelStage:
		s.do(&StageCancelled{Stage: max(0, s.core.nextStage-1-id.Stage(a.a%5)), Reason: "sim"})
	case cancelAll:
		s.do(&AllCancelled{Reason: "sim"})
	case killAttempt:
		if r := running(); r != nil {
			s.ask(func(k Token) Event { return &KillRequested{Token: k, Task: r.Task, Reason: "sim"} }, func(*Answer) {})
		}
	case loseExecutor:
		s.loseExecutor(x, a.b%2 == 0, a.b%3 == 0)
	case muteExecutor:
		s.execs[x].mute = s.w.beats
	case addExecutor:
		s.bring(x)
	case loseSlot:
		for _, n := range s.order {
			if r := s.runs[n]; r.killed && r.on.alive && !r.over {
				s.reap(r)
				break
			}
		}
	case loseOutput:
		delete(s.blocks, output())
	case loseOutputs:
		s.loseBlocks(s.execs[x])
	case loseCached:
		for _, n := range s.nodes {
			if at := s.cachedAt[n.ID]; at != nil {
				at[a.a%len(at)] = nil
			}
		}
	case loseStored:
		for _, n := range s.order {
			delete(s.stored, n)
		}
	case removeShuffle:
		if len(s.shuffles) > 0 {
			s.removeShuffle(s.shuffles[a.a%len(s.shuffles)])
		}
	case failBinary:
		s.noBinary = true
	case ringTimer:
		s.do(&TimerDue{})
	case askState:
		s.ask(func(k Token) Event { return &StateAsked{Token: k} }, func(*Answer) {})
	}
}

func (s *sim) submitJob(a act) {
	n := s.nodes[a.a%len(s.nodes)]
	spec := JobSpec{Final: n, Action: "sim", Properties: map[string]string{
		propPool: fmt.Sprint("p", a.b%4), propGroup: fmt.Sprint("g", a.b%9), propTags: fmt.Sprintf("t%d,t%d", a.b%5, a.b%2)}}
	switch {
	case a.kind == submitMapJob && len(s.shuffles) > 0:
		spec.Shuffle = s.shuffles[a.a%len(s.shuffles)]
		spec.Final = spec.Shuffle.Parent
	case a.b%6 == 0 && !n.Barrier:
		for p := a.b % n.Partitions; p < n.Partitions; p += 2 {
			spec.Partitions = append(spec.Partitions, int32(p))
		}
	}
	if a.b%3 == 0 {
		spec.Properties[propInterrupt] = "true"
	}
	if s.w.maxMessage > 0 && a.b%5 == 2 && !s.again {
		spec.Properties["pad"] = s.pad(a)
	}
	s.jobs = append(s.jobs, &simJob{spec: spec, got: make([]bool, spec.results()), left: spec.results(), fates: a.fates, commits: a.b%4 == 1})
	s.do(&JobSubmitted{Job: id.Job(len(s.jobs) - 1), Spec: &spec})
}

// loseExecutor takes an executor away, and then tells the driver. One that
// still works goes on until the driver is told why it is gone.
func (s *sim) loseExecutor(i int, byApp, works bool) {
	x := s.execs[i]
	if !x.alive {
		return
	}
	var gone []*run
	if !works {
		gone = s.lose(x)
	}
	tell := func() {
		if s.execs[i] != x {
			return // another took its place
		}
		if works && x.alive {
			gone = s.lose(x)
		}
		s.dropAll(x) // the core may have launched on it meanwhile
		s.do(&ExecutorLost{Executor: x.id, Reason: "sim", CausedByApp: byApp})
		s.comeLate(gone)
		if s.over {
			s.bring(i)
		}
	}
	if byApp {
		s.soon(tell)
		return
	}
	s.soon(func() {
		s.do(&ExecutorGone{Executor: x.id})
		s.at(s.now+int64(s.w.scaled(50*time.Millisecond)), tell)
	})
}

// comeLate brings messages of attempts that nobody waits for any more.
func (s *sim) comeLate(gone []*run) {
	for _, r := range gone {
		if r.late {
			s.do(&TaskStatus{Status: task.Status{Task: r.Task, Executor: r.on.id, State: task.Finished, Route: task.RouteDirect},
				Result: task.Result{Value: s.value(r)}, Bytes: 90})
		}
	}
}

// dropped does what the core says of an executor: it is lost.
func (s *sim) dropped(n id.Executor) {
	for i, x := range s.execs {
		if x.id == n && x.alive && n != s.adding {
			gone := s.lose(x)
			s.soon(func() {
				s.comeLate(gone)
				if s.over {
					s.bring(i)
				}
			})
		}
	}
}

func (s *sim) dropAll(x *simExecutor) {
	for _, n := range slices.Clone(s.order) {
		if r := s.runs[n]; r.on == x {
			s.drop(r)
		}
	}
}

// lose takes an executor away with all that it runs and keeps.
func (s *sim) lose(x *simExecutor) (gone []*run) {
	x.alive = false
	for _, n := range slices.Clone(s.order) {
		if r := s.runs[n]; r.on == x {
			if r.began > 0 {
				gone = append(gone, r)
			}
			s.drop(r)
		}
	}
	s.loseBlocks(x)
	for n, on := range s.stored {
		if on.on == x {
			delete(s.stored, n)
		}
	}
	for _, parts := range s.cachedAt {
		for p, at := range parts {
			if len(at) > 0 && at[0].Executor == x.id {
				parts[p] = nil
			}
		}
	}
	return gone
}

func (s *sim) loseBlocks(x *simExecutor) {
	for k, b := range s.blocks {
		if b.at == x {
			delete(s.blocks, k)
		}
	}
}

// removeShuffle takes a shuffle away with those made from it: while a dataset
// is held, so are those that it reads.
func (s *sim) removeShuffle(d *plan.ShuffleDep) {
	for _, o := range s.shuffles {
		if slices.Contains(shuffleDeps(o.Parent), d) {
			s.removeShuffle(o)
			if s.core.outputs.shuffles[o.Shuffle] != nil {
				return
			}
		}
	}
	n := d.Shuffle
	s.do(&ShuffleRemoved{Shuffle: n})
	if s.core.outputs.shuffles[n] != nil {
		return
	}
	for k := range s.blocks {
		if k.shuffle == n {
			delete(s.blocks, k)
		}
	}
	for _, x := range s.execs {
		delete(x.known, n)
	}
}

func (s *sim) make(r BinaryRequest) {
	s.soon(func() {
		var err error
		if s.noBinary && !s.calm() {
			err = fmt.Errorf("no binary")
		}
		s.noBinary = false
		s.requests[s.binary+1] = r
		s.makeBinary(r, err)
	})
}

// makeBinary is the harness's, through do.
func (s *sim) makeBinary(r BinaryRequest, err error) {
	if s.binary++; err == nil {
		s.binaries[s.binary] = true
	}
	s.do(&BinaryMade{Stage: r.StageAttempt, Binary: s.binary, Err: err})
}

func (s *sim) fetch(n id.Task) {
	s.do(&FetchBegun{Task: n})
	fetched := s.soon
	if s.w.slow {
		fetched = func(do func()) { s.at(s.now+int64(s.w.scaled(30*time.Millisecond)), do) }
	}
	fetched(func() {
		got := &ResultFetched{Task: n, Size: 60}
		if kept, ok := s.stored[n]; ok {
			got.Result.Value, got.Result.Accums = kept.value, accums
		} else {
			got.Lost = "gone"
		}
		delete(s.stored, n)
		s.do(got)
	})
}

// Attempts.

// launch takes an attempt of a row that was launched.
func (s *sim) launch(n id.Task, l *row) *run {
	d := s.tasks[n]
	delete(s.tasks, n)
	s.harness.order = s.harness.order[:0]
	clear(s.before)
	r := &run{Description: d, on: l.on, row: l, req: s.requests[d.Binary], launched: s.now, step: s.steps}
	j := s.jobs[d.Job]
	if j.launches < len(j.fates) {
		r.fate = j.fates[j.launches]
	}
	if j.launches++; s.calm() {
		r.fate = fate{takes: r.takes}
	}
	if r.takes == 0 {
		r.takes = s.w.usual()
	}
	if s.w.slow && r.ends == succeeds && n%2 == 0 && !s.calm() {
		r.ends = stores
	}
	s.runs[r.Task], s.launched[r.Task] = r, true
	s.order = append(s.order, r.Task)
	return r
}

func (s *sim) find(n id.Executor) *simExecutor {
	i := slices.IndexFunc(s.execs, func(x *simExecutor) bool { return x.id == n })
	return s.execs[i]
}

// drop takes an attempt off its executor.
func (s *sim) drop(r *run) {
	delete(s.runs, r.Task)
	s.order = slices.DeleteFunc(s.order, func(n id.Task) bool { return n == r.Task })
	s.leave(r.row)
}

// lives reports whether an attempt has not ended and its executor is there.
func (s *sim) lives(r *run) bool { return s.runs[r.Task] == r && !r.over }

func (s *sim) kill(n id.Task) {
	r := s.runs[n]
	if r == nil || r.killed {
		return
	}
	if r.killed = true; r.stubborn && !r.waiting && !s.calm() {
		if s.w.reaps && r.began > 0 {
			s.at(s.now+int64(s.w.scaled(5*time.Millisecond)), func() {
				if s.lives(r) && r.on.alive && !s.calm() {
					s.reap(r)
				}
			})
		}
		return
	}
	s.soon(func() {
		if s.lives(r) && !slices.Contains(r.row.waits, r) {
			s.failed(r, killed)
		}
	})
}

// reap gives up an attempt that ignores its kill, and its slot; an executor
// that has none left is lost, and may come back.
func (s *sim) reap(r *run) {
	n := r.Task
	s.drop(r)
	r.on.slots--
	left := r.on.slots
	if left < s.w.cpus {
		s.lose(r.on)
		if i := slices.Index(s.execs, r.on); s.w.reaps {
			s.at(s.now+int64(s.w.scaled(50*time.Millisecond)), func() { s.bring(i) })
		}
	}
	s.do(&SlotLost{Task: n, Left: left})
	if r.late && left >= s.w.cpus { // it returns after all
		s.stored[n] = storedResult{on: r.on}
		s.do(&TaskStatus{Status: task.Status{Task: n, Executor: r.Executor, State: task.Finished, Route: task.RouteIndirect,
			Block: string(block.TaskResult(n))}, Bytes: 90})
	}
}

var killed = &task.Failure{Kind: task.TaskKilled, Message: "killed"}

// begin begins the first attempt of a row.
func (s *sim) begin(r *run) {
	r.began = s.now
	if !r.silent {
		e := saysRuns(r)
		if r.row.chained {
			r.row.hold(s, e)
		} else {
			s.report(e)
		}
	}
	s.work(r)
}

func saysRuns(r *run) *TaskStatus {
	return &TaskStatus{Status: task.Status{Task: r.Task, Executor: r.Executor, State: task.Running}, Bytes: 40}
}

// work goes on from the beginning of an attempt. One that was killed while it
// followed another does not.
func (s *sim) work(r *run) {
	if r.killed && r.row.chained {
		s.failed(r, killed)
		return
	}
	s.at(s.now+int64(r.takes/2), func() { s.read(r) })
}

// read takes what the attempt's stage reads: cached partitions, else the
// outputs of the shuffles behind.
func (s *sim) read(r *run) {
	if !s.lives(r) {
		return
	}
	var deps []*plan.ShuffleDep
	walk(r.req.Node, func(n *plan.Node) bool {
		at := s.cachedAt[n.ID]
		if at == nil {
			return true
		}
		if len(at[r.Partition]) == 0 {
			r.walked = append(r.walked, n)
			return true
		}
		return false
	}, func(d *plan.ShuffleDep) { deps = append(deps, d) })
	for _, d := range deps {
		statuses := s.outputsOf(r, d.Shuffle)
		if statuses == nil {
			s.notFetched(r, task.FetchFailure{Shuffle: d.Shuffle, Map: -1, MapIndex: -1})
			return
		}
		for i, m := range statuses {
			if m == nil {
				s.notFetched(r, task.FetchFailure{Shuffle: d.Shuffle, Map: -1, MapIndex: -1})
				return
			}
			b := s.blocks[blockKey{d.Shuffle, m.Map}]
			if b == nil || r.ends == cannotFetch {
				s.notFetched(r, task.FetchFailure{Executor: m.Location.Executor, Shuffle: d.Shuffle, Map: m.Map, MapIndex: int32(i)})
				return
			}
			if b.part != int32(i) || b.at.id != m.Location.Executor {
				s.t.Fatalf("attempt %d reads output %d of shuffle %d, which is %d on %s", r.Task, i, d.Shuffle, b.part, b.at.id)
			}
			r.from.add(b.from)
		}
	}
	if r.Barrier && r.ends != missesBarrier {
		s.sync(r)
		return
	}
	s.at(s.now+int64(r.takes/2), func() { s.finish(r) })
}

func (s *sim) notFetched(r *run, f task.FetchFailure) {
	s.failed(r, &task.Failure{Kind: task.FetchFailed, Message: "block is gone", Fetch: f})
}

// outputsOf looks a shuffle up as an executor does: what it remembers is true
// of an epoch, and a newer task drops it.
func (s *sim) outputsOf(r *run, n id.Shuffle) (statuses []*task.MapStatus) {
	x := r.on
	if r.Epoch > x.epoch {
		x.epoch, x.known = r.Epoch, nil
	}
	if known, ok := x.known[n]; ok {
		return known
	}
	s.ask(func(k Token) Event { return &OutputsAsked{Token: k, Shuffle: n} }, func(a *Answer) {
		if a.Err != nil {
			return
		}
		if a.Epoch < r.Epoch {
			s.t.Fatalf("attempt %d of epoch %d is told outputs of epoch %d", r.Task, r.Epoch, a.Epoch)
		}
		if a.Epoch > x.epoch {
			x.epoch, x.known = a.Epoch, nil
		}
		if x.known == nil {
			x.known = map[id.Shuffle][]*task.MapStatus{}
		}
		statuses, x.known[n] = a.Statuses, a.Statuses
	})
	return statuses
}

func (s *sim) sync(r *run) {
	method := task.AllGather
	if r.ends == leavesBarrier {
		method = task.Barrier
	}
	r.waiting = true
	s.ask(func(k Token) Event {
		return &BarrierArrived{Token: k, Request: task.BarrierRequest{StageAttempt: r.StageAttempt, Task: r.Task, Partition: r.Partition,
			NumTasks: r.NumPartitions, Method: method, Message: strconv.Itoa(int(r.Partition))}}
	}, func(a *Answer) {
		r.waiting = false
		if a.Err == nil && method == task.AllGather {
			for i, m := range a.Messages {
				if m != strconv.Itoa(i) {
					s.t.Fatalf("attempt %d is told the messages %q", r.Task, a.Messages)
				}
			}
		}
		s.soon(func() {
			switch {
			case !s.lives(r):
			case a.Err != nil:
				s.failed(r, &task.Failure{Kind: task.ExceptionFailure, Class: "sync", Message: a.Err.Error()})
			default:
				s.finish(r)
			}
		})
	})
}

// finish ends an attempt as its fate says.
func (s *sim) finish(r *run) {
	if !s.lives(r) {
		return
	}
	if s.jobs[r.Job].commits {
		s.ask(func(k Token) Event {
			return &CommitAsked{Token: k, Stage: r.StageAttempt, Partition: r.Partition, Attempt: r.Number}
		}, func(a *Answer) { r.right = a.OK })
		if !r.right {
			s.failed(r, &task.Failure{Kind: task.TaskCommitDenied, Message: "not allowed to commit"})
			return
		}
		s.committed(r)
		s.rights[r.Task] = true
	}
	switch r.ends {
	case throws:
		s.failed(r, &task.Failure{Kind: task.ExceptionFailure, Class: "*errors.errorString", Message: "boom", Accums: accums})
	case throwsForGood:
		s.failed(r, &task.Failure{Kind: task.ExceptionFailure, NoRetry: true, Message: "no retry mends this"})
	case diesUnknown:
		s.failed(r, nil)
	default:
		s.succeeded(r)
	}
}

var accums = []task.AccumUpdate{{ID: 1}}

func (s *sim) failed(r *run, f *task.Failure) {
	state := task.Failed
	if f != nil && (f.Kind == task.TaskKilled || f.Kind == task.TaskCommitDenied) {
		state = task.Killed
	}
	s.last(r, &TaskStatus{Status: task.Status{Task: r.Task, Executor: r.Executor, State: state}, Failure: f, Bytes: 80})
}

func (s *sim) succeeded(r *run) {
	for _, n := range r.walked {
		s.cachedAt[n.ID][r.Partition] = []task.Location{{Host: fmt.Sprint("h", r.on.host), Executor: r.on.id}}
	}
	e := &TaskStatus{Status: task.Status{Task: r.Task, Executor: r.Executor, State: task.Finished, Route: task.RouteDirect}, Bytes: 100}
	ends := r.ends
	if ends == stores || ends == storesLost {
		e.Status.Route, e.Status.Block = task.RouteIndirect, string(block.TaskResult(r.Task))
	}
	value := s.value(r)
	s.made[r.Task] = r.from
	switch {
	case ends == drops:
		e.Status.Route = task.RouteDropped
	case ends == sendsGarbage && r.Kind == task.ShuffleMapTask:
		e.Result.Value = []byte{0xff}
	case ends == isLarge && r.Kind == task.ResultTask:
		e.Result.Value = append(value, make([]byte, 150)...)
	case e.Status.Route == task.RouteIndirect:
		if ends == stores {
			s.stored[r.Task] = storedResult{r.on, value}
		}
	default:
		e.Result.Value = value
	}
	e.Result.Accums = accums
	e.Status.Size = int64(len(value)) + 50
	if r.Kind == task.ShuffleMapTask && ends != drops && ends != sendsGarbage {
		s.blocks[blockKey{r.req.Shuffle.Shuffle, r.Task}] = &mapOutput{at: r.on, part: r.Partition, from: s.outputOf(r)}
	}
	s.last(r, e)
}

// last brings the message that ends an attempt.
func (s *sim) last(r *run, e *TaskStatus) {
	r.over = true
	e.Status.Stamps = task.Stamps{Start: r.began, RunStart: r.began, RunEnd: s.now, EncodeEnd: s.now, End: s.now}
	if r.row.chained {
		s.handOn(r, e)
		return
	}
	s.report(e)
	if r.twice && e.Status.Route != task.RouteIndirect {
		again := *e
		s.soon(func() { s.do(&again) })
	}
}

// report brings a message of an attempt.
func (s *sim) report(e *TaskStatus) {
	s.reported(e)
	s.do(e)
}

// reported notes that the driver has a message.
func (s *sim) reported(e *TaskStatus) {
	s.stream.ran[e.Status.Task] = true
	if !e.Status.State.Terminal() {
		return
	}
	s.stream.reported[e.Status.Task] = e
	s.stream.endedAt[e.Status.Task] = e.Status.Stamps.End
	if r := s.runs[e.Status.Task]; r != nil {
		s.drop(r)
	}
}

// value is what a result task returns, or a map task's status.
func (s *sim) value(r *run) []byte {
	if r.Kind == task.ResultTask {
		v := strconv.AppendInt(nil, int64(r.Partition), 10)
		return strconv.AppendInt(append(v, '/'), int64(r.Task), 10)
	}
	sizes := make([]int64, r.req.Shuffle.Reducers)
	for i := range sizes {
		sizes[i] = 100
	}
	m := task.NewMapStatus(task.Location{Host: fmt.Sprint("h", r.on.host), Executor: r.on.id}, r.Task, sizes)
	if r.req.Node.Determinism != plan.Indeterminate {
		m.RowSum = s.rowSum(r)
	}
	return task.AppendMapStatus(nil, m)
}
