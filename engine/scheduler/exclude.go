package scheduler

import (
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/event"
)

// Exclusion of executors where tasks fail (spark-semantics §2.7), off by
// default. It is known of a task, of a stage attempt, and of the session:
//
//  1. A failure that counts is noted before its task is put back (attemptFailed).
//     The task avoids the executor, and after another failure there its host;
//     two tasks that failed on an executor exclude it for the task set, and two
//     such executors their host.
//  2. A task set that ends well adds its failures to its executors' accounts.
//     Two that are not too old exclude an executor, and two executors a host,
//     for the session, until a time has passed.
//  3. Whole executors are left out once a round, before any task is looked at
//     (round); a single task is passed over on its way off a stack (pop).
//  4. A set that can run nowhere is aborted: at once where all executors are
//     busy, else after a time in which nothing at all was launched (doomed).
//
// Nothing replaces the workers of a session, so an excluded executor is not
// killed, as Spark may.

// setHealth is what a task set knows of failures. Counts of checks are kept
// for the bound on their number.
type setHealth struct {
	executors []*failedOn     // where tasks failed, in order of their first failure
	hosts     map[string]bool // excluded for the set
	hostTasks map[hostTask]bool
	last      *TaskError
	// perExecutor is how often a task may fail on an executor that it is to
	// avoid; 0: failures are noted for the session alone.
	perExecutor int

	abort int64 // when to abort the set; 0: it can run somewhere

	wholeChecks, taskChecks int
}

type failedOn struct {
	x        *executor
	tasks    map[int32]failedTask // by position
	excluded bool                 // for the set
}

type failedTask struct {
	times int
	last  int64
}

type hostTask struct {
	host string
	pos  int32
}

func (c *Core) newSetHealth() *setHealth {
	if !c.cfg.Exclusion.On() {
		return nil
	}
	h := &setHealth{hosts: map[string]bool{}, hostTasks: map[hostTask]bool{}}
	if c.cfg.Exclusion.TaskAndStage {
		h.perExecutor = c.cfg.Exclusion.TaskAttemptsPerExecutor
	}
	return h
}

func (h *setHealth) on(x *executor) *failedOn {
	for _, f := range h.executors {
		if f.x == x {
			return f
		}
	}
	return nil
}

// blame notes a failure on the executor of an attempt that has ended.
func (c *Core) blame(ts *taskSet, pos int32, x *executor, err *TaskError) {
	h, cfg := ts.health, &c.cfg.Exclusion
	h.last = err
	f := h.on(x)
	if f == nil {
		f = &failedOn{x: x, tasks: map[int32]failedTask{}}
		h.executors = append(h.executors, f)
	}
	f.tasks[pos] = failedTask{f.tasks[pos].times + 1, c.now}
	if !cfg.TaskAndStage {
		return
	}
	times, excluded := 0, 0
	for _, o := range h.executors {
		if o.x.host == x.host {
			times += o.tasks[pos].times
		}
	}
	if times >= cfg.TaskAttemptsPerHost {
		h.hostTasks[hostTask{x.host, pos}] = true
	}
	if f.excluded || len(f.tasks) < cfg.StageTasksPerExecutor {
		return
	}
	f.excluded = true
	c.emit(&event.Excluded{At: c.now, Executor: x.id, Host: x.host, ForStage: true, Stage: ts.id, Failures: int32(len(f.tasks))})
	for _, o := range h.executors {
		if o.excluded && o.x.host == x.host {
			excluded++
		}
	}
	if excluded >= cfg.StageExecutorsPerHost && !h.hosts[x.host] {
		h.hosts[x.host] = true
		c.emit(&event.Excluded{At: c.now, Host: x.host, ForStage: true, Stage: ts.id, Failures: int32(excluded)})
	}
}

// bars reports whether the set launches nothing on an executor.
func (h *setHealth) bars(x *executor) bool {
	h.wholeChecks++
	f := h.on(x)
	return h.hosts[x.host] || f != nil && f.excluded
}

// someFailed reports whether any task may have to avoid an executor.
func (h *setHealth) someFailed(x *executor) bool {
	return slices.ContainsFunc(h.executors, func(f *failedOn) bool { return f.x.host == x.host })
}

// avoids reports whether one task is not to run on an executor.
func (h *setHealth) avoids(pos int32, x *executor) bool {
	h.taskChecks++
	f := h.on(x)
	return h.hostTasks[hostTask{x.host, pos}] || f != nil && h.perExecutor > 0 && f.tasks[pos].times >= h.perExecutor
}

