package event

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// sparkBegins is how a Spark event log begins.
const sparkBegins = `{"Event":"SparkListenerLogStart"`

// ErrNotSparkLog says that a file does not begin as a Spark event log does.
var ErrNotSparkLog = errors.New("not an event log of Spark")

// sparkLineMax bounds a line, 64 MiB: the start of a job lists its stages with
// all their datasets, some hundred bytes each.
const sparkLineMax = 64 << 20

// sparkObjectMin bounds the JSON objects of a line, which cost memory even
// where they hold nothing: a line has so many bytes for each, but for the
// first sparkObjectsFree. The shortest of those that come in lists have 65, an
// accumulator without a name, 58, a line of a stack without its file, and 59
// on an average, the three of an updated block.
const (
	sparkObjectMin   = 48
	sparkObjectsFree = 64
)

// sparkHeldMax bounds what comes before the application, 1 MiB: some hundred
// bytes for each executor that is there from the start.
const sparkHeldMax = 1 << 20

// ReadSpark iterates over the events that a Spark event log tells of, ours or
// Spark's own, from the log of one application, in order. Times are whole
// milliseconds, as there, on a clock that is the wall's. What Spark's form
// does not have is not there: samples of memory and of workers, phases, sizes
// of messages, and of an attempt's time whatever is no metric of Spark's.
// Lines of kinds that are not known, and fields, are passed over.
//
// The last pair of a log that was cut off, or of which a line cannot be read,
// is (nil, *Truncated); something that is no event log yields (nil, error
// wrapping ErrNotSparkLog) alone. An event is valid until the next one is
// asked for. The sequence may be ranged over once.
func ReadSpark(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		in := bufio.NewReaderSize(r, 256<<10)
		if head, _ := in.Peek(len(sparkBegins)); string(head) != sparkBegins {
			yield(nil, ErrNotSparkLog)
			return
		}
		s := sparkReader{kinds: map[id.Stage]task.Kind{}}
		var at, events int64
		for {
			line, err := readLine(in)
			if err == io.EOF && len(line) == 0 {
				break
			}
			if err == io.EOF && !json.Valid(line) {
				err = io.ErrUnexpectedEOF
			}
			if err == nil || err == io.EOF {
				err = s.line(line)
			}
			for _, e := range s.out {
				if !yield(e, nil) {
					return
				}
				events++
			}
			s.out = s.out[:0]
			if err != nil {
				yield(nil, &Truncated{Offset: at, Events: events, Cause: err})
				return
			}
			at += int64(len(line))
		}
		if s.app == nil {
			yield(nil, &Truncated{Offset: at, Events: events, Cause: io.ErrUnexpectedEOF})
		}
	}
}

// readLine returns the next line with its end.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return line, err
		}
		if len(line) > sparkLineMax {
			return line, fmt.Errorf("a line is longer than %d bytes: %w", sparkLineMax, ErrCorrupt)
		}
	}
}

// sparkReader turns lines into events, the reverse of spark. Executors are
// told before the application, which our events begin with: they wait for it.
type sparkReader struct {
	app     *ApplicationStart
	waiting []Event
	held    int // bytes of the lines that told of those
	conf    map[string]string
	cores   int32                  // of the executors before the application
	memory  int64                  // of one executor
	kinds   map[id.Stage]task.Kind // as far as tasks told
	out     []Event
}

