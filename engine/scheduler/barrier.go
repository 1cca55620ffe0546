package scheduler

import (
	"fmt"
	"slices"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// barriers coordinates the global syncs of barrier stages (spark-semantics
// §4.2). There is one sync for each stage attempt; its rounds are counted.
type barriers struct {
	syncs []*syncRound // in order of their first arrival
}

type syncRound struct {
	stage    id.StageAttempt
	epoch    int64 // rounds completed
	method   task.BarrierMethod
	messages []string // [tasks], by partition
	arrived  []barrierWaiter
	deadline int64 // of the round; 0: nobody waits
}

type barrierWaiter struct {
	token Token
	task  id.Task
}

func (b *barriers) find(s id.StageAttempt) *syncRound {
	for _, x := range b.syncs {
		if x.stage == s {
			return x
		}
	}
	return nil
}

func (b *barriers) drop(x *syncRound) {
	b.syncs = slices.DeleteFunc(b.syncs, func(o *syncRound) bool { return o == x })
}

// barrierArrived takes one attempt's arrival; the last of a round answers all.
func (c *Core) barrierArrived(e *BarrierArrived) {
	r := &e.Request
	refuse := func(format string, args ...any) {
		c.answer(&Answer{Token: e.Token, Err: fmt.Errorf("cannot sync attempt %d in stage %v: "+format+": %w",
			append(append([]any{r.Task, r.StageAttempt}, args...), ErrBarrier)...)})
	}
	if s := c.stages[r.Stage]; s == nil || !s.barrier || !s.running || s.attempt() != r.StageAttempt {
		refuse("the stage attempt is not running")
		return
	}
	if r.NumTasks < 1 || r.Partition < 0 || r.Partition >= r.NumTasks {
		refuse("partition %d is none of %d", r.Partition, r.NumTasks)
		return
	}
	x := c.barriers.find(r.StageAttempt)
	if x == nil {
		x = &syncRound{stage: r.StageAttempt}
		c.barriers.syncs = append(c.barriers.syncs, x)
	}
	if r.Epoch != x.epoch {
		refuse("it is in round %d, the others are in round %d", r.Epoch, x.epoch)
		return
	}
	if len(x.arrived) > 0 && x.method != r.Method {
		refuse("it calls %v while others call %v", r.Method, x.method)
		c.failSync(x, fmt.Sprintf("an attempt calls %v while others call %v", r.Method, x.method))
		x.epoch = -1 // nobody can arrive any more
		return
	}
	if slices.ContainsFunc(x.arrived, func(w barrierWaiter) bool { return w.task == r.Task }) {
		refuse("it is waiting already")
		return
	}
	if len(x.arrived) == 0 {
		x.method = r.Method
		x.messages = make([]string, r.NumTasks)
		x.deadline = c.now + int64(c.cfg.Barrier.SyncTimeout)
	}
	if int(r.NumTasks) != len(x.messages) {
		refuse("it counts %d tasks, the others %d", r.NumTasks, len(x.messages))
		return
	}
	if r.Method == task.AllGather {
		x.messages[r.Partition] = r.Message
	}
	x.arrived = append(x.arrived, barrierWaiter{e.Token, r.Task})
	if len(x.arrived) < len(x.messages) {
		return
	}
	for _, w := range x.arrived {
		c.answer(&Answer{Token: w.token, OK: true, Messages: slices.Clone(x.messages)})
	}
	*x = syncRound{stage: x.stage, epoch: x.epoch + 1}
}

// failSync fails everybody who waits in a round.
func (c *Core) failSync(x *syncRound, why string) {
	for _, w := range x.arrived {
		c.answer(&Answer{Token: w.token, Err: fmt.Errorf("cannot sync attempt %d in stage %v, round %d: %s: %w",
			w.task, x.stage, x.epoch, why, ErrBarrier)})
	}
	x.arrived, x.messages, x.deadline = nil, nil, 0
}

func (c *Core) expireBarriers() {
	for _, x := range slices.Clone(c.barriers.syncs) {
		if x.deadline != 0 && c.now >= x.deadline {
			c.failSync(x, fmt.Sprintf("%d of %d tasks arrived within %v",
				len(x.arrived), len(x.messages), time.Duration(c.cfg.Barrier.SyncTimeout)))
			c.barriers.drop(x)
		}
	}
}

// waitForSlots sees to it that a barrier set for which slots were lost since
// its stage was cut waits no longer for others than a job waits at its
// submission.
func (c *Core) waitForSlots(ts *taskSet) {
	switch {
	case ts.left <= c.slots():
		ts.givesUp = 0
	case ts.givesUp == 0:
		ts.givesUp = c.now + int64(c.cfg.Barrier.CheckMaxFailures)*int64(c.cfg.Barrier.CheckInterval)
	}
}

// giveUpBarriers aborts the barrier sets that have waited for slots too long.
// Slots that came back meanwhile may all have gone to other sets, so that
// nothing was offered to these.
func (c *Core) giveUpBarriers() {
	for _, ts := range slices.Clone(c.sets) {
		if ts.givesUp != 0 && c.now >= ts.givesUp {
			if c.waitForSlots(ts); ts.givesUp == 0 {
				continue
			}
			err := fmt.Errorf("cannot run the %d tasks of a barrier stage at once on %d slots: %w", ts.left, c.slots(), ErrSlots)
			c.abortSet(ts, err.Error(), err)
		}
	}
}

// dropBarriers ends the syncs of a stage attempt that is complete; attempt
// -1: of all the stage's attempts.
func (c *Core) dropBarriers(s id.Stage, attempt int32) {
	for _, x := range slices.Clone(c.barriers.syncs) {
		if x.stage.Stage == s && (attempt < 0 || x.stage.Attempt == attempt) {
			c.failSync(x, "the stage attempt is complete")
			c.barriers.drop(x)
		}
	}
}
