package scheduler

import (
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Conditions a caller may branch on with errors.Is.
var (
	// ErrClosed: the driver is closed or closing.
	ErrClosed = errors.New("scheduler is closed")
	// ErrCancelled: the job was cancelled by id, group, tag, stage, or with
	// all others. A job whose context ended has the context's cause instead.
	ErrCancelled = errors.New("job was cancelled")
	// ErrSlots: a barrier stage needs more slots than there are.
	ErrSlots = errors.New("barrier stage needs more slots than there are")
	// ErrBarrierPattern: the lineage of a barrier stage is not supported.
	ErrBarrierPattern = errors.New("lineage is not possible in a barrier stage")
	// ErrNoExecutor: no worker slot is left.
	ErrNoExecutor = errors.New("no executor is left")
	// ErrUnknownShuffle: no job that lives has registered the shuffle.
	ErrUnknownShuffle = errors.New("shuffle is not known")
	// ErrBarrier is the cause of a failed global sync.
	ErrBarrier = errors.New("global sync failed")
)

// JobError is why a job has no answer.
type JobError struct {
	Job    id.Job
	Reason string // a sentence, Cause's text included
	Cause  error  // may be nil
}

// Error names the job and the reason.
func (e *JobError) Error() string { return fmt.Sprintf("cannot complete job %d: %s", e.Job, e.Reason) }

// Unwrap returns the cause.
func (e *JobError) Unwrap() error { return e.Cause }

// TaskError is the last of the failures of a task that aborted its job.
type TaskError struct {
	id.TaskAttempt
	Job       id.Job
	Partition int32
	Failures  int // of this task in its task set
	Failure   *task.Failure
}

// Error names the attempt, how often its task failed, and the failure.
func (e *TaskError) Error() string {
	times := "times"
	if e.Failures == 1 {
		times = "time"
	}
	return fmt.Sprintf("%v failed, which makes %d %s: %v", e.TaskAttempt, e.Failures, times, e.Failure)
}

// Unwrap returns the failure.
func (e *TaskError) Unwrap() error { return e.Failure }

// HandlerError says that the caller's own result handler failed, on the
// goroutine that submitted the job (Spark's driver execution exception).
type HandlerError struct {
	Job   id.Job
	Cause error
	Stack string // of a panic, else empty
}

// Error names the job and the cause.
func (e *HandlerError) Error() string {
	return fmt.Sprintf("cannot handle a result of job %d on the driver: %v", e.Job, e.Cause)
}

// Unwrap returns the cause.
func (e *HandlerError) Unwrap() error { return e.Cause }
