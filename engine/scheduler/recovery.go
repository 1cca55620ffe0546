package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// fetchFailed takes the failure of an attempt that could not read a map
// output (spark-semantics §1.7). Both stages wait for the resubmission;
// attempts that run are left to run, and their successes count.
//
// Spark takes one unreadable block as the loss of all that its executor
// wrote, which on one machine means every output of every shuffle. Here the
// first failed attempt of a stage costs the block that it names; if the next
// attempt fails too, the executor's files are not trusted any more and all of
// them are written again. A damaged block so costs one map task, and a lost
// folder one attempt more than in Spark.
func (c *Core) fetchFailed(a *attempt, f *task.Failure) {
	s := a.set.stage
	if a.set.id != s.attempt() {
		return
	}
	abort := c.countFailure(s)
	why := fmt.Sprintf("%v could not read shuffle %d: %v", a.info.TaskAttempt, f.Fetch.Shuffle, f)
	if s.running {
		c.finishStage(s, why, abort == "")
	}
	m := c.shuffles[f.Fetch.Shuffle]
	if m != nil {
		switch {
		case m.barrier:
			c.outputs.removeAll(f.Fetch.Shuffle)
		case f.Fetch.MapIndex >= 0:
			c.outputs.removeOne(f.Fetch.Shuffle, f.Fetch.MapIndex, f.Fetch.Executor)
		}
	}
	if a.set.barrier {
		if s.dep == nil {
			c.killStage(s, false, why)
			c.abortStage(s, why+" (partitions of a barrier stage that committed their output could not be run again)", f)
			return
		}
		c.killStage(s, false, why)
		c.outputs.removeAll(s.dep.Shuffle)
	}
	if abort != "" {
		c.abortStage(s, abort+": "+why, f)
		return
	}
	first := !s.failed
	c.resubmitLater(s)
	if m != nil {
		c.resubmitLater(m)
		if first && m.node.Determinism == plan.Indeterminate {
			c.rollBack(m)
		}
	}
	if x := c.executor(f.Fetch.Executor); x != nil && len(s.failures) > 1 && x.distrusted < a.set.epoch {
		c.outputs.removeExecutor(x.id)
		x.distrusted = c.outputs.epoch
		clear(c.locations)
	}
}

// resubmitLater lists a stage for the resubmission, which comes a fixed time
// after the first, so that a burst of failures is answered once. A map stage
// that runs again is listed too; submitting it will do nothing.
func (c *Core) resubmitLater(s *stage) {
	if c.stages[s.id] != s || slices.Contains(c.failed, s) {
		return
	}
	s.failed = true
	c.failed = append(c.failed, s)
	if c.resubmit == 0 {
		c.resubmit = c.now + int64(c.cfg.ResubmitDelay)
	}
}

func (c *Core) resubmitFailed() {
	stages := c.failed
	c.failed, c.resubmit = nil, 0
	clear(c.locations)
	slices.SortStableFunc(stages, func(a, b *stage) int { return cmp.Compare(a.firstJob, b.firstJob) })
	for _, s := range slices.Backward(stages) {
		s.failed = false
		c.enqueue(s)
	}
}

// rollBack prepares the whole recomputation of an indeterminate map stage:
// whatever was made from its former outputs is undone too, and the jobs for
// which that is not possible are aborted.
func (c *Core) rollBack(m *stage) {
	c.rollBackAll(m, append(descendants(m), m))
}

// otherRows deals with a map task that ran again and wrote other rows than
// before, though nothing said that it might.
func (c *Core) otherRows(m *stage, partition int32) {
	c.warn(fmt.Sprintf("map partition %d of %s (stage %d) was computed again and wrote other rows than before", partition, m.info.Name, m.id))
	if c.cfg.RetryOnMismatch {
		c.rollBackAll(m, descendants(m))
	}
}

// descendants are the stages that read what a stage writes, directly or not.
func descendants(m *stage) []*stage {
	var list []*stage
	seen := map[*stage]bool{m: true}
	work := []*stage{m}
	for i := 0; i < len(work); i++ {
		for _, ch := range work[i].children {
			if !seen[ch] {
				seen[ch] = true
				work = append(work, ch)
				list = append(list, ch)
			}
		}
	}
	return list
}

