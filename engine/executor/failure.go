package executor

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// KilledError is the error of an attempt that was killed: what Check returns
// and the cause of its context. A body passes it on.
type KilledError struct {
	Reason    string
	Interrupt bool // the killer asked for an interrupt
}

// Error returns the reason.
func (e *KilledError) Error() string { return "killed: " + e.Reason }

// CommitDeniedError is the error of an attempt that may not commit its
// output because another attempt of the same partition does.
type CommitDeniedError struct {
	Stage     id.StageAttempt
	Partition int32
	Attempt   int32
}

// Error names the partition.
func (e *CommitDeniedError) Error() string {
	return fmt.Sprintf("cannot commit partition %d of stage %s: another attempt than number %d may", e.Partition, e.Stage, e.Attempt)
}

// PanicError is the error of an attempt whose user code panicked.
type PanicError struct {
	Value any
	Stack []byte // of the panicking goroutine, from the panic down
}

// Error returns what was passed to panic.
func (e *PanicError) Error() string { return fmt.Sprint(e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// LeakError is the error of an attempt that succeeded but held on to memory
// or blocks, where the configuration makes that a failure.
type LeakError struct {
	Bytes int64
	Pins  int
}

// Error names both figures.
func (e *LeakError) Error() string {
	return fmt.Sprintf("cannot end the attempt cleanly: it did not give back %d bytes of memory and %d pinned blocks", e.Bytes, e.Pins)
}

// errGoexit is the error of an attempt whose user code called
// runtime.Goexit. It is our fatal condition: the goroutine is lost.
var errGoexit = errors.New("user code ended its goroutine (runtime.Goexit)")

// encodeError marks an error that no retry can mend: the same value would
// fail to encode again.
type encodeError struct{ cause error }

func (e *encodeError) Error() string { return "cannot encode the result: " + e.cause.Error() }
func (e *encodeError) Unwrap() error { return e.cause }

// classify decides how an attempt that ended with err is reported. kill is
// its kill, fetch the fetch failure that its context recorded; fatal tells
// that its goroutine could not go on. The first line that applies decides
// (spark-semantics §3.5; metrics and accumulators are for the caller to add):
//
//  1. err says killed                        KILLED  TaskKilled
//  2. the attempt has been killed            KILLED  TaskKilled, whatever followed
//  3. a fetch failure, recorded or in err's  FAILED  FetchFailed, even if user
//     chain, and the condition is not fatal          code wrapped or replaced it
//  4. a denied commit in err's chain         KILLED  TaskCommitDenied
//  5. anything else                          FAILED  ExceptionFailure
func classify(err error, kill *KilledError, fetch *task.Failure, fatal bool) (task.State, task.Failure) {
	var killed *KilledError
	if kill == nil && errors.As(err, &killed) {
		kill = killed
	}
	if kill != nil {
		return task.Killed, task.Failure{Kind: task.TaskKilled, Message: kill.Reason}
	}
	var given *task.Failure
	errors.As(err, &given)
	if fetch == nil && given != nil && given.Kind == task.FetchFailed {
		fetch = given
	}
	if fetch != nil && !fatal {
		return task.Failed, task.Failure{Kind: task.FetchFailed, Message: fetch.Message, Fetch: fetch.Fetch}
	}
	var denied *CommitDeniedError
	if errors.As(err, &denied) || given != nil && given.Kind == task.TaskCommitDenied {
		return task.Killed, task.Failure{Kind: task.TaskCommitDenied, Message: err.Error()}
	}
	f := task.Failure{Kind: task.ExceptionFailure, Class: class(err), Message: err.Error()}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		f.Class, f.Stack = task.ClassPanic, string(panicked.Stack)
	}
	if given != nil && given.Kind == task.ExceptionFailure {
		f.NoRetry = given.NoRetry
		if given.Class != "" {
			f.Class = given.Class
		}
		if given.Stack != "" {
			f.Stack = given.Stack
		}
	}
	var encode *encodeError
	if errors.As(err, &encode) {
		f.NoRetry = true
	}
	return task.Failed, f
}

// class returns the Go type of the first error in err's chain that is more
// than text and wrapping, else of err itself. Of several errors it is the
// body's, or the only listener's.
func class(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		switch own := e.(type) {
		case *encodeError:
			continue
		case *ListenerError:
			if own.Body != nil {
				return class(own.Body)
			}
			if len(own.Errs) == 1 {
				return class(own.Errs[0])
			}
		}
		t := reflect.TypeOf(e)
		named := t
		if named.Kind() == reflect.Pointer {
			named = named.Elem()
		}
		if p := named.PkgPath(); p != "fmt" && p != "errors" {
			return t.String()
		}
	}
	return reflect.TypeOf(err).String()
}
