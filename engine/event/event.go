// Package event owns the typed events of a session, the compact file they
// are written to as they happen, reading that file back, and their form as
// Spark's own JSON event log, written and read.
//
// Events are for machines: ordered, complete, never dropped. Everything a
// report says of a run is computed from them (package bench). Times are
// nanoseconds on the session's monotonic clock; ApplicationStart ties that
// clock to the wall.
package event

import (
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Event is one of the types of this package, passed by pointer.
type Event interface{ event() }

// Sink receives events in order. Emit must not keep e nor anything it points
// to: the caller reuses both. Emit does not block on slow storage for long
// and never drops; it may be called from several goroutines.
type Sink interface{ Emit(e Event) }

// ApplicationStart opens a session.
type ApplicationStart struct {
	At     int64
	Wall   int64 // Unix nanoseconds at At
	Name   string
	ID     string // "local-<epoch ms>", as Spark's local mode
	User   string
	Host   string
	Cores  int32
	Memory int64             // the session's budget, bytes
	Conf   map[string]string // every key as resolved, with its spark. prefix
}

// ExecutorAdded introduces a group of worker slots.
type ExecutorAdded struct {
	At       int64
	Executor id.Executor
	Host     string
	Cores    int32
}

// BlockManagerAdded introduces an executor's block store.
type BlockManagerAdded struct {
	At       int64
	Executor id.Executor
	Host     string
	Memory   int64 // managed bytes
}

// ExecutorRemoved tells that an executor is lost, and why. Its attempts ended
// before.
type ExecutorRemoved struct {
	At       int64
	Executor id.Executor
	Reason   string
}

// BlockManagerRemoved tells that an executor's blocks are lost.
type BlockManagerRemoved struct {
	At       int64
	Executor id.Executor
}

// NodeInfo describes one dataset of a stage (Spark's RDDInfo).
type NodeInfo struct {
	ID          id.Node
	Name        string
	Site        string
	Parents     []id.Node
	Partitions  int32
	Level       block.Level
	Barrier     bool
	Determinism string
}

// StageInfo describes one stage attempt, also before it is submitted.
type StageInfo struct {
	id.StageAttempt
	Name      string // "reduceByKey at wordcount.go:42"
	Site      string
	NumTasks  int32
	Kind      task.Kind
	Nodes     []NodeInfo
	Parents   []id.Stage
	Shuffle   id.Shuffle // map stages; -1 for result stages
	Submitted int64      // 0: not submitted (then it was skipped)
	Completed int64
	Failure   string
}

// JobStart carries every stage of the job, also those that will be skipped.
type JobStart struct {
	At         int64
	Job        id.Job
	Name       string // the action and its site: "count at main.go:12"
	Stages     []StageInfo
	Properties map[string]string
}

// JobEnd closes a job.
type JobEnd struct {
	At    int64
	Job   id.Job
	Error string // empty: succeeded
}

// StageSubmitted precedes every event of its stage attempt.
type StageSubmitted struct {
	At         int64
	Job        id.Job
	Stage      StageInfo
	Properties map[string]string
}

// StageCompleted closes a stage attempt; Stage.Failure is set if it failed.
type StageCompleted struct {
	At    int64
	Stage StageInfo
}

// TaskInfo describes one attempt as the driver sees it.
type TaskInfo struct {
	id.TaskAttempt
	Partition     int32
	Executor      id.Executor
	Host          string
	Locality      task.Locality
	Speculative   bool
	Launch        int64 // the driver launched it
	GettingResult int64 // a getter began to fetch its result; 0: none
	Finish        int64 // the driver handled its end; 0: not yet
	Failed        bool
	Killed        bool
}

// TaskStart follows a launch.
type TaskStart struct {
	Info TaskInfo
	Kind task.Kind
	// LaunchBytes is the length of the encoded description.
	LaunchBytes int32
}

// TaskGettingResult follows the start of an indirect result's fetch.
type TaskGettingResult struct{ Info TaskInfo }

// SpeculativeTaskSubmitted tells that a task runs so long that a second
// attempt will be launched when a slot is free.
type SpeculativeTaskSubmitted struct {
	At        int64
	Stage     id.StageAttempt
	Index     int32
	Partition int32
}

// Excluded tells that nothing is launched any more on an executor, or with
// Executor empty on a host, since tasks fail there: for one stage attempt, or
// for all until Unexcluded.
type Excluded struct {
	At       int64
	Executor id.Executor
	Host     string
	ForStage bool
	Stage    id.StageAttempt // ForStage
	Failures int32           // tasks that failed there; of a host, its excluded executors
}

// Unexcluded tells that an executor, or with Executor empty a host, is used
// again.
type Unexcluded struct {
	At       int64
	Executor id.Executor
	Host     string
}

// Accumulable is a named accumulator's contribution, printed.
type Accumulable struct {
	ID     id.Accumulator
	Name   string
	Update string // of this attempt
	Value  string // running total after it
}

// TaskEnd closes an attempt: there is exactly one for each TaskStart. One
// whose reason is Resubmitted is none of those: it repeats the end of a map
// task's attempt that succeeded, without figures, since the task runs again:
// its output was lost with the executor.
type TaskEnd struct {
	Info    TaskInfo
	Kind    task.Kind
	Reason  task.ReasonKind
	Failure *task.Failure // nil on Success
	// Metrics are the attempt's, all zero when it reported none, but for the
	// size of a result that was refused, dropped or lost on its way.
	Metrics     task.Metrics
	HasMetrics  bool
	Stamps      task.Stamps // on its worker; all zero if it never ran
	Worker      int32
	Route       task.Route
	StatusBytes [3]int32 // encoded launch, running and terminal messages
	Accums      []Accumulable
}

// BlockUpdated tells a cached block's new state; sizes 0 and level none mean
// it is gone.
type BlockUpdated struct {
	At       int64
	Executor id.Executor
	Block    string
	Level    block.Level
	Memory   int64
	Disk     int64
}

// NodeUnpersisted follows Unpersist (Spark's UnpersistRDD).
type NodeUnpersisted struct {
	At   int64
	Node id.Node
}

// Account is one owner's share of the process's memory.
type Account struct {
	Name  string
	Bytes int64
}

// MemorySample is the process's memory at one moment, taken a few times a
// second and at every end of a job.
type MemorySample struct {
	At       int64
	RSS      int64 // as the kernel counts it
	PeakRSS  int64 // the highest so far, as the kernel counts it
	Accounts []Account
	Runtime  int64 // Go runtime: heap, stacks, tables
	GCCount  int64 // collections so far
	GCTime   int64 // collector pause and CPU time so far, ns
	CPU      int64 // the process's CPU time so far, user and system, ns
	// Shuffle outputs written out so far to make room for nobody's attempt:
	// the memory they gave up and the bytes on disk. What attempts caused is in
	// their own spills.
	EvictedMemory int64
	EvictedDisk   int64
}

// WorkerTime is one worker's time since the session began, at one moment.
// Busy is inside attempts, Stepping is carrying out the scheduler's work
// between them, and the rest is idle.
type WorkerTime struct {
	At       int64
	Executor id.Executor
	Worker   int32
	Busy     int64
	Stepping int64
	Since    int64 // when the worker began
}

// Phase is a harness's own mark: generating, warming up, an iteration,
// verifying. Jobs between Begin and End belong to it.
type Phase struct {
	Begin, End int64
	Name       string // "generate", "warmup", "iteration", "verify"
	Index      int32
	Error      string
}

// ApplicationEnd closes a session; a file without it was cut off.
type ApplicationEnd struct{ At int64 }

func (*ApplicationStart) event()         {}
func (*ExecutorAdded) event()            {}
func (*BlockManagerAdded) event()        {}
func (*JobStart) event()                 {}
func (*JobEnd) event()                   {}
func (*StageSubmitted) event()           {}
func (*StageCompleted) event()           {}
func (*TaskStart) event()                {}
func (*TaskGettingResult) event()        {}
func (*TaskEnd) event()                  {}
func (*BlockUpdated) event()             {}
func (*NodeUnpersisted) event()          {}
func (*MemorySample) event()             {}
func (*WorkerTime) event()               {}
func (*Phase) event()                    {}
func (*ApplicationEnd) event()           {}
func (*ExecutorRemoved) event()          {}
func (*BlockManagerRemoved) event()      {}
func (*SpeculativeTaskSubmitted) event() {}
func (*Excluded) event()                 {}
func (*Unexcluded) event()               {}
