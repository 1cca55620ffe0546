package report

import (
	"io"
	"path/filepath"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// emptyTasks writes the event file of one stage of n empty tasks.
func emptyTasks(tb testing.TB, n int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "events.bin")
	f, err := event.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	stage := event.StageInfo{StageAttempt: id.StageAttempt{}, NumTasks: int32(n), Kind: task.ResultTask, Submitted: 1}
	f.Emit(&event.ApplicationStart{Cores: 2})
	f.Emit(&event.JobStart{Stages: []event.StageInfo{stage}})
	f.Emit(&event.StageSubmitted{Stage: stage})
	for i := range n {
		at := int64(i) * 1100
		jitter := int64(i*7919) % 997
		info := event.TaskInfo{TaskAttempt: id.TaskAttempt{Index: int32(i), Task: id.Task(i)}, Partition: int32(i), Executor: id.Driver, Host: "h", Launch: at}
		f.Emit(&event.TaskStart{Info: info, Kind: task.ResultTask})
		info.Finish = at + 1500 + jitter
		e := event.TaskEnd{Info: info, Kind: task.ResultTask, HasMetrics: true, Worker: int32(i & 1), StatusBytes: [3]int32{80, 20, 130},
			Stamps: task.Stamps{Start: at + 300, RunStart: at + 500 + jitter/4, RunEnd: at + 600 + jitter/2, EncodeEnd: at + 700 + jitter/2, End: at + 900 + jitter}}
		e.Metrics[task.ExecutorRunTime] = 100 + jitter/2 - jitter/4
		e.Metrics[task.ComputeTime] = e.Metrics[task.ExecutorRunTime]
		e.Metrics[task.ExecutorCPUTime] = 90 + jitter/5
		e.Metrics[task.ResultSize] = 60
		f.Emit(&e)
	}
	f.Emit(&event.StageCompleted{Stage: stage})
	f.Emit(&event.JobEnd{At: int64(n) * 1100})
	f.Emit(&event.ApplicationEnd{At: int64(n) * 1100})
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	src := FileSource(emptyTasks(b, n))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(src, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/attempt")
}

func BenchmarkWriteTasks(b *testing.B) {
	const n = 100_000
	src := FileSource(emptyTasks(b, n))
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteTasks(io.Discard, src, CSV); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/attempt")
}
