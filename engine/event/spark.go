package event

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// SparkVersion is the version that an exported log claims: the one whose
// event log we write. The History Server shows it beside the application.
const SparkVersion = "4.0.0"

// SparkOptions chooses what a Spark event log holds.
type SparkOptions struct {
	// BlockUpdates writes an event for every change of a cached block, which
	// the History Server's Storage tab needs (Spark:
	// eventLog.logBlockUpdates.enabled, off there too).
	BlockUpdates bool
	// Overwrite lets SparkLog replace a finished log of the same name.
	Overwrite bool
	// RollBytes has SparkLog begin another file where one would grow above
	// so many bytes, at least RollBytesMin; 0: there is one file (Spark:
	// eventLog.rolling.enabled and eventLog.rolling.maxFileSize).
	RollBytes int64
}

// WriteSpark writes events as Spark's own JSON event log, which Spark's
// History Server opens: one object a line. The first event must be an
// ApplicationStart. When the events end with an error, everything before it
// is written and the error returned; the log then shows as incomplete, unless
// its ApplicationEnd was there.
func WriteSpark(w io.Writer, events iter.Seq2[Event, error], o SparkOptions) error {
	s := newSpark(w, o)
	for e, err := range events {
		if err != nil {
			return errors.Join(s.finish(), err)
		}
		if err := s.write(e); err != nil {
			return err
		}
	}
	return s.finish()
}

// spark turns events into lines. It holds what Spark's lines need and our
// events tell elsewhere: the session's clock, hosts of executors, the job of
// a stage, and running stages' accumulators and memory peaks.
type spark struct {
	out     *json.Encoder
	options SparkOptions
	hide    *regexp.Regexp // keys whose values are secret

	app     *ApplicationStart // nil: not seen
	opening bool              // application and environment are still to write
	hosts   map[id.Executor]string
	living  []id.Executor                   // executors, in the order in which they came
	groups  int                             // executors before the first job
	profile bool                            // what an executor has is written
	stages  map[id.StageAttempt]*sparkStage // submitted, not completed
}

type sparkStage struct {
	job    id.Job
	accums map[id.Accumulator]sparkAccumulable
	peak   sparkExecutorMetrics
	seen   bool // peak holds a sample
}

func newSpark(w io.Writer, o SparkOptions) *spark {
	s := &spark{out: json.NewEncoder(w), options: o, hosts: make(map[id.Executor]string), stages: make(map[id.StageAttempt]*sparkStage)}
	s.out.SetEscapeHTML(false)
	return s
}

func (s *spark) line(v any) error {
	if err := s.out.Encode(v); err != nil {
		return fmt.Errorf("cannot write Spark event log: %w", err)
	}
	return nil
}