// sparkLine has the fields of all events that are read.
type sparkLine struct {
	Event      string
	Timestamp  int64
	Executor   string              `json:"Executor ID"`
	Info       sparkExecutorRead   `json:"Executor Info"`
	Reason     string              `json:"Removed Reason"`
	Manager    sparkBlockManagerID `json:"Block Manager ID"`
	Memory     int64               `json:"Maximum Memory"`
	AppName    string              `json:"App Name"`
	AppID      string              `json:"App ID"`
	User       string
	Spark      map[string]string `json:"Spark Properties"`
	Properties map[string]string
	Requests   map[string]sparkResource `json:"Executor Resource Requests"`
	Job        int32                    `json:"Job ID"`
	Submitted  int64                    `json:"Submission Time"`
	Completed  int64                    `json:"Completion Time"`
	Result     sparkJobResult           `json:"Job Result"`
	Stages     []sparkStageRead         `json:"Stage Infos"`
	Stage      sparkStageRead           `json:"Stage Info"`
	StageID    int32                    `json:"Stage ID"`
	AttemptID  int32                    `json:"Stage Attempt ID"`
	TaskType   string                   `json:"Task Type"`
	End        sparkEndRead             `json:"Task End Reason"`
	Task       sparkTaskRead            `json:"Task Info"`
	Metrics    *sparkTaskMetrics        `json:"Task Metrics"`
	RDD        int32                    `json:"RDD ID"`
	Block      sparkBlockInfo           `json:"Block Updated Info"`
}

// What is read of parts whose other fields may have more than one type: in
// Spark's own logs the values of internal accumulators are numbers.
type (
	sparkExecutorRead struct {
		Host  string
		Cores int32 `json:"Total Cores"`
	}
	sparkStageRead struct {
		sparkStageInfo
		Accumulables json.RawMessage // not looked at
	}
	sparkTaskRead struct {
		sparkTaskInfo
		Accumulables []sparkAccumulableRead
	}
	sparkAccumulableRead struct {
		ID            int64
		Name          string
		Update, Value json.RawMessage
		Internal      bool
	}
	sparkEndRead struct {
		sparkFetchFailed
		Class       string `json:"Class Name"`
		Description string
		FullStack   string `json:"Full Stack Trace"`
		Kill        string `json:"Kill Reason"`
		CausedByApp bool   `json:"Exit Caused By App"`
		Loss        string `json:"Loss Reason"`
	}
)

// sparkMoment turns milliseconds into a moment; 0 stays 0.
func sparkMoment(ms int64) int64 { return ms * 1e6 }

func (s *sparkReader) line(text []byte) error {
	rest, ok := bytes.CutPrefix(text, []byte(`{"Event":"`))
	name, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 {
		return fmt.Errorf("a line does not begin with its event: %w", ErrCorrupt)
	}
	kind, ok := strings.CutPrefix(string(name), "SparkListener")
	if !ok || !slices.Contains(sparkRead, kind) {
		return nil
	}
	if most := sparkObjectsFree + len(text)/sparkObjectMin; objects(text, most) > most {
		return fmt.Errorf("a line of %d bytes has more than %d objects: %w", len(text), most, ErrCorrupt)
	}
	var l sparkLine
	if err := json.Unmarshal(text, &l); err != nil {
		return fmt.Errorf("%s: %v: %w", name, err, ErrCorrupt)
	}
	before := len(s.waiting)
	s.event(kind, &l)
	if len(s.waiting) > before {
		if s.held += len(text); s.held > sparkHeldMax {
			return fmt.Errorf("more than %d bytes of events come before the application: %w", sparkHeldMax, ErrCorrupt)
		}
	}
	return nil
}

// objects counts the objects in a line of JSON; where all braces together are
// at most so many, those within strings count, too.
func objects(text []byte, most int) (n int) {
	if n = bytes.Count(text, []byte{'{'}); n <= most {
		return n
	}
	n = 0
	for i, quoted := 0, false; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == '{' && !quoted:
			n++
		}
	}
	return n
}

// sparkRead are the kinds of lines that are read. The beginning of a fetch is
// told again by the end of its attempt, which names its stage, too.
var sparkRead = []string{"ResourceProfileAdded", "ExecutorAdded", "BlockManagerAdded", "ExecutorRemoved", "BlockManagerRemoved",
	"EnvironmentUpdate", "ApplicationStart", "ApplicationEnd", "JobStart", "JobEnd", "StageSubmitted", "StageCompleted",
	"TaskStart", "TaskEnd", "UnpersistRDD", "BlockUpdated"}

