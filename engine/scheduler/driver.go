package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Driver runs jobs. Its methods are safe for several goroutines.
type Driver struct {
	deps Deps
	log  *slog.Logger
	box  mailbox

	// Of whoever is stepping.
	core    *Core
	waiters map[id.Job]*waiter
	last    struct { // the waiter used last, since results come in rows
		job id.Job
		w   *waiter
	}
	replies map[Token]chan Answer
	due     []Event // what commands led to, to handle before the next event
	recall  bool    // attempts are to be called back before that
	chain   []task.Launch
	closed  bool

	tellTaken int64 // bytes of values from which the core is told that they are handled

	fetches fetches
	timer   chan int64 // has room for one: the moment that the timer is to wait for
	quit    chan struct{}
}

// New starts a driver, with its getters and its timer. They end with Close.
func New(cfg Config, deps Deps) *Driver {
	cfg = cfg.withDefaults()
	if deps.Chains == nil {
		cfg.Chain = 0
	}
	d := &Driver{
		deps:    deps,
		log:     deps.Logger,
		core:    NewCore(cfg, deps.Cached),
		waiters: map[id.Job]*waiter{},
		replies: map[Token]chan Answer{},
		timer:   make(chan int64, 1),
		quit:    make(chan struct{}),
	}
	d.tellTaken = int64(cfg.MaxUntaken / 8)
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	d.box.step = d.step
	d.fetches.more = make(chan struct{}, 1)
	d.fetches.wg.Add(cfg.ResultGetters + 1)
	for range cfg.ResultGetters {
		go d.getter()
	}
	go d.housekeeper()
	return d
}

// lookAgain is how often the goroutine of a job looks for results while they
// stream: long against the cost of looking (some 50 µs of the workers' time, as
// a sleeping thread is woken for it), and short for a person. Results of many
// bytes do not wait for it.
const lookAgain = 10 * time.Millisecond

// Run runs a job and blocks until it has ended. handle gets each result's
// value once, with its index among the job's partitions, in the order of
// completion, on the calling goroutine; the value is handle's to keep. If
// handle fails or panics, the job ends and Run returns a *HandlerError. If
// ctx ends, the job is cancelled and the error has context.Cause(ctx) in its
// chain. Every other failure is a *JobError.
func (d *Driver) Run(ctx context.Context, spec JobSpec, handle func(index int, value []byte) error) error {
	return d.run(ctx, &spec, func(r delivery) error { return handle(int(r.index), r.value) })
}

// RunMapStage runs the map stage that writes spec.Shuffle, as far as its
// outputs are missing, and returns about how many bytes each reducer will
// read. It blocks and fails as Run does.
func (d *Driver) RunMapStage(ctx context.Context, spec JobSpec) (bytesByReducer []int64, err error) {
	err = d.run(ctx, &spec, func(r delivery) error {
		bytesByReducer = r.totals
		return nil
	})
	return bytesByReducer, err
}

func (d *Driver) run(ctx context.Context, spec *JobSpec, handle func(delivery) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("cannot start a job: %w", context.Cause(ctx))
	}
	n, w := d.box.job(), newWaiter(d.tellTaken)
	d.box.post(item{event: &JobSubmitted{Job: n, Spec: spec}, waiter: w})

	look := time.NewTimer(lookAgain)
	defer look.Stop()
	var spare []delivery
	var failed *HandlerError
	done := ctx.Done()
	var taken int64 // bytes handled and not yet told
	for {
		batch, ended, err := w.take(spare)
		for i := range batch {
			if failed == nil {
				if failed = handleOne(n, handle, batch[i]); failed != nil {
					d.box.post(item{event: &JobCancelled{Job: n, Reason: failed.Error(), Cause: failed}})
				}
			}
			taken += int64(len(batch[i].value))
			batch[i] = delivery{}
			if taken >= d.tellTaken {
				d.box.post(item{event: &ResultsTaken{Job: n, Bytes: taken}})
				taken = 0
			}
		}
		spare = batch
		switch {
		case ended && failed != nil:
			return failed
		case ended:
			return err
		}
		var later <-chan time.Time
		if len(batch) > 0 {
			look.Reset(lookAgain)
			later = look.C
		}
		// While results stream, only the end and the clock wake; the signal
		// of a first result may be left over and costs one look.
		select {
		case <-w.wake:
		case <-later:
		case <-done:
			done = nil
			d.box.post(item{event: &JobCancelled{Job: n, Cause: context.Cause(ctx)}})
		}
	}
}