// write writes the lines that stand for e, if any.
func (s *spark) write(e Event) error {
	if start, ok := e.(*ApplicationStart); ok {
		return s.start(start)
	}
	if s.app == nil {
		return fmt.Errorf("cannot write Spark event log: the first event is %T, not the start of the application", e)
	}
	switch e := e.(type) {
	case *ExecutorAdded:
		s.hosts[e.Executor] = e.Host
		s.groups++
		if !slices.Contains(s.living, e.Executor) {
			s.living = append(s.living, e.Executor)
		}
		if err := s.resources(e.Cores); err != nil {
			return err
		}
		return s.line(&sparkExecutorAdded{Event: "SparkListenerExecutorAdded", Timestamp: s.ms(e.At), Executor: string(e.Executor),
			Info: sparkExecutorInfo{Host: e.Host, Cores: e.Cores, LogURLs: none, Attributes: none, Resources: none}})
	case *BlockManagerAdded:
		s.hosts[e.Executor] = e.Host
		return s.line(&sparkBlockManagerAdded{Event: "SparkListenerBlockManagerAdded", ID: s.manager(e.Executor),
			Memory: e.Memory, Timestamp: s.ms(e.At), OffHeap: e.Memory})
	}
	if err := s.open(); err != nil {
		return err
	}
	switch e := e.(type) {
	case *JobStart:
		return s.jobStart(e)
	case *JobEnd:
		line := sparkJobEnd{Event: "SparkListenerJobEnd", Job: int32(e.Job), Completed: s.ms(e.At), Result: sparkJobResult{Result: "JobSucceeded"}}
		if e.Error != "" {
			line.Result = sparkJobResult{"JobFailed", &sparkException{Message: e.Error, Stack: []sparkFrame{}}}
		}
		return s.line(&line)
	case *StageSubmitted:
		s.stages[e.Stage.StageAttempt] = &sparkStage{job: e.Job, accums: make(map[id.Accumulator]sparkAccumulable)}
		return s.line(&sparkStageSubmitted{"SparkListenerStageSubmitted", s.stage(&e.Stage, nil), s.redacted(e.Properties)})
	case *StageCompleted:
		return s.stageCompleted(e)
	case *TaskStart:
		return s.line(&sparkTaskStart{"SparkListenerTaskStart", int32(e.Info.Stage), e.Info.Attempt, s.task(&e.Info, nil)})
	case *TaskGettingResult:
		return s.line(&sparkTaskGettingResult{"SparkListenerTaskGettingResult", s.task(&e.Info, nil)})
	case *TaskEnd:
		return s.taskEnd(e)
	case *SpeculativeTaskSubmitted:
		return s.line(&sparkSpeculativeTask{sparkClass + "SpeculativeTaskSubmitted", int32(e.Stage.Stage), e.Stage.Attempt})
	case *Excluded:
		return s.line(s.excluded(e))
	case *Unexcluded:
		if e.Executor != "" {
			return s.line(&sparkUnexcluded{Event: sparkClass + "ExecutorUnexcluded", Time: s.ms(e.At), Executor: string(e.Executor)})
		}
		return s.line(&sparkUnexcluded{Event: sparkClass + "NodeUnexcluded", Time: s.ms(e.At), Host: e.Host})
	case *BlockUpdated:
		if !s.options.BlockUpdates || !sparkBlock.MatchString(e.Block) {
			return nil
		}
		return s.line(&sparkBlockUpdated{"SparkListenerBlockUpdated",
			sparkBlockInfo{s.manager(e.Executor), e.Block, sparkLevel(e.Level), e.Memory, e.Disk}})
	case *NodeUnpersisted:
		return s.line(&sparkUnpersistRDD{"SparkListenerUnpersistRDD", int32(e.Node)})
	case *MemorySample:
		s.sample(e)
	case *ExecutorRemoved:
		s.living = slices.DeleteFunc(s.living, func(x id.Executor) bool { return x == e.Executor })
		return s.line(&sparkExecutorRemoved{"SparkListenerExecutorRemoved", s.ms(e.At), string(e.Executor), e.Reason})
	case *BlockManagerRemoved:
		return s.line(&sparkBlockManagerRemoved{"SparkListenerBlockManagerRemoved", s.manager(e.Executor), s.ms(e.At)})
	case *ApplicationEnd:
		return s.line(&sparkApplicationEnd{"SparkListenerApplicationEnd", s.ms(e.At), 0})
	}
	return nil
}

// noPort stands for the port that our executors do not have: the History
// Server ends its replay at a port that is not positive.
const noPort = 1

// sparkClass begins the names of the events that Spark writes by the names of
// their classes and fields.
const sparkClass = "org.apache.spark.scheduler.SparkListener"

