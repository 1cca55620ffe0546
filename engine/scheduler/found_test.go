package scheduler

import (
	"errors"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// What the simulation found, each as the shortest story that shows it.

// A locality level that opens while another job has all slots must not keep
// the timer ringing until one is free.
func TestALevelThatOpensWithoutSlotsRingsOnce(t *testing.T) {
	cfg := one(1)
	cfg.LocalityWait = conf.LocalityWait{Node: 20 * time.Millisecond}
	h := newHarness(t, cfg)
	n := h.node(2)
	n.Preferred = func(p int) []task.Location {
		return []task.Location{{Host: []string{"h", "elsewhere"}[p]}}
	}
	h.submit(0, n)
	h.ok(h.find(0, 0)) // the other task waits for its host
	h.submit(1, h.node(1))
	h.find(1, 0)
	h.clear()
	h.after(20 * time.Millisecond)
	if got := h.lines("timer"); len(got) != 0 {
		t.Errorf("it is asked to ring again: %q", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

// A barrier stage that was cut for more slots than are left waits for others
// as long as a job waits at its submission, not for ever.
func TestABarrierStageThatLostItsSlots(t *testing.T) {
	for _, comes := range []bool{false, true} {
		cfg := two(1)
		cfg.Barrier = conf.Barrier{CheckInterval: time.Second, CheckMaxFailures: 3}
		h := newHarness(t, cfg)
		in := h.node(1)
		n := h.node(2, h.shuffle(in, 2))
		n.Barrier = true
		h.submit(0, n)
		h.do(&ExecutorLost{Executor: "b", Reason: "gone"})
		h.ok(h.find(0, 0))
		if h.after(2 * time.Second); comes {
			h.do(&ExecutorAdded{ExecutorSpec{ID: "c", Host: "hc", Slots: 1}})
			h.finish()
			h.succeeded(0, 2)
		} else {
			h.active(0)
			h.after(time.Second)
			if err := h.failedWith(0, "2 tasks", "1 slots"); !errors.Is(err, ErrSlots) {
				t.Errorf("it failed with %v", err)
			}
		}
		h.empty()
	}
}

// An executor whose slots do not suffice for one task serves nobody.
func TestASlotLostOfATaskThatTakesTwo(t *testing.T) {
	cfg := one(2)
	cfg.TaskCPUs = 2
	h := newHarness(t, cfg)
	h.submit(0, h.node(2))
	n := h.find(0, 0)
	h.gone(n)
	h.do(&SlotLost{Task: n, Left: 1})
	if err := h.failedWith(0, "1 are left"); !errors.Is(err, ErrNoExecutor) {
		t.Errorf("it failed with %v", err)
	}
	h.empty()
}

// other makes a node that gives other records each time.
func (h *harness) other(parts int, reads ...any) *plan.Node {
	n := h.node(parts, reads...)
	n.Determinism = plan.Indeterminate
	return n
}

// The stage that is rolled back fails the job that it ran for, and runs for
// the next: as that one's.
func TestAStageGoesOverToTheNextJobWhenItIsRolledBack(t *testing.T) {
	h := newHarness(t, two(2))
	a, b := h.shuffle(h.node(2), 2), h.shuffle(h.other(2), 2)
	h.submit(0, h.other(2, a, b))
	h.ok(h.find(0, 0), h.find(0, 1), h.find(1, 0), h.find(1, 1))
	h.ok(h.find(2, 0)) // a result was made
	reader := h.find(2, 1)
	lost := h.core.executors[0].id
	if h.tasks[reader].Executor == lost {
		lost = h.core.executors[1].id
	}
	h.do(&ExecutorLost{Executor: lost, Reason: "gone"})
	h.fetchFail(reader, a.Shuffle, 0, lost)
	h.submit(1, h.other(2, b))
	h.failedWith(0, "must be computed again")
	if d := h.tasks[h.find(1, 0)]; d.Job != 1 {
		t.Errorf("the map stage runs for job %d, which has ended", d.Job)
	}
	h.finish()
	h.succeeded(1, 2)
	h.empty()
}

// An indeterminate map output that was lost between two jobs takes along all
// that was made from it, however much of that is there: what is made anew
// would not fit it.
func TestIndeterminateOutputsLostBetweenJobs(t *testing.T) {
	for _, lost := range []string{"one", "all"} {
		h := newHarness(t, two(2))
		s := h.shuffle(h.other(2), 2)
		made := h.shuffle(h.other(1, s), 1)
		h.submit(0, h.other(1, made))
		h.finish()
		h.succeeded(0, 1)
		h.core.outputs.removeOne(0, 0, h.core.outputs.shuffles[0].statuses[0].Location.Executor)
		if lost == "all" {
			h.core.outputs.removeAll(0)
		}
		h.clear()
		h.submit(1, h.other(1, s, made))
		h.finish()
		h.succeeded(1, 1)
		for _, want := range []string{"event StageSubmitted 3.0 ShuffleMapTask, 2 tasks", "event StageSubmitted 4.1 ShuffleMapTask, 1 tasks"} {
			if len(h.lines(want)) != 1 {
				t.Errorf("%s output lost: no %q in\n%v", lost, want, h.lines("event StageSubmitted"))
			}
		}
		h.empty()
	}
}
