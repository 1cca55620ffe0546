package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// job is one action on its way to the scheduler.
type job struct {
	op     *operator
	parts  []int32 // nil: all
	action action
	name   string
	// keeps says that handle keeps the values until the job has ended; else
	// each is done with when handle returns.
	keeps bool
	// inner marks a job that serves another (sampling, checkpointing): it
	// does not look for what must be learned.
	inner bool
}

// runJob runs an action and hands each partition's encoded result to handle,
// on the calling goroutine. It blocks until the job ends; cancelling ctx
// cancels the job, and the error then wraps ctx's cause.
func (s *Session) runJob(ctx context.Context, j job, handle func(index int, value []byte) error) error {
	if insideSink() {
		return fmt.Errorf("cannot run %s: %w", j.name, ErrInSink)
	}
	if s.closed.Load() {
		return fmt.Errorf("cannot run %s: %w", j.name, ErrClosed)
	}
	ctx, back := s.streams.leave(ctx)
	defer back()
	if !j.inner {
		if err := s.learnLineage(ctx, j.op.node); err != nil {
			return err
		}
		if s.set.LogLineage {
			s.log.Info("lineage", "action", j.name, "plan", plan.Explain(j.op.node))
		}
	}
	if s.groups.shares != nil {
		s.groups.shares.Settle()
	}
	spec := scheduler.JobSpec{
		Final: j.op.node, Partitions: j.parts, Action: j.name, Site: callSite(),
		Properties: maps.Clone(properties(ctx)), Payload: j.action.append(nil), Files: s.taskFiles(),
	}
	tasks := len(j.parts)
	if j.parts == nil {
		tasks = j.op.node.Partitions
	}
	table := int64(tasks) * taskTable
	if s.set.Speculation.Enabled {
		table += int64(tasks) * slowTable
	}
	if err := s.tables.add(table); err != nil {
		return fmt.Errorf("cannot run %s with %d tasks: %w", j.name, tasks, err)
	}
	held := heldResults{s: s} // kept values are the caller's from the end of the job on
	err := s.driver.Run(ctx, spec, func(index int, value []byte) error {
		n := int64(len(value))
		if err := held.add(ctx, n); err != nil {
			return err
		}
		err := handle(index, value)
		if j.keeps {
			return err
		}
		return errors.Join(err, held.less(n))
	})
	if rerr := errors.Join(held.end(), s.tables.add(-table)); rerr != nil {
		s.log.Error("cannot give memory back", "error", rerr) // shrinking does not fail
	}
	if err != nil {
		return s.jobError(j.name, err)
	}
	if !j.inner {
		return s.checkpointLineage(ctx, j.op.node)
	}
	return nil
}

// jobError makes what the scheduler says of a job's end fit for the user.
func (s *Session) jobError(name string, err error) error {
	if s.closed.Load() && (errors.Is(err, scheduler.ErrClosed) || errors.Is(err, scheduler.ErrCancelled)) {
		err = fmt.Errorf("cannot finish %s: %w: %w", name, ErrClosed, err)
	}
	return userError(err)
}

// resultWait bounds how long a result waits for attempts to make room for it:
// long against what an attempt takes to spill or to end, and an end to waiting
// for attempts that themselves wait for whoever handles the result.
const resultWait = 10 * time.Second

// heldResults is what the goroutine that called an action holds of its
// results. It reserves ahead, so that a million results of a few bytes do not
// ask the memory manager two million times.
type heldResults struct {
	s              *Session
	held, reserved int64
}

// resultsAhead bounds what is reserved beyond what is held.
const resultsAhead = 16 << 10

func (h *heldResults) add(ctx context.Context, n int64) error {
	if more := h.held + n - h.reserved; more > 0 {
		if h.s.results.add(more+resultsAhead) == nil {
			h.reserved += more + resultsAhead
		} else if err := h.s.holdResult(ctx, more); err == nil {
			h.reserved += more
		} else {
			return fmt.Errorf("cannot hold %d bytes of results: %w", h.held+n, err)
		}
	}
	h.held += n
	return nil
}

func (h *heldResults) less(n int64) error {
	h.held -= n
	over := h.reserved - h.held - resultsAhead
	if over <= 0 {
		return nil
	}
	h.reserved -= over
	return h.s.results.add(-over)
}