func (s *spark) excluded(e *Excluded) any {
	name := "NodeExcluded"
	if e.Executor != "" {
		name = "ExecutorExcluded"
	}
	if !e.ForStage {
		if e.Executor != "" {
			return &sparkExecutorExcluded{sparkClass + name, s.ms(e.At), string(e.Executor), e.Failures}
		}
		return &sparkNodeExcluded{sparkClass + name, s.ms(e.At), e.Host, e.Failures}
	}
	stage := sparkExcludedStage{int32(e.Stage.Stage), e.Stage.Attempt}
	if e.Executor != "" {
		return &struct {
			sparkExecutorExcluded
			sparkExcludedStage
		}{sparkExecutorExcluded{sparkClass + name + "ForStage", s.ms(e.At), string(e.Executor), e.Failures}, stage}
	}
	return &struct {
		sparkNodeExcluded
		sparkExcludedStage
	}{sparkNodeExcluded{sparkClass + name + "ForStage", s.ms(e.At), e.Host, e.Failures}, stage}
}

// none is an empty JSON object.
var none = map[string]string{}

// sparkBlock matches the block names that the History Server can parse; any
// other would stop its replay.
var sparkBlock = regexp.MustCompile(`^(rdd_\d+_\d+|broadcast_\d+|taskresult_\d+|shuffle_\d+_\d+_\d+)$`)

// ms turns a moment of the session into milliseconds since the epoch.
func (s *spark) ms(at int64) int64 { return (s.app.Wall + at - s.app.At) / 1e6 }

// msOrZero is ms, with 0 for a moment that has not come.
func (s *spark) msOrZero(at int64) int64 {
	if at == 0 {
		return 0
	}
	return s.ms(at)
}

func (s *spark) manager(e id.Executor) sparkBlockManagerID {
	return sparkBlockManagerID{Executor: string(e), Host: cmp.Or(s.hosts[e], s.app.Host, "localhost"), Port: noPort}
}

func (s *spark) start(e *ApplicationStart) error {
	if s.app != nil {
		return fmt.Errorf("cannot write Spark event log: application %q starts while %q is being written", e.ID, s.app.ID)
	}
	app := *e
	app.Conf = maps.Clone(e.Conf)
	s.app, s.opening = &app, true
	s.hide = redaction(app.Conf)
	return s.line(&sparkLogStart{"SparkListenerLogStart", SparkVersion})
}

// resources writes, once, what each executor and each task has: the first
// executor says how many cores are one's part. The History Server shows how
// many tasks an executor can run by it.
func (s *spark) resources(cores int32) error {
	if s.profile {
		return nil
	}
	s.profile = true
	memory := s.app.Memory
	if n := int64(s.app.Cores / max(1, cores)); n > 1 {
		memory /= n
	}
	cpus, err := strconv.ParseFloat(s.app.Conf["spark.task.cpus"], 64)
	if err != nil {
		cpus = 1
	}
	empty := ""
	return s.line(&sparkResourceProfileAdded{Event: "SparkListenerResourceProfileAdded",
		Executor: map[string]sparkResource{
			"cores":  {Name: "cores", Amount: float64(cores), Discovery: &empty, Vendor: &empty},
			"memory": {Name: "memory", Amount: float64(memory >> 20), Discovery: &empty, Vendor: &empty},
		},
		Task: map[string]sparkResource{"cpus": {Name: "cpus", Amount: cpus}},
	})
}

// master says in Spark's words how many workers there are: in local mode, or
// in executors of their own, which share the memory.
func (s *spark) master() string {
	if s.groups < 2 {
		return fmt.Sprintf("local[%d]", s.app.Cores)
	}
	n := int64(s.groups)
	return fmt.Sprintf("local-cluster[%d,%d,%d]", n, int64(s.app.Cores)/n, s.app.Memory>>20/n)
}

