package scheduler

import (
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Event is something that happened, for Core.Handle: one of the types below,
// passed by pointer. The core keeps nothing of an event but what it says.
type Event interface{ isEvent() }

// Token names a question, so that its Answer finds the asker.
type Token int64

type (
	// JobSubmitted brings a job. Its spec is kept.
	JobSubmitted struct {
		Job  id.Job
		Spec *JobSpec
	}
	// JobCancelled ends one job; unknown ids are ignored.
	JobCancelled struct {
		Job    id.Job
		Reason string
		Cause  error
	}
	// GroupCancelled ends the jobs of a group, and with Future also those
	// submitted later.
	GroupCancelled struct {
		Group, Reason string
		Future        bool
	}
	// TagCancelled ends the jobs that carry a tag.
	TagCancelled struct{ Tag, Reason string }
	// StageCancelled ends the jobs that use a stage.
	StageCancelled struct {
		Stage  id.Stage
		Reason string
	}
	// AllCancelled ends every job. Final: the driver is closing.
	AllCancelled struct {
		Reason string
		Cause  error
		Final  bool
	}

	// BinaryMade answers MakeBinary.
	BinaryMade struct {
		Stage  id.StageAttempt
		Binary id.Broadcast
		Err    error
	}

	// TaskStatus is a status message, decoded. Result is set if the attempt
	// finished and sent its result along; its bytes are kept, so they must
	// stay. Failure is set if it failed or was killed, and is kept.
	TaskStatus struct {
		Status  task.Status // Status.Result is not looked at
		Result  task.Result
		Failure *task.Failure
		Bytes   int32 // length of the message
	}
	// Recalled brings back attempts that were to follow others and have not
	// begun, in the order in which they would have.
	Recalled struct{ Tasks []id.Task }
	// FetchBegun tells that a getter took a stored result in hand.
	FetchBegun struct{ Task id.Task }
	// ResultFetched answers FetchResult; Lost says why there is no result.
	ResultFetched struct {
		Task   id.Task
		Result task.Result
		Size   int64 // bytes of the encoded result
		Lost   string
	}

	// ResultsTaken tells that the caller of a job has handled values of so
	// many bytes more.
	ResultsTaken struct {
		Job   id.Job
		Bytes int64
	}

	// KillRequested asks that one attempt be killed. The answer says whether
	// it was running.
	KillRequested struct {
		Token  Token
		Task   id.Task
		Reason string
	}
	// CommitAsked asks whether an attempt may commit its output.
	CommitAsked struct {
		Token     Token
		Stage     id.StageAttempt
		Partition int32
		Attempt   int32
	}
	// BarrierArrived brings one attempt to a global sync.
	BarrierArrived struct {
		Token   Token
		Request task.BarrierRequest
	}
	// OutputsAsked asks for the map outputs of a shuffle.
	OutputsAsked struct {
		Token   Token
		Shuffle id.Shuffle
	}
	// StateAsked asks whether anything is left of any job.
	StateAsked struct{ Token Token }

	// ShuffleRemoved drops the map outputs of a shuffle that nobody reads any
	// more.
	ShuffleRemoved struct{ Shuffle id.Shuffle }

	// ExecutorAdded brings slots.
	ExecutorAdded struct{ ExecutorSpec }
	// Heartbeat tells that an executor lives and how far its attempts are. The
	// answer is OK unless it is to come again as ExecutorAdded, since the core
	// does not know it or has given it up.
	Heartbeat struct {
		Token    Token
		Executor id.Executor
		Progress []Progress // not kept
	}
	// ExecutorGone tells that an executor answers no more and that why is not
	// known yet: it is offered no task, and its attempts are kept, so that
	// none is launched again before ExecutorLost tells what their end means.
	ExecutorGone struct{ Executor id.Executor }
	// ExecutorLost takes an executor away with its map outputs. The answer, if
	// a token is given, says whether it was there.
	ExecutorLost struct {
		Token       Token
		Executor    id.Executor
		Reason      string
		CausedByApp bool
	}
	// SlotLost takes one slot away: attempt Task ignores its kill. Left slots
	// of its executor still serve.
	SlotLost struct {
		Task id.Task
		Left int
	}

	// TimerDue says that the moment of SetTimer has come.
	TimerDue struct{}
)

func (*JobSubmitted) isEvent()   {}
func (*JobCancelled) isEvent()   {}
func (*GroupCancelled) isEvent() {}
func (*TagCancelled) isEvent()   {}
func (*StageCancelled) isEvent() {}
func (*AllCancelled) isEvent()   {}
func (*BinaryMade) isEvent()     {}
func (*TaskStatus) isEvent()     {}
func (*Recalled) isEvent()       {}
func (*FetchBegun) isEvent()     {}
func (*ResultFetched) isEvent()  {}
func (*ResultsTaken) isEvent()   {}
func (*KillRequested) isEvent()  {}
func (*CommitAsked) isEvent()    {}
func (*BarrierArrived) isEvent() {}
func (*OutputsAsked) isEvent()   {}
func (*StateAsked) isEvent()     {}
func (*ShuffleRemoved) isEvent() {}
func (*ExecutorAdded) isEvent()  {}
func (*Heartbeat) isEvent()      {}
func (*ExecutorGone) isEvent()   {}
func (*ExecutorLost) isEvent()   {}
func (*SlotLost) isEvent()       {}
func (*TimerDue) isEvent()       {}
