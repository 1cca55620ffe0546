package report

import (
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// Figure indexes what is known of one attempt.
type Figure uint8

// The figures of an attempt. The first, Wall, is the sum of the six parts
// after it; Run is the sum of the six inside it; Figures from DecodeCPU on
// stand beside those sums. TaskDecode + Run + ResultEncode + Other is the
// time on the worker.
const (
	Wall           Figure = iota // from launch by the driver to the driver's having handled the end
	SchedulerDelay               // launch → start on the worker, and its end → handled, less the fetch
	TaskDecode
	Run
	ResultEncode
	ResultFetch // an indirect result's way from its block to the driver
	Other       // on the worker, and none of the above

	InputRead
	ShuffleFetchWait
	ShuffleWrite
	Spill
	OutputWrite
	Compute // what is left of run

	DecodeCPU
	RunCPU
	EncodeCPU
	GC // collector time of the whole process during the attempt
	FileFetch

	InputBytes
	InputRecords
	OutputBytes
	OutputRecords
	ShuffleReadBytes
	ShuffleReadRecords
	ShuffleReadBlocks
	ShuffleWriteBytes
	ShuffleWriteRecords
	MemorySpilled
	DiskSpilled
	Spills
	PeakMemory // its total is the largest, not the sum
	LeakedMemory
	ResultBytes
	MessageBytes // launch, running and terminal messages

	FigureCount // number of figures, not a figure
)

var figureTable = [FigureCount]struct {
	key, label string
	unit       task.Unit
}{
	Wall:                {"wall", "attempt wall", task.Nanoseconds},
	SchedulerDelay:      {"scheduler_delay", "scheduler delay", task.Nanoseconds},
	TaskDecode:          {"task_decode", "task decode", task.Nanoseconds},
	Run:                 {"run", "run", task.Nanoseconds},
	ResultEncode:        {"result_encode", "result encode", task.Nanoseconds},
	ResultFetch:         {"result_fetch", "result fetch", task.Nanoseconds},
	Other:               {"other", "other", task.Nanoseconds},
	InputRead:           {"input_read", "· input read", task.Nanoseconds},
	ShuffleFetchWait:    {"shuffle_fetch_wait", "· shuffle fetch wait", task.Nanoseconds},
	ShuffleWrite:        {"shuffle_write", "· shuffle write", task.Nanoseconds},
	Spill:               {"spill", "· spill", task.Nanoseconds},
	OutputWrite:         {"output_write", "· output write", task.Nanoseconds},
	Compute:             {"compute", "· compute", task.Nanoseconds},
	DecodeCPU:           {"task_decode_cpu", "task decode CPU", task.Nanoseconds},
	RunCPU:              {"run_cpu", "run CPU", task.Nanoseconds},
	EncodeCPU:           {"result_encode_cpu", "result encode CPU", task.Nanoseconds},
	GC:                  {"gc", "collector during it", task.Nanoseconds},
	FileFetch:           {"file_fetch", "file fetch", task.Nanoseconds},
	InputBytes:          {"input", "input", task.ByteCount},
	InputRecords:        {"input_records", "input records", task.Count},
	OutputBytes:         {"output", "output", task.ByteCount},
	OutputRecords:       {"output_records", "output records", task.Count},
	ShuffleReadBytes:    {"shuffle_read", "shuffle read", task.ByteCount},
	ShuffleReadRecords:  {"shuffle_read_records", "shuffle records read", task.Count},
	ShuffleReadBlocks:   {"shuffle_read_blocks", "shuffle blocks read", task.Count},
	ShuffleWriteBytes:   {"shuffle_write", "shuffle write", task.ByteCount},
	ShuffleWriteRecords: {"shuffle_write_records", "shuffle records written", task.Count},
	MemorySpilled:       {"memory_spilled", "spilled, in memory", task.ByteCount},
	DiskSpilled:         {"disk_spilled", "spilled, on disk", task.ByteCount},
	Spills:              {"spills", "spills", task.Count},
	PeakMemory:          {"peak_execution_memory", "peak execution memory", task.ByteCount},
	LeakedMemory:        {"leaked_memory", "leaked memory", task.ByteCount},
	ResultBytes:         {"result", "result", task.ByteCount},
	MessageBytes:        {"messages", "messages", task.ByteCount},
}

// Key returns the figure's name in JSON and CSV, with its unit: "run_ns".
func (f Figure) Key() string {
	return figureTable[f].key + [...]string{task.Nanoseconds: "_ns", task.ByteCount: "_bytes", task.Count: ""}[f.Unit()]
}

// Label returns the figure's name in tables. The parts inside run begin with
// a dot.
func (f Figure) Label() string { return figureTable[f].label }

// Unit says what the figure counts.
func (f Figure) Unit() task.Unit { return figureTable[f].unit }

// insideRun lists the figures that add up to Run, and the metric of each.
// Compute is computed.
var insideRun = [...]struct {
	figure Figure
	metric task.Metric
}{
	{InputRead, task.InputReadTime},
	{ShuffleFetchWait, task.ShuffleFetchWaitTime},
	{ShuffleWrite, task.ShuffleWriteTime},
	{Spill, task.SpillTime},
	{OutputWrite, task.OutputWriteTime},
}

// fromMetrics lists the figures that are metrics as they stand.
var fromMetrics = [...]struct {
	figure Figure
	metric task.Metric
}{
	{DecodeCPU, task.ExecutorDeserializeCPUTime},
	{RunCPU, task.ExecutorCPUTime},
	{EncodeCPU, task.ResultSerializationCPUTime},
	{GC, task.JVMGCTime},
	{FileFetch, task.FileFetchTime},
	{InputBytes, task.InputBytesRead},
	{InputRecords, task.InputRecordsRead},
	{OutputBytes, task.OutputBytesWritten},
	{OutputRecords, task.OutputRecordsWritten},
	{ShuffleReadRecords, task.ShuffleRecordsRead},
	{ShuffleWriteBytes, task.ShuffleBytesWritten},
	{ShuffleWriteRecords, task.ShuffleRecordsWritten},
	{MemorySpilled, task.MemoryBytesSpilled},
	{DiskSpilled, task.DiskBytesSpilled},
	{Spills, task.SpillCount},
	{PeakMemory, task.PeakExecutionMemory},
	{LeakedMemory, task.LeakedMemory},
	{ResultBytes, task.ResultSize},
}

// Figures are the figures of one attempt, or their totals.
type Figures [FigureCount]int64

// add adds an attempt's figures to totals.
func (t *Figures) add(f *Figures) {
	peak := max(t[PeakMemory], f[PeakMemory])
	for i, v := range f {
		t[i] += v
	}
	t[PeakMemory] = peak
}

// FiguresOf computes the figures of an attempt. Its siblings add up to Wall
// and the parts inside run to Run, always: SchedulerDelay is what Wall has
// beyond the worker's time and the fetch, Compute what Run has beyond its
// measured parts. An attempt that never reached its worker is all
// SchedulerDelay; stamps that a failed attempt did not reach leave their time
// to Other.
func FiguresOf(e *event.TaskEnd) Figures {
	var f Figures
	i, s := &e.Info, e.Stamps.Whole()
	finish := max(i.Finish, i.Launch, s.End)
	f[Wall] = finish - i.Launch
	f[TaskDecode] = s.RunStart - s.Start
	f[Run] = s.RunEnd - s.RunStart
	f[ResultEncode] = s.EncodeEnd - s.RunEnd
	f[Other] = s.End - s.EncodeEnd
	if i.GettingResult != 0 {
		f[ResultFetch] = finish - i.GettingResult
	}
	f[SchedulerDelay] = f[Wall] - (s.End - s.Start) - f[ResultFetch]
	f[Compute] = f[Run]
	for _, p := range insideRun {
		f[p.figure] = e.Metrics[p.metric]
		f[Compute] -= e.Metrics[p.metric]
	}
	for _, p := range fromMetrics {
		f[p.figure] = e.Metrics[p.metric]
	}
	f[ShuffleReadBytes] = e.Metrics[task.ShuffleLocalBytesRead] + e.Metrics[task.ShuffleRemoteBytesRead]
	f[ShuffleReadBlocks] = e.Metrics[task.ShuffleLocalBlocksFetched] + e.Metrics[task.ShuffleRemoteBlocksFetched]
	for _, n := range e.StatusBytes {
		f[MessageBytes] += int64(n)
	}
	return f
}

// unbalanced reports whether the parts that the attempt measured inside its
// run differ from the run: a part was counted twice or not at all.
func unbalanced(e *event.TaskEnd, f *Figures) bool {
	return e.Reason == task.Success && e.HasMetrics && f[Compute] != e.Metrics[task.ComputeTime]
}

// counted reports whether an end stands for an attempt of its own.
// Resubmitted ones repeat an attempt that ended before.
func counted(e *event.TaskEnd) bool { return e.Reason != task.Resubmitted }

// sampled reports whether an attempt takes part in quantiles.
func sampled(e *event.TaskEnd) bool { return e.Reason == task.Success && e.HasMetrics }