// open writes the environment and the application, which Spark writes once
// the executors are known.
func (s *spark) open() error {
	if !s.opening {
		return nil
	}
	s.opening = false
	if err := s.resources(s.app.Cores); err != nil {
		return err
	}
	properties := maps.Clone(s.app.Conf)
	if properties == nil {
		properties = make(map[string]string)
	}
	for k, v := range map[string]string{
		"spark.app.id": s.app.ID, "spark.app.name": s.app.Name, "spark.driver.host": s.app.Host,
		"spark.executor.id": string(id.Driver), "spark.master": s.master(), "spark.task.cpus": "1",
	} {
		if _, set := properties[k]; !set {
			properties[k] = v
		}
	}
	if err := s.line(&sparkEnvironmentUpdate{Event: "SparkListenerEnvironmentUpdate",
		JVM:   map[string]string{"Java Version": "none", "Java Home": "", "Scala Version": "none"},
		Spark: s.redacted(properties), Hadoop: none, System: none, Metrics: none, Classpath: none}); err != nil {
		return err
	}
	return s.line(&sparkApplicationStart{"SparkListenerApplicationStart", s.app.Name, s.app.ID, s.ms(s.app.At), s.app.User})
}

// finish completes a log whose events ended before any job.
func (s *spark) finish() error {
	if s.app == nil {
		return nil
	}
	return s.open()
}

// redaction returns what the keys of secret values match: the configured
// pattern, or Spark's default.
func redaction(conf map[string]string) *regexp.Regexp {
	if p := conf["spark.redaction.regex"]; p != "" {
		if re, err := regexp.Compile(p); err == nil {
			return re
		}
	}
	return secretKeys
}

var secretKeys = regexp.MustCompile(`(?i)secret|password|token|access[.]?key`)

// redacted returns properties with the values of secret keys replaced, never
// nil.
func (s *spark) redacted(properties map[string]string) map[string]string {
	out := make(map[string]string, len(properties))
	for k, v := range properties {
		if s.hide.MatchString(k) {
			v = "*********(redacted)"
		}
		out[k] = v
	}
	return out
}

func (s *spark) jobStart(e *JobStart) error {
	line := sparkJobStart{Event: "SparkListenerJobStart", Job: int32(e.Job), Submitted: s.ms(e.At),
		Stages: []sparkStageInfo{}, StageIDs: []int32{}, Properties: s.redacted(e.Properties)}
	for i := range e.Stages {
		line.Stages = append(line.Stages, s.stage(&e.Stages[i], nil))
		line.StageIDs = append(line.StageIDs, int32(e.Stages[i].Stage))
	}
	return s.line(&line)
}

// stageCompleted writes the stage's peaks, as Spark does just before the end
// of a stage for each executor that lives, and its end. Executors share their
// process, so what is told of each is the process's.
func (s *spark) stageCompleted(e *StageCompleted) error {
	var accums []sparkAccumulable
	if st := s.stages[e.Stage.StageAttempt]; st != nil {
		delete(s.stages, e.Stage.StageAttempt)
		accums = slices.SortedFunc(maps.Values(st.accums), byID)
		for _, x := range s.living {
			if !st.seen {
				break
			}
			if err := s.line(&sparkStageExecutorMetrics{"SparkListenerStageExecutorMetrics", string(x),
				int32(e.Stage.Stage), e.Stage.Attempt, st.peak}); err != nil {
				return err
			}
		}
	}
	return s.line(&sparkStageCompleted{"SparkListenerStageCompleted", s.stage(&e.Stage, accums)})
}

func byID(a, b sparkAccumulable) int { return cmp.Compare(a.ID, b.ID) }

// sample raises the peaks of running stages.
func (s *spark) sample(e *MemorySample) {
	var unified int64
	for _, a := range e.Accounts {
		unified += a.Bytes
	}
	now := sparkExecutorMetrics{e.Runtime, unified, e.RSS, e.GCCount, e.GCTime / 1e6, e.GCTime / 1e6}
	for _, st := range s.stages {
		p := &st.peak
		st.seen = true
		*p = sparkExecutorMetrics{max(p.Heap, now.Heap), max(p.Unified, now.Unified), max(p.RSS, now.RSS),
			max(p.GCCount, now.GCCount), max(p.GCTime, now.GCTime), max(p.TotalGC, now.TotalGC)}
	}
}

