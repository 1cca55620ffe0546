package event

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// everyType returns one blank event of each type.
func everyType() []Event {
	return []Event{
		&ApplicationStart{}, &ExecutorAdded{}, &BlockManagerAdded{}, &JobStart{}, &JobEnd{}, &StageSubmitted{},
		&StageCompleted{}, &TaskStart{}, &TaskGettingResult{}, &TaskEnd{}, &BlockUpdated{}, &NodeUnpersisted{},
		&MemorySample{}, &WorkerTime{}, &Phase{}, &ApplicationEnd{},
		&ExecutorRemoved{}, &BlockManagerRemoved{}, &SpeculativeTaskSubmitted{},
		&Excluded{}, &Unexcluded{},
	}
}

// randomEvent fills every field of a random event type by reflection, so that
// a field that the form forgets cannot pass a round trip.
func randomEvent(r *rand.Rand) Event {
	all := everyType()
	e := all[r.IntN(len(all))]
	fill(r, reflect.ValueOf(e).Elem())
	return e
}

func fill(r *rand.Rand, v reflect.Value) {
	switch v.Interface().(type) {
	case task.Kind:
		v.SetUint(uint64(r.IntN(2)))
		return
	case task.Locality:
		v.SetUint(uint64(r.IntN(5)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i))
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			if r.IntN(2) == 0 {
				fill(r, v.Index(i))
			}
		}
	case reflect.Map:
		if n := r.IntN(4); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for i := range n {
				v.SetMapIndex(reflect.ValueOf(fmt.Sprint("spark.key", i)), reflect.ValueOf(randomText(r)))
			}
		}
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint8:
		v.SetUint(uint64(r.IntN(256)))
	case reflect.Int32:
		v.SetInt(int64(int32(randomInt(r))))
	case reflect.Int64:
		v.SetInt(randomInt(r))
	default:
		panic("no random value for " + v.Type().String())
	}
}

func randomInt(r *rand.Rand) int64 {
	switch r.IntN(8) {
	case 0:
		return math.MinInt64
	case 1:
		return math.MaxInt64
	case 2:
		return 0
	case 3:
		return -r.Int64()
	default:
		return int64(r.Uint64() >> r.IntN(64))
	}
}

func randomText(r *rand.Rand) string {
	switch r.IntN(6) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("x", r.IntN(3*tableStringMax))
	case 2:
		return fmt.Sprint("once ", r.Uint64())
	default:
		return fmt.Sprint("name ", r.IntN(20))
	}
}

// emptyTask returns the start and end of the i-th of many empty tasks, as a
// real run has them.
func emptyTask(i int64, start *TaskStart, end *TaskEnd) {
	at := 1_000_000_000 + i*1100
	*start = TaskStart{Kind: task.ResultTask, LaunchBytes: 86, Info: TaskInfo{
		TaskAttempt: id.TaskAttempt{StageAttempt: id.StageAttempt{Stage: 3}, Index: int32(i), Task: id.Task(i)},
		Partition:   int32(i), Executor: id.Driver, Host: "worker-host", Launch: at}}
	*end = TaskEnd{Info: start.Info, Kind: task.ResultTask, HasMetrics: true, Worker: int32(i & 1), Route: task.RouteDirect,
		Stamps:      task.Stamps{Start: at + 300, RunStart: at + 520, RunEnd: at + 640, EncodeEnd: at + 700, End: at + 910},
		StatusBytes: [3]int32{86, 22, 118}}
	end.Info.Finish = at + 1200
	end.Metrics[task.ExecutorDeserializeTime] = 220
	end.Metrics[task.ExecutorDeserializeCPUTime] = 220
	end.Metrics[task.ExecutorRunTime] = 120
	end.Metrics[task.ExecutorCPUTime] = 118
	end.Metrics[task.ResultSerializationTime] = 60
	end.Metrics[task.ResultSerializationCPUTime] = 60
	end.Metrics[task.ResultSize] = 70
	end.Metrics[task.ComputeTime] = 120
}