// handleOne calls the user's handler and takes its panic.
func handleOne(n id.Job, handle func(delivery) error, r delivery) (failed *HandlerError) {
	defer func() {
		if p := recover(); p != nil {
			cause, ok := p.(error)
			if !ok {
				cause = fmt.Errorf("panic: %v", p)
			}
			failed = &HandlerError{Job: n, Cause: cause, Stack: string(debug.Stack())}
		}
	}()
	if err := handle(r); err != nil {
		return &HandlerError{Job: n, Cause: err}
	}
	return nil
}

// CancelJob cancels a job; one that has ended or never was is ignored.
func (d *Driver) CancelJob(j id.Job, reason string) {
	d.box.post(item{event: &JobCancelled{Job: j, Reason: reason}})
}

// CancelGroup cancels the jobs of a group (property spark.jobGroup.id), and
// with future those submitted to it from now on.
func (d *Driver) CancelGroup(group, reason string, future bool) {
	d.box.post(item{event: &GroupCancelled{Group: group, Reason: reason, Future: future}})
}

// CancelTag cancels the jobs that carry a tag (property spark.job.tags).
func (d *Driver) CancelTag(tag, reason string) {
	d.box.post(item{event: &TagCancelled{Tag: tag, Reason: reason}})
}

// CancelStage cancels the jobs that use a stage.
func (d *Driver) CancelStage(s id.Stage, reason string) {
	d.box.post(item{event: &StageCancelled{Stage: s, Reason: reason}})
}

// CancelAll cancels every job.
func (d *Driver) CancelAll(reason string) {
	d.box.post(item{event: &AllCancelled{Reason: reason}})
}

// KillTask asks one attempt to end; its task is tried again, and the kill
// does not count as a failure. It reports whether the attempt was live.
func (d *Driver) KillTask(t id.Task, reason string) bool {
	return d.ask(func(k Token) Event { return &KillRequested{Token: k, Task: t, Reason: reason} }).OK
}

// AskKill is KillTask for a caller that cannot wait for the answer.
func (d *Driver) AskKill(t id.Task, reason string) {
	d.question(func(k Token) Event { return &KillRequested{Token: k, Task: t, Reason: reason} })
}

// StatusUpdate takes an encoded task.Status from an executor; msg is valid
// during the call only. The caller may find itself stepping the scheduler:
// Backend's methods are called, on this goroutine, before it returns.
func (d *Driver) StatusUpdate(msg []byte) {
	e := statusEvents.Get().(*statusEvent)
	if err := e.decode(msg, &e.kept); err != nil {
		d.damaged(err)
		return
	}
	switch it := (item{event: e}); {
	case e.Status.State == task.Running:
		d.box.leave(it)
	case e.Status.Worker >= 0:
		d.box.bring(it)
	default: // no worker brings it, so it may come from inside a step
		d.box.post(it)
	}
}

// StatusUpdates takes several messages of one worker, in their order, as if
// they came one by one. They are valid during the call only. taken is false if
// somebody else is to take them, later: until a call has returned true the
// worker must hold no later ones of the same attempts back, which Recall would
// bring before them.
func (d *Driver) StatusUpdates(messages [][]byte) (taken bool) {
	b := statusBatches.Get().(*statusBatch)
	for _, msg := range messages {
		if err := b.next().decode(msg, &b.kept); err != nil {
			d.damaged(err)
			return true
		}
	}
	return d.box.bring(item{event: b})
}