func (s *sparkReader) event(kind string, l *sparkLine) {
	at := sparkMoment(l.Timestamp)
	switch kind {
	case "ResourceProfileAdded":
		if s.memory == 0 {
			s.memory = int64(l.Requests["memory"].Amount) << 20
		}
	case "EnvironmentUpdate":
		if s.conf == nil {
			s.conf = l.Spark
		}
	case "ApplicationStart":
		s.start(l)
	case "ExecutorAdded":
		if s.app == nil {
			s.cores += l.Info.Cores
		}
		s.emit(&ExecutorAdded{At: at, Executor: id.Executor(l.Executor), Host: l.Info.Host, Cores: l.Info.Cores})
	case "BlockManagerAdded":
		s.emit(&BlockManagerAdded{At: at, Executor: id.Executor(l.Manager.Executor), Host: l.Manager.Host, Memory: l.Memory})
	case "ExecutorRemoved":
		s.emit(&ExecutorRemoved{At: at, Executor: id.Executor(l.Executor), Reason: l.Reason})
	case "BlockManagerRemoved":
		s.emit(&BlockManagerRemoved{At: at, Executor: id.Executor(l.Manager.Executor)})
	case "JobStart":
		s.jobStart(l)
	case "JobEnd":
		e := &JobEnd{At: sparkMoment(l.Completed), Job: id.Job(l.Job)}
		if l.Result.Result != "JobSucceeded" {
			e.Error = l.Result.Result
			if x := l.Result.Exception; x != nil {
				e.Error = cmp.Or(x.Message, e.Error)
			}
		}
		s.emit(e)
	case "StageSubmitted":
		info := s.stage(&l.Stage)
		s.emit(&StageSubmitted{At: info.Submitted, Stage: info, Properties: l.Properties})
	case "StageCompleted":
		info := s.stage(&l.Stage)
		s.emit(&StageCompleted{At: info.Completed, Stage: info})
	case "TaskStart":
		s.emit(&TaskStart{Info: s.task(l), Kind: s.kinds[id.Stage(l.StageID)]})
	case "TaskEnd":
		s.taskEnd(l)
	case "UnpersistRDD":
		s.emit(&NodeUnpersisted{Node: id.Node(l.RDD)})
	case "BlockUpdated":
		b := &l.Block
		s.emit(&BlockUpdated{Executor: id.Executor(b.Manager.Executor), Block: b.Block, Level: readLevel(&b.Level), Memory: b.Memory, Disk: b.Disk})
	case "ApplicationEnd":
		s.emit(&ApplicationEnd{At: at})
	}
}

func (s *sparkReader) emit(e Event) {
	if s.app == nil {
		s.waiting = append(s.waiting, e)
		return
	}
	s.out = append(s.out, e)
}

func (s *sparkReader) start(l *sparkLine) {
	if s.app != nil {
		return
	}
	at := sparkMoment(l.Timestamp)
	n := 0
	for _, e := range s.waiting {
		if _, ok := e.(*ExecutorAdded); ok {
			n++
		}
	}
	s.app = &ApplicationStart{At: at, Wall: at, Name: l.AppName, ID: l.AppID, User: l.User, Host: s.conf["spark.driver.host"],
		Cores: s.cores, Memory: s.memory * int64(max(1, n)), Conf: maps.Clone(s.conf)}
	s.out = append(append(s.out, s.app), s.waiting...)
	s.waiting = nil
}

