package scheduler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func TestSCH_001_DrainingSetDoesNotHoldUpTheNewer(t *testing.T) {
	h := newHarness(t, one(10))
	d, r := mapReduce(h, 1, 10)
	h.submit(0, r)
	h.ok(0)
	old := slices.Clone(h.order) // ten attempts of the result stage
	h.fetchFail(old[0], d.Shuffle, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0)) // the map stage again; the newer attempt has one slot
	older, newer := h.core.stages[1].sets[0], h.core.stages[1].sets[1]
	if !older.draining || older.live != 9 || newer.draining || newer.live != 1 {
		t.Fatalf("older: draining %v, live %d; newer: draining %v, live %d", older.draining, older.live, newer.draining, newer.live)
	}
	h.dies(old[1:]...) // though nobody told them to
	launched := 0
	for _, dsc := range h.tasks {
		if dsc.StageAttempt == newer.id {
			launched++
		}
	}
	if launched != 10 || newer.live != 10 || newer.left != 10 || newer.draining {
		t.Fatalf("%d of 10 tasks launched; live %d, left %d", launched, newer.live, newer.left)
	}
	h.finish()
	h.succeeded(0, 10)
	h.empty()
}

func TestSCH_002_NothingIsKeptOfALostExecutor(t *testing.T) {
	h := newHarness(t, two(2))
	h.submit(0, h.node(4))
	on := h.attemptsOn("a")
	if len(on) != 2 {
		t.Fatalf("%d attempts on a", len(on))
	}
	for _, n := range on {
		h.gone(n)
	}
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	for _, n := range on {
		if h.core.attempts.get(n) != nil {
			t.Errorf("attempt %d is still known", n)
		}
	}
	if x := h.core.executor("a"); x.alive || x.free != 0 || h.core.slots() != 2 {
		t.Errorf("executor %+v, %d slots in all", x, h.core.slots())
	}
	if l := h.core.validLevels(h.core.sets[0]); slices.Contains(l, task.ProcessLocal) {
		t.Errorf("levels %v", l)
	}
	h.finish()
	h.succeeded(0, 4)
	for n, d := range h.infos {
		if !slices.Contains(on, n) && d.Info.Executor != "b" {
			t.Errorf("attempt %d ran on %s", n, d.Info.Executor)
		}
	}
	h.empty()
}

