package engine

import (
	"errors"
	"fmt"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/task"
)

// Conditions a caller may branch on with errors.Is.
var (
	// ErrClosed: the session is closed or closing.
	ErrClosed = errors.New("session is closed")
	// ErrNotPortable: a task binary names a dataset or a function that only
	// the process that built it knows, because it was made outside a program.
	ErrNotPortable = errors.New("dataset was built outside any registered program, so no other process can rebuild it")
	// ErrCorrupt: a file that the engine had written came back damaged, or a
	// checkpoint is gone, and another attempt did not mend it. What can be
	// made again otherwise is: a damaged map output is a fetch failure, a
	// damaged block one that is not kept.
	ErrCorrupt = errors.New("a file of the engine is damaged")
	// ErrNoExecutor: every worker is lost, or every executor.
	ErrNoExecutor = scheduler.ErrNoExecutor
	// ErrDestroyed: a broadcast was used after Destroy.
	ErrDestroyed = errors.New("broadcast is destroyed")
)

// InputError is a file whose content is not what the job reads. User code
// that parses input returns one to say that the input is at fault.
type InputError = source.InputError

// errStop ends a partition early: the consumer has what it needs. Operators
// pass it on; the attempt that sees it at the top succeeds.
var errStop = errors.New("enough records")

// stopped reports whether err only says that the consumer has enough.
func stopped(err error) bool { return err == errStop }

// fetchFailed is the error of an attempt that could not read a map output.
func fetchFailed(s id.Shuffle, reduce int, cause error) *task.Failure {
	return &task.Failure{
		Kind:    task.FetchFailed,
		Message: fmt.Sprintf("cannot read shuffle %d for reducer %d: %v", s, reduce, cause),
		Fetch:   task.FetchFailure{Shuffle: s, Map: -1, MapIndex: -1, Reduce: int32(reduce)},
	}
}
