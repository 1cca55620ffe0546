package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// Context is one running attempt (Spark's TaskContext). It is made for the
// attempt and not used again; after the attempt's end its methods are safe
// but useless. Unless a method says otherwise it is for the attempt's own
// goroutine alone.
type Context struct {
	// Description is what the driver said of the attempt. Its Properties and
	// Files are shared by the attempts of a stage and must not be changed.
	task.Description
	// Metrics are the attempt's figures so far.
	Metrics task.Metrics
	// Timer splits the run time into parts.
	Timer task.Timer
	// Worker is the slot that runs the attempt.
	Worker int32

	e        *Executor
	launched id.Task         // as Launch named it; the description may be damaged
	labels   context.Context // nil: it runs without
	accums   []accumEntry
	barriers int64 // global syncs completed
	gc       int64 // collector time when the attempt started

	// signals wakes Check; killers and Running write, the attempt reads.
	signals  atomic.Uint32
	killed   atomic.Pointer[KilledError] // killers write, once
	killedAt atomic.Int64                // when, for the reaper; 0: not killed
	fetch    atomic.Pointer[task.Failure]
	account  atomic.Pointer[memory.Task] // the attempt writes, once; killers read
	snapshot atomic.Pointer[Snapshot]    // the attempt writes, Running reads
	known    atomic.Bool                 // Description is decoded and may be read by others

	result *memory.Consumer // what holds the encoded value until it is sent; nil: nothing

	lost bool // guarded by worker.mu: the reaper gave it up

	mu struct {
		sync.Mutex
		ctx    context.Context // nil until asked for
		cancel context.CancelCauseFunc
		over   bool // nothing more is done for the attempt
		hooks
	}
}

// Bits of Context.signals.
const (
	signalKilled = 1 << iota
	signalProgress
)

// errEnded is the cause of an attempt's context after its end.
var errEnded = errors.New("attempt has ended")

// begin makes a fresh context that of a launch.
func (c *Context) begin(l launch) {
	c.launched = l.task
	c.Executor = c.e.cfg.ID
	c.Task = l.task
	if l.kill != nil {
		c.killed.Store(l.kill)
		c.signals.Store(signalKilled)
	}
}

// identity names the attempt in messages, as far as it is known.
func (c *Context) identity() string {
	if c.known.Load() {
		return c.TaskAttempt.String()
	}
	return fmt.Sprintf("task (TID %d)", c.launched)
}

// Check returns a *KilledError if the attempt has been killed. It costs one
// atomic load, so call it once per batch and before any wait.
func (c *Context) Check() error {
	if c.signals.Load() == 0 {
		return nil
	}
	return c.answer()
}

func (c *Context) answer() error {
	if c.signals.Load()&signalProgress != 0 {
		c.signals.And(^uint32(signalProgress))
		c.publish()
	}
	if k := c.killed.Load(); k != nil {
		return k
	}
	return nil
}

// Killed returns the reason of the attempt's kill. Any goroutine may ask.
func (c *Context) Killed() (reason string, killed bool) {
	if k := c.killed.Load(); k != nil {
		return k.Reason, true
	}
	return "", false
}

// kill marks the attempt as killed, unless it is already, ends its context
// and its waits for memory, and starts its interrupt listeners.
func (c *Context) kill(k *KilledError, now int64) {
	if !c.killed.CompareAndSwap(nil, k) {
		return
	}
	c.killedAt.Store(now)
	c.signals.Or(signalKilled)
	if m := c.account.Load(); m != nil {
		m.Kill(k)
	}
	c.mu.Lock()
	cancel := c.mu.cancel
	run := len(c.mu.interrupt) > 0 && !c.mu.ended
	if run {
		c.e.helpers.Add(1)
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(k)
	}
	if run {
		// The killer is the driver, which runs no user code; the attempt may
		// be blocked in just what a listener is to release.
		c.e.help(func() { c.interrupt(k) })
	}
}

// Memory returns the attempt's account, opened at the first call.
func (c *Context) Memory() *memory.Task {
	if m := c.account.Load(); m != nil {
		return m
	}
	m := c.e.deps.Memory.NewTask(c.Task)
	m.OnEviction(c.evicting)
	c.account.Store(m)
	c.mu.Lock()
	over := c.mu.over
	c.mu.Unlock()
	if over { // nobody would close it
		m.Kill(errEnded)
	}
	if k := c.killed.Load(); k != nil { // the killer may have come too early to see it
		m.Kill(k)
	}
	return m
}

// HoldResult makes a consumer of the attempt's memory the one that holds its
// encoded value: it is closed when the result has been sent, and is no leak.
func (c *Context) HoldResult(m *memory.Consumer) { c.result = m }