// jobStart names the job as the History Server does, by its last stage.
// Stages that others read are map stages; the last one is told by its tasks.
func (s *sparkReader) jobStart(l *sparkLine) {
	e := &JobStart{At: sparkMoment(l.Submitted), Job: id.Job(l.Job), Properties: l.Properties}
	last := int32(-1)
	for i := range l.Stages {
		st := &l.Stages[i]
		for _, p := range st.Parents {
			s.kinds[id.Stage(p)] = task.ShuffleMapTask
		}
		if st.ID > last {
			last, e.Name = st.ID, st.Name
		}
		if _, known := s.kinds[id.Stage(st.ID)]; !known {
			s.kinds[id.Stage(st.ID)] = task.ResultTask
		}
	}
	for i := range l.Stages {
		e.Stages = append(e.Stages, s.stage(&l.Stages[i]))
	}
	s.emit(e)
}

func (s *sparkReader) stage(i *sparkStageRead) StageInfo {
	out := StageInfo{StageAttempt: id.StageAttempt{Stage: id.Stage(i.ID), Attempt: i.Attempt}, Name: i.Name, Site: i.Details,
		NumTasks: i.Tasks, Kind: s.kinds[id.Stage(i.ID)], Shuffle: -1}
	for _, p := range i.Parents {
		out.Parents = append(out.Parents, id.Stage(p))
	}
	for n := range i.RDDs {
		r := &i.RDDs[n]
		node := NodeInfo{ID: id.Node(r.ID), Name: r.Name, Site: r.Callsite, Partitions: r.Partitions, Level: readLevel(&r.Level),
			Barrier: r.Barrier, Determinism: r.Determinism}
		for _, p := range r.Parents {
			node.Parents = append(node.Parents, id.Node(p))
		}
		out.Nodes = append(out.Nodes, node)
	}
	if i.Submitted != nil {
		out.Submitted = sparkMoment(*i.Submitted)
	}
	if i.Completed != nil {
		out.Completed = sparkMoment(*i.Completed)
	}
	if i.Failure != nil {
		out.Failure = *i.Failure
	}
	return out
}

func readLevel(l *sparkStorageLevel) (out block.Level) {
	for _, b := range []struct {
		bit block.Level
		set bool
	}{{block.UseDisk, l.Disk}, {block.UseMemory, l.Memory}, {block.UseOffHeap, l.OffHeap}, {block.Deserialized, l.Deserialized}} {
		if b.set {
			out |= b.bit
		}
	}
	return out
}

func (s *sparkReader) task(l *sparkLine) TaskInfo {
	i := &l.Task
	out := TaskInfo{Partition: i.Partition, Executor: id.Executor(i.Executor), Host: i.Host, Speculative: i.Speculative,
		Launch: sparkMoment(i.Launch), GettingResult: sparkMoment(i.GettingResult), Finish: sparkMoment(i.Finish), Failed: i.Failed, Killed: i.Killed}
	out.TaskAttempt = id.TaskAttempt{StageAttempt: id.StageAttempt{Stage: id.Stage(l.StageID), Attempt: l.AttemptID}, Index: i.Index, Number: i.Attempt, Task: id.Task(i.ID)}
	for at := task.ProcessLocal; at <= task.AnyLocality; at++ {
		if at.String() == i.Locality {
			out.Locality = at
		}
	}
	return out
}

func (s *sparkReader) taskEnd(l *sparkLine) {
	e := &TaskEnd{Info: s.task(l), Kind: task.ResultTask, Worker: -1}
	if l.TaskType == task.ShuffleMapTask.String() {
		e.Kind = task.ShuffleMapTask
	}
	s.kinds[e.Info.Stage] = e.Kind
	e.Reason, e.Failure = readReason(&l.End)
	if l.Metrics != nil {
		e.HasMetrics = true
		readMetrics(e, l.Metrics)
	}
	for i := range l.Task.Accumulables {
		if a := &l.Task.Accumulables[i]; !a.Internal {
			e.Accums = append(e.Accums, Accumulable{ID: id.Accumulator(a.ID), Name: a.Name, Update: plainText(a.Update), Value: plainText(a.Value)})
		}
	}
	switch {
	case e.Reason == task.Success && e.Info.GettingResult != 0:
		e.Route = task.RouteIndirect
	case e.Reason == task.Success:
		e.Route = task.RouteDirect
	}
	s.emit(e)
}

