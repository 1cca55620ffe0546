package conf

import (
	"fmt"
	"strconv"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// SchedulingMode orders the task sets that compete for free slots.
type SchedulingMode string

// Scheduling modes, Spark's.
const (
	FIFO SchedulingMode = "FIFO"
	FAIR SchedulingMode = "FAIR"
)

// ShuffleStorage says where committed map outputs live.
type ShuffleStorage string

// Places of committed map outputs.
const (
	ShuffleAuto   ShuffleStorage = "auto"   // memory pages, evicted to files when the budget needs them
	ShuffleMemory ShuffleStorage = "memory" // memory pages alone: not fitting is an error
	ShuffleDisk   ShuffleStorage = "disk"   // data and index files, as Spark does
)

// OutputDirect says whether output files are written past the file cache.
type OutputDirect string

// Ways of output to the disk.
const (
	DirectAuto OutputDirect = "auto" // whatever was faster of late
	DirectOn   OutputDirect = "on"   // past the file cache, where the system can
	DirectOff  OutputDirect = "off"  // through the file cache
)

// Compression names a codec: "none", "lz4" or "zstd".
type Compression string

// Compression codecs.
const (
	CompressionNone Compression = "none"
	CompressionLZ4  Compression = "lz4"
	CompressionZstd Compression = "zstd"
)

// Settings are all configuration values of a session, typed and resolved:
// every field holds what the user gave or the key's default. Comments name
// the keys; the table (Keys, Lookup) documents them. Make one with Parse or
// Default: the zero value is not a valid configuration.
type Settings struct {
	AppName     string       // app.name
	Master      Master       // master; the zero Master when it was not given
	Memory      units.Bytes  // driver.memory; 0: not given
	Temp        string       // local.dir; empty: the system's temporary folder
	Direct      OutputDirect // output.direct
	Parallelism int          // default.parallelism; 0: the number of cores
	LogLineage  bool         // logLineage

	Reserved              units.Bytes // memory.reserved
	MemoryFraction        float64     // memory.fraction
	StorageFraction       float64     // memory.storageFraction
	PageSize              units.Bytes // buffer.pageSize; 0: computed
	ReadBackFraction      float64     // storage.readBackFraction, of managed memory
	LeakedMemoryIsFailure bool        // unsafe.exceptionOnMemoryLeak
	LeakedPinIsFailure    bool        // storage.exceptionOnPinLeak

	// MaxFailures is task.maxFailures, or the master's limit when a master
	// was given, as in Spark's local mode.
	MaxFailures                 int
	TaskCPUs                    int // task.cpus
	MaxConsecutiveStageAttempts int // stage.maxConsecutiveAttempts
	MaxStageAttempts            int // stage.maxAttempts
	MaxCancelledGroups          int // scheduler.numCancelledJobGroupsToTrack
	SchedulingMode              SchedulingMode
	AllocationFile              string // scheduler.allocation.file; empty: none
	LocalityWait                LocalityWait
	ReduceLocality              bool          // shuffle.reduceLocality.enabled
	StarvationTimeout           time.Duration // starvation.timeout
	Barrier                     Barrier
	Reaper                      Reaper
	Speculation                 Speculation
	Exclusion                   Exclusion
	Heartbeat                   Heartbeat

	MaxResultSize       units.Bytes // driver.maxResultSize; 0: no limit
	MaxDirectResultSize units.Bytes // task.maxDirectResultSize, at most MaxMessageSize
	MaxMessageSize      units.Bytes // rpc.message.maxSize
	ResultGetters       int         // resultGetter.threads

	ShuffleStorage       ShuffleStorage
	Compression          Compression // io.compression.codec
	ShuffleCompress      bool        // shuffle.compress
	ShuffleSpillCompress bool        // shuffle.spill.compress
	RDDCompress          bool        // rdd.compress
	BroadcastCompress    bool        // broadcast.compress
	CacheVisibility      bool        // rdd.cache.visibilityTracking.enabled
	RowChecksums         bool        // shuffle.orderIndependentChecksum.enabled
	RetryOnMismatch      bool        // shuffle.orderIndependentChecksum.enableFullRetryOnMismatch
	BroadcastJoin        units.Bytes // sql.autoBroadcastJoinThreshold; 0: never

	ListenerQueues ListenerQueues
	EventLog       EventLog

	redaction string // redaction.regex
	entries   []Entry
}

// LocalityWait is how long a task set holds out for better places
// (locality.wait and its refinements).
type LocalityWait struct {
	All, Process, Node time.Duration
}

// Barrier are the keys of barrier stages.
type Barrier struct {
	SyncTimeout      time.Duration // barrier.sync.timeout
	CheckInterval    time.Duration // scheduler.barrier.maxConcurrentTasksCheck.interval
	CheckMaxFailures int           // scheduler.barrier.maxConcurrentTasksCheck.maxFailures
}

// Reaper are the task.reaper.* keys: what happens to an attempt that ignores
// a kill.
type Reaper struct {
	Enabled     bool
	KillTimeout time.Duration // negative: wait for ever
}

// Speculation are the speculation keys: second attempts of slow tasks.
type Speculation struct {
	Enabled               bool          // speculation
	Interval              time.Duration // speculation.interval
	Multiplier            float64       // speculation.multiplier, of the median time
	Quantile              float64       // speculation.quantile, of the tasks
	MinTaskRuntime        time.Duration // speculation.minTaskRuntime
	TaskDurationThreshold time.Duration // speculation.task.duration.threshold; 0: none
	Efficiency            bool          // speculation.efficiency.enabled
	ProcessRateMultiplier float64       // speculation.efficiency.processRateMultiplier
	LongRunTaskFactor     float64       // speculation.efficiency.longRunTaskFactor
}

// Exclusion are the excludeOnFailure keys: executors where tasks fail.
type Exclusion struct {
	Enabled      bool // excludeOnFailure.enabled, the default of the next two
	TaskAndStage bool // excludeOnFailure.taskAndStage.enabled
	Application  bool // excludeOnFailure.application.enabled

	TaskAttemptsPerExecutor     int           // excludeOnFailure.task.maxTaskAttemptsPerExecutor
	TaskAttemptsPerHost         int           // excludeOnFailure.task.maxTaskAttemptsPerNode, below MaxFailures
	StageTasksPerExecutor       int           // excludeOnFailure.stage.maxFailedTasksPerExecutor
	StageExecutorsPerHost       int           // excludeOnFailure.stage.maxFailedExecutorsPerNode
	ApplicationTasksPerExecutor int           // excludeOnFailure.application.maxFailedTasksPerExecutor
	ApplicationExecutorsPerHost int           // excludeOnFailure.application.maxFailedExecutorsPerNode
	Timeout                     time.Duration // excludeOnFailure.timeout
	UnschedulableTimeout        time.Duration // scheduler.excludeOnFailure.unschedulableTaskSetTimeout
}

// On reports whether failures exclude anything.
func (e *Exclusion) On() bool { return e.TaskAndStage || e.Application }

// Heartbeat says how executors show that they live.
type Heartbeat struct {
	Interval time.Duration // executor.heartbeatInterval, below Timeout
	Timeout  time.Duration // network.timeout
}

// ListenerQueues are the scheduler.listenerbus.* keys.
type ListenerQueues struct {
	// Events of a queue of any name, and of those that Spark names
	// (eventqueue.capacity, eventqueue.NAME.capacity).
	Capacity, Shared, AppStatus, ExecutorManagement, EventLog int

	ExitTimeout time.Duration // 0: no limit
}

// Of returns the capacity of the queue of a name.
func (q *ListenerQueues) Of(name string) int {
	switch name {
	case "shared":
		return q.Shared
	case "appStatus":
		return q.AppStatus
	case "executorManagement":
		return q.ExecutorManagement
	case "eventLog":
		return q.EventLog
	}
	return q.Capacity
}

// EventLog are the eventLog.* keys that we honour: Spark's own JSON log,
// beside the run's event file.
type EventLog struct {
	Enabled      bool
	Dir          string
	Overwrite    bool        // replace a log of the same name
	BlockUpdates bool        // logBlockUpdates.enabled
	Rolling      bool        // rolling.enabled
	MaxFileSize  units.Bytes // rolling.maxFileSize
}

// CheckSlots returns a *KeyError if an executor of so many worker slots has
// none for a task: no job could run.
func (s *Settings) CheckSlots(slots int) error {
	if s.TaskCPUs <= slots {
		return nil
	}
	const key = "task.cpus"
	e := &KeyError{
		Key: key, Value: strconv.Itoa(s.TaskCPUs), Accepts: fmt.Sprintf("a number from 1 to %d", slots),
		Cause: fmt.Errorf("an executor has %d worker slots", slots),
	}
	for _, x := range s.entries {
		if x.Key == Prefix+key && x.Source != unnamed {
			e.Source = x.Source
		}
	}
	return e
}