func (s *spark) stage(i *StageInfo, accums []sparkAccumulable) sparkStageInfo {
	out := sparkStageInfo{ID: int32(i.Stage), Attempt: i.Attempt, Name: i.Name, Tasks: i.NumTasks, RDDs: []sparkRDDInfo{},
		Parents: plainIDs(i.Parents), Details: i.Site, Accumulables: accums}
	if accums == nil {
		out.Accumulables = []sparkAccumulable{}
	}
	if i.Submitted != 0 {
		at := s.ms(i.Submitted)
		out.Submitted = &at
	}
	if i.Completed != 0 {
		at := s.ms(i.Completed)
		out.Completed = &at
	}
	if i.Failure != "" {
		out.Failure = &i.Failure
	}
	for n := range i.Nodes {
		out.RDDs = append(out.RDDs, sparkRDD(&i.Nodes[n]))
	}
	return out
}

func sparkRDD(n *NodeInfo) sparkRDDInfo {
	operation, _, _ := strings.Cut(n.Site, " at ")
	scope, _ := json.Marshal(sparkScope{strconv.Itoa(int(n.ID)), cmp.Or(operation, n.Name)}) // two strings: cannot fail
	determinism := n.Determinism
	switch determinism {
	case "DETERMINATE", "UNORDERED", "INDETERMINATE":
	default: // any other word would stop the replay
		determinism = "DETERMINATE"
	}
	return sparkRDDInfo{ID: int32(n.ID), Name: n.Name, Scope: string(scope), Callsite: n.Site, Parents: plainIDs(n.Parents),
		Level: sparkLevel(n.Level), Barrier: n.Barrier, Determinism: determinism, Partitions: n.Partitions}
}

func sparkLevel(l block.Level) sparkStorageLevel {
	return sparkStorageLevel{Disk: l.Disk(), Memory: l.Memory(), OffHeap: l&block.UseOffHeap != 0,
		Deserialized: l&block.Deserialized != 0, Replication: 1}
}

func plainIDs[T ~int32](ids []T) []int32 {
	out := make([]int32, len(ids))
	for i, v := range ids {
		out[i] = int32(v)
	}
	return out
}

func (s *spark) task(i *TaskInfo, accums []sparkAccumulable) sparkTaskInfo {
	if accums == nil {
		accums = []sparkAccumulable{}
	}
	return sparkTaskInfo{ID: int64(i.Task), Index: i.Index, Attempt: i.Number, Partition: i.Partition, Launch: s.ms(i.Launch),
		Executor: string(i.Executor), Host: i.Host, Locality: i.Locality.String(), Speculative: i.Speculative,
		GettingResult: s.msOrZero(i.GettingResult), Finish: s.msOrZero(i.Finish), Failed: i.Failed, Killed: i.Killed, Accumulables: accums}
}

func (s *spark) taskEnd(e *TaskEnd) error {
	info := e.Info
	if info.Finish == 0 { // the replay needs an end to compute the duration
		info.Finish = info.Launch
	}
	st := s.stages[info.StageAttempt]
	var accums []sparkAccumulable
	for i := range e.Accums {
		a := &e.Accums[i]
		line := sparkAccumulable{ID: int64(a.ID), Name: a.Name, Update: &a.Update, Value: a.Value}
		accums = append(accums, line)
		if st != nil {
			line.Update = nil
			line.Name, line.Value = cloned(line.Name), cloned(line.Value)
			st.accums[a.ID] = line
		}
	}
	slices.SortFunc(accums, byID)
	line := sparkTaskEnd{Event: "SparkListenerTaskEnd", Stage: int32(info.Stage), Attempt: info.Attempt, Type: e.Kind.String(),
		Reason: s.reason(e, st), Info: s.task(&info, accums), Metrics: sparkMetrics(e)}
	return s.line(&line)
}

