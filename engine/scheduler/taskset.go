package scheduler

import (
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/task"
)

// taskSet is the tasks of one stage attempt (spark-semantics §2). Tasks are
// numbered by position, 0 to n-1; a stage attempt that runs only what is
// missing has fewer positions than its stage has indices. A set that is
// draining launches nothing more; it lives until its last attempt ends.
type taskSet struct {
	id       id.StageAttempt
	stage    *stage
	job      *job
	indices  []int32 // [n] stage's index by position, ascending
	barrier  bool
	epoch    int64 // of the map outputs, when the set was made
	binary   id.Broadcast
	draining bool
	aborted  bool
	warned   bool // of a large description
	leaf     *poolNode
	total    result.Total

	// By position, without pointers: a set of a million tasks would otherwise
	// keep the collector busy.
	done    []bool
	outputs []output // map stage: what its own attempts wrote
	running running
	tries   []int32
	fails   map[int32]int32 // by position; most never fail

	left    int // positions not done
	idle    int // positions not done and without a live attempt
	live    int // live attempts
	pending pendingTasks
	spec    *speculation // nil: no task gets a second attempt
	health  *setHealth   // nil: failures exclude nothing

	template task.Description // what all descriptions have in common
	shared   []byte           // encoded

	// Delay scheduling (pending.go).
	levels   []task.Locality
	level    int
	since    int64 // the timer
	rejected bool  // an offer was refused since the timer was last set
	opens    int64 // when the next level opens for an offer that was refused; 0: none was

	givesUp int64 // barrier set with more tasks than there are slots: when it is aborted; 0: they suffice
	pace    pace  // of its attempts (chain.go)
}

// output tells of the attempt of a map task whose output counts: enough to
// tell of its end again, should the output be lost with its executor.
type output struct {
	task           id.Task
	launch, finish int64
	number         int32
	executor       int32 // its place among the core's; -1: there is no such attempt in this set
	locality       task.Locality
	speculative    bool
}

// attempt is one try at a task, from its launch until the driver has handled
// its end.
type attempt struct {
	place     int32 // among the core's attempts, for good
	info      event.TaskInfo
	set       *taskSet
	pos       int32
	partition int32
	next      *attempt // of the same position
	before    *attempt // has its slot now, and it follows (chain.go)
	after     *attempt // follows it

	slot    bool // takes its slot
	started bool // has reported that it runs
	loser   bool // was told to end because another attempt succeeded
	fetch   bool // its result is being fetched
	waits   bool // for the one before it to end, or for word that it has begun
	passed  bool // its slot went to the one after it

	bytes  [3]int32
	stamps task.Stamps
	worker int32
	route  task.Route
	size   int64 // encoded result
	value  int64 // counted towards the results' total

	// What the attempt's start and end emit. It is here, and not with the
	// commands, because the worker that ends an attempt launches its next one,
	// which gets the same memory: it stays in that processor's cache.
	startEvent event.TaskStart
	endEvent   event.TaskEnd
}

// clear makes the attempt ready for another launch. Its events stay, since
// commands refer to them.
func (a *attempt) clear() {
	a.info = event.TaskInfo{}
	a.set, a.pos, a.partition, a.next, a.before, a.after = nil, 0, 0, nil, nil, nil
	a.slot, a.started, a.loser, a.fetch, a.waits, a.passed = false, false, false, false, false, false
	a.bytes, a.stamps, a.worker, a.route, a.size, a.value = [3]int32{}, task.Stamps{}, 0, 0, 0, 0
}

func (c *Core) addTaskSet(s *stage, m *making, binary id.Broadcast) *taskSet {
	for _, older := range slices.Clone(s.sets) {
		c.drain(older)
	}
	n := len(m.indices)
	ts := &taskSet{
		id: m.attempt, stage: s, job: m.job, indices: m.indices, barrier: s.barrier,
		epoch: c.outputs.epoch, binary: binary, since: c.now,
		done: make([]bool, n), running: running{all: &c.memory, first: make([]int32, n)}, tries: make([]int32, n),
		left: n, idle: n,
	}
	if s.dep != nil {
		ts.outputs = slices.Repeat([]output{{executor: -1}}, n)
	} else {
		ts.total = result.NewTotal(c.cfg.MaxResult)
	}
	ts.pending.init(n, m.prefs, s.barrier)
	ts.health = c.newSetHealth()
	ts.spec = c.newSpeculation(n, s.barrier, m.prefs)
	ts.template = task.Description{
		TaskAttempt: id.TaskAttempt{StageAttempt: ts.id},
		Job:         m.job.id, NumPartitions: int32(s.tasks), Kind: s.kind(), Barrier: s.barrier,
		CPUs: int32(c.cfg.TaskCPUs), Epoch: ts.epoch, Binary: binary,
		Files: m.job.spec.Files, Properties: m.job.spec.Properties,
	}
	ts.shared = task.AppendShared(nil, &ts.template)
	ts.levels = c.validLevels(ts)
	s.sets = append(s.sets, ts)
	c.sets = append(c.sets, ts)
	ts.leaf = c.addLeaf(ts)
	c.offers = true
	return ts
}