// evicting charges what others must write to disk so that this attempt gets
// memory to this attempt: its time and its bytes are spills like its own.
func (c *Context) evicting() (end func(memory, disk int64)) {
	prev := c.Timer.Switch(task.PartSpill)
	return func(memory, disk int64) {
		c.Timer.Switch(prev)
		if memory > 0 || disk > 0 {
			c.Metrics[task.SpillCount]++
			c.Metrics[task.MemoryBytesSpilled] += memory
			c.Metrics[task.DiskBytesSpilled] += disk
		}
	}
}

// Context returns a context that ends with the attempt: when it is killed,
// with the *KilledError as its cause, or when it is over. Any goroutine may
// ask; it is made at the first call.
func (c *Context) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.ctx == nil {
		parent := c.labels
		if parent == nil {
			parent = context.Background()
		}
		c.mu.ctx, c.mu.cancel = context.WithCancelCause(parent)
		if k := c.killed.Load(); k != nil {
			c.mu.cancel(k)
		} else if c.mu.over {
			c.mu.cancel(errEnded)
		}
	}
	return c.mu.ctx
}

// SetFetchFailed records that a map output could not be read. The attempt,
// if it fails, then fails with that, whatever user code makes of the error.
// The first record stays. Any goroutine may call it.
func (c *Context) SetFetchFailed(f *task.Failure) { c.fetch.CompareAndSwap(nil, f) }

// MapOutputs returns the statuses of a shuffle's map outputs, by map
// partition, from the executor's cache if that is not older than the
// attempt's description. They are shared and must not be changed.
func (c *Context) MapOutputs(s id.Shuffle) ([]*task.MapStatus, error) {
	return c.e.outputs.get(s, c.e.deps.Driver.MapOutputs)
}

// CanCommit asks the driver whether this attempt may commit its output. It
// returns nil or a *CommitDeniedError, which the body returns.
func (c *Context) CanCommit() error {
	if c.e.deps.Driver.CanCommit(c.StageAttempt, c.Partition, c.Number) {
		return nil
	}
	return &CommitDeniedError{Stage: c.StageAttempt, Partition: c.Partition, Attempt: c.Number}
}

// Barrier blocks until every task of the barrier stage has called it. A kill
// ends the wait.
func (c *Context) Barrier() error {
	_, err := c.sync(task.Barrier, "")
	return err
}

// AllGather is Barrier that also returns what every task passed, by
// partition.
func (c *Context) AllGather(message string) ([]string, error) {
	return c.sync(task.AllGather, message)
}

func (c *Context) sync(method task.BarrierMethod, message string) ([]string, error) {
	if !c.Description.Barrier {
		return nil, fmt.Errorf("cannot wait for the other tasks of stage %s: it is not a barrier stage", c.StageAttempt)
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	r := task.BarrierRequest{
		StageAttempt: c.StageAttempt, Task: c.Task, Partition: c.Partition, NumTasks: c.NumPartitions,
		Epoch: c.barriers, Method: method, Message: message,
	}
	if m := c.account.Load(); m != nil {
		r.Requested, r.Serve = m.Requested(), func() { m.Serve() }
	}
	messages, err := c.e.deps.Driver.Barrier(c.Context(), r)
	if killed := c.Check(); err != nil && killed != nil {
		return nil, killed
	}
	if err != nil {
		return nil, fmt.Errorf("cannot wait for the other tasks of stage %s: %w", c.StageAttempt, err)
	}
	c.barriers++
	return messages, nil
}

// File returns the path of this executor's copy of a file that was added to
// the session under name. Any goroutine may ask.
func (c *Context) File(name string) (string, error) {
	for i := range c.Files {
		if c.Files[i].Name == name {
			return c.e.files.path(name), nil
		}
	}
	return "", fmt.Errorf("cannot find file %q: it was not added before the job was submitted", name)
}

// Accumulator is an attempt's partial value, owned by the attempt.
type Accumulator interface {
	// AppendValue appends the encoded value to dst.
	AppendValue(dst []byte) []byte
}

type accumEntry struct {
	id          id.Accumulator
	name        string
	countFailed bool
	value       Accumulator
}

// Accumulator returns the attempt's partial value of an accumulator, made by
// fresh at the first call. Only accumulators that were asked for travel to
// the driver; those that count failures, also when the attempt fails.
func (c *Context) Accumulator(n id.Accumulator, name string, countFailed bool, fresh func() Accumulator) Accumulator {
	for i := range c.accums {
		if c.accums[i].id == n {
			return c.accums[i].value
		}
	}
	a := fresh()
	c.accums = append(c.accums, accumEntry{n, name, countFailed, a})
	return a
}

// updates encodes the accumulators, all of them or those that count failures.
func (c *Context) updates(failed bool) []task.AccumUpdate {
	var list []task.AccumUpdate
	for _, a := range c.accums {
		if !failed || a.countFailed {
			list = append(list, task.AccumUpdate{ID: a.id, Name: a.name, CountFailed: a.countFailed, Value: a.value.AppendValue(nil)})
		}
	}
	return list
}
