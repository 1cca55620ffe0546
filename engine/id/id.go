// Package id owns the identifiers of the engine and their one printable form.
//
// Every kind of identifier counts up from zero in its own sequence, as in
// Spark: jobs, stages, tasks, nodes of the lineage, shuffles, broadcasts and
// accumulators never share a counter. The package holds no counter itself.
package id

import "strconv"

// Job numbers one action: from its submission to its answer.
type Job int32

// Stage numbers a stage; the stages of two jobs over one shuffle differ.
type Stage int32

// Task numbers one attempt, over all stages of a session (Spark's TID). A
// retry of the same partition gets a new Task.
type Task int64

// Node numbers a dataset in the lineage (Spark's RDD id).
type Node int32

// Shuffle numbers a shuffle dependency.
type Shuffle int32

// Broadcast numbers a value shipped once to each executor.
type Broadcast int64

// Accumulator numbers an accumulator.
type Accumulator int64

// Executor names a group of worker slots with a block store of its own. In
// Spark it is a process; here it is a label inside one process.
type Executor string

// Driver is the executor of a local session, named as Spark names it.
const Driver Executor = "driver"

// StageAttempt is one submission of a stage; its form is "stage.attempt".
type StageAttempt struct {
	Stage   Stage
	Attempt int32
}

// String returns "stage.attempt", the name of the attempt's task set.
func (s StageAttempt) String() string {
	return strconv.Itoa(int(s.Stage)) + "." + strconv.Itoa(int(s.Attempt))
}

// TaskAttempt identifies one try at one index of a task set.
type TaskAttempt struct {
	StageAttempt
	Index  int32 // position in the stage attempt's task numbering, stable across attempts
	Number int32 // tries of this index before this one, in the same task set
	Task   Task
}

// String returns Spark's form: "task 3.0 in stage 1.0 (TID 17)".
func (t TaskAttempt) String() string {
	return "task " + strconv.Itoa(int(t.Index)) + "." + strconv.Itoa(int(t.Number)) +
		" in stage " + t.StageAttempt.String() + " (TID " + strconv.FormatInt(int64(t.Task), 10) + ")"
}