// reason returns the attempt's end with the fields that Spark's parser wants
// of its kind.
func (s *spark) reason(e *TaskEnd, st *sparkStage) any {
	name := e.Reason.String()
	f := e.Failure
	if f == nil {
		f = new(task.Failure)
	}
	switch e.Reason {
	case task.FetchFailed:
		out := sparkFetchFailed{Reason: name, Shuffle: int32(f.Fetch.Shuffle), Map: int64(f.Fetch.Map),
			MapIndex: f.Fetch.MapIndex, Reduce: f.Fetch.Reduce, Message: f.Message}
		if f.Fetch.Executor != "" {
			at := s.manager(f.Fetch.Executor)
			out.Address = &at
		}
		return &out
	case task.ExceptionFailure:
		full := f.Class + ": " + f.Message
		if f.Stack != "" {
			full += "\n" + f.Stack
		}
		return &sparkExceptionFailure{name, f.Class, f.Message, []sparkFrame{}, full, []sparkAccumulable{}}
	case task.TaskKilled:
		return &sparkTaskKilled{name, f.Message, []sparkAccumulable{}}
	case task.TaskCommitDenied:
		var job id.Job
		if st != nil {
			job = st.job
		}
		return &sparkCommitDenied{name, int32(job), e.Info.Partition, e.Info.Number}
	case task.ExecutorLostFailure:
		return &sparkExecutorLost{name, string(e.Info.Executor), f.CausedByApp, f.Message}
	}
	return &sparkReason{name}
}

// sparkMetrics returns what is known of what an attempt cost, nil if nothing
// is. One that does not succeed reports its run at most, and after a failed
// fetch, a denied commit or a lost race nothing. How long it was on its worker
// its stamps tell, and a result that nobody took has its size in the metrics
// all the same: without them the log would have less work than was done.
func sparkMetrics(e *TaskEnd) *sparkTaskMetrics {
	stamped := e.Stamps != task.Stamps{}
	if !e.HasMetrics && !stamped {
		return nil
	}
	m := e.Metrics
	if stamped && e.Reason != task.Success {
		s := e.Stamps.Whole()
		m[task.ExecutorDeserializeTime] = s.RunStart - s.Start
		m[task.ExecutorRunTime] = s.RunEnd - s.RunStart
		m[task.ResultSerializationTime] = s.EncodeEnd - s.RunEnd
	}
	ms := func(k task.Metric) int64 { return m[k] / 1e6 }
	return &sparkTaskMetrics{
		DeserializeTime:    ms(task.ExecutorDeserializeTime),
		DeserializeCPUTime: m[task.ExecutorDeserializeCPUTime],
		RunTime:            ms(task.ExecutorRunTime),
		CPUTime:            m[task.ExecutorCPUTime],
		Peak:               m[task.PeakExecutionMemory],
		PeakOffHeap:        m[task.PeakExecutionMemory], // pages live off the Go heap
		ResultSize:         m[task.ResultSize],
		GCTime:             ms(task.JVMGCTime),
		SerializationTime:  ms(task.ResultSerializationTime),
		MemorySpilled:      m[task.MemoryBytesSpilled],
		DiskSpilled:        m[task.DiskBytesSpilled],
		Read: sparkShuffleRead{
			RemoteBlocks: m[task.ShuffleRemoteBlocksFetched],
			LocalBlocks:  m[task.ShuffleLocalBlocksFetched],
			FetchWait:    ms(task.ShuffleFetchWaitTime),
			RemoteBytes:  m[task.ShuffleRemoteBytesRead],
			LocalBytes:   m[task.ShuffleLocalBytesRead],
			Records:      m[task.ShuffleRecordsRead],
		},
		Write:         sparkShuffleWrite{m[task.ShuffleBytesWritten], m[task.ShuffleWriteTime], m[task.ShuffleRecordsWritten]},
		Input:         sparkInput{m[task.InputBytesRead], m[task.InputRecordsRead]},
		Output:        sparkOutput{m[task.OutputBytesWritten], m[task.OutputRecordsWritten]},
		UpdatedBlocks: []struct{}{},
	}
}
