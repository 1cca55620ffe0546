package event

// The objects of Spark's JSON event log, field for field in the order in
// which Spark writes them (source: Spark's JsonProtocol; the tables are in
// spark-semantics §10). "Event" comes first in every line, because the
// History Server finds the important lines by their first bytes. Times are
// milliseconds since the epoch or long, except where a field's name says CPU
// or is Shuffle Write Time: those are nanoseconds.
type (
	sparkLogStart struct {
		Event   string
		Version string `json:"Spark Version"`
	}

	sparkResource struct {
		Name      string  `json:"Resource Name"`
		Amount    float64 `json:"Amount"`
		Discovery *string `json:"Discovery Script,omitempty"`
		Vendor    *string `json:"Vendor,omitempty"`
	}

	sparkResourceProfileAdded struct {
		Event    string
		ID       int                      `json:"Resource Profile Id"`
		Executor map[string]sparkResource `json:"Executor Resource Requests"`
		Task     map[string]sparkResource `json:"Task Resource Requests"`
	}

	sparkExecutorAdded struct {
		Event     string
		Timestamp int64
		Executor  string            `json:"Executor ID"`
		Info      sparkExecutorInfo `json:"Executor Info"`
	}

	sparkExecutorInfo struct {
		Host       string
		Cores      int32             `json:"Total Cores"`
		LogURLs    map[string]string `json:"Log Urls"`
		Attributes map[string]string
		Resources  map[string]string
		Profile    int `json:"Resource Profile Id"`
	}

	sparkBlockManagerID struct {
		Executor string `json:"Executor ID"`
		Host     string
		Port     int
	}

	sparkBlockManagerAdded struct {
		Event     string
		ID        sparkBlockManagerID `json:"Block Manager ID"`
		Memory    int64               `json:"Maximum Memory"`
		Timestamp int64
		OnHeap    int64 `json:"Maximum Onheap Memory"`
		OffHeap   int64 `json:"Maximum Offheap Memory"`
	}

	sparkExecutorRemoved struct {
		Event     string
		Timestamp int64
		Executor  string `json:"Executor ID"`
		Reason    string `json:"Removed Reason"`
	}

	sparkBlockManagerRemoved struct {
		Event     string
		ID        sparkBlockManagerID `json:"Block Manager ID"`
		Timestamp int64
	}

	sparkEnvironmentUpdate struct {
		Event     string
		JVM       map[string]string `json:"JVM Information"`
		Spark     map[string]string `json:"Spark Properties"`
		Hadoop    map[string]string `json:"Hadoop Properties"`
		System    map[string]string `json:"System Properties"`
		Metrics   map[string]string `json:"Metrics Properties"`
		Classpath map[string]string `json:"Classpath Entries"`
	}

	sparkApplicationStart struct {
		Event     string
		Name      string `json:"App Name"`
		ID        string `json:"App ID"`
		Timestamp int64
		User      string
	}

	sparkApplicationEnd struct {
		Event     string
		Timestamp int64
		ExitCode  int
	}

	sparkJobStart struct {
		Event      string
		Job        int32             `json:"Job ID"`
		Submitted  int64             `json:"Submission Time"`
		Stages     []sparkStageInfo  `json:"Stage Infos"`
		StageIDs   []int32           `json:"Stage IDs"`
		Properties map[string]string `json:"Properties"`
	}

	sparkJobEnd struct {
		Event     string
		Job       int32          `json:"Job ID"`
		Completed int64          `json:"Completion Time"`
		Result    sparkJobResult `json:"Job Result"`
	}

	sparkJobResult struct {
		Result    string
		Exception *sparkException `json:",omitempty"`
	}

	sparkException struct {
		Message string
		Stack   []sparkFrame `json:"Stack Trace"`
	}

	// sparkFrame is never filled: Go's stacks have no declaring class. They
	// travel as text, in Full Stack Trace.
	sparkFrame struct{}

	sparkStageSubmitted struct {
		Event      string
		Stage      sparkStageInfo    `json:"Stage Info"`
		Properties map[string]string `json:"Properties"`
	}

	sparkStageCompleted struct {
		Event string
		Stage sparkStageInfo `json:"Stage Info"`
	}

	sparkStageInfo struct {
		ID           int32              `json:"Stage ID"`
		Attempt      int32              `json:"Stage Attempt ID"`
		Name         string             `json:"Stage Name"`
		Tasks        int32              `json:"Number of Tasks"`
		RDDs         []sparkRDDInfo     `json:"RDD Info"`
		Parents      []int32            `json:"Parent IDs"`
		Details      string             `json:"Details"`
		Submitted    *int64             `json:"Submission Time,omitempty"`
		Completed    *int64             `json:"Completion Time,omitempty"`
		Failure      *string            `json:"Failure Reason,omitempty"`
		Accumulables []sparkAccumulable `json:"Accumulables"`
		Profile      int                `json:"Resource Profile Id"`
		Push         bool               `json:"Shuffle Push Enabled"`
		PushMergers  int                `json:"Shuffle Push Mergers Count"`
	}

	sparkRDDInfo struct {
		ID          int32             `json:"RDD ID"`
		Name        string            `json:"Name"`
		Scope       string            `json:"Scope"` // itself JSON: {"id":…,"name":…}
		Callsite    string            `json:"Callsite"`
		Parents     []int32           `json:"Parent IDs"`
		Level       sparkStorageLevel `json:"Storage Level"`
		Barrier     bool              `json:"Barrier"`
		Determinism string            `json:"DeterministicLevel"`
		Partitions  int32             `json:"Number of Partitions"`
		Cached      int32             `json:"Number of Cached Partitions"`
		Memory      int64             `json:"Memory Size"`
		Disk        int64             `json:"Disk Size"`
	}

	sparkScope struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}

	sparkStorageLevel struct {
		Disk         bool `json:"Use Disk"`
		Memory       bool `json:"Use Memory"`
		OffHeap      bool `json:"Use Off Heap"`
		Deserialized bool `json:"Deserialized"`
		Replication  int  `json:"Replication"`
	}

	sparkAccumulable struct {
		ID          int64
		Name        string
		Update      *string `json:",omitempty"`
		Value       string
		Internal    bool
		CountFailed bool `json:"Count Failed Values"`
	}

	sparkTaskStart struct {
		Event   string
		Stage   int32         `json:"Stage ID"`
		Attempt int32         `json:"Stage Attempt ID"`
		Info    sparkTaskInfo `json:"Task Info"`
	}

	sparkTaskGettingResult struct {
		Event string
		Info  sparkTaskInfo `json:"Task Info"`
	}

	sparkTaskEnd struct {
		Event   string
		Stage   int32             `json:"Stage ID"`
		Attempt int32             `json:"Stage Attempt ID"`
		Type    string            `json:"Task Type"`
		Reason  any               `json:"Task End Reason"`
		Info    sparkTaskInfo     `json:"Task Info"`
		Metrics *sparkTaskMetrics `json:"Task Metrics,omitempty"`
	}

	sparkSpeculativeTask struct {
		Event   string
		Stage   int32 `json:"stageId"`
		Attempt int32 `json:"stageAttemptId"`
	}

	sparkExecutorExcluded struct {
		Event    string
		Time     int64  `json:"time"`
		Executor string `json:"executorId"`
		Failures int32  `json:"taskFailures"`
	}

	sparkNodeExcluded struct {
		Event    string
		Time     int64  `json:"time"`
		Host     string `json:"hostId"`
		Failures int32  `json:"executorFailures"`
	}

	sparkExcludedStage struct {
		Stage   int32 `json:"stageId"`
		Attempt int32 `json:"stageAttemptId"`
	}

	sparkUnexcluded struct {
		Event    string
		Time     int64  `json:"time"`
		Executor string `json:"executorId,omitempty"`
		Host     string `json:"hostId,omitempty"`
	}

	sparkTaskInfo struct {
		ID            int64              `json:"Task ID"`
		Index         int32              `json:"Index"`
		Attempt       int32              `json:"Attempt"`
		Partition     int32              `json:"Partition ID"`
		Launch        int64              `json:"Launch Time"`
		Executor      string             `json:"Executor ID"`
		Host          string             `json:"Host"`
		Locality      string             `json:"Locality"`
		Speculative   bool               `json:"Speculative"`
		GettingResult int64              `json:"Getting Result Time"`
		Finish        int64              `json:"Finish Time"`
		Failed        bool               `json:"Failed"`
		Killed        bool               `json:"Killed"`
		Accumulables  []sparkAccumulable `json:"Accumulables"`
	}

	sparkTaskMetrics struct {
		DeserializeTime    int64             `json:"Executor Deserialize Time"`
		DeserializeCPUTime int64             `json:"Executor Deserialize CPU Time"`
		RunTime            int64             `json:"Executor Run Time"`
		CPUTime            int64             `json:"Executor CPU Time"`
		Peak               int64             `json:"Peak Execution Memory"`
		PeakOnHeap         int64             `json:"Peak On Heap Execution Memory"`
		PeakOffHeap        int64             `json:"Peak Off Heap Execution Memory"`
		ResultSize         int64             `json:"Result Size"`
		GCTime             int64             `json:"JVM GC Time"`
		SerializationTime  int64             `json:"Result Serialization Time"`
		MemorySpilled      int64             `json:"Memory Bytes Spilled"`
		DiskSpilled        int64             `json:"Disk Bytes Spilled"`
		Read               sparkShuffleRead  `json:"Shuffle Read Metrics"`
		Write              sparkShuffleWrite `json:"Shuffle Write Metrics"`
		Input              sparkInput        `json:"Input Metrics"`
		Output             sparkOutput       `json:"Output Metrics"`
		UpdatedBlocks      []struct{}        `json:"Updated Blocks"` // always empty: see BlockUpdated
	}

	sparkShuffleRead struct {
		RemoteBlocks      int64 `json:"Remote Blocks Fetched"`
		LocalBlocks       int64 `json:"Local Blocks Fetched"`
		FetchWait         int64 `json:"Fetch Wait Time"`
		RemoteBytes       int64 `json:"Remote Bytes Read"`
		RemoteBytesToDisk int64 `json:"Remote Bytes Read To Disk"`
		LocalBytes        int64 `json:"Local Bytes Read"`
		Records           int64 `json:"Total Records Read"`
		RemoteDuration    int64 `json:"Remote Requests Duration"`
	}

	sparkShuffleWrite struct {
		Bytes   int64 `json:"Shuffle Bytes Written"`
		Time    int64 `json:"Shuffle Write Time"` // ns
		Records int64 `json:"Shuffle Records Written"`
	}

	sparkInput struct {
		Bytes   int64 `json:"Bytes Read"`
		Records int64 `json:"Records Read"`
	}

	sparkOutput struct {
		Bytes   int64 `json:"Bytes Written"`
		Records int64 `json:"Records Written"`
	}

	sparkReason struct{ Reason string }

	sparkFetchFailed struct {
		Reason   string
		Address  *sparkBlockManagerID `json:"Block Manager Address"`
		Shuffle  int32                `json:"Shuffle ID"`
		Map      int64                `json:"Map ID"`
		MapIndex int32                `json:"Map Index"`
		Reduce   int32                `json:"Reduce ID"`
		Message  string
	}

	sparkExceptionFailure struct {
		Reason      string
		Class       string `json:"Class Name"`
		Description string
		Stack       []sparkFrame       `json:"Stack Trace"`
		FullStack   string             `json:"Full Stack Trace"`
		Accums      []sparkAccumulable `json:"Accumulator Updates"`
	}

	sparkTaskKilled struct {
		Reason string
		Kill   string             `json:"Kill Reason"`
		Accums []sparkAccumulable `json:"Accumulator Updates"`
	}

	sparkCommitDenied struct {
		Reason    string
		Job       int32 `json:"Job ID"`
		Partition int32 `json:"Partition ID"`
		Attempt   int32 `json:"Attempt Number"`
	}

	sparkExecutorLost struct {
		Reason      string
		Executor    string `json:"Executor ID"`
		CausedByApp bool   `json:"Exit Caused By App"`
		Loss        string `json:"Loss Reason"`
	}

	sparkUnpersistRDD struct {
		Event string
		ID    int32 `json:"RDD ID"`
	}

	sparkBlockUpdated struct {
		Event string
		Info  sparkBlockInfo `json:"Block Updated Info"`
	}

	sparkBlockInfo struct {
		Manager sparkBlockManagerID `json:"Block Manager ID"`
		Block   string              `json:"Block ID"`
		Level   sparkStorageLevel   `json:"Storage Level"`
		Memory  int64               `json:"Memory Size"`
		Disk    int64               `json:"Disk Size"`
	}

	sparkStageExecutorMetrics struct {
		Event    string
		Executor string               `json:"Executor ID"`
		Stage    int32                `json:"Stage ID"`
		Attempt  int32                `json:"Stage Attempt ID"`
		Metrics  sparkExecutorMetrics `json:"Executor Metrics"`
	}

	// sparkExecutorMetrics holds the highest of each figure while a stage
	// ran. The Go runtime stands where the JVM would.
	sparkExecutorMetrics struct {
		Heap    int64 `json:"JVMHeapMemory"`
		Unified int64 `json:"OffHeapUnifiedMemory"`
		RSS     int64 `json:"ProcessTreeJVMRSSMemory"`
		GCCount int64 `json:"MinorGCCount"`
		GCTime  int64 `json:"MinorGCTime"`
		TotalGC int64 `json:"TotalGCTime"`
	}
)