// damaged ends everything: nobody knows whose message it was, so some attempt
// would never end.
func (d *Driver) damaged(err error) {
	d.box.post(item{event: &AllCancelled{Reason: "a status message is damaged", Cause: err}})
}

// CanCommit reports whether an attempt may commit the output of a partition:
// the first that asks may, until it fails. It may wait for a step.
func (d *Driver) CanCommit(stage id.StageAttempt, partition, attempt int32) bool {
	return d.ask(func(k Token) Event {
		return &CommitAsked{Token: k, Stage: stage, Partition: partition, Attempt: attempt}
	}).OK
}

// Barrier blocks until all tasks of a barrier stage attempt have arrived and
// returns their messages by partition. While it waits it serves r.Requested.
// It fails with ErrBarrier in the chain when the sync fails, and with the
// cause of ctx when that ends.
func (d *Driver) Barrier(ctx context.Context, r task.BarrierRequest) ([]string, error) {
	reply := d.question(func(k Token) Event { return &BarrierArrived{Token: k, Request: r} })
	for {
		select {
		case a := <-reply:
			return a.Messages, a.Err
		case <-r.Requested:
			r.Serve()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// MapOutputs returns the statuses of a shuffle's map outputs, by map
// partition, nil where one is missing, and the epoch at which they were so,
// which is at least minEpoch. The slice is shared and must not be changed.
func (d *Driver) MapOutputs(s id.Shuffle, minEpoch int64) (statuses []*task.MapStatus, epoch int64, err error) {
	a := d.ask(func(k Token) Event { return &OutputsAsked{Token: k, Shuffle: s} })
	switch {
	case a.Err != nil:
		return nil, a.Epoch, fmt.Errorf("cannot find the map outputs of shuffle %d: %w", s, a.Err)
	case a.Epoch < minEpoch:
		return nil, a.Epoch, fmt.Errorf("cannot find the map outputs of shuffle %d at epoch %d: it is epoch %d", s, minEpoch, a.Epoch)
	}
	return a.Statuses, a.Epoch, nil
}

// RemoveShuffle forgets the map outputs of a shuffle, unless a job that runs
// needs them.
func (d *Driver) RemoveShuffle(s id.Shuffle) { d.box.post(item{event: &ShuffleRemoved{Shuffle: s}}) }

// SlotLost tells that attempt t ignores its kill, so that its slot is given
// up; left slots of its executor still serve. With none left anywhere the
// jobs fail with ErrNoExecutor.
func (d *Driver) SlotLost(t id.Task, left int) {
	d.box.post(item{event: &SlotLost{Task: t, Left: left}})
}

// AddExecutor brings slots.
func (d *Driver) AddExecutor(x ExecutorSpec) { d.box.post(item{event: &ExecutorAdded{x}}) }

// Heartbeat tells that an executor lives and how far its attempts are. The
// channel gets one answer, which may be left there: OK, unless the driver does
// not know the executor and it is to come again. The caller may find itself
// stepping the scheduler.
func (d *Driver) Heartbeat(n id.Executor, list []Progress) <-chan Answer {
	return d.question(func(k Token) Event { return &Heartbeat{Token: k, Executor: n, Progress: list} })
}

// ExecutorGone tells that an executor answers no more: nothing is launched
// there from now on, and what ran there is not launched elsewhere before
// LoseExecutor tells why it went.
func (d *Driver) ExecutorGone(n id.Executor) { d.box.post(item{event: &ExecutorGone{n}}) }

// LoseExecutor takes an executor away: its attempts fail, its map outputs are
// run again. causedByApp says whether the failures count. It returns when that
// is done, and reports whether there was such an executor.
func (d *Driver) LoseExecutor(n id.Executor, reason string, causedByApp bool) bool {
	return d.ask(func(k Token) Event {
		return &ExecutorLost{Token: k, Executor: n, Reason: reason, CausedByApp: causedByApp}
	}).OK
}

// Idle returns an error that names what is left of former jobs, if anything
// is: for tests, and for whoever must know that nothing runs.
func (d *Driver) Idle() error {
	return d.ask(func(k Token) Event { return &StateAsked{Token: k} }).Err
}

// Close refuses new jobs, cancels those that live with ErrClosed, joins the
// getters and the timer, and waits until whoever steps has carried out all
// that was handed in before: the goroutine of a job may be in the middle of
// making a task binary. Status messages are still taken, so executors are
// closed after the driver; calling it again waits for what came of their last
// ones. If that takes longer than grace, because a listener or a merge of
// accumulators blocks, it says so and leaves goroutines behind.
func (d *Driver) Close(grace time.Duration) error {
	if d.box.close() {
		d.box.post(item{event: &AllCancelled{Cause: ErrClosed, Final: true}, last: true})
		d.fetches.close()
		close(d.quit)
	}
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	select {
	case <-d.question(func(k Token) Event { return &StateAsked{Token: k} }):
	case <-timeout.C:
		return fmt.Errorf("cannot close the scheduler within %v: it is busy with an event; an event sink or a merge of accumulators blocks, or closes the session itself", grace)
	}
	d.fetches.wg.Wait()
	return nil
}

// ask posts a question and waits for its answer.
func (d *Driver) ask(q func(Token) Event) Answer { return <-d.question(q) }

func (d *Driver) question(q func(Token) Event) <-chan Answer {
	k := d.box.token()
	reply := make(chan Answer, 1)
	d.box.post(item{event: q(k), token: k, reply: reply})
	return reply
}

// step is the mailbox's: it takes one event through the core and carries out
// the commands, then what they led to at once.
func (d *Driver) step(it item) {
	if it.reply != nil {
		d.replies[it.token] = it.reply
	}
	e := it.event
	if d.core.waits > 0 && disturbs(e) {
		d.recall = true
		d.handleDue()
	}
	switch x := e.(type) {
	case *statusBatch:
		now := d.deps.Now()
		for i := range x.count {
			d.handle(now, &x.events[i])
		}
		return
	case *statusEvent:
		e = &x.TaskStatus
	case *JobSubmitted:
		if d.closed {
			it.waiter.end(fmt.Errorf("cannot start a job: %w", ErrClosed))
			return
		}
		d.waiters[x.Job] = it.waiter
	}
	d.closed = d.closed || it.last
	var now int64 // of a RUNNING message, which decides nothing: the last event's
	if s, ok := e.(*TaskStatus); !ok || s.Status.State != task.Running {
		now = d.deps.Now()
	}
	d.handle(now, e)
}

// handle takes an event through the core, then what it led to.
func (d *Driver) handle(now int64, e Event) {
	d.carryOut(d.core.Handle(now, e))
	if d.recall || len(d.due) > 0 {
		d.handleDue()
	}
}

func (d *Driver) handleDue() {
	for d.recall || len(d.due) > 0 {
		if d.recall {
			d.recall = false
			d.callBack()
			continue
		}
		e := d.due[0]
		d.due = d.due[1:]
		d.carryOut(d.core.Handle(d.deps.Now(), e))
	}
}

// callBack takes back the attempts that follow others and have not begun.
// What those before them reported comes first.
func (d *Driver) callBack() {
	messages, tasks := d.deps.Chains.Recall()
	for _, msg := range messages {
		e := new(statusEvent)
		if err := e.decode(msg, &e.kept); err != nil {
			d.due = append(d.due, &AllCancelled{Reason: "a status message is damaged", Cause: err})
			return
		}
		d.due = append(d.due, &e.TaskStatus)
	}
	d.due = append(d.due, &Recalled{tasks})
}

func (d *Driver) carryOut(commands []Command) {
	for _, x := range commands {
		switch x := x.(type) {
		case *Launch:
			if len(x.Then) == 0 {
				d.deps.Backend.Launch(x.Executor, x.Task, x.Desc)
				continue
			}
			d.chain = append(append(d.chain[:0], task.Launch{Task: x.Task, Desc: x.Desc}), x.Then...)
			d.deps.Chains.LaunchChain(x.Executor, d.chain)
		case *Recall:
			d.recall = true
		case *Emit:
			d.emit(x)
		case *Deliver:
			d.waiter(x.Job).put(delivery{x.Index, x.Value, x.Totals})
		case *Kill:
			d.deps.Backend.Kill(x.Executor, x.Task, x.Interrupt, x.Reason)
		case *DropExecutor:
			d.deps.Backend.Drop(x.Executor, x.Reason)
		case *MakeBinary:
			b, err := d.binary(x.Request)
			d.due = append(d.due, &BinaryMade{Stage: x.Request.StageAttempt, Binary: b, Err: err})
		case *DropBinary:
			d.deps.DropBinary(x.Binary)
		case *FetchResult:
			if !d.fetches.put(*x) {
				d.deps.Blocks.Remove(x.Block)
				d.box.post(item{event: &ResultFetched{Task: x.Task, Lost: ErrClosed.Error()}})
			}
		case *RemoveBlock:
			d.deps.Blocks.Remove(x.Block)
		case *EndJob:
			d.waiter(x.Job).end(x.Err)
			delete(d.waiters, x.Job)
			d.last.w = nil
		case *SetTimer:
			select {
			case <-d.timer:
			default:
			}
			d.timer <- x.At
		case *Answer:
			d.replies[x.Token] <- *x
			delete(d.replies, x.Token)
		case *Warn:
			d.log.Warn(x.Text)
		}
	}
}

func (d *Driver) waiter(j id.Job) *waiter {
	if d.last.w == nil || d.last.job != j {
		d.last.job, d.last.w = j, d.waiters[j]
	}
	return d.last.w
}

// binary asks the engine for a task binary. Making one encodes what users
// gave, so a panic is taken as an error.
func (d *Driver) binary(r BinaryRequest) (b id.Broadcast, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return d.deps.Binary(r)
}

// emit tells the listeners and, of jobs and stages, the log.
func (d *Driver) emit(x *Emit) {
	switch e := x.Event.(type) {
	case *event.TaskEnd:
		if len(x.Merge) > 0 && d.deps.Accums != nil {
			e.Accums = d.merge(e, x.Merge)
		}
		if e.Failure != nil && !e.Info.Killed {
			attrs := []any{"stage", e.Info.Stage, "stage_attempt", e.Info.StageAttempt.Attempt,
				"partition", e.Info.Partition, "attempt", e.Info.Number, "worker", e.Worker,
				"reason", e.Reason.String(), "cause", e.Failure.Error()}
			if e.Failure.Stack != "" {
				attrs = append(attrs, "stack", e.Failure.Stack)
			}
			d.log.Warn("attempt failed", attrs...)
		}
	case *event.StageSubmitted:
		d.log.Info("stage submitted", "job", e.Job, "stage", e.Stage.Stage, "stage_attempt", e.Stage.Attempt,
			"name", e.Stage.Name, "tasks", e.Stage.NumTasks)
	case *event.StageCompleted:
		d.log.Info("stage completed", "stage", e.Stage.Stage, "stage_attempt", e.Stage.Attempt,
			"name", e.Stage.Name, "failure", e.Stage.Failure)
	case *event.JobStart:
		d.log.Info("job started", "job", e.Job, "name", e.Name, "stages", len(e.Stages))
	case *event.JobEnd:
		d.log.Info("job ended", "job", e.Job, "error", e.Error)
	}
	d.deps.Events.Emit(x.Event)
}

// merge calls the engine's merging of accumulators. What goes wrong there is
// logged and fails nothing, as in Spark.
func (d *Driver) merge(e *event.TaskEnd, updates []task.AccumUpdate) (shown []event.Accumulable) {
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("cannot merge accumulator updates", "task", e.Info.Task, "cause", fmt.Sprint(p))
		}
	}()
	return d.deps.Accums(updates)
}
