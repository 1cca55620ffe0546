package scheduler

import (
	"log/slog"
	"math"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// ExecutorSpec introduces an executor: a group of worker slots.
type ExecutorSpec struct {
	ID    id.Executor
	Host  string
	Slots int
}

// Config holds the figures that decisions depend on. A zero field means the
// default named beside it.
type Config struct {
	Executors []ExecutorSpec // those present from the start

	MaxFailures                 int           // failures of one task that abort its job; 1
	MaxConsecutiveStageAttempts int           // attempts in a row that fetch failures may end; 4
	MaxStageAttempts            int           // attempts of a stage in all, at least those in a row; no limit
	ResubmitDelay               time.Duration // from a fetch failure to the resubmission; 200 ms
	TaskCPUs                    int           // slots that an attempt takes; 1

	MaxCancelledGroups int // groups whose future jobs are cancelled too, the latest; 1000

	Mode         conf.SchedulingMode // order among jobs; FIFO
	Pools        []conf.Pool         // FAIR: from the allocation file
	LocalityWait conf.LocalityWait   // zero: no waiting

	NoReduceLocality bool // reduce tasks prefer no place for what it holds of their input

	// StarvationTimeout is how long tasks may wait before the first one of all
	// is launched until people are told, and told again; 0: never.
	StarvationTimeout time.Duration

	MaxResult     units.Bytes // running total of a result stage's task set; 0: no limit
	MaxMessage    units.Bytes // largest task description; 128 MiB
	ResultGetters int         // goroutines that fetch stored results; 4
	// MaxUntaken is how many bytes of results may be on their way to the caller
	// of a job before no more of its result tasks are launched; 8 MiB: some
	// milliseconds of results, which is how late a caller looks for them.
	MaxUntaken units.Bytes

	// Chain is how many attempts may follow another on its slot without a step
	// between them (chain.go); 0: none. It takes Deps.Chains.
	Chain int

	Barrier conf.Barrier // zero fields: 365 days, 15 s, 40

	Exclusion conf.Exclusion // zero: failures exclude nothing

	// HeartbeatTimeout is the silence after which an executor is lost; 0: none
	// has to give signs of life.
	HeartbeatTimeout time.Duration

	Speculation conf.Speculation // not enabled: no task gets a second attempt

	// RetryOnMismatch runs all of the stages again that read a map output
	// whose second computation wrote other rows (MapStatus.RowSum).
	RetryOnMismatch bool

	Seed uint64 // order in which several executors are offered
}

func (c Config) withDefaults() Config {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	wait := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	def(&c.MaxFailures, 1)
	def(&c.MaxConsecutiveStageAttempts, 4)
	def(&c.MaxStageAttempts, math.MaxInt32)
	def(&c.TaskCPUs, 1)
	def(&c.ResultGetters, 4)
	def(&c.MaxCancelledGroups, 1000)
	def(&c.Barrier.CheckMaxFailures, 40)
	wait(&c.ResubmitDelay, 200*time.Millisecond)
	wait(&c.Barrier.SyncTimeout, 365*24*time.Hour)
	wait(&c.Barrier.CheckInterval, 15*time.Second)
	c.MaxStageAttempts = max(c.MaxStageAttempts, c.MaxConsecutiveStageAttempts)
	if c.Mode == "" {
		c.Mode = conf.FIFO
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 128 * units.MiB
	}
	if c.MaxUntaken == 0 {
		c.MaxUntaken = 8 * units.MiB
	}
	return c
}

// Deps are what a Driver works with. They outlive it. Now, Backend, Binary,
// DropBinary, Blocks and Events are required.
type Deps struct {
	// Now returns monotonic nanoseconds on the session's clock.
	Now     func() int64
	Backend Backend
	Chains  Chains // nil: there are none, whatever Config.Chain says
	// Binary encodes and stores the task binary of a stage attempt, whose id
	// travels in every description. An error aborts the stage.
	Binary func(BinaryRequest) (id.Broadcast, error)
	// DropBinary tells that no attempt will ask for the binary any more.
	DropBinary func(id.Broadcast)
	// Cached returns, for each partition of a persisted dataset, where it is
	// cached; nil: nothing is. It answers from what is known, at once. It is
	// asked only for nodes that have a storage level. A nil func: never.
	Cached func(n id.Node, partitions int) [][]task.Location
	Blocks Blocks
	Events event.Sink
	// Accums merges an attempt's accumulator updates, by the rules of
	// spark-semantics §4.4 (result tasks once a partition, map tasks at each
	// success, failed attempts those that count failures), and returns the
	// named ones as the attempt's TaskEnd shows them. nil: none are used. The
	// updates are valid during the call.
	Accums func(updates []task.AccumUpdate) []event.Accumulable
	Logger *slog.Logger // nil: nothing is logged
}

// Backend is the way to the executors. Its methods do not block; they may
// call Driver.StatusUpdate before they return.
type Backend interface {
	// Launch hands an encoded description to an executor, which copies it.
	Launch(executor id.Executor, t id.Task, desc []byte)
	// Kill asks attempt t to end; unknown and ended attempts are ignored.
	Kill(executor id.Executor, t id.Task, interrupt bool, reason string)
	// Drop tells that an executor is lost: its attempts have ended for the
	// driver, which launches nothing there any more.
	Drop(executor id.Executor, reason string)
}

// Chains is the way to executors that take several attempts at once. As with
// Backend, its methods do not block.
type Chains interface {
	// LaunchChain hands over descriptions, which are copied. Each attempt
	// begins when the one before it has ended, on the same slot; the first as
	// if it were launched alone. What they report may be held back for a
	// while, but no longer than until Recall.
	LaunchChain(executor id.Executor, chain []task.Launch)
	// Recall takes back the attempts that follow others and have not begun,
	// in their order. messages are what was held back.
	Recall() (messages [][]byte, tasks []id.Task)
}

// Blocks are the stored results.
type Blocks interface {
	// GetBytes returns a view of a block, valid until release is called.
	GetBytes(b block.ID) (data []byte, release func(), err error)
	Remove(b block.ID) bool
}

// BinaryRequest says what the task binary of a stage attempt must hold.
type BinaryRequest struct {
	id.StageAttempt
	Job     id.Job
	Node    *plan.Node       // the stage's last dataset
	Shuffle *plan.ShuffleDep // map stage: what it writes; nil: result stage
	Payload []byte           // result stage: JobSpec.Payload
}

// JobSpec describes a job. It must not be changed once submitted.
type JobSpec struct {
	Final      *plan.Node        // the dataset that the action runs on
	Partitions []int32           // which of its partitions, in the order of result indices; nil: all
	Action     string            // "count"
	Site       string            // file:line of the user's call
	Properties map[string]string // local properties; kept, so the caller passes a copy
	Payload    []byte            // what the action does, for BinaryRequest
	Files      []task.File       // files that tasks may read by name
	// Shuffle makes it a map-stage job: run the map stage that writes this
	// shuffle, whose parent is Final, and return the bytes for each reducer.
	Shuffle *plan.ShuffleDep
}

// Properties of a job that decide something (spark-semantics §1.9).
const (
	propGroup     = "spark.jobGroup.id"
	propTags      = "spark.job.tags"
	propPool      = "spark.scheduler.pool"
	propInterrupt = "spark.job.interruptOnCancel"
	propAddresses = "addresses" // of the tasks of a barrier stage
)

// Configuration keys that messages name.
const (
	keyMessage        = "spark.rpc.message.maxSize"
	keyMaxFailures    = "spark.task.maxFailures"
	keyStarvation     = "spark.starvation.timeout"
	keyTaskCPUs       = "spark.task.cpus"
	keyExclusion      = "spark.excludeOnFailure.*"
	keyNetworkTimeout = "spark.network.timeout"
)
