package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
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

// Slots that came back are there, also while another job has them all: the
// barrier stage waits for its turn.
func TestABarrierStageWhoseSlotsCameBackTaken(t *testing.T) {
	h := newHarness(t, Config{MaxFailures: 4, Barrier: conf.Barrier{CheckInterval: time.Second, CheckMaxFailures: 3},
		Executors: []ExecutorSpec{{ID: "a", Host: "ha", Slots: 2}, {ID: "b", Host: "hb", Slots: 1}}})
	h.submit(0, h.node(10, h.shuffle(prefer(h, "a@ha"), 10)))
	n := h.node(3)
	n.Barrier = true
	h.submit(1, n)
	h.do(&ExecutorLost{Executor: "b", Reason: "gone"}) // a slot is free, and two are not enough
	h.ok(h.find(0, 0))                                 // the first job takes both
	h.do(&ExecutorAdded{ExecutorSpec{ID: "c", Host: "hc", Slots: 1}})
	if len(h.tasks) != 3 {
		t.Fatalf("%d attempts run", len(h.tasks))
	}
	h.after(3 * time.Second)
	h.active(1)
	h.finish()
	h.succeeded(0, 10)
	h.succeeded(1, 3)
	h.empty()
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

// A job that goes on, since all that it reads is there, needs a stage later
// that waited for one whose failure ended other jobs.
func TestAStageThatWaitedForOneThatFailed(t *testing.T) {
	h := newHarness(t, one(4))
	a := h.shuffle(h.node(1), 1)
	b := h.shuffle(h.node(1, a), 1)
	c := h.shuffle(h.node(1, b), 1)
	h.submit(0, h.node(1, c))
	h.ok(h.find(0, 0))
	h.ok(h.find(1, 0))
	h.ok(h.find(2, 0)) // job 0 has all that it reads
	reader := h.find(3, 0)

	h.submit(1, h.node(1, b))
	h.fetchFail(h.find(4, 0), b.Shuffle, 0, "driver")
	h.after(delay)
	h.fetchFail(h.find(1, 0), a.Shuffle, 0, "driver")
	h.manual = true
	h.after(delay)
	h.makeBinary(h.requests[len(h.requests)-1], errors.New("no binary"))
	h.failedWith(1, "no binary")
	h.manual = false
	h.active(0)

	h.fetchFail(reader, c.Shuffle, 0, "driver")
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// A barrier map stage that lost a finished task, or after its end an output,
// runs whole again: some of its tasks alone would wait for the others.
func TestABarrierStageThatLostAFinishedTask(t *testing.T) {
	for _, ended := range []bool{false, true} {
		h := newHarness(t, two(2))
		n := h.node(3)
		n.Barrier = true
		s := h.shuffle(n, 1)
		h.submit(0, h.node(1, s))
		first := h.find(0, 0)
		lost := h.tasks[first].Executor
		h.ok(first)
		if ended {
			h.finish()
			h.succeeded(0, 1)
		}
		for _, n := range slices.Clone(h.order) {
			if h.tasks[n].Executor == lost {
				h.gone(n)
			}
		}
		h.do(&ExecutorLost{Executor: lost, Reason: "gone"})
		if told := h.lines(fmt.Sprintf("event TaskEnd %d Resubmitted", first)); (len(told) == 1) == ended {
			t.Errorf("ended %v: %q", ended, told)
		}
		h.do(&ExecutorAdded{ExecutorSpec{ID: "c", Host: "hc", Slots: 2}})
		h.clear()
		if ended {
			h.submit(1, h.node(1, s))
		}
		h.diesAll()
		h.after(delay)
		if got := h.lines("event StageSubmitted"); len(got) != 1 || !strings.Contains(got[0], " 3 tasks") {
			t.Errorf("ended %v: %q", ended, got)
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

// A map task that asked to commit and succeeded keeps its right no longer than
// its output: else the attempts that write it again, for a stage that is tried
// again after a fetch failure, are denied for ever.
func TestALostOutputTakesItsCommitRightAlong(t *testing.T) {
	h := newHarness(t, one(1))
	first := h.shuffle(h.node(1), 2)
	second := h.shuffle(h.node(2, first), 1)
	h.submit(0, h.node(1, second))
	may := func(n id.Task) bool {
		d := h.launched(n)
		h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
		return h.answers[len(h.answers)-1].OK
	}
	h.ok(h.find(0, 0))
	if n := h.find(1, 0); !may(n) {
		t.Fatal("the first to ask may not commit")
	} else {
		h.ok(n)
	}
	h.fetchFail(h.find(1, 1), first.Shuffle, 0, "driver")
	h.core.outputs.removeAll(second.Shuffle) // as if its executor's files were not trusted
	h.after(time.Second)
	h.ok(h.find(0, 0))
	if !may(h.find(1, 0)) {
		t.Error("who writes the lost output again may not commit")
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// A barrier stage for which slots were lost gives up in time, also if nothing
// is offered to it meanwhile: the slot was that of a job that has ended.
func TestABarrierStageGivesUpWhenASlotIsLost(t *testing.T) {
	cfg := one(2)
	cfg.Barrier = conf.Barrier{CheckInterval: time.Second, CheckMaxFailures: 3}
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	stuck := h.find(0, 0)
	h.do(&JobCancelled{Job: 0, Reason: "enough"}) // which the attempt ignores
	n := h.node(2)
	n.Barrier = true
	h.submit(1, n)
	h.gone(stuck)
	h.do(&SlotLost{Task: stuck, Left: 1})
	h.active(1)
	h.after(3 * time.Second)
	if err := h.failedWith(1, "2 tasks", "1 slots"); !errors.Is(err, ErrSlots) {
		t.Errorf("it failed with %v", err)
	}
	h.empty()
}

// A task of a barrier stage attempt that has failed does not count, though its
// result, which is fetched, is in only when the next attempt waits for slots:
// that one runs all tasks, or its global syncs would wait for one that never
// comes.
func TestALateSuccessOfAFailedBarrierAttempt(t *testing.T) {
	h := newHarness(t, one(2))
	n := h.node(2)
	n.Barrier = true
	h.submit(0, h.node(1, h.shuffle(n, 1)))
	late := h.find(0, 1)
	value := h.value(h.launched(late))
	h.stored(late, 60, task.RouteIndirect)
	h.submit(1, h.node(1)) // has the slot that is free
	h.fail(h.find(0, 0))
	h.after(time.Second)
	h.do(&ResultFetched{Task: late, Size: 60, Result: task.Result{Value: value}})
	h.clear()
	h.ok(h.find(2, 0))
	if got := h.lines("launch"); len(got) != 2 {
		t.Errorf("%d of 2 tasks are launched: %q", len(got), got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.succeeded(1, 1)
	h.empty()
}

// What an older attempt of a stage did while the binary of the next one was
// made is not done again: with the commit right gone to the one that did it,
// the next would be refused for as long as it tried.
func TestDoneWhileTheBinaryWasMade(t *testing.T) {
	for name, kind := range map[string]func(h *harness, n *plan.Node) *plan.Node{
		"map stage":    func(h *harness, n *plan.Node) *plan.Node { return h.node(1, h.shuffle(n, 1)) },
		"result stage": func(_ *harness, n *plan.Node) *plan.Node { return n },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, one(4))
			first := h.shuffle(h.node(1), 3)
			h.submit(0, kind(h, h.node(3, first)))
			h.ok(h.find(0, 0))
			late := h.find(1, 1)
			if !h.commits(late) {
				t.Fatal("the first to ask may not commit")
			}
			h.fetchFail(h.find(1, 0), first.Shuffle, 0, "driver")
			h.after(time.Second)
			h.manual = true
			h.ok(h.find(0, 0))
			h.ok(late)
			h.manual = false
			h.clear()
			h.makeBinary(h.requests[len(h.requests)-1], nil)
			h.diesAll()
			if got := h.lines("launch"); len(got) != 2 {
				t.Errorf("of the 2 tasks that are not done %d are launched: %q", len(got), got)
			}
			h.finish()
			h.succeeded(0, map[string]int{"map stage": 1, "result stage": 3}[name])
			h.empty()
		})
	}
}