// judge adds the failures of a set that has ended well to what the session
// holds against executors.
func (c *Core) judge(ts *taskSet) {
	cfg := &c.cfg.Exclusion
	if !cfg.Application || len(ts.health.executors) == 0 {
		return
	}
	for _, f := range ts.health.executors {
		x := f.x
		for _, t := range f.tasks { // their order does not matter
			x.failures = append(x.failures, t.last+int64(cfg.Timeout))
		}
		x.failures = slices.DeleteFunc(x.failures, func(until int64) bool { return until < c.now })
		if len(x.failures) < cfg.ApplicationTasksPerExecutor || x.excluded != 0 {
			continue
		}
		until := c.now + int64(cfg.Timeout)
		c.emit(&event.Excluded{At: c.now, Executor: x.id, Host: x.host, Failures: int32(len(x.failures))})
		x.excluded, x.failures = until, nil
		n := 0
		for _, o := range c.executors {
			if o.host == x.host && o.excluded != 0 {
				n++
			}
		}
		if n >= cfg.ApplicationExecutorsPerHost && c.hosts[x.host] == 0 {
			c.hosts[x.host] = until
			c.hostList = append(c.hostList, x.host)
			c.emit(&event.Excluded{At: c.now, Host: x.host, Failures: int32(n)})
		}
	}
	c.bar()
}

// bar settles which executors are excluded for the session, and when the next
// of them is not any more.
func (c *Core) bar() {
	c.lift = 0
	until := func(t int64) {
		if t != 0 && (c.lift == 0 || t < c.lift) {
			c.lift = t + 1
		}
	}
	for _, x := range c.executors {
		x.barred = x.excluded != 0 || c.hosts[x.host] != 0
		until(x.excluded)
	}
	for _, host := range c.hostList {
		until(c.hosts[host])
	}
}

// liftExclusions ends those whose time has passed.
func (c *Core) liftExclusions() {
	for _, x := range c.executors {
		if x.excluded != 0 && c.now > x.excluded {
			x.excluded = 0
			c.emit(&event.Unexcluded{At: c.now, Executor: x.id, Host: x.host})
		}
	}
	c.hostList = slices.DeleteFunc(c.hostList, func(host string) bool {
		over := c.now > c.hosts[host]
		if over {
			delete(c.hosts, host)
			c.emit(&event.Unexcluded{At: c.now, Host: host})
		}
		return over
	})
	c.bar()
	c.offers = true
}

// doomed looks whether a set of which nothing was launched can still run, and
// if not, aborts it or says when to.
func (c *Core) doomed(ts *taskSet) {
	if !c.stuck(ts) {
		return
	}
	if !slices.ContainsFunc(c.executors, func(x *executor) bool { return x.alive && x.free == x.slots }) {
		c.abortDoomed(ts)
	} else if ts.health.abort == 0 {
		ts.health.abort = c.now + int64(c.cfg.Exclusion.UnschedulableTimeout)
	}
}

// stuck reports whether no executor may run the set's next task. Any other
// task will be its next at some time.
func (c *Core) stuck(ts *taskSet) bool {
	pos, waits := ts.nextWaiting()
	return waits && c.anyExecutor() && !slices.ContainsFunc(c.executors, func(x *executor) bool {
		return x.alive && !x.barred && !ts.health.bars(x) && !(ts.health.someFailed(x) && ts.health.avoids(pos, x))
	})
}

// nextWaiting returns the task that a slot would be given next.
func (ts *taskSet) nextWaiting() (pos int32, ok bool) {
	for _, s := range []*stack{&ts.pending.nopref, &ts.pending.all} {
		if ts.trim(&ts.pending, s) {
			return (*s)[len(*s)-1], true
		}
	}
	return 0, false
}

// hope takes back that any set is to be aborted: something was launched.
func (c *Core) hope() {
	for _, ts := range c.sets {
		if ts.health != nil {
			ts.health.abort = 0
		}
	}
}

func (c *Core) expireDoomed() {
	for _, ts := range slices.Clone(c.sets) {
		if h := ts.health; h == nil || ts.draining || h.abort == 0 || c.now < h.abort {
			continue
		}
		if ts.health.abort = 0; c.stuck(ts) {
			c.abortDoomed(ts)
		}
	}
}

func (c *Core) abortDoomed(ts *taskSet) {
	pos, _ := ts.nextWaiting()
	reason := fmt.Sprintf("task %d in stage %v can run nowhere: all executors are excluded after failures (%s)",
		ts.indices[pos], ts.id, keyExclusion)
	var cause error
	if last := ts.health.last; last != nil {
		reason, cause = fmt.Sprintf("%s, most recently: %v", reason, last), last
	}
	c.abortSet(ts, reason, cause)
}