// position returns where the task at an index of the stage is, or -1.
func (ts *taskSet) position(index int32) int32 {
	if int(index) < len(ts.indices) && ts.indices[index] == index {
		return index // nothing below it is left out
	}
	pos, ok := slices.BinarySearch(ts.indices, index)
	if !ok {
		return -1
	}
	return int32(pos)
}

// drain stops the set from launching, and closes it if nothing of it lives.
func (c *Core) drain(ts *taskSet) {
	ts.draining = true
	ts.opens, ts.givesUp = 0, 0
	c.recall = c.recall || c.waits > 0
	c.closeSet(ts)
}

func (c *Core) closeSet(ts *taskSet) {
	if !ts.draining || ts.live > 0 || ts.leaf == nil {
		return
	}
	ts.leaf.remove()
	ts.leaf = nil
	if ts.health != nil && ts.left == 0 && !ts.aborted {
		c.judge(ts)
	}
	same := func(o *taskSet) bool { return o == ts }
	c.sets = slices.DeleteFunc(c.sets, same)
	ts.stage.sets = slices.DeleteFunc(ts.stage.sets, same)
	c.command(&DropBinary{Binary: ts.binary})
}

// killStage asks every attempt of a stage to end and stops its task sets.
func (c *Core) killStage(s *stage, interrupt bool, reason string) {
	for _, ts := range slices.Clone(s.sets) {
		if ts.live > 0 {
			for _, place := range ts.running.first {
				for a := c.memory.get(place); a != nil; a = a.next {
					c.kill(a, interrupt, reason)
				}
			}
		}
		c.drain(ts)
	}
}

func (c *Core) abortSet(ts *taskSet, reason string, cause error) {
	ts.aborted = true
	c.drain(ts)
	c.abortStage(ts.stage, reason, cause)
}

// newAttempt makes the attempt that is launched now.
func (c *Core) newAttempt(ts *taskSet, pos int32, x *executor, at task.Locality) *attempt {
	var a *attempt
	if n := len(c.free); n > 0 {
		a = c.free[n-1]
		c.free = c.free[:n-1]
	} else {
		a = c.memory.more()
	}
	index := ts.indices[pos]
	a.set, a.pos, a.partition, a.slot = ts, pos, ts.stage.partition(index), true
	a.info.TaskAttempt = id.TaskAttempt{StageAttempt: ts.id, Index: index, Number: ts.tries[pos], Task: c.attempts.add(a)}
	a.info.Partition, a.info.Executor, a.info.Host = a.partition, x.id, x.host
	a.info.Locality, a.info.Launch = at, c.now
	ts.tries[pos]++
	if a.next = ts.running.at(pos); a.next == nil {
		ts.idle--
	} else {
		a.info.Speculative = true
		if ts.spec != nil {
			ts.spec.unmark(pos)
		}
	}
	ts.running.first[pos] = a.place
	ts.live++
	ts.leaf.count(1)
	x.free -= c.cfg.TaskCPUs
	return a
}

// unlink takes an attempt that has ended out of its set's tables.
func (c *Core) unlink(a *attempt) {
	ts := a.set
	if a.fetch {
		c.lessUntaken(ts.job, func(j *job) { j.fetching -= a.value })
	}
	if !ts.running.remove(a) {
		invariant.Violated("attempt %d is not in its task set", a.info.Task)
	}
	ts.live--
	ts.leaf.count(-1)
	c.releaseSlot(a)
	c.attempts.remove(a.info.Task)
	a.info.Finish = c.now
	if a.passed && !a.fetch {
		a.info.Finish = a.stamps.End
	}
	c.unchain(a)
}

func (c *Core) releaseSlot(a *attempt) {
	if !a.slot {
		return
	}
	a.slot = false
	if a.after != nil {
		c.passSlot(a)
		return
	}
	if x := c.executor(a.info.Executor); x.alive {
		x.free += c.cfg.TaskCPUs
		c.offers = true
	}
}

// retire lets the attempt's memory be used again.
func (c *Core) retire(a *attempt) {
	ts := a.set
	a.clear()
	c.free = append(c.free, a)
	c.closeSet(ts)
}