func TestSCH_003_TasksOfAnExecutorWaitForTheReasonOfItsLoss(t *testing.T) {
	h := newHarness(t, two(2))
	_, r := mapReduce(h, 4, 1)
	h.submit(0, r)
	on := h.attemptsOn("a")
	h.ok(h.attemptsOn("b")...)
	h.do(&ExecutorGone{Executor: "a"})
	h.clear()
	h.submit(1, h.node(1)) // b makes offers, for others
	h.ok(h.find(2, 0))
	h.succeeded(1, 1)
	if got := h.lines("launch"); len(on) != 2 || len(got) != 1 || !strings.Contains(got[0], "on b") {
		t.Fatalf("%d attempts on the executor that is gone; launched before the reason is known: %q", len(on), got)
	}
	h.ok(on[0]) // its status was under way
	if h.infos[on[0]].Reason != task.Success || h.core.executor("a").free != 0 {
		t.Fatalf("a late status: %v, %d slots free", h.infos[on[0]].Reason, h.core.executor("a").free)
	}
	h.clear()
	h.gone(on[1])
	h.do(&ExecutorLost{Executor: "a", Reason: "gone", CausedByApp: true})
	for _, n := range on { // the output of the other went too
		index := fmt.Sprintf(": %d.1 of 0.0", h.infos[n].Info.Index)
		if got := h.lines("launch"); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, index) && strings.Contains(l, "on b") }) {
			t.Errorf("task%s is not launched on b: %q", index, got)
		}
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestSCH_003_ExecutorThatComesBackBeforeTheReason(t *testing.T) {
	h := newHarness(t, two(1))
	h.submit(0, h.node(2))
	n := h.order[0]
	x := h.tasks[n].Executor
	h.do(&ExecutorGone{Executor: x})
	h.gone(n)
	h.do(&ExecutorAdded{ExecutorSpec{ID: x, Host: "h" + string(x), Slots: 1}})
	if h.infos[n].Reason != task.ExecutorLostFailure {
		t.Fatalf("its former attempt ended with %v", h.infos[n].Reason)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestSCH_004_TaskOfTwoCPUs(t *testing.T) {
	cfg := Config{Executors: []ExecutorSpec{{ID: "none", Host: "h", Slots: 0}, {ID: "one", Host: "h", Slots: 1}}, TaskCPUs: 2}
	h := newHarness(t, cfg)
	h.submit(0, h.node(2))
	if got := h.lines("launch"); len(got) != 0 {
		t.Fatalf("without two free cores: %q", got)
	}
	h.do(&ExecutorAdded{ExecutorSpec{ID: "two", Host: "h", Slots: 2}})
	if got := h.lines("launch"); len(got) != 1 || !strings.Contains(got[0], "on two,") {
		t.Fatalf("with two: %q", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestSCH_005_SetThatCannotBeLaunchedLeavesTheOther(t *testing.T) {
	cfg := one(2)
	cfg.MaxMessage = 1000
	h := newHarness(t, cfg)
	h.submit(0, h.node(2)) // takes every slot, so that both sets wait for one
	h.submit(1, h.node(2), "big", strings.Repeat("x", 2000))
	h.submit(2, h.node(2))
	if len(h.core.sets) != 3 || len(h.tasks) != 2 {
		t.Fatalf("%d sets, %d attempts", len(h.core.sets), len(h.tasks))
	}
	h.clear()
	h.ok(h.order[0])
	h.failedWith(1, "cannot be launched", keyMessage)
	if got := h.lines("launch"); len(got) != 1 || !strings.Contains(got[0], " of 2.0") {
		t.Fatalf("launched in the round in which the first set failed: %q", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.succeeded(2, 2)
	h.empty()
}

func TestSCH_006_OffersAreShuffled(t *testing.T) {
	h := newHarness(t, two(1))
	h.quiet = true
	on := map[id.Executor]int{}
	for j := range id.Job(1000) {
		h.submit(j, h.node(1))
		on[h.tasks[h.order[0]].Executor]++
		h.ok(h.order[0])
		delete(h.nodes, len(h.nodes)-1)
	}
	if on["a"] == 0 || on["b"] == 0 || on["a"]+on["b"] != 1000 {
		t.Fatalf("tasks by executor: %v", on)
	}
	h.empty()
}

func TestSCH_007_NoWait(t *testing.T) {
	for seed := range uint64(20) { // either may be offered first
		cfg := two(1)
		cfg.Seed = seed
		h := newHarness(t, cfg)
		h.submit(0, prefer(h, "b@hb"))
		if got := h.lines("launch"); len(got) != 1 || !strings.HasSuffix(got[0], "on b, PROCESS_LOCAL") {
			t.Fatalf("seed %d: %q", seed, got)
		}
		h.submit(1, prefer(h, "b@hb")) // b is taken
		if got := h.lines("launch"); len(got) != 2 || !strings.HasSuffix(got[1], "on a, ANY") {
			t.Fatalf("seed %d: %q", seed, got)
		}
		h.finish()
		h.succeeded(0, 1)
		h.succeeded(1, 1)
		h.empty()
	}
}

func TestSCH_008_FullRoundResetsTheTimer(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "a", Host: "ha", Slots: 1}, {ID: "b", Host: "hb", Slots: 1}}}))
	h.submit(0, prefer(h, "a@ha", "a@ha", "a@ha"))
	ts := h.core.sets[0]
	if !ts.rejected || len(h.tasks) != 1 { // b was refused
		t.Fatalf("refused %v, %d launched", ts.rejected, len(h.tasks))
	}
	h.after(3*time.Second + 1) // two waits have not passed: node-local, and b is on another host
	if ts.levels[ts.level] == task.ProcessLocal {
		t.Fatalf("level %v after one wait", ts.levels[ts.level])
	}
	h.do(&ExecutorLost{Executor: "b", Reason: "gone"}) // nobody is left to be refused
	h.now += int64(time.Second)
	h.ok(h.order[0]) // a full round: it launches, and refuses nothing
	if ts.rejected || ts.since != h.now || ts.levels[ts.level] != task.ProcessLocal {
		t.Fatalf("refused %v, timer at %v, level %v", ts.rejected, time.Duration(ts.since), ts.levels[ts.level])
	}
	h.finish()
	h.succeeded(0, 3)
	h.empty()
}

func TestSCH_009_StarvedSetMovesOn(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "x", Host: "h", Slots: 1}}}))
	// Stage 1 of this job has the lower id, and takes every slot that is
	// offered; the other job's task prefers an executor that has no slot.
	h.do(&ExecutorAdded{ExecutorSpec{ID: "y", Host: "h", Slots: 0}})
	h.submit(0, h.node(100))
	h.submit(1, prefer(h, "y@h"))
	starved := h.core.sets[1]
	for i := range 4 {
		if len(h.tasks) != 1 || h.tasks[h.order[0]].Job != 0 {
			t.Fatalf("round %d: %v", i, h.lines("launch"))
		}
		if starved.since != 0 {
			t.Fatalf("round %d: its timer was set to %v", i, time.Duration(starved.since))
		}
		h.now += int64(time.Second)
		h.ok(h.order[0])
	}
	h.do(&JobCancelled{Job: 0})
	h.diesAll()
	if got := h.lines("launch"); !strings.HasSuffix(got[len(got)-1], "on x, NODE_LOCAL") {
		t.Fatalf("after %v: %q", time.Duration(h.now), got)
	}
	h.finish()
	h.succeeded(1, 1)
	h.empty()
}

