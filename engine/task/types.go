package task

import "github.com/execbench/execbench/engine/id"

// Kind tells a map task, whose output is shuffle blocks, from a result task,
// whose output goes to the caller.
type Kind uint8

// Kinds of task.
const (
	ShuffleMapTask Kind = iota
	ResultTask
)

// String returns Spark's name of the kind.
func (k Kind) String() string {
	if k == ResultTask {
		return "ResultTask"
	}
	return "ShuffleMapTask"
}

// Locality says how near a task runs to what it reads, best first.
type Locality uint8

// Localities, in Spark's order.
const (
	ProcessLocal Locality = iota
	NodeLocal
	NoPref
	RackLocal
	AnyLocality
)

// String returns Spark's name of the locality.
func (l Locality) String() string {
	return [...]string{"PROCESS_LOCAL", "NODE_LOCAL", "NO_PREF", "RACK_LOCAL", "ANY"}[min(l, AnyLocality)]
}

// Location is where data lives: a host, and an executor on it when the data
// is in that executor's memory.
type Location struct {
	Host     string
	Executor id.Executor // empty: anywhere on the host
}

// File is a file that tasks may read by name (Session.AddFile). An executor
// fetches it when its own copy is older than Timestamp.
type File struct {
	Name      string
	Source    string // path on the driver's machine
	Timestamp int64  // nanoseconds since the Unix epoch
}

// Description is everything an executor is told of one attempt: LaunchTask.
type Description struct {
	id.TaskAttempt
	Job           id.Job
	Partition     int32 // partition of the stage's dataset; differs from Index when a job runs over chosen partitions
	NumPartitions int32 // tasks of the whole stage, as the stage was cut
	Kind          Kind
	Locality      Locality
	Barrier       bool
	Speculative   bool
	CPUs          int32
	Executor      id.Executor
	Epoch         int64        // map-output epoch when the task set was made
	Binary        id.Broadcast // the stage attempt's task binary
	LaunchTime    int64        // driver's monotonic stamp, ns
	Files         []File
	Properties    map[string]string // the job's local properties; read-only, shared by the stage attempt
}

// Launch is an attempt with its encoded description.
type Launch struct {
	Task id.Task
	Desc []byte
}

// State is what a status message says of an attempt.
type State uint8

// States of an attempt. Launching is the driver's own; the executor reports
// Running once and one of the last three once.
const (
	Launching State = iota
	Running
	Finished
	Failed
	Killed
	Lost
)

// String returns Spark's name of the state.
func (s State) String() string {
	return [...]string{"LAUNCHING", "RUNNING", "FINISHED", "FAILED", "KILLED", "LOST"}[min(s, Lost)]
}

// Terminal reports whether no further message follows.
func (s State) Terminal() bool { return s >= Finished }

// Stamps are the moments of one attempt on its worker, monotonic ns, chained:
// each is the end of one part and the start of the next.
//
//	Start ─decode─► RunStart ─run─► RunEnd ─encode─► EncodeEnd ─other─► End
//
// decode + run + encode + other = End − Start, with nothing left over. Encode
// is all that follows run: the value is encoded, memory and blocks are given
// back, the result is closed and, if it goes that way, stored. Other is making
// the head of the message that reports the end, whatever the result's size.
type Stamps struct {
	Start, RunStart, RunEnd, EncodeEnd, End int64
}

// Whole returns the stamps with those that were not reached set to the one
// before.
func (s Stamps) Whole() Stamps {
	prev := s.Start
	for _, at := range [...]*int64{&s.RunStart, &s.RunEnd, &s.EncodeEnd, &s.End} {
		if *at == 0 {
			*at = prev
		}
		prev = *at
	}
	return s
}

// Route says how a result travelled.
type Route uint8

// Routes of a result (design: Result-size routing).
const (
	RouteNone     Route = iota // no result: failed, killed
	RouteDirect                // in the status message
	RouteIndirect              // stored as a block, fetched by a getter, removed
	RouteDropped               // above the limit: dropped at the executor
)

// String returns "direct", "stored" or "dropped".
func (r Route) String() string {
	return [...]string{"none", "direct", "stored", "dropped"}[min(r, RouteDropped)]
}

// Status is a message from executor to driver about one attempt.
type Status struct {
	Task     id.Task
	Executor id.Executor
	State    State
	Worker   int32 // slot that ran the attempt, from 0; -1: no worker brings this message
	Stamps   Stamps
	Route    Route
	Size     int64  // encoded Result bytes, for every route
	Block    string // block that holds the encoded Result (RouteIndirect)
	// Result is the encoded Result (Finished, RouteDirect) or the encoded
	// Failure (Failed, Killed). It is a view into the message.
	Result []byte
}

// Result is what a finished attempt returns (Spark's DirectTaskResult).
type Result struct {
	Value   []byte // encoded by the stage's program; a MapStatus for map tasks
	Accums  []AccumUpdate
	Metrics Metrics
}

// AccumUpdate is one accumulator's partial value from one attempt.
type AccumUpdate struct {
	ID          id.Accumulator
	Name        string // empty: unnamed, not shown in reports
	Value       []byte // encoded by the accumulator's own type
	CountFailed bool   // also counts when the attempt fails
}

// ReasonKind is how an attempt ended: Spark's TaskEndReason.
type ReasonKind uint8

// The failure taxonomy (spark-semantics §3.5).
const (
	Success ReasonKind = iota
	Resubmitted
	FetchFailed
	ExceptionFailure
	TaskResultLost
	TaskKilled
	TaskCommitDenied
	ExecutorLostFailure
	UnknownReason
)

// String returns Spark's name of the reason.
func (k ReasonKind) String() string {
	return [...]string{"Success", "Resubmitted", "FetchFailed", "ExceptionFailure", "TaskResultLost",
		"TaskKilled", "TaskCommitDenied", "ExecutorLostFailure", "UnknownReason"}[min(k, UnknownReason)]
}

// CountsTowardsFailures reports whether such an end counts against
// task.maxFailures. ExecutorLostFailure counts only when the application is
// to blame, which the reason itself carries (Failure.CausedByApp).
func (k ReasonKind) CountsTowardsFailures() bool {
	switch k {
	case ExceptionFailure, TaskResultLost, UnknownReason:
		return true
	}
	return false
}

// ClassPanic is the class of a failure by a panic in user code.
const ClassPanic = "panic"

// Failure says why an attempt did not succeed, with what it did before.
// Fields beyond Kind are set as the kind needs them.
type Failure struct {
	Kind    ReasonKind
	Class   string // ExceptionFailure: Go type of the error, or ClassPanic
	Message string // the error's text, the kill reason, the fetch failure's message
	Stack   string // full stack of a panic, else empty
	NoRetry bool   // ExceptionFailure that no retry can mend (result cannot be encoded, output exists)

	Fetch FetchFailure // FetchFailed

	CausedByApp bool // ExecutorLostFailure

	Accums  []AccumUpdate // those that count failures (ExceptionFailure, TaskKilled)
	Metrics Metrics       // run time, collector time and peak memory only, as in Spark
}

// FetchFailure names the map output that could not be read.
type FetchFailure struct {
	Executor id.Executor // where the block should have been; empty: its status was missing
	Shuffle  id.Shuffle
	Map      id.Task // -1: unknown (status missing)
	MapIndex int32   // -1: unknown
	Reduce   int32
}

// Error makes a Failure usable as an error; identity is added by the layer
// that knows it.
func (f *Failure) Error() string {
	switch {
	case f.Message == "":
		return f.Kind.String()
	case f.Class == ClassPanic:
		return "panic: " + f.Message
	}
	return f.Message
}