// session returns the events of a small but complete session: two jobs, a
// skipped stage, a failed attempt and its retry, a killed one, an indirect
// result, shuffle and spill figures, a cached block, phases and samples.
func session() []Event {
	const ms = int64(1e6)
	nodes := []NodeInfo{
		{ID: 1, Name: "MapPartitions", Site: "map at main.go:10", Parents: []id.Node{0}, Partitions: 4,
			Level: block.MemoryAndDisk, Determinism: "DETERMINATE"},
		{ID: 0, Name: "Source", Site: "textFiles at main.go:9", Partitions: 4, Determinism: "DETERMINATE"},
	}
	mapStage := StageInfo{StageAttempt: id.StageAttempt{Stage: 0}, Name: "map at main.go:10", Site: "main.go:10", NumTasks: 4,
		Kind: task.ShuffleMapTask, Nodes: nodes, Shuffle: 0}
	final := StageInfo{StageAttempt: id.StageAttempt{Stage: 1}, Name: "collect at main.go:12", Site: "main.go:12", NumTasks: 2,
		Kind: task.ResultTask, Shuffle: -1, Parents: []id.Stage{0}, Nodes: []NodeInfo{{ID: 2, Name: "Shuffled",
			Site: "reduceByKey at main.go:11", Parents: []id.Node{1}, Partitions: 2, Determinism: "UNORDERED"}}}
	at := func(s StageInfo, submitted, completed int64) StageInfo {
		s.Submitted, s.Completed = submitted, completed
		return s
	}
	props := map[string]string{"spark.job.description": "word count", "spark.scheduler.pool": "default"}
	host := "127.0.0.1"
	events := []Event{
		&ApplicationStart{At: 100, Wall: 1_700_000_000_000 * ms, Name: "bench", ID: "local-1700000000000", User: "ann", Host: host,
			Cores: 2, Memory: 1 << 30, Conf: map[string]string{"spark.task.maxFailures": "4", "spark.my.password": "hunter2"}},
		&ExecutorAdded{At: 200, Executor: id.Driver, Host: host, Cores: 2},
		&BlockManagerAdded{At: 300, Executor: id.Driver, Host: host, Memory: 1 << 29},
		&MemorySample{At: 1 * ms, RSS: 50 << 20, PeakRSS: 50 << 20, Runtime: 10 << 20, Accounts: []Account{{"free pages", 30 << 20}}, CPU: ms},
		&JobStart{At: 1000 * ms, Job: 0, Name: "collect at main.go:12", Stages: []StageInfo{mapStage, final}, Properties: props},
		&StageSubmitted{At: 1010 * ms, Job: 0, Stage: at(mapStage, 1010*ms, 0), Properties: props},
	}
	tid := id.Task(0)
	attempt := func(stage StageInfo, index, number int32, worker int32, launch, run int64, change func(*TaskEnd)) {
		info := TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: stage.StageAttempt, Index: index, Number: number, Task: tid},
			Partition: index, Executor: id.Driver, Host: host, Locality: task.ProcessLocal, Launch: launch}
		tid++
		events = append(events, &TaskStart{Info: info, Kind: stage.Kind, LaunchBytes: 90})
		e := &TaskEnd{Info: info, Kind: stage.Kind, HasMetrics: true, Worker: worker, Route: task.RouteDirect, StatusBytes: [3]int32{90, 20, 130}}
		e.Stamps = task.Stamps{Start: launch + ms, RunStart: launch + 4*ms, RunEnd: launch + 4*ms + run,
			EncodeEnd: launch + 5*ms + run, End: launch + 5*ms + run + 400}
		e.Info.Finish = e.Stamps.End + 2*ms
		m := &e.Metrics
		m[task.ExecutorDeserializeTime], m[task.ExecutorDeserializeCPUTime] = 3*ms, 2*ms
		m[task.ExecutorRunTime], m[task.ExecutorCPUTime] = run, run-ms
		m[task.ResultSerializationTime], m[task.ResultSerializationCPUTime] = ms, ms
		m[task.JVMGCTime], m[task.ResultSize], m[task.PeakExecutionMemory] = ms, 1500, 1<<20
		if stage.Kind == task.ShuffleMapTask {
			m[task.InputBytesRead], m[task.InputRecordsRead], m[task.InputReadTime] = 4096, 12, 10*ms
			m[task.ShuffleBytesWritten], m[task.ShuffleRecordsWritten], m[task.ShuffleWriteTime] = 468, 12, 2*ms
			m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], m[task.SpillTime], m[task.SpillCount] = 2048, 700, 3*ms, 1
			m[task.ComputeTime] = run - 15*ms
		} else {
			m[task.ShuffleLocalBlocksFetched], m[task.ShuffleLocalBytesRead], m[task.ShuffleRecordsRead] = 4, 936, 24
			m[task.ShuffleFetchWaitTime], m[task.ComputeTime] = 5*ms, run-5*ms
		}
		if change != nil {
			change(e)
		}
		if e.Info.GettingResult != 0 {
			getting := e.Info
			getting.Finish = 0
			events = append(events, &TaskGettingResult{Info: getting})
		}
		events = append(events, e)
	}
	attempt(mapStage, 0, 0, 0, 1020*ms, 90*ms, nil)
	attempt(mapStage, 1, 0, 1, 1020*ms, 60*ms, func(e *TaskEnd) {
		e.Info.Failed, e.Reason, e.Route = true, task.ExceptionFailure, task.RouteNone
		e.Failure = &task.Failure{Kind: task.ExceptionFailure, Class: "panic", Message: "boom", Stack: "goroutine 7 [running]:\nmain.f()\n\t/src/main.go:10 +0x1d"}
		e.Failure.Metrics[task.ExecutorRunTime] = 60 * ms
		e.Metrics = task.Metrics{task.ExecutorRunTime: 60 * ms, task.JVMGCTime: ms}
	})
	attempt(mapStage, 1, 1, 1, 1100*ms, 70*ms, nil)
	attempt(mapStage, 2, 0, 0, 1120*ms, 80*ms, nil)
	attempt(mapStage, 3, 0, 1, 1180*ms, 50*ms, func(e *TaskEnd) {
		e.Info.Killed, e.Reason, e.Route = true, task.TaskKilled, task.RouteNone
		e.Failure = &task.Failure{Kind: task.TaskKilled, Message: "another attempt succeeded"}
	})
	attempt(mapStage, 3, 1, 0, 1220*ms, 40*ms, nil)
	events = append(events,
		&BlockUpdated{At: 1290 * ms, Executor: id.Driver, Block: "rdd_1_0", Level: block.MemoryAndDisk, Memory: 5000},
		&MemorySample{At: 1295 * ms, RSS: 90 << 20, PeakRSS: 95 << 20, Runtime: 12 << 20, GCCount: 3, GCTime: 2 * ms, CPU: 500 * ms,
			Accounts: []Account{{"shuffle", 40 << 20}, {"free pages", 20 << 20}}},
		&StageCompleted{At: 1300 * ms, Stage: at(mapStage, 1010*ms, 1300*ms)},
		&StageSubmitted{At: 1310 * ms, Job: 0, Stage: at(final, 1310*ms, 0), Properties: props})
	attempt(final, 0, 0, 0, 1320*ms, 80*ms, func(e *TaskEnd) {
		e.Route = task.RouteIndirect
		e.Info.GettingResult = e.Stamps.End + ms
		e.Info.Finish = e.Stamps.End + 21*ms
		e.Metrics[task.ResultSize] = 2 << 20
		e.Accums = []Accumulable{{ID: 9, Name: "lines", Update: "5", Value: "5"}, {ID: 7, Name: "words", Update: "12", Value: "12"}}
	})
	attempt(final, 1, 0, 1, 1320*ms, 30*ms, func(e *TaskEnd) {
		e.Accums = []Accumulable{{ID: 7, Name: "words", Update: "3", Value: "15"}}
	})
	second := final
	second.StageAttempt, second.Parents = id.StageAttempt{Stage: 3}, []id.Stage{2}
	reused := mapStage
	reused.StageAttempt = id.StageAttempt{Stage: 2}
	events = append(events,
		&StageCompleted{At: 1450 * ms, Stage: at(final, 1310*ms, 1450*ms)},
		&JobEnd{At: 1460 * ms, Job: 0},
		&Phase{Begin: 1000 * ms, End: 1465 * ms, Name: "iteration"},
		&JobStart{At: 1500 * ms, Job: 1, Name: "count at main.go:13", Stages: []StageInfo{reused, second}},
		&StageSubmitted{At: 1505 * ms, Job: 1, Stage: at(second, 1505*ms, 0)})
	attempt(second, 0, 0, 0, 1510*ms, 20*ms, nil)
	attempt(second, 1, 0, 1, 1511*ms, 25*ms, nil)
	return append(events,
		&StageCompleted{At: 1560 * ms, Stage: at(second, 1505*ms, 1560*ms)},
		&JobEnd{At: 1561 * ms, Job: 1},
		&Phase{Begin: 1500 * ms, End: 1565 * ms, Name: "iteration", Index: 1},
		&NodeUnpersisted{At: 1570 * ms, Node: 1},
		&WorkerTime{At: 1600 * ms, Executor: id.Driver, Worker: 0, Busy: 400 * ms, Stepping: 2 * ms, Since: 400},
		&WorkerTime{At: 1600 * ms, Executor: id.Driver, Worker: 1, Busy: 300 * ms, Stepping: 3 * ms, Since: 500},
		&ApplicationEnd{At: 1610 * ms})
}
