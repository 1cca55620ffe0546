package executor

import (
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Snapshot is what an attempt had done at a moment of its run. It does not
// change.
type Snapshot struct {
	At      int64 // monotonic ns
	Metrics task.Metrics
	Accums  []task.AccumUpdate
}

// publish makes a snapshot. It runs on the attempt's goroutine, between
// batches, so it reads nothing that anybody writes.
func (c *Context) publish() {
	s := &Snapshot{At: c.e.cfg.Now(), Metrics: c.Metrics, Accums: c.updates(false)}
	s.Metrics[task.JVMGCTime] = c.e.gc.load() - c.gc
	c.snapshot.Store(s)
}

// RunningTask is a row of the running-task table.
type RunningTask struct {
	Task   id.Task
	Worker int32
	Start  int64 // stamp Start; 0: about to start

	// Known tells that the description is decoded; the next three are set.
	Known     bool
	Attempt   id.TaskAttempt
	Partition int32
	Job       id.Job

	Killed string    // reason of its kill; empty: not killed
	Latest *Snapshot // its latest progress; nil: none yet
}

// Running returns the attempts that run now, by worker, with the progress
// they last published, and asks each to publish anew at its next Check: what
// a heartbeat is in Spark. An attempt that is never asked pays nothing.
func (e *Executor) Running() []RunningTask {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []RunningTask
	for _, w := range e.mu.workers {
		c := w.runs()
		if c == nil {
			continue
		}
		r := RunningTask{Task: c.launched, Worker: w.n, Latest: c.snapshot.Load()}
		if at := w.start.Load(); at != notBegun {
			r.Start = at
		}
		if c.known.Load() {
			r.Known, r.Attempt, r.Partition, r.Job = true, c.TaskAttempt, c.Partition, c.Job
		}
		if k := c.killed.Load(); k != nil {
			r.Killed = k.Reason
		}
		c.signals.Or(signalProgress)
		list = append(list, r)
	}
	return list
}

// Serves reports whether any worker does, or waits for, what it is given. An
// executor serves no more while each of its workers is in an attempt that was
// told to end and has not.
func (e *Executor) Serves() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.mu.workers {
		if c := w.runs(); c == nil || c.killedAt.Load() == 0 {
			return true
		}
	}
	return false
}

// Reap gives up the slots of attempts that have ignored their kill for longer
// than the reaper's timeout: it logs their stacks and tells the driver how
// many workers still serve. If such an attempt ends after all, its status is
// delivered and its worker serves again. It also forgets kills whose launch
// never came. Call it about once a second.
func (e *Executor) Reap(now int64) {
	type loss struct {
		w    *worker
		c    *Context
		left int
	}
	var losses []loss
	e.mu.Lock()
	e.expireMarksLocked(now)
	if timeout := int64(e.cfg.ReaperTimeout); timeout > 0 {
		for _, w := range e.mu.workers {
			w.mu.Lock()
			c := w.mu.current
			if c != nil && !c.lost && !w.coming.Load() {
				if at := c.killedAt.Load(); at != 0 && now-at > timeout {
					c.lost = true
					e.mu.lost++
					losses = append(losses, loss{w, c, len(e.mu.workers) - e.mu.lost})
				}
			}
			w.mu.Unlock()
		}
	}
	e.mu.Unlock()
	for _, l := range losses {
		e.log.Error("attempt ignores its kill; its slot is given up", "executor", string(e.cfg.ID), "worker", l.w.n,
			"attempt", l.c.identity(), "left", l.left, "stack", l.w.stack())
		e.deps.Driver.SlotLost(l.c.launched, l.left)
	}
}
