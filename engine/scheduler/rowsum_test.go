package scheduler

import (
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// wrote lets a map attempt succeed with a checksum of its rows.
func (h *harness) wrote(n id.Task, rows int64) {
	h.t.Helper()
	d := h.gone(n)
	s := new(task.MapStatus)
	if err := task.DecodeMapStatus(h.value(d), s); err != nil {
		h.t.Fatal(err)
	}
	s.RowSum = rows
	e := &TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect}, Bytes: 100}
	e.Result.Value = task.AppendMapStatus(nil, s)
	h.do(e)
}

// chainOfTwo runs two map stages of two tasks before a result stage of two,
// and loses an output of the first, which the second result attempt misses.
func chainOfTwo(t *testing.T, retry bool) *harness {
	cfg := one(8)
	cfg.RetryOnMismatch = retry
	h := newHarness(t, cfg)
	a := h.shuffle(h.node(2), 2)
	b := h.shuffle(h.node(2, a), 2)
	h.submit(0, h.node(2, a, b))
	h.wrote(h.find(0, 0), 11)
	h.wrote(h.find(0, 1), 12)
	h.wrote(h.find(1, 0), 21)
	h.wrote(h.find(1, 1), 22)
	return h
}

func TestDAG_032_OtherRowsAtTheSecondTry(t *testing.T) {
	for _, retry := range []bool{false, true} {
		for _, rows := range []int64{11, 99} {
			h := chainOfTwo(t, retry)
			h.fetchFail(h.find(2, 0), 0, 0, "driver")
			h.after(delay)
			h.clear()
			h.wrote(h.find(0, 0), rows)
			if want := rows != 11; (len(h.lines("warn")) == 1) != want || (len(h.core.outputs.shuffles[0].mismatched) == 1) != want {
				t.Errorf("rows %d: mismatches %v, %q", rows, h.core.outputs.shuffles[0].mismatched, h.lines("warn"))
			}
			h.diesAll()
			again := h.lines("event StageSubmitted 1.1")
			if retry && rows != 11 {
				if len(again) != 1 || !strings.Contains(again[0], "2 tasks") {
					t.Errorf("the second map stage: %q", again)
				}
				h.wrote(h.find(1, 0), 31) // from other rows: it may write others, too
				h.wrote(h.find(1, 1), 32)
			} else if len(again) != 0 {
				t.Errorf("retry %v, rows %d: the second map stage ran again: %q", retry, rows, again)
			}
			if got := h.lines("event StageSubmitted 2."); len(got) != 1 || !strings.Contains(got[0], "2 tasks") {
				t.Errorf("retry %v, rows %d: the result stage: %q", retry, rows, got)
			}
			h.finish()
			h.succeeded(0, 2)
			h.empty()
		}
	}
}

func TestDAG_033_OtherRowsAfterAResult(t *testing.T) {
	h := chainOfTwo(t, true)
	h.ok(h.find(2, 1)) // made of the former rows
	h.fetchFail(h.find(2, 0), 0, 0, "driver")
	h.after(delay)
	h.wrote(h.find(0, 0), 99)
	h.failedWith(0, "1 of 2 results", "checkpoint")
	h.diesAll()
	h.empty()

	// A result that comes of an attempt from before.
	h = chainOfTwo(t, true)
	late := h.find(2, 1)
	h.fetchFail(h.find(2, 0), 0, 0, "driver")
	h.after(delay)
	h.wrote(h.find(0, 0), 99)
	h.active(0)
	h.ok(late)
	h.failedWith(0, "rolled back", "checkpoint")
	h.diesAll()
	h.empty()
}
