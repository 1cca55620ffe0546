package report

import (
	"fmt"
	"math/rand/v2"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

const (
	us = int64(1e3)
	ms = int64(1e6)
)

// run makes the events of a session on two workers, seeded: iterations of a
// job with a map and a result stage, in which attempts fail, are killed and
// retried, and now and then a stage is there already.
type run struct {
	r      *rand.Rand
	events []event.Event
	now    [2]int64 // each worker's clock
	busy   [2]int64
	tid    id.Task
	stage  id.Stage
	job    id.Job
	tasks  int
}

func synthetic(seed uint64, iterations, tasks int) []event.Event {
	s := &run{r: rand.New(rand.NewPCG(seed, 7)), tasks: tasks, now: [2]int64{ms, ms}}
	s.add(&event.ApplicationStart{At: 0, Wall: 1_700_000_000_000 * ms, Name: "bench", ID: fmt.Sprint("local-", 1_700_000_000_000+seed), User: "ann",
		Host: "127.0.0.1", Cores: 2, Memory: 512 << 20},
		&event.ExecutorAdded{At: 10, Executor: id.Driver, Host: "127.0.0.1", Cores: 2},
		&event.BlockManagerAdded{At: 20, Executor: id.Driver, Host: "127.0.0.1", Memory: 400 << 20},
		&event.MemorySample{At: 30, RSS: 20 << 20, PeakRSS: 20 << 20, Runtime: 8 << 20, CPU: 2 * ms})
	begin := s.now[0]
	s.add(&event.Phase{Begin: 100, End: begin, Name: "generate"})
	for i := range iterations {
		begin := max(s.now[0], s.now[1])
		s.now = [2]int64{begin + 50*us, begin + 60*us}
		s.iteration(i%3 == 2)
		end := max(s.now[0], s.now[1]) + 20*us
		s.now = [2]int64{end, end}
		s.add(&event.MemorySample{At: end - 5*us, RSS: int64(100+i%4) << 20, PeakRSS: int64(110+i%4) << 20, Runtime: 12 << 20, CPU: 3*ms + end*3/2, GCCount: int64(i), GCTime: int64(i) * ms,
			Accounts: []event.Account{{Name: "shuffle", Bytes: 30 << 20}, {Name: "free pages", Bytes: 40 << 20}}},
			&event.Phase{Begin: begin, End: end, Name: "iteration", Index: int32(i)})
	}
	end := max(s.now[0], s.now[1]) + ms
	for w := range s.now {
		s.add(&event.WorkerTime{At: end, Executor: id.Driver, Worker: int32(w), Busy: s.busy[w], Stepping: 300 * us, Since: 40})
	}
	s.add(&event.MemorySample{At: end + 5, RSS: 90 << 20, PeakRSS: 115 << 20, Runtime: 12 << 20, CPU: 3*ms + end*3/2},
		&event.ApplicationEnd{At: end + 10})
	return s.events
}

func (s *run) add(e ...event.Event) { s.events = append(s.events, e...) }

func (s *run) info(kind task.Kind, name string, tasks int) event.StageInfo {
	i := event.StageInfo{StageAttempt: id.StageAttempt{Stage: s.stage}, Name: name, Site: "main.go:7", NumTasks: int32(tasks), Kind: kind, Shuffle: -1}
	s.stage++
	return i
}

// iteration runs one job; with reuse, its map stage is there already.
func (s *run) iteration(reuse bool) {
	maps, result := s.info(task.ShuffleMapTask, "map at main.go:7", s.tasks), s.info(task.ResultTask, "collect at main.go:9", max(1, s.tasks/2))
	result.Parents = []id.Stage{maps.Stage}
	job := s.job
	s.job++
	s.add(&event.JobStart{At: s.now[0] - 5*us, Job: job, Name: "collect at main.go:9", Stages: []event.StageInfo{maps, result}})
	if !reuse {
		s.run(job, maps)
	}
	s.run(job, result)
	s.add(&event.JobEnd{At: max(s.now[0], s.now[1]) + us, Job: job})
}

func (s *run) run(job id.Job, stage event.StageInfo) {
	start := max(s.now[0], s.now[1]) + 10*us
	s.now = [2]int64{start, start + us}
	stage.Submitted = start
	s.add(&event.StageSubmitted{At: start, Job: job, Stage: stage})
	for index := range stage.NumTasks {
		for number := int32(0); ; number++ {
			if s.attempt(stage, index, number) {
				break
			}
		}
	}
	stage.Completed = max(s.now[0], s.now[1])
	s.add(&event.StageCompleted{At: stage.Completed, Stage: stage})
}

// attempt runs one attempt on the worker that is free first and reports
// whether it succeeded.
func (s *run) attempt(stage event.StageInfo, index, number int32) bool {
	w := 0
	if s.now[1] < s.now[0] {
		w = 1
	}
	between := func(low, high int64) int64 { return low + s.r.Int64N(high-low) }
	e := &event.TaskEnd{Kind: stage.Kind, Worker: int32(w), HasMetrics: true, StatusBytes: [3]int32{80, 20, int32(between(100, 300))}}
	e.Info = event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: stage.StageAttempt, Index: index, Number: number, Task: s.tid},
		Partition: index, Executor: id.Driver, Host: "127.0.0.1", Launch: s.now[w] + between(0, 2*us)}
	s.tid++
	s.add(&event.TaskStart{Info: e.Info, Kind: stage.Kind, LaunchBytes: 80})
	st, m := &e.Stamps, &e.Metrics
	st.Start = e.Info.Launch + between(us, 5*us)
	st.RunStart = st.Start + between(2*us, 9*us)
	run := between(100*us, 4*ms)
	st.RunEnd = st.RunStart + run
	st.EncodeEnd = st.RunEnd + between(us, 4*us)
	st.End = st.EncodeEnd + between(100, 1500)
	e.Info.Finish = st.End + between(us, 3*us)
	m[task.ExecutorDeserializeTime], m[task.ExecutorDeserializeCPUTime] = st.RunStart-st.Start, (st.RunStart-st.Start)*9/10
	m[task.ExecutorRunTime], m[task.ExecutorCPUTime] = run, run*19/20
	m[task.ResultSerializationTime], m[task.ResultSize] = st.EncodeEnd-st.RunEnd, between(50, 5000)
	m[task.JVMGCTime], m[task.PeakExecutionMemory] = between(0, 2)*50*us, between(1<<20, 5<<30)
	left := run
	take := func(k task.Metric) {
		m[k] = between(0, left/3+1)
		left -= m[k]
	}
	if stage.Kind == task.ShuffleMapTask {
		take(task.InputReadTime)
		take(task.ShuffleWriteTime)
		m[task.InputBytesRead], m[task.InputRecordsRead] = between(1, 1<<33), between(1, 1e6)
		m[task.ShuffleBytesWritten], m[task.ShuffleRecordsWritten] = between(1, 1<<20), between(1, 1e5)
		if index%4 == 0 {
			take(task.SpillTime)
			m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], m[task.SpillCount] = between(1, 1<<22), between(1, 1<<21), 1
		}
	} else {
		take(task.ShuffleFetchWaitTime)
		take(task.OutputWriteTime)
		m[task.ShuffleLocalBytesRead], m[task.ShuffleRecordsRead], m[task.ShuffleLocalBlocksFetched] = between(1, 1<<20), between(1, 1e5), 8
		m[task.OutputBytesWritten], m[task.OutputRecordsWritten] = between(1, 1<<20), between(1, 1e5)
	}
	m[task.ComputeTime] = left
	e.Route = task.RouteDirect
	s.now[w] = st.End
	s.busy[w] += st.End - st.Start
	switch n := s.r.IntN(20); {
	case n == 0 && number < 3:
		e.Info.Failed, e.Reason, e.Route = true, task.ExceptionFailure, task.RouteNone
		e.Failure = &task.Failure{Kind: task.ExceptionFailure, Class: "*errors.errorString", Message: "boom"}
		*m = task.Metrics{task.ExecutorRunTime: run, task.JVMGCTime: m[task.JVMGCTime]}
	case n == 1 && number < 3:
		e.Info.Killed, e.Reason, e.Route = true, task.TaskKilled, task.RouteNone
		e.Failure = &task.Failure{Kind: task.TaskKilled, Message: "another attempt succeeded"}
		if s.r.IntN(2) == 0 { // killed before it reached its worker
			s.now[w], s.busy[w] = st.Start, s.busy[w]-(st.End-st.Start)
			*st, *m, e.HasMetrics = task.Stamps{}, task.Metrics{}, false
		}
	case n == 2 && number < 3:
		e.Reason, e.Info.Killed, e.Route = task.TaskCommitDenied, true, task.RouteNone
	case n < 6 && stage.Kind == task.ResultTask:
		e.Route = task.RouteIndirect
		e.Info.GettingResult = e.Info.Finish
		e.Info.Finish += between(10*us, 90*us)
		getting := e.Info
		getting.Finish = 0
		s.add(&event.TaskGettingResult{Info: getting})
	}
	s.add(e)
	return e.Reason == task.Success
}
