package scheduler

import (
	"math"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Speculation (spark-semantics §2.8): a task that runs much longer than the
// others of its set gets a second attempt, and the first of the two to succeed
// is the task's.
//
//  1. Every interval (timerDue) each set's limit is found: the multiple of the
//     median time of its successful attempts, once enough of them succeeded;
//     before that, the fixed threshold, if there is one and the set is small.
//  2. An attempt above the limit that does not work through its records about
//     as fast as the others did has its task marked: a copy is to be launched.
//  3. A slot that no waiting task wants takes a marked task (pendingTasks), by
//     the task's own preferences, in another place than its attempts so far.
//  4. The first success kills the other attempt (attemptDone).
//
// Spark's other place is another host, so that on one machine it never makes
// a copy. Here it is another host where the executors have several, else
// another executor where there are several, else another slot: that of the
// first attempt is not free.

// Progress is how far an attempt has come.
type Progress struct {
	Task    id.Task
	Records int64 // read so far
	RunTime int64 // ns, in which it read them
}

// speculation is what a task set knows of its slow tasks.
type speculation struct {
	enough int // successes from which the median says something

	marked []bool // [n] by position: a copy is to be launched
	count  int    // of those
	copies pendingTasks
	apart  place
	before map[int32][]*executor // by position: where attempts ended without success

	times         percentile // of successful attempts, ns
	records, time int64      // of all of those
	rates         map[id.Task]float64

	limit    int64 // of this check, ns; none: nothing is slow
	measured bool  // the limit comes from the median
}

// place is what makes two attempts of a task run in different places.
type place uint8

const (
	bySlot place = iota
	byExecutor
	byHost
)

// noLimit is longer than anything runs.
const noLimit = math.MaxInt64

// newSpeculation returns nil where no task may get a copy: barrier tasks run
// all at once, and one task alone has none to be compared with.
func (c *Core) newSpeculation(n int, barrier bool, prefs [][]task.Location) *speculation {
	cfg := &c.cfg.Speculation
	if !cfg.Enabled || barrier || n == 1 && cfg.TaskDurationThreshold == 0 {
		return nil
	}
	if c.check == 0 {
		c.check = c.now + int64(cfg.Interval)
	}
	return &speculation{
		enough: max(1, int(cfg.Quantile*float64(n))), marked: make([]bool, n),
		copies: pendingTasks{prefs: prefs, copies: true},
		before: map[int32][]*executor{}, times: percentile{part: 0.5}, rates: map[id.Task]float64{},
	}
}

// speculate marks the tasks that are slow now, and comes back while there are
// sets whose tasks could be.
func (c *Core) speculate() {
	c.check = 0
	for _, ts := range c.sets {
		if ts.spec != nil && !ts.draining {
			c.setLimit(ts)
			c.check = c.now + int64(c.cfg.Speculation.Interval)
		}
	}
	if c.check == 0 {
		return
	}
	for _, a := range c.memory { // few: as many as ever lived at once
		ts := a.set
		if ts == nil || ts.spec == nil || ts.draining || !a.slot || ts.done[a.pos] || ts.spec.marked[a.pos] ||
			ts.running.at(a.pos) != a || a.next != nil || !c.slow(ts.spec, a) {
			continue
		}
		ts.spec.mark(a.pos)
		c.emit(&event.SpeculativeTaskSubmitted{At: c.now, Stage: ts.id, Index: a.info.Index, Partition: a.partition})
		c.offers = true
	}
}

// setLimit finds how long an attempt of the set may run.
func (c *Core) setLimit(ts *taskSet) {
	sp, cfg := ts.spec, &c.cfg.Speculation
	sp.limit, sp.measured = noLimit, false
	if sp.times.len() >= sp.enough {
		median, _ := sp.times.value() // there is one
		sp.limit, sp.measured = max(int64(cfg.Multiplier*float64(median)), int64(cfg.MinTaskRuntime)), true
		return
	}
	most := 0
	for _, x := range c.executors {
		if x.alive {
			most = max(most, x.slots/c.cfg.TaskCPUs)
		}
	}
	if cfg.TaskDurationThreshold > 0 && len(ts.indices) <= most {
		sp.limit = int64(cfg.TaskDurationThreshold)
	}
}

// slow reports whether an attempt runs too long. One above a measured limit
// still is not if it reads its records at about the rate of the others, since
// then it has more of them and a copy would take as long; but no rate excuses
// what runs very long.
func (c *Core) slow(sp *speculation, a *attempt) bool {
	ran := c.now - a.info.Launch
	cfg := &c.cfg.Speculation
	switch {
	case ran <= sp.limit:
		return false
	case !sp.measured || !cfg.Efficiency || float64(ran) > cfg.LongRunTaskFactor*float64(sp.limit):
		return true
	}
	usual := math.Inf(1) // nobody read records: all are slow
	if sp.records > 0 && sp.time > 0 {
		usual = float64(sp.records) / float64(sp.time)
	}
	return sp.rates[a.info.Task] < cfg.ProcessRateMultiplier*usual
}

// progress notes how fast attempts work.
func (c *Core) progress(list []Progress) {
	for _, p := range list {
		if a := c.attempts.get(p.Task); a != nil && a.set.spec != nil && p.Records > 0 && p.RunTime > 0 {
			a.set.spec.rates[p.Task] = float64(p.Records) / float64(p.RunTime)
		}
	}
}

func (sp *speculation) mark(pos int32) {
	sp.marked[pos] = true
	sp.count++
	sp.copies.push(pos)
}

// unmark takes a mark back; what is on the stacks is passed over then.
func (sp *speculation) unmark(pos int32) {
	if sp.marked[pos] {
		sp.marked[pos] = false
		sp.count--
	}
}

// succeeded learns from an attempt's success.
func (sp *speculation) succeeded(a *attempt, m *task.Metrics) {
	sp.unmark(a.pos)
	sp.times.add(a.info.Finish - a.info.Launch)
	sp.records += m[task.ShuffleRecordsRead] + m[task.InputRecordsRead]
	sp.time += m[task.ExecutorRunTime]
	delete(sp.rates, a.info.Task)
}

// ended notes where an attempt ended otherwise. With nothing of the task left
// to be slow, there is nothing to copy either.
func (sp *speculation) ended(a *attempt, on *executor, lives bool) {
	delete(sp.rates, a.info.Task)
	sp.before[a.pos] = append(sp.before[a.pos], on)
	if !lives {
		sp.unmark(a.pos)
	}
}

// wantsCopies reports whether any marked task waits for a slot.
func (ts *taskSet) wantsCopies() bool { return ts.spec != nil && ts.spec.count > 0 }

// apart returns what makes two places different as the executors stand.
func (c *Core) apart() place {
	first, apart := -1, bySlot
	for i, x := range c.executors {
		switch {
		case !x.alive:
		case first < 0:
			first = i
		case x.host != c.executors[first].host:
			return byHost
		default:
			apart = byExecutor
		}
	}
	return apart
}

// elsewhere reports whether an executor is another place than those where
// attempts of a task run or ran.
func (ts *taskSet) elsewhere(pos int32, x *executor) bool {
	for _, o := range ts.spec.before[pos] {
		if same(ts.spec.apart, o.id, o.host, x) {
			return false
		}
	}
	for a := ts.running.at(pos); a != nil; a = a.next {
		if same(ts.spec.apart, a.info.Executor, a.info.Host, x) {
			return false
		}
	}
	return true
}

func same(p place, e id.Executor, host string, x *executor) bool {
	switch p {
	case byHost:
		return host == x.host
	case byExecutor:
		return e == x.id
	}
	return false
}
