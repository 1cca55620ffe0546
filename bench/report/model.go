package report

import (
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// SchemaVersion is the version of the JSON forms. Fields are only added
// within a version.
const SchemaVersion = 1

// Model is all that a report says of a run. Times are nanoseconds; moments
// are on the session's clock, where Start is the moment of the session's
// start. It is read-only once loaded.
type Model struct {
	SchemaVersion int         `json:"schema_version"`
	Application   Application `json:"application"`
	// Problems are sentences about what makes the report less than whole: a
	// cut file, parts that do not add up, an exceeded bound.
	Problems []string `json:"problems,omitempty"`
	Jobs     []*Job   `json:"jobs"`
	// Failures are the first of what attempts failed of; MoreFailures counts
	// the attempts that failed of something else.
	Failures     []Failure `json:"failures,omitempty"`
	MoreFailures int64     `json:"more_failures,omitempty"`
	Stages       []*Stage  `json:"stages"`
	Session      Account   `json:"session"`
	Phases       []Account `json:"phases"`
	Memory       Memory    `json:"memory"`
	Samples      *Summary  `json:"samples,omitempty"`
}

// Application is the session as a whole.
type Application struct {
	Name      string            `json:"name"`
	ID        string            `json:"id"`
	Host      string            `json:"host"`
	User      string            `json:"user"`
	Cores     int32             `json:"cores"`
	Memory    int64             `json:"memory_bytes"`
	WallStart int64             `json:"start_unix_ns"`
	Start     int64             `json:"start_ns"`
	End       int64             `json:"end_ns"` // of the session, or the last event's
	Complete  bool              `json:"complete"`
	Events    int64             `json:"events"`
	Conf      map[string]string `json:"conf,omitempty"`
}

// Counts tells how the attempts of a stage or job ended. Commit denials are
// kills, as in Spark.
type Counts struct {
	Started   int64 `json:"started"`
	Running   int64 `json:"running"` // started, and no end seen
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Killed    int64 `json:"killed"`
	// Resubmitted counts those of the failures that are no attempt's own end:
	// map tasks that had succeeded and ran again, since their output was lost
	// with its executor. As in Spark, they are counted with the failures.
	Resubmitted int64 `json:"resubmitted,omitempty"`
	// KilledBy counts kills by their reason.
	KilledBy map[string]int64 `json:"killed_by,omitempty"`
	// Indices counts tasks of which at least one attempt succeeded.
	Indices int64 `json:"completed_indices"`
	// Speculative counts those of the attempts that were second attempts of
	// slow tasks.
	Speculative Speculative `json:"speculative,omitzero"`
}

// ended is how many attempts have ended.
func (c *Counts) ended() int64 { return c.Succeeded + c.Failed + c.Killed - c.Resubmitted }

// Speculative tells how second attempts of slow tasks ended.
type Speculative struct {
	Started   int64 `json:"started"`
	Succeeded int64 `json:"succeeded"` // before the first attempt did
	Failed    int64 `json:"failed"`
	Killed    int64 `json:"killed"`
}

// Job is one action.
type Job struct {
	ID        id.Job     `json:"id"`
	Name      string     `json:"name"`
	Status    string     `json:"status"` // RUNNING, SUCCEEDED, FAILED
	Error     string     `json:"error,omitempty"`
	Submitted int64      `json:"submitted_ns"`
	Completed int64      `json:"completed_ns"` // 0: not
	Stages    []id.Stage `json:"stages"`
	// Tasks counts the tasks of stages that were not there already when the
	// job was submitted.
	Tasks int64 `json:"tasks"`

	CompletedStages int64  `json:"completed_stages"`
	FailedStages    int64  `json:"failed_stages"` // attempts
	SkippedStages   int64  `json:"skipped_stages"`
	SkippedTasks    int64  `json:"skipped_tasks"`
	Counts          Counts `json:"attempts"`
}

// Statuses of a stage attempt, as the History Server shows them.
const (
	statusPending  = "PENDING"
	statusActive   = "ACTIVE"
	statusComplete = "COMPLETE"
	statusFailed   = "FAILED"
	statusSkipped  = "SKIPPED"
)

// Stage is one stage attempt, or a stage that was skipped.
type Stage struct {
	ID        id.Stage `json:"id"`
	Attempt   int32    `json:"attempt"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Status    string   `json:"status"` // PENDING, ACTIVE, COMPLETE, FAILED, SKIPPED
	Failure   string   `json:"failure,omitempty"`
	Jobs      []id.Job `json:"jobs"`
	Tasks     int32    `json:"tasks"`
	Submitted int64    `json:"submitted_ns"`
	Completed int64    `json:"completed_ns"`
	Counts    Counts   `json:"attempts"`
	// Routes tells how results travelled to the driver, a route that none
	// took left out: map outputs' statuses and, of result stages, values.
	Routes []Route `json:"routes,omitempty"`
	// Sampled counts the attempts that the quantiles are over.
	Sampled int64 `json:"sampled"`
	// Figures holds one entry for each figure that is not zero throughout,
	// and always the parts of the breakdown, in the order of Figure.
	Figures []FigureStats `json:"figures,omitempty"`
	Other   OtherBound    `json:"other_bound"`
	// Unbalanced counts successful attempts whose measured parts do not add
	// up to their run.
	Unbalanced int64 `json:"unbalanced"`

	totals Figures
	fold   *stageFold
}

// Total returns the stage's total of a figure.
func (s *Stage) Total(f Figure) int64 { return s.totals[f] }

// Route is one way of results and what took it. Attempts count whose result
// was refused or lost on its way, too.
type Route struct {
	Name    string `json:"route"` // direct, stored or dropped
	Results int64  `json:"results"`
	Bytes   int64  `json:"bytes"` // encoded
	Largest int64  `json:"largest_bytes"`
	Fetch   int64  `json:"fetch_ns"` // from a getter's taking it up to the driver's having it

	route task.Route
}

// FigureStats is one figure over a stage's attempts.
type FigureStats struct {
	Figure    Figure    `json:"-"`
	Name      string    `json:"name"` // Figure.Key
	Unit      string    `json:"unit"` // ns, bytes or count
	Total     int64     `json:"total"`
	Share     float64   `json:"share,omitempty"` // of the total wall time of attempts; times only
	CPU       *int64    `json:"cpu_ns,omitempty"`
	Quantiles Quantiles `json:"quantiles"`
	Largest   *Largest  `json:"largest,omitempty"` // nil: no attempt was sampled
}

// Largest names the attempt with the largest value; of equal ones that with
// the lowest task id.
type Largest struct {
	Task   id.Task `json:"task"`
	Index  int32   `json:"index"`
	Number int32   `json:"number"`
	Value  int64   `json:"value"`
}

// OtherBound compares the time that no part explains with what the design
// allows: the median attempt's Other ≤ 1 % of the median attempt's time on
// its worker + 0.5 µs.
type OtherBound struct {
	Median int64 `json:"median_ns"`
	Limit  int64 `json:"limit_ns"`
	OK     bool  `json:"ok"`
}

// Account tells where the workers' time went in a window:
// TaskDecode + Run + ResultEncode + Other + Idle = WorkerTime.
type Account struct {
	Name  string `json:"name"` // "session", or the phase's name
	Index int32  `json:"index"`
	Error string `json:"error,omitempty"`
	Begin int64  `json:"begin_ns"`
	End   int64  `json:"end_ns"`

	Workers    int32 `json:"workers"`
	WorkerTime int64 `json:"worker_time_ns"` // of a phase, wall × workers while they lived; of the session, see workerTimes.apply
	TaskDecode int64 `json:"task_decode_ns"`
	Run        int64 `json:"run_ns"`
	Encode     int64 `json:"result_encode_ns"`
	Other      int64 `json:"other_ns"`
	Idle       int64 `json:"idle_ns"`
	// Scheduling is the part of Idle in which workers carried out the
	// scheduler's work, and CPU the process's CPU time in the window. Between
	// samples both follow the straight line through them; nil when samples
	// do not cover the window.
	Scheduling *int64 `json:"scheduling_ns,omitempty"`
	CPU        *int64 `json:"process_cpu_ns,omitempty"`
}

// Wall returns the length of the window.
func (a *Account) Wall() int64 { return a.End - a.Begin }

// Memory is the process's memory at its worst.
type Memory struct {
	Budget  int64 `json:"budget_bytes"`
	PeakRSS int64 `json:"peak_rss_bytes"` // the highest the kernel saw
	Samples int64 `json:"samples"`
	// At is the sample with the highest RSS; its accounts, Runtime and Other
	// add up to its RSS.
	At       int64           `json:"at_ns"`
	RSS      int64           `json:"rss_bytes"`
	Accounts []MemoryAccount `json:"accounts,omitempty"`
	Runtime  int64           `json:"runtime_bytes"`
	Other    int64           `json:"other_bytes"`
	GCCount  int64           `json:"gc_count"`
	GCTime   int64           `json:"gc_ns"`
	// Shuffle outputs that were written to disk for no attempt, so that they
	// are in no stage's spills: the memory they gave up and their bytes.
	EvictedMemory int64 `json:"evicted_memory_bytes"`
	EvictedDisk   int64 `json:"evicted_disk_bytes"`
}

// MemoryAccount is what one owner has reserved.
type MemoryAccount struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}
