package task

// Metric indexes one figure of an attempt. Names are those of Spark's
// TaskMetrics where Spark has the figure; all times are nanoseconds here and
// become Spark's units only in its event log.
type Metric uint8

// The figures of an attempt, in wire order: add new ones at the end.
const (
	ExecutorDeserializeTime Metric = iota
	ExecutorDeserializeCPUTime
	ExecutorRunTime
	ExecutorCPUTime
	ResultSerializationTime    // set by the driver, from the stamps
	ResultSerializationCPUTime // 0 on its way to the driver: not read apart, the wall time stands for it
	JVMGCTime                  // collector time of the whole process during the attempt
	ResultSize
	MemoryBytesSpilled
	DiskBytesSpilled
	PeakExecutionMemory
	ShuffleLocalBlocksFetched
	ShuffleRemoteBlocksFetched
	ShuffleLocalBytesRead
	ShuffleRemoteBytesRead
	ShuffleRecordsRead
	ShuffleFetchWaitTime
	ShuffleBytesWritten
	ShuffleRecordsWritten
	ShuffleWriteTime
	InputBytesRead
	InputRecordsRead
	InputReadTime
	OutputBytesWritten
	OutputRecordsWritten
	OutputWriteTime
	SpillTime
	SpillCount
	ComputeTime // run time that no other part inside run accounts for
	FileFetchTime
	LeakedMemory
	MetricCount // number of metrics, not a metric
)

// Unit says what a metric counts.
type Unit uint8

// Units of metrics.
const (
	Nanoseconds Unit = iota
	ByteCount
	Count
)

var metricTable = [MetricCount]struct {
	name string
	unit Unit
}{
	ExecutorDeserializeTime:    {"executorDeserializeTime", Nanoseconds},
	ExecutorDeserializeCPUTime: {"executorDeserializeCpuTime", Nanoseconds},
	ExecutorRunTime:            {"executorRunTime", Nanoseconds},
	ExecutorCPUTime:            {"executorCpuTime", Nanoseconds},
	ResultSerializationTime:    {"resultSerializationTime", Nanoseconds},
	ResultSerializationCPUTime: {"resultSerializationCpuTime", Nanoseconds},
	JVMGCTime:                  {"jvmGCTime", Nanoseconds},
	ResultSize:                 {"resultSize", ByteCount},
	MemoryBytesSpilled:         {"memoryBytesSpilled", ByteCount},
	DiskBytesSpilled:           {"diskBytesSpilled", ByteCount},
	PeakExecutionMemory:        {"peakExecutionMemory", ByteCount},
	ShuffleLocalBlocksFetched:  {"shuffleReadMetrics.localBlocksFetched", Count},
	ShuffleRemoteBlocksFetched: {"shuffleReadMetrics.remoteBlocksFetched", Count},
	ShuffleLocalBytesRead:      {"shuffleReadMetrics.localBytesRead", ByteCount},
	ShuffleRemoteBytesRead:     {"shuffleReadMetrics.remoteBytesRead", ByteCount},
	ShuffleRecordsRead:         {"shuffleReadMetrics.recordsRead", Count},
	ShuffleFetchWaitTime:       {"shuffleReadMetrics.fetchWaitTime", Nanoseconds},
	ShuffleBytesWritten:        {"shuffleWriteMetrics.bytesWritten", ByteCount},
	ShuffleRecordsWritten:      {"shuffleWriteMetrics.recordsWritten", Count},
	ShuffleWriteTime:           {"shuffleWriteMetrics.writeTime", Nanoseconds},
	InputBytesRead:             {"inputMetrics.bytesRead", ByteCount},
	InputRecordsRead:           {"inputMetrics.recordsRead", Count},
	InputReadTime:              {"inputMetrics.readTime", Nanoseconds},
	OutputBytesWritten:         {"outputMetrics.bytesWritten", ByteCount},
	OutputRecordsWritten:       {"outputMetrics.recordsWritten", Count},
	OutputWriteTime:            {"outputMetrics.writeTime", Nanoseconds},
	SpillTime:                  {"spillTime", Nanoseconds},
	SpillCount:                 {"spillCount", Count},
	ComputeTime:                {"computeTime", Nanoseconds},
	FileFetchTime:              {"fileFetchTime", Nanoseconds},
	LeakedMemory:               {"leakedMemory", ByteCount},
}

// String returns the metric's name, Spark's where Spark has it.
func (m Metric) String() string { return metricTable[m].name }

// Unit returns what the metric counts.
func (m Metric) Unit() Unit { return metricTable[m].unit }

// Metrics are the figures of one attempt or their sum over many; the zero
// value is all zero. An attempt's Metrics are written by its own goroutine
// alone until the attempt ends.
type Metrics [MetricCount]int64

// Add adds o to m figure by figure; PeakExecutionMemory keeps the larger.
func (m *Metrics) Add(o *Metrics) {
	peak := max(m[PeakExecutionMemory], o[PeakExecutionMemory])
	for i := range m {
		m[i] += o[i]
	}
	m[PeakExecutionMemory] = peak
}