func TestSCH_010_NewExecutorOnAKnownHost(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "a", Host: "ha", Slots: 0}}}))
	h.submit(0, prefer(h, "new@ha"))
	ts := h.core.sets[0]
	if got := fmt.Sprint(ts.levels); got != "[NODE_LOCAL ANY]" {
		t.Fatalf("levels %s", got)
	}
	h.do(&ExecutorAdded{ExecutorSpec{ID: "new", Host: "ha", Slots: 0}}) // nothing can launch on it
	if got := fmt.Sprint(ts.levels); got != "[PROCESS_LOCAL NODE_LOCAL ANY]" || len(h.tasks) != 0 {
		t.Fatalf("levels %s, %d launched", got, len(h.tasks))
	}
	if x := h.core.executor("new"); x == nil || !x.alive {
		t.Fatalf("%+v", x)
	}
	h.do(&AllCancelled{})
	h.empty()
}

func TestTSM_015_BackToABetterLevel(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "x", Host: "hx", Slots: 1}}}))
	h.submit(0, prefer(h, "a@ha", "a@ha"))
	ts := h.core.sets[0]
	if got := h.lines("launch"); ts.levels[ts.level] != task.AnyLocality || len(got) != 1 {
		t.Fatalf("level %v, %q", ts.levels[ts.level], got)
	}
	h.do(&ExecutorAdded{ExecutorSpec{ID: "a", Host: "ha", Slots: 0}})
	if ts.levels[ts.level] != task.ProcessLocal {
		t.Fatalf("level %v of %v", ts.levels[ts.level], ts.levels)
	}
	h.ok(h.order[0]) // x is offered, and is not local
	if len(h.tasks) != 0 || !ts.rejected {
		t.Fatalf("launched %q", h.lines("launch"))
	}
	h.after(3 * time.Second)
	h.after(3 * time.Second)
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestCAN_005_CancelDuringRecoveryKillsOldAndNew(t *testing.T) {
	h := newHarness(t, one(4))
	d, r := mapReduce(h, 2, 2)
	h.submit(0, r)
	h.ok(0, 1)
	fails, old := h.find(1, 0), h.find(1, 1)
	h.fetchFail(fails, d.Shuffle, 0, "driver")
	h.after(delay)
	again := h.find(0, 0)
	if h.killed[old] != "" {
		t.Fatalf("the old reduce attempt was killed already: %s", h.killed[old])
	}
	h.do(&JobCancelled{Job: 0, Reason: "enough"})
	h.failedWith(0, "enough")
	for name, n := range map[string]id.Task{"old reduce attempt": old, "map attempt that runs again": again} {
		if !strings.Contains(h.killed[n], "enough") {
			t.Errorf("the %s was not killed: %q", name, h.lines("kill"))
		}
	}
	h.diesAll()
	h.empty()
}