// attemptDone takes the success of an attempt.
func (c *Core) attemptDone(a *attempt, r *task.Result, status *task.MapStatus) {
	ts := a.set
	if ts.done[a.pos] && a.loser {
		c.lostRace(a)
		return
	}
	c.unlink(a)
	for o := ts.running.at(a.pos); o != nil; o = o.next {
		if !o.loser {
			o.loser = true
			c.kill(o, true, "another attempt succeeded")
		}
	}
	delete(ts.fails, a.pos)
	if ts.spec != nil && !ts.draining {
		ts.spec.succeeded(a, &r.Metrics)
	}
	ts.pace.note(a)
	if !ts.done[a.pos] {
		ts.done[a.pos] = true
		ts.left--
	}
	// It may be done by an older set's attempt, too: this one's output is the
	// later, and the one that counts.
	if ts.outputs != nil && ts.outputs[a.pos].executor < 0 {
		i := &a.info
		ts.outputs[a.pos] = output{i.Task, i.Launch, i.Finish, i.Number, c.executor(i.Executor).n, i.Locality, i.Speculative}
	}
	c.attemptEnded(a, ending{kind: task.Success, result: r, status: status})
	if ts.left == 0 {
		c.drain(ts)
	}
	c.retire(a)
}

// lostRace ends an attempt that succeeded after another attempt of its task
// had, and after it was told to end.
func (c *Core) lostRace(a *attempt) {
	_ = a.set.total.Add(-a.value) // given back; a set that is above its limit has been aborted
	if a.route == task.RouteIndirect && !a.fetch {
		c.command(&RemoveBlock{Block: blockOf(a)})
	}
	c.attemptFailed(a, &task.Failure{Kind: task.TaskKilled,
		Message: "finished, but another attempt had succeeded"})
}

// attemptFailed takes any other end of an attempt.
func (c *Core) attemptFailed(a *attempt, f *task.Failure) {
	ts, pos := a.set, a.pos
	c.begun(a)
	c.recall = c.recall || c.waits > 0
	c.unlink(a)
	counts := f.Kind.CountsTowardsFailures()
	switch f.Kind {
	case task.TaskKilled, task.TaskCommitDenied:
		a.info.Killed = true
	case task.TaskResultLost:
		// It did finish: Spark's task info looks successful.
	case task.ExecutorLostFailure:
		counts = f.CausedByApp && a.started
		a.info.Failed = true
	case task.FetchFailed:
		a.info.Failed = true
		if !ts.done[pos] {
			ts.done[pos] = true // no retry here: the stage is tried again
			ts.left--
		}
		c.drain(ts)
	default:
		a.info.Failed = true
	}
	if !ts.done[pos] && ts.running.at(pos) == nil {
		ts.idle++
	}
	if ts.spec != nil {
		ts.spec.ended(a, c.executor(a.info.Executor), ts.running.at(pos) != nil)
	}
	if ts.barrier {
		c.drain(ts)
	}
	attempt, partition, on := a.info.TaskAttempt, a.partition, c.executor(a.info.Executor)
	c.attemptEnded(a, ending{kind: f.Kind, failure: f})
	if !ts.draining && !ts.done[pos] {
		if counts {
			if ts.fails == nil {
				ts.fails = map[int32]int32{}
			}
			ts.fails[pos]++
		}
		err := &TaskError{TaskAttempt: attempt, Job: ts.job.id, Partition: partition, Failures: int(ts.fails[pos]), Failure: f}
		if counts && ts.health != nil { // before the task can be offered again
			c.blame(ts, pos, on, err)
		}
		switch {
		case f.Kind == task.ExceptionFailure && f.NoRetry:
			c.abortSet(ts, fmt.Sprintf("%v failed in a way that no retry can mend: %v", attempt, f), err)
		case counts && err.Failures >= c.cfg.MaxFailures:
			c.abortSet(ts, fmt.Sprintf("task %d in stage %v failed %d times (%s), most recently: %v",
				attempt.Index, ts.id, err.Failures, keyMaxFailures, f), err)
		case ts.running.at(pos) == nil:
			ts.pending.push(pos)
			c.offers = true
		}
	}
	c.retire(a)
}

// setLostExecutor ends the attempts that ran on a lost executor, and runs map
// tasks again whose output was there.
func (c *Core) setLostExecutor(ts *taskSet, x *executor, reason string, causedByApp bool) {
	message := fmt.Sprintf("executor %s is lost: %s", x.id, reason)
	if !ts.draining {
		c.resubmitOutputs(ts, x, message)
	}
	var gone []*attempt
	for _, place := range ts.running.first {
		for a := c.memory.get(place); a != nil; a = a.next {
			if a.info.Executor == x.id {
				gone = append(gone, a)
			}
		}
	}
	for _, a := range gone {
		a.slot = false // went with the executor
		c.attemptFailed(a, &task.Failure{Kind: task.ExecutorLostFailure, CausedByApp: causedByApp && a.started, Message: message})
	}
}

