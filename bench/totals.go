package bench

import (
	"sync"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// totals is a Sink that adds up what attempts did since it was last taken.
// An empty task costs it some tens of nanoseconds.
type totals struct {
	mu struct {
		sync.Mutex
		sum task.Metrics
		t   folder.Totals
	}
}

// Emit implements event.Sink.
func (t *totals) Emit(e event.Event) {
	switch e := e.(type) {
	case *event.TaskEnd:
		t.mu.Lock()
		if e.Reason != task.Resubmitted { // else it has ended before
			t.mu.t.Tasks++
		}
		if e.Reason != task.Success {
			t.mu.t.Failed++
		}
		if e.HasMetrics {
			t.mu.sum.Add(&e.Metrics)
		}
		t.mu.Unlock()
	case *event.JobStart:
		t.mu.Lock()
		t.mu.t.Jobs++
		t.mu.Unlock()
	case *event.StageSubmitted:
		t.mu.Lock()
		t.mu.t.Stages++
		t.mu.Unlock()
	}
}

// take returns the totals and begins anew.
func (t *totals) take() folder.Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	out, m := t.mu.t, &t.mu.sum
	out.InputBytes, out.InputRecords, out.OutputBytes = m[task.InputBytesRead], m[task.InputRecordsRead], m[task.OutputBytesWritten]
	out.ShuffleRead = m[task.ShuffleLocalBytesRead] + m[task.ShuffleRemoteBytesRead]
	out.ShuffleWritten = m[task.ShuffleBytesWritten]
	out.MemorySpilled, out.DiskSpilled, out.Spills = m[task.MemoryBytesSpilled], m[task.DiskBytesSpilled], m[task.SpillCount]
	out.PeakExecution = m[task.PeakExecutionMemory]
	t.mu.t, t.mu.sum = folder.Totals{}, task.Metrics{}
	return out
}
