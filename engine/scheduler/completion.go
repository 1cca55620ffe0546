package scheduler

import (
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// ending is how an attempt ended, for its stage.
type ending struct {
	kind    task.ReasonKind
	failure *task.Failure   // nil on success
	status  *task.MapStatus // map task's success
	result  *task.Result    // nil: no metrics came
}

// attemptEnded is the stage's side of the end of an attempt. The order is
// Spark's (spark-semantics §1.6): commit rights, accumulators, the event,
// and only then what it means.
func (c *Core) attemptEnded(a *attempt, e ending) {
	ts := a.set
	s := ts.stage
	if e.kind != task.Success {
		c.commits.ended(ts.id, a.partition, a.info.Number, e.kind == task.TaskCommitDenied)
	}
	known := c.stages[s.id] == s
	c.emitTaskEnd(a, e, known && c.mergesAccums(a, e))
	if !known {
		return
	}
	switch {
	case e.kind == task.Success:
		c.attemptSucceeded(a, e)
	case e.kind == task.FetchFailed:
		c.fetchFailed(a, e.failure)
	case ts.barrier && !ts.aborted:
		c.barrierTaskFailed(ts, a.info.TaskAttempt, a.partition, e.failure)
	}
}

// mergesAccums says whether what the attempt added counts (§4.4).
func (c *Core) mergesAccums(a *attempt, e ending) bool {
	switch e.kind {
	case task.Success:
		s := a.set.stage
		return s.dep != nil || c.jobs[s.job.id] == s.job && !s.job.finished[a.info.Index]
	case task.ExceptionFailure, task.TaskKilled:
		return true
	}
	return false
}

// brokenUp reports whether the set is of a barrier stage attempt that has
// ended. A task of it that succeeds all the same, since its kill or its stored
// result was on its way, counts for nothing but its accumulators: the next
// attempt runs all tasks, at once.
func (ts *taskSet) brokenUp() bool {
	return ts.barrier && (ts.id != ts.stage.attempt() || !ts.stage.running)
}

func (c *Core) attemptSucceeded(a *attempt, e ending) {
	ts := a.set
	if ts.brokenUp() {
		c.giveUpRight(a)
		return
	}
	s, index := ts.stage, a.info.Index
	ignored := ts.id.Attempt <= s.ignored
	if !ignored && ts.id.Attempt < s.attempt().Attempt {
		if latest := s.activeSet(); latest != nil {
			c.partitionDone(latest, index)
		}
	}
	if s.dep == nil {
		j := s.job
		switch {
		case c.jobs[j.id] != j || j.finished[index]:
		case ignored:
			c.abortStage(s, fmt.Sprintf("%v succeeded although its stage attempt was rolled back, since what it read may come out otherwise the next time; checkpoint or persist before the repartition", a.info.TaskAttempt), nil)
		default:
			c.resultIn(j, s, index, e.result.Value)
		}
		return
	}
	if ignored {
		c.giveUpRight(a)
		return
	}
	s.pending.remove(index)
	c.outputs.add(s.dep.Shuffle, index, e.status)
	if s.node.Determinism != plan.Indeterminate && c.outputs.mismatch(s.dep.Shuffle, index, e.status) {
		c.otherRows(s, a.partition)
		if c.stages[s.id] != s {
			return
		}
	}
	if s.running && s.making == nil && s.pending.left == 0 {
		c.stageDone(s)
	}
}

// giveUpRight takes the right to commit from an attempt whose success counts for
// nothing: whoever does its task again is to have it.
func (c *Core) giveUpRight(a *attempt) { c.commits.ended(a.set.id, a.partition, a.info.Number, false) }

// partitionDone tells a task set that another attempt of its stage did the
// task at index.
func (c *Core) partitionDone(ts *taskSet, index int32) {
	if pos := ts.position(index); pos >= 0 && !ts.done[pos] {
		ts.done[pos] = true
		ts.left--
		if ts.running.at(pos) == nil {
			ts.idle--
		}
		if ts.spec != nil {
			ts.spec.unmark(pos)
		}
		if ts.left == 0 {
			c.drain(ts)
		}
	}
}

// barrierTaskFailed ends a barrier stage attempt: its tasks succeed together
// or not at all (§1.10).
func (c *Core) barrierTaskFailed(ts *taskSet, a id.TaskAttempt, partition int32, f *task.Failure) {
	s := ts.stage
	if ts.id != s.attempt() || !s.running {
		return
	}
	why := fmt.Sprintf("barrier %v failed: %v", a, f)
	err := &TaskError{TaskAttempt: a, Job: ts.job.id, Partition: partition, Failures: 1, Failure: f}
	c.killStage(s, false, why)
	if s.dep == nil {
		c.finishStage(s, why, false)
		c.abortStage(s, why+" (partitions that committed their output could not be run again)", err)
		return
	}
	abort := c.countFailure(s)
	c.finishStage(s, why, abort == "")
	if abort != "" {
		c.abortStage(s, abort+": "+why, err)
		return
	}
	c.outputs.removeAll(s.dep.Shuffle)
	c.resubmitLater(s)
}

// countFailure counts the latest attempt of s as failed, once, and says why
// the stage must not be tried again; empty: it may.
func (c *Core) countFailure(s *stage) string {
	if n := s.attempt().Attempt; !slices.Contains(s.failures, n) {
		s.failures = append(s.failures, n)
	}
	switch {
	case len(s.failures) >= c.cfg.MaxConsecutiveStageAttempts:
		return fmt.Sprintf("%s (stage %d) failed in %d attempts in a row, which is the limit (spark.stage.maxConsecutiveAttempts)",
			s.info.Name, s.id, len(s.failures))
	case int(s.next) >= c.cfg.MaxStageAttempts:
		return fmt.Sprintf("%s (stage %d) has been attempted %d times, which is the limit (spark.stage.maxAttempts)",
			s.info.Name, s.id, s.next)
	}
	return ""
}
