package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/source"
)

// Exit codes of the command line. They are a contract.
const (
	ExitDone         = 0   // done, nothing that was asked for failed
	ExitGate         = 1   // a gate failed
	ExitUsage        = 2   // usage, or input that cannot be read
	ExitBroken       = 3   // a benchmark was wrong, crashed, ran out of memory, space or time
	ExitInconclusive = 4   // no answer under --strict
	ExitEnvironment  = 5   // environments differ
	ExitInternal     = 70  // a bug of ours
	ExitInterrupt    = 130 // SIGINT
	ExitTerminate    = 143 // SIGTERM
)

// Worst returns the gravest of exit codes: signals, then bugs of ours, then
// what is broken, refused, and the answers that a gate gives.
func Worst(codes ...int) int {
	worst := 0
	for _, code := range codes {
		if slices.Index(gravity, code) < slices.Index(gravity, worst) {
			worst = code
		}
	}
	return worst
}

var gravity = []int{ExitTerminate, ExitInterrupt, ExitInternal, ExitBroken, ExitUsage, ExitEnvironment, ExitGate, ExitInconclusive, ExitDone}

// Usage marks an error as the user's to mend: a value, a path or a
// combination that cannot be used. Nothing was run.
type Usage struct{ Err error }

// Error returns the cause's text.
func (u *Usage) Error() string { return u.Err.Error() }

// Unwrap returns the cause.
func (u *Usage) Unwrap() error { return u.Err }

// Usagef makes a *Usage of a sentence.
func Usagef(format string, args ...any) error { return &Usage{fmt.Errorf(format, args...)} }

// Signal is the cause of a context that a signal ended.
type Signal struct{ Signal os.Signal }

// Error names the signal.
func (s *Signal) Error() string { return "stopped by " + s.Signal.String() }

// ErrTimeout is the cause of a context that --timeout ended.
var ErrTimeout = errors.New("the time given by --timeout is over")

// WrongAnswer says that an execution's answer failed its verification.
type WrongAnswer struct {
	Workload string
	Phase    string
	Index    int
	Failed   []folder.Check
}

// Error names the first check that failed.
func (w *WrongAnswer) Error() string {
	s := fmt.Sprintf("the answer of %s %d of %s is wrong", w.Phase, w.Index+1, w.Workload)
	for i, c := range w.Failed {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		s += fmt.Sprintf("%s%s should be %s and is %s", sep, c.Name, c.Want, c.Got)
	}
	return s
}

// ExitCode returns the code for what a command returned: input whose content
// cannot be read is the user's to mend, as a *Usage is. Anything that is not
// marked otherwise is ExitBroken.
func ExitCode(err error) int {
	var sig *Signal
	var usage *Usage
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &sig):
		if sig.Signal == syscall.SIGTERM {
			return ExitTerminate
		}
		return ExitInterrupt
	case errors.As(err, &usage), source.IsInput(err):
		return ExitUsage
	default:
		return ExitBroken
	}
}

// status is the run's end in a word.
func status(err error, verified bool) folder.Status {
	var sig *Signal
	var wrong *WrongAnswer
	switch {
	case err == nil && verified:
		return folder.Done
	case err == nil:
		return folder.Unverified
	case errors.As(err, &sig):
		return folder.Interrupted
	case errors.Is(err, ErrTimeout):
		return folder.TimedOut
	case errors.As(err, &wrong):
		return folder.Wrong
	default:
		return folder.Failed
	}
}

// cause makes the end of ctx visible in err: what a job returns when it is
// cancelled need not say why.
func cause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	if c := context.Cause(ctx); !errors.Is(err, c) {
		return fmt.Errorf("%w: %w", c, err)
	}
	return err
}
