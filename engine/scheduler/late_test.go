package scheduler

import (
	"testing"

	"github.com/execbench/execbench/engine/task"
)

// Attempts whose job was cancelled end later, in whatever way: each has one
// end, which tells how it was.
func TestLSN_004_LateEndsOfACancelledJob(t *testing.T) {
	h := newHarness(t, one(6))
	_, r := mapReduce(h, 1, 6)
	h.submit(0, r)
	h.ok(0)
	h.do(&JobCancelled{Job: 0, Reason: "enough"})
	h.failedWith(0, "enough")
	ends := []struct {
		as  task.ReasonKind
		end func(n int32)
	}{
		{task.Success, func(n int32) { h.ok(h.find(1, n)) }},
		{task.ExceptionFailure, func(n int32) { h.fail(h.find(1, n)) }},
		{task.FetchFailed, func(n int32) { h.fetchFail(h.find(1, n), 0, 0, "driver") }},
		{task.TaskKilled, func(n int32) { h.dies(h.find(1, n)) }},
		{task.TaskResultLost, func(n int32) { h.stored(h.find(1, n), 100, task.RouteDropped) }},
		{task.ExecutorLostFailure, func(n int32) { h.do(&ExecutorLost{Executor: "driver", Reason: "gone"}) }},
	}
	for n, e := range ends {
		attempt := h.find(1, int32(n))
		if h.starts[attempt] != 1 {
			t.Fatalf("attempt %d has ended before it did", attempt)
		}
		e.end(int32(n))
		if got, told := h.infos[attempt]; !told || got.Reason != e.as || h.starts[attempt] != 0 {
			t.Errorf("attempt %d: told %v as %v, want %v", attempt, told, got.Reason, e.as)
		}
	}
	h.empty()
}