// rollBackAll undoes what stages made from the former outputs of m.
func (c *Core) rollBackAll(m *stage, affected []*stage) {
	const advice = "checkpoint or persist before the repartition, or sort before it"
	slices.SortFunc(affected, byStage)
	for _, s := range affected {
		if s.dep != nil || c.stages[s.id] != s {
			continue
		}
		if done := len(s.job.finished) - s.job.left; done > 0 || s.running {
			c.abortStage(s, fmt.Sprintf("%s must be computed again, its records may come out otherwise, and %d of %d results were made from the former ones: %s",
				m.node.Name, done, len(s.job.finished), advice), nil)
		}
	}
	c.outputs.removeDerived(m.dep.Shuffle)
	for _, s := range affected {
		if c.stages[s.id] != s || s.next == 0 && s != m {
			continue
		}
		const why = "its input is computed again and may come out otherwise"
		s.ignored = s.next - 1
		c.killStage(s, false, "stage rolled back: "+why)
		if s == m {
			c.outputs.removeAll(m.dep.Shuffle)
		}
		if s.running {
			c.finishStage(s, "rolled back: "+why, true)
			c.resubmitLater(s)
		}
	}
}

// Executors that come and go (spark-semantics §1.8).

func (c *Core) addExecutor(spec ExecutorSpec) *executor {
	x := c.executor(spec.ID)
	if x == nil {
		x = &executor{id: spec.ID, n: int32(len(c.executors))}
		c.executors = append(c.executors, x)
	}
	x.host, x.slots, x.free, x.seen = spec.Host, spec.Slots, spec.Slots, c.now
	if c.cfg.HeartbeatTimeout > 0 && c.silence == 0 {
		c.silence = c.tooSilent(x)
	}
	x.alive, x.gone, x.distrusted = true, false, -1
	return x
}

func (c *Core) executorAdded(spec ExecutorSpec) {
	if x := c.executor(spec.ID); x != nil {
		if x.alive {
			return
		}
		c.executorLost(spec.ID, "another took its place", false) // nothing, unless its loss was still to be told
	}
	c.addExecutor(spec)
	c.emit(&event.ExecutorAdded{At: c.now, Executor: spec.ID, Host: spec.Host, Cores: int32(spec.Slots)})
	for _, ts := range c.sets {
		c.recomputeLevels(ts)
	}
	c.offers = true
}

// executorGone stops offering an executor. What ran there stays as it is
// until executorLost.
func (c *Core) executorGone(n id.Executor) {
	x := c.executor(n)
	if x == nil || !x.alive {
		return
	}
	x.alive, x.gone, x.free = false, true, 0
	for _, ts := range c.sets {
		c.recomputeLevels(ts)
	}
	c.offers = true
}

// executorLost ends the executor's attempts and forgets its map outputs. It
// reports whether there was such an executor.
func (c *Core) executorLost(n id.Executor, reason string, causedByApp bool) bool {
	x := c.executor(n)
	if x == nil || !x.alive && !x.gone {
		return false
	}
	x.alive, x.gone, x.free, x.failures = false, false, 0, nil
	clear(c.locations)
	for _, ts := range slices.Clone(c.sets) {
		c.setLostExecutor(ts, x, reason, causedByApp)
	}
	c.outputs.removeExecutor(n) // also what it wrote since a fetch failure cost it all
	x.distrusted = c.outputs.epoch
	for _, ts := range c.sets {
		c.recomputeLevels(ts)
	}
	c.offers = true
	c.emit(&event.ExecutorRemoved{At: c.now, Executor: n, Reason: reason})
	c.command(&DropExecutor{Executor: n, Reason: reason})
	if !c.anyExecutor() {
		c.cancelAll(ErrNoExecutor.Error()+": "+reason, ErrNoExecutor)
	}
	return true
}

// slotLost takes away the slot of an attempt that ignores its kill. The
// attempt is given up, as if its executor had gone.
func (c *Core) slotLost(e *SlotLost) {
	a := c.attempts.get(e.Task)
	if a == nil {
		return
	}
	x := c.executor(a.info.Executor)
	x.slots = e.Left
	c.offers = true // barrier stages are to see that there are fewer
	x.free += c.cfg.TaskCPUs - 1
	a.slot = false
	f := &task.Failure{Kind: task.ExecutorLostFailure, CausedByApp: true,
		Message: fmt.Sprintf("%v ignored its kill and cost its executor %s a slot; %d are left", a.info.TaskAttempt, a.info.Executor, e.Left)}
	c.attemptFailed(a, f)
	if e.Left < c.cfg.TaskCPUs {
		c.executorLost(x.id, f.Message, true)
	}
}

func (c *Core) removeShuffle(n id.Shuffle) {
	if c.shuffles[n] != nil {
		return // a job that lives needs it
	}
	c.outputs.unregister(n)
}