// plainText returns a JSON value as text, a string without its quotes.
func plainText(v json.RawMessage) string {
	var text string
	if json.Unmarshal(v, &text) == nil {
		return text
	}
	return string(v)
}

func readReason(r *sparkEndRead) (task.ReasonKind, *task.Failure) {
	kind := task.UnknownReason
	for k := task.Success; k < task.UnknownReason; k++ {
		if k.String() == r.Reason {
			kind = k
		}
	}
	f := &task.Failure{Kind: kind}
	switch kind {
	case task.Success, task.Resubmitted:
		return kind, nil
	case task.FetchFailed:
		f.Message = r.Message
		f.Fetch = task.FetchFailure{Shuffle: id.Shuffle(r.Shuffle), Map: id.Task(r.Map), MapIndex: r.MapIndex, Reduce: r.Reduce}
		if r.Address != nil {
			f.Fetch.Executor = id.Executor(r.Address.Executor)
		}
	case task.ExceptionFailure:
		f.Class, f.Message = r.Class, r.Description
		if stack, ok := strings.CutPrefix(r.FullStack, r.Class+": "+r.Description+"\n"); ok {
			f.Stack = stack
		}
	case task.TaskKilled:
		f.Message = r.Kill
	case task.ExecutorLostFailure:
		f.CausedByApp, f.Message = r.CausedByApp, r.Loss
	}
	return kind, f
}

// readMetrics sets an attempt's metrics, and its stamps from the times among
// them: what is left of the time from its launch to its end follows them.
func readMetrics(e *TaskEnd, m *sparkTaskMetrics) {
	ns := func(ms int64) int64 { return ms * 1e6 }
	t := &e.Metrics
	t[task.ExecutorDeserializeTime], t[task.ExecutorDeserializeCPUTime] = ns(m.DeserializeTime), m.DeserializeCPUTime
	t[task.ExecutorRunTime], t[task.ExecutorCPUTime] = ns(m.RunTime), m.CPUTime
	t[task.ResultSerializationTime], t[task.ResultSize] = ns(m.SerializationTime), m.ResultSize
	t[task.JVMGCTime], t[task.PeakExecutionMemory] = ns(m.GCTime), m.Peak
	t[task.MemoryBytesSpilled], t[task.DiskBytesSpilled] = m.MemorySpilled, m.DiskSpilled
	t[task.ShuffleRemoteBlocksFetched], t[task.ShuffleRemoteBytesRead] = m.Read.RemoteBlocks, m.Read.RemoteBytes
	t[task.ShuffleLocalBlocksFetched], t[task.ShuffleLocalBytesRead] = m.Read.LocalBlocks, m.Read.LocalBytes
	t[task.ShuffleFetchWaitTime], t[task.ShuffleRecordsRead] = ns(m.Read.FetchWait), m.Read.Records
	t[task.ShuffleBytesWritten], t[task.ShuffleWriteTime], t[task.ShuffleRecordsWritten] = m.Write.Bytes, m.Write.Time, m.Write.Records
	t[task.InputBytesRead], t[task.InputRecordsRead] = m.Input.Bytes, m.Input.Records
	t[task.OutputBytesWritten], t[task.OutputRecordsWritten] = m.Output.Bytes, m.Output.Records
	t[task.ComputeTime] = t[task.ExecutorRunTime] - t[task.ShuffleFetchWaitTime] - t[task.ShuffleWriteTime]
	s := &e.Stamps
	s.Start = e.Info.Launch
	s.RunStart = s.Start + t[task.ExecutorDeserializeTime]
	s.RunEnd = s.RunStart + t[task.ExecutorRunTime]
	s.EncodeEnd = s.RunEnd + t[task.ResultSerializationTime]
	s.End = s.EncodeEnd
}