// resubmitOutputs has the finished map tasks whose output went with executor x
// run again (spark-semantics §2.5). Each attempt that wrote one ends a second
// time, as resubmitted, without figures: those were in its own end. The tasks
// of a barrier stage run again all together.
func (c *Core) resubmitOutputs(ts *taskSet, x *executor, message string) {
	var first *event.TaskEnd
	for pos := range ts.outputs {
		if ts.outputs[pos].executor != x.n || !ts.done[pos] {
			continue
		}
		end := c.emitResubmitted(ts, int32(pos), x)
		if first == nil {
			first = end
		}
		ts.done[pos], ts.outputs[pos].executor = false, -1
		ts.left++
		ts.stage.pending.add(ts.indices[pos])
		if ts.running.at(int32(pos)) == nil {
			ts.idle++
			ts.pending.push(int32(pos))
		}
	}
	if first != nil && ts.barrier {
		c.barrierTaskFailed(ts, first.Info.TaskAttempt, first.Info.Partition, &task.Failure{Kind: task.Resubmitted, Message: message})
	}
}

// emitResubmitted tells that the attempt that wrote a map output, which is
// lost with executor x, did so for nothing.
func (c *Core) emitResubmitted(ts *taskSet, pos int32, x *executor) *event.TaskEnd {
	o, index := &ts.outputs[pos], ts.indices[pos]
	part := ts.stage.partition(index)
	c.commits.ended(ts.id, part, o.number, false)
	end := &event.TaskEnd{Kind: ts.template.Kind, Reason: task.Resubmitted, Info: event.TaskInfo{
		TaskAttempt: id.TaskAttempt{StageAttempt: ts.id, Index: index, Number: o.number, Task: o.task},
		Partition:   part, Executor: x.id, Host: x.host, Locality: o.locality, Speculative: o.speculative,
		Launch: o.launch, Finish: o.finish}}
	c.emit(end)
	return end
}

// memory holds all attempts that live or whose room waits for another, each
// at a place of its own, from 1.
type memory []*attempt

func (m *memory) more() *attempt {
	a := &attempt{place: int32(len(*m) + 1)}
	*m = append(*m, a)
	return a
}

// get returns the attempt at a place; nil at 0.
func (m *memory) get(place int32) *attempt {
	if place == 0 {
		return nil
	}
	return (*m)[place-1]
}

// running are the live attempts of a task set: by position, the place of the
// latest one, from which the others are chained; 0: none lives.
type running struct {
	all   *memory
	first []int32
}

func (r *running) at(pos int32) *attempt { return r.all.get(r.first[pos]) }

// remove takes an attempt out of its chain; false: it is in none.
func (r *running) remove(a *attempt) bool {
	if o := r.at(a.pos); o == a {
		r.first[a.pos] = 0
		if a.next != nil {
			r.first[a.pos] = a.next.place
		}
	} else {
		for o != nil && o.next != a {
			o = o.next
		}
		if o == nil {
			return false
		}
		o.next = a.next
	}
	a.next = nil
	return true
}

// attempts finds an attempt by its id. Ids count up, and most attempts end
// soon after they began, so a ring that holds the range in use is dense.
type attempts struct {
	ring  []*attempt // length a power of two
	head  int        // place of the oldest
	count int        // from the oldest to the newest, ended ones included
	base  id.Task    // id of the oldest
	live  int
}

func (t *attempts) add(a *attempt) id.Task {
	if t.count == len(t.ring) {
		bigger := make([]*attempt, max(64, 2*len(t.ring)))
		for i := range t.count {
			bigger[i] = t.ring[(t.head+i)&(len(t.ring)-1)]
		}
		t.ring, t.head = bigger, 0
	}
	t.ring[(t.head+t.count)&(len(t.ring)-1)] = a
	t.count++
	t.live++
	return t.base + id.Task(t.count-1)
}

// any reports whether there was any attempt so far.
func (t *attempts) any() bool { return t.base > 0 || t.count > 0 }

// get returns the attempt, or nil if it has ended or never was.
func (t *attempts) get(n id.Task) *attempt {
	if n < t.base || n >= t.base+id.Task(t.count) {
		return nil
	}
	return t.ring[(t.head+int(n-t.base))&(len(t.ring)-1)]
}

func (t *attempts) remove(n id.Task) {
	t.ring[(t.head+int(n-t.base))&(len(t.ring)-1)] = nil
	t.live--
	for t.count > 0 && t.ring[t.head] == nil {
		t.head = (t.head + 1) & (len(t.ring) - 1)
		t.count--
		t.base++
	}
}
