package scheduler

import (
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Command is something to do, in the order of Core.Handle's answer: one of
// the types below, by pointer, valid until the next Handle.
type Command interface{ isCommand() }

type (
	// Launch hands an encoded description to an executor, with those of the
	// attempts that are to follow on its slot, one after another.
	Launch struct {
		Executor id.Executor
		Task     id.Task
		Desc     []byte
		Then     []task.Launch
	}
	// Recall asks for the attempts back that follow others and have not
	// begun: Recalled, after the messages that nobody has delivered yet.
	Recall struct{}
	// Kill asks an attempt to end.
	Kill struct {
		Executor  id.Executor
		Task      id.Task
		Interrupt bool
		Reason    string
	}
	// DropExecutor tells that an executor is lost: whatever it still does or
	// holds is for nothing.
	DropExecutor struct {
		Executor id.Executor
		Reason   string
	}
	// Emit tells the session's listeners. Of a TaskEnd, Merge are the
	// accumulator updates to merge first.
	Emit struct {
		Event event.Event
		Merge []task.AccumUpdate
	}
	// MakeBinary asks for a stage attempt's task binary: BinaryMade.
	MakeBinary struct{ Request BinaryRequest }
	// DropBinary tells that a task binary is not needed any more.
	DropBinary struct{ Binary id.Broadcast }
	// FetchResult asks for a stored result: FetchBegun, then ResultFetched.
	FetchResult struct {
		Task  id.Task
		Block block.ID
	}
	// RemoveBlock drops a stored result that nobody will fetch.
	RemoveBlock struct{ Block block.ID }
	// Deliver hands a result to the job's caller: the value at an index, or
	// the bytes by reducer of a map-stage job.
	Deliver struct {
		Job    id.Job
		Index  int32
		Value  []byte
		Totals []int64
	}
	// EndJob tells the job's caller that nothing more comes.
	EndJob struct {
		Job id.Job
		Err error
	}
	// SetTimer asks for a TimerDue at a moment, in place of any other.
	SetTimer struct{ At int64 }
	// Answer answers a question.
	Answer struct {
		Token    Token
		OK       bool
		Err      error
		Messages []string          // of a global sync, by partition
		Statuses []*task.MapStatus // of a shuffle, by map partition; shared, not to be changed
		Epoch    int64
	}
	// Warn tells people of something that does not stop the work.
	Warn struct{ Text string }
)

func (*Launch) isCommand()       {}
func (*Recall) isCommand()       {}
func (*Kill) isCommand()         {}
func (*DropExecutor) isCommand() {}
func (*Emit) isCommand()         {}
func (*MakeBinary) isCommand()   {}
func (*DropBinary) isCommand()   {}
func (*FetchResult) isCommand()  {}
func (*RemoveBlock) isCommand()  {}
func (*Deliver) isCommand()      {}
func (*EndJob) isCommand()       {}
func (*SetTimer) isCommand()     {}
func (*Answer) isCommand()       {}
func (*Warn) isCommand()         {}

// slab hands out values that are used again after reset, so that a step that
// does what the one before did allocates nothing.
type slab[T any] struct {
	items []*T
	used  int
}

// next returns a value with whatever it held before.
func (s *slab[T]) next() *T {
	if s.used == len(s.items) {
		s.items = append(s.items, new(T))
	}
	s.used++
	return s.items[s.used-1]
}

// reset takes all values back. A burst's worth is kept, the rest dropped.
func (s *slab[T]) reset() {
	const keep = 64
	if len(s.items) > keep {
		clear(s.items[keep:])
		s.items = s.items[:keep]
	}
	s.used = 0
}