func (h *heldResults) end() error {
	n := h.reserved
	h.held, h.reserved = 0, 0
	return h.s.results.add(-n)
}

// holdResult reserves what the goroutine that called an action holds of its
// results.
func (s *Session) holdResult(ctx context.Context, n int64) error {
	err := s.results.add(n)
	if err == nil || !errors.Is(err, ErrNoMemory) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resultWait)
	defer cancel()
	return s.results.await(ctx, s.released, n)
}

func (s *Session) taskFiles() []task.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.files) == 0 {
		return nil
	}
	files := make([]task.File, 0, len(s.mu.files))
	for _, name := range slices.Sorted(maps.Keys(s.mu.files)) {
		files = append(files, s.mu.files[name])
	}
	return files
}

// learning is what an operator may use to learn: jobs of its own.
type learning struct {
	ctx context.Context
	s   *Session
}

// learnLineage lets every operator of the lineage that must learn something
// before its first job do so, parents first. Below what is cached whole or
// checkpointed nothing will run, so nothing is learned there. Of several jobs
// that need one operator's, one learns and the others wait for it; a job that
// needs nothing waits for nobody.
func (s *Session) learnLineage(ctx context.Context, n *plan.Node) error {
	descend := func(n *plan.Node) bool {
		return n.Checkpointed() == nil && !s.cachedWhole(n)
	}
	return ancestors(n, descend, func(n *plan.Node) error {
		op, ok := s.graph.op(n.ID)
		if !ok || op.learn == nil {
			return nil
		}
		select {
		case op.learning <- struct{}{}:
			defer func() { <-op.learning }()
		case <-ctx.Done():
			return fmt.Errorf("cannot start a job: %w", context.Cause(ctx))
		}
		if _, done := s.learnt(n.ID); done || s.cachedWhole(n) {
			return nil
		}
		return op.learn(&learning{ctx, s})
	})
}

func (s *Session) cachedWhole(n *plan.Node) bool {
	if n.Level() == block.LevelNone {
		return false
	}
	for part := range n.Partitions {
		if !s.hasBlock(block.Node(n.ID, part)) {
			return false
		}
	}
	return true
}

// PanicError is the error of an attempt whose user code panicked.
type PanicError struct {
	Value string // what was passed to panic, printed
	Stack string // of the panicking goroutine
}

// Error returns the panic's value.
func (e *PanicError) Error() string { return "panic: " + e.Value }

// TaskError is the end of a job by one of its tasks: the last attempt's.
type TaskError = scheduler.TaskError

// JobError is the end of a job.
type JobError = scheduler.JobError

// userError makes what the scheduler says fit for errors.As and errors.Is: a
// panic in user code is a *PanicError, a refusal of memory is ErrNoMemory, a
// damaged file is ErrCorrupt. In the message of an attempt all are but text.
func userError(err error) error {
	var f *task.Failure
	if !errors.As(err, &f) || f.Kind != task.ExceptionFailure {
		return err
	}
	switch f.Class {
	case task.ClassPanic:
		return &jobCause{err, &PanicError{Value: f.Message, Stack: f.Stack}}
	case noMemoryClass:
		return &jobCause{err, ErrNoMemory}
	case corruptRunClass, corruptBlockClass, corruptCheckpointClass:
		return &jobCause{err, ErrCorrupt}
	}
	return err
}

// What a refusal of memory and damaged files are called in an attempt's
// message.
var (
	noMemoryClass          = reflect.TypeFor[*memory.NoMemoryError]().String()
	corruptRunClass        = reflect.TypeFor[*spill.CorruptError]().String()
	corruptBlockClass      = reflect.TypeFor[*storage.CorruptError]().String()
	corruptCheckpointClass = reflect.TypeFor[*checkpointError]().String()
)

// jobCause is a job's error that also is what caused it.
type jobCause struct {
	error
	cause error
}

func (e *jobCause) Unwrap() []error { return []error{e.error, e.cause} }

// asFetchFailure finds a fetch failure in an error, however wrapped.
func asFetchFailure(err error) *task.Failure {
	var f *task.Failure
	if errors.As(err, &f) && f.Kind == task.FetchFailed {
		return f
	}
	return nil
}
