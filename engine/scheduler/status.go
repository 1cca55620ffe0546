package scheduler

import (
	"fmt"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// status takes a message from an executor.
func (c *Core) status(e *TaskStatus) {
	s := &e.Status
	a := c.attempts.get(s.Task)
	if a == nil || a.fetch {
		// It has ended for us; what it left behind must not stay.
		if a == nil && s.State == task.Finished && s.Route == task.RouteIndirect {
			c.command(&RemoveBlock{Block: block.ID(s.Block)})
		}
		return
	}
	if s.State == task.Running {
		c.begun(a)
		a.started = true
		a.bytes[1] = e.Bytes
		a.worker = s.Worker
		return
	}
	if !s.State.Terminal() {
		return
	}
	c.begun(a)
	a.started = true
	a.bytes[2], a.stamps, a.worker, a.route, a.size = e.Bytes, s.Stamps, s.Worker, s.Route, s.Size
	c.releaseSlot(a)
	if s.State != task.Finished {
		f := e.Failure
		if f == nil {
			f = &task.Failure{Kind: task.UnknownReason, Message: "the attempt ended as " + s.State.String() + " without a reason"}
		}
		c.attemptFailed(a, f)
		return
	}
	c.finished(a, e)
}

func blockOf(a *attempt) block.ID { return block.TaskResult(a.info.Task) }

// finished takes a result by its route (spark-semantics §2.9). Sizes are
// counted before anything is fetched; map tasks are not limited.
func (c *Core) finished(a *attempt, e *TaskStatus) {
	ts := a.set
	if ts.done[a.pos] && a.loser {
		c.lostRace(a)
		return
	}
	if ts.stage.dep == nil {
		size := e.Status.Size
		if a.route == task.RouteDirect {
			size = int64(len(e.Result.Value))
		}
		if err := ts.total.Add(size); err != nil {
			c.tooLarge(a, err)
			return
		}
		a.value = size
	}
	switch a.route {
	case task.RouteDirect:
		c.resultHere(a, &e.Result)
	case task.RouteIndirect:
		a.fetch = true
		ts.job.fetching += a.value
		c.command(&FetchResult{Task: a.info.Task, Block: block.ID(e.Status.Block)})
	default:
		c.attemptFailed(a, &task.Failure{Kind: task.TaskResultLost,
			Message: fmt.Sprintf("the result of %d bytes was dropped at the executor", e.Status.Size)})
	}
}

// tooLarge ends an attempt whose result is one too many, and aborts its set.
func (c *Core) tooLarge(a *attempt, err error) {
	ts := a.set
	first := !ts.aborted
	ts.aborted = true
	c.drain(ts)
	if a.route == task.RouteIndirect {
		c.command(&RemoveBlock{Block: blockOf(a)})
	}
	c.attemptFailed(a, &task.Failure{Kind: task.TaskKilled, Message: err.Error()})
	if first {
		c.abortStage(ts.stage, err.Error(), err)
	}
}

// resultHere takes a decoded result: a value for the job's caller, or a map
// output's status.
func (c *Core) resultHere(a *attempt, r *task.Result) {
	if a.set.stage.dep == nil {
		c.attemptDone(a, r, nil)
		return
	}
	status := new(task.MapStatus)
	if err := task.DecodeMapStatus(r.Value, status); err != nil {
		c.attemptFailed(a, &task.Failure{Kind: task.UnknownReason, Message: err.Error()})
		return
	}
	c.attemptDone(a, r, status)
}

func (c *Core) fetchBegun(n id.Task) {
	if a := c.attempts.get(n); a != nil && a.fetch {
		a.info.GettingResult = c.now
		c.emit(&event.TaskGettingResult{Info: a.info})
	}
}

func (c *Core) resultFetched(e *ResultFetched) {
	a := c.attempts.get(e.Task)
	if a == nil || !a.fetch {
		return
	}
	if e.Lost != "" {
		c.attemptFailed(a, &task.Failure{Kind: task.TaskResultLost, Message: e.Lost})
		return
	}
	c.resultHere(a, &e.Result)
}

func (c *Core) killRequested(e *KillRequested) {
	a := c.attempts.get(e.Task)
	if a != nil {
		c.kill(a, a.set.job.interrupt(), e.Reason)
	}
	c.answer(&Answer{Token: e.Token, OK: a != nil})
}

// emitTaskEnd tells the end of an attempt, its accumulator updates merged.
func (c *Core) emitTaskEnd(a *attempt, e ending, merge bool) {
	end := &a.endEvent
	end.Info, end.Kind, end.Reason, end.Failure = a.info, a.set.template.Kind, e.kind, e.failure
	end.Stamps, end.Worker, end.Route, end.StatusBytes = a.stamps, a.worker, a.route, a.bytes
	end.Accums = nil
	var accums []task.AccumUpdate
	switch {
	case e.result != nil:
		end.Metrics, end.HasMetrics, accums = e.result.Metrics, true, e.result.Accums
		// A result is closed before encode ends, so the stamps tell how long
		// it took, and its CPU time where that was not read apart.
		encode := a.stamps.EncodeEnd - a.stamps.RunEnd
		end.Metrics[task.ResultSerializationTime] = encode
		if cpu := &end.Metrics[task.ResultSerializationCPUTime]; *cpu == 0 || *cpu > encode {
			*cpu = encode
		}
	case e.failure != nil && e.failure.Metrics != (task.Metrics{}):
		end.Metrics, end.HasMetrics, accums = e.failure.Metrics, true, e.failure.Accums
	default:
		end.Metrics, end.HasMetrics = task.Metrics{}, false
		if e.failure != nil {
			accums = e.failure.Accums
		}
	}
	if a.route != task.RouteNone { // also of a result that was refused, dropped or lost
		end.Metrics[task.ResultSize] = a.size
	}
	m := c.slabs.emit.next()
	*m = Emit{Event: end}
	if merge {
		m.Merge = accums
	}
	c.out = append(c.out, m)
}