func TestCAN_006_LeftoverAttemptIsKilledAtTheEnd(t *testing.T) {
	h := newHarness(t, one(4))
	d, r := mapReduce(h, 1, 2)
	h.submit(0, r)
	h.ok(0)
	left := h.find(1, 1) // of the first attempt of the result stage; it hangs
	h.fetchFail(h.find(1, 0), d.Shuffle, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0))
	h.ok(h.find(1, 0), h.find(1, 1)) // the second attempt ends the job
	h.succeeded(0, 2)
	if h.killed[left] == "" {
		t.Fatalf("the leftover attempt %d was not killed: %q", left, h.out)
	}
	h.diesAll()
	h.empty()
}

// A backend that cannot kill: the attempts of a cancelled job end by
// themselves, and harm nobody.
//
// NOT APPLICABLE: CAN-009 as to the cancelled job, because every backend here
// can be told to kill: who cancels has the answer at once, and attempts that
// do not listen are the reaper's.
func TestCAN_009_BackendThatCannotKill(t *testing.T) {
	h := newHarness(t, one(2))
	h.submit(0, h.node(4))
	h.do(&JobCancelled{Job: 0, Reason: "enough"})
	h.submit(1, h.node(2))
	h.ok(0, 1) // as if nobody had told them
	h.finish()
	h.failedWith(0, "enough")
	h.succeeded(1, 2)
	h.empty()
}

// People are told of a first job that gets no slot, again and again until it
// does; of a later one that waits, nothing is told.
func TestStarvation(t *testing.T) {
	cfg := two(1)
	cfg.TaskCPUs, cfg.StarvationTimeout = 2, 15*time.Second
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	told := func(want int) {
		t.Helper()
		if got := h.lines("warn the initial job"); len(got) != want {
			t.Fatalf("at %v: %q, want %d of them", time.Duration(h.now), got, want)
		}
	}
	h.after(15*time.Second - 1)
	told(0)
	h.after(1)
	told(1)
	h.after(15 * time.Second)
	told(2)
	if got := h.lines("warn")[1]; !strings.Contains(got, "2 executors") || !strings.Contains(got, "1 free slots") || !strings.Contains(got, "takes 2") || !strings.Contains(got, keyStarvation) {
		t.Errorf("%q", got)
	}
	h.do(&JobCancelled{Job: 0})
	if h.core.timer != 0 {
		t.Error("a timer is set for nobody")
	}
	h.submit(1, h.node(1))
	h.after(14 * time.Second) // anew from the second job on
	told(2)
	h.do(&ExecutorAdded{ExecutorSpec{ID: "c", Host: "hc", Slots: 2}})
	h.finish()
	h.succeeded(1, 1)
	h.do(&ExecutorLost{Executor: "c", Reason: "gone"})
	h.submit(2, h.node(1))
	h.after(time.Minute)
	told(2)
	h.do(&JobCancelled{Job: 2})
	h.empty()
}
