package scheduler

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

func TestTSM_001_FourFailuresOfOneTaskAbort(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(4))
	for i := range int32(4) {
		h.fail(h.find(0, i)) // one each: no abort
	}
	h.active(0)
	for range 2 {
		h.fail(h.find(0, 2))
		h.active(0)
	}
	last := h.find(0, 2)
	h.fail(last)
	err := h.failedWith(0, "task 2 in stage 0.0 failed 4 times", "boom", keyMaxFailures)
	te, ok := errors.AsType[*TaskError](err)
	if !ok || te.Task != last || te.Failures != 4 || te.Number != 3 || te.Partition != 2 || te.Failure.Message != "boom" {
		t.Fatalf("got %+v", te)
	}
	h.diesAll()
	h.empty()
}

func TestTSM_002_SuccessKillsOtherCopies(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(2))
	for range 3 {
		h.fail(h.find(0, 0))
	}
	first := h.find(0, 0)
	second := launchCopy(h, h.core.sets[0], 0)
	h.ok(first)
	if got := h.lines("kill"); len(got) != 1 || got[0] != fmt.Sprintf("kill %d interrupt=true: another attempt succeeded", second) {
		t.Fatalf("kills %q", got)
	}
	h.dies(second)
	h.active(0)
	// Nor does a kill count before there is a success: three failures of task 1
	// and the end of one of its two copies leave the set alive.
	for range 3 {
		h.fail(h.find(0, 1))
	}
	h.find(0, 1)
	third := launchCopy(h, h.core.sets[0], 1)
	h.do(&KillRequested{Task: third, Reason: "one is enough"})
	h.dies(third)
	h.active(0)
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestTSM_003_LoserThatFinishedIsKilled(t *testing.T) {
	cfg := one(4)
	cfg.MaxResult = 100
	h := newHarness(t, cfg)
	h.submit(0, h.node(2))
	first, second := h.find(0, 0), launchCopy(h, h.core.sets[0], 0)
	ts := h.core.sets[0]
	h.stored(second, 60, task.RouteIndirect) // counted, its fetch is under way
	h.ok(first)
	counted := ts.total.Sum()
	h.do(&ResultFetched{Task: second, Result: task.Result{Value: make([]byte, 60)}})
	if got := ts.total.Sum(); got != counted-60 {
		t.Fatalf("total %d after %d: not refunded", got, counted)
	}
	if e := h.infos[second]; e.Reason != task.TaskKilled || !e.Info.Killed {
		t.Fatalf("the loser ended as %v", e.Reason)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestTSM_004_LostExecutor(t *testing.T) {
	for _, blamed := range []bool{false, true} {
		cfg := two(1)
		cfg.MaxFailures = 1
		h := newHarness(t, cfg)
		h.submit(0, h.node(2))
		for _, n := range slices.Clone(h.order) {
			h.running(n)
			if h.tasks[n].Executor == "a" {
				h.gone(n)
			}
		}
		h.do(&ExecutorLost{Executor: "a", Reason: "gone", CausedByApp: blamed})
		if blamed {
			h.failedWith(0, "executor a is lost")
			h.diesAll()
		} else {
			h.active(0)
			h.finish()
			h.succeeded(0, 2)
		}
		h.empty()
	}
}

func TestTSM_005_LaunchingAttemptsAreNotToBlame(t *testing.T) {
	for _, reported := range []bool{false, true} {
		cfg := two(1)
		cfg.MaxFailures = 1
		h := newHarness(t, cfg)
		h.submit(0, h.node(2))
		n := h.attemptsOn("a")[0]
		if reported {
			h.running(n)
		}
		h.gone(n)
		h.do(&ExecutorLost{Executor: "a", Reason: "gone", CausedByApp: true})
		if reported {
			h.failedWith(0, "failed 1 times", "executor a is lost")
			h.diesAll()
		} else {
			h.active(0)
			h.finish()
			h.succeeded(0, 2)
		}
		h.empty()
	}
}

func TestTSM_006_DrainingSetForgetsALostAttempt(t *testing.T) {
	h := newHarness(t, two(2))
	d := h.shuffle(h.node(2), 1)
	b := h.shuffle(h.node(2, d), 1)
	h.submit(0, h.node(1, b))
	h.ok(0, 1)
	left, fails := h.find(1, 1), h.find(1, 0)
	h.fetchFail(fails, 0, 0, h.core.outputs.shuffles[0].statuses[0].Location.Executor)
	ts := h.core.stages[1].sets[0]
	if !ts.draining || ts.live != 1 {
		t.Fatalf("draining %v, live %d", ts.draining, ts.live)
	}
	x := h.tasks[left].Executor
	h.gone(left)
	h.clear()
	h.do(&ExecutorLost{Executor: x, Reason: "gone"})
	if ts.live != 0 || len(h.core.sets) != 0 || len(h.lines("launch")) != 0 {
		t.Fatalf("live %d, sets %d, %q", ts.live, len(h.core.sets), h.lines("launch"))
	}
	if ends := h.lines("event TaskEnd"); len(ends) != 1 || !strings.Contains(ends[0], "ExecutorLostFailure") {
		t.Fatalf("%q", ends)
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// A task that an attempt of an older set had done when its own set's attempt
// succeeded: that one's output counts, and is written again if it is lost.
func TestTSM_007_OutputOfATaskThatWasDoneBefore(t *testing.T) {
	h := newHarness(t, two(4))
	_, r := mapReduce(h, 3, 1)
	h.submit(0, r)
	n := h.find(0, 2)
	h.core.partitionDone(h.core.sets[0], 2)
	on := h.tasks[n].Executor
	h.ok(n)
	for _, n := range slices.Clone(h.order) {
		if h.tasks[n].Executor == on {
			h.gone(n)
		}
	}
	h.clear()
	h.do(&ExecutorLost{Executor: on, Reason: "gone"})
	if got := h.lines(fmt.Sprintf("event TaskEnd %d Resubmitted", n)); len(got) != 1 {
		t.Errorf("%q", h.lines("event"))
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestTSM_007_WinnersExecutorDies(t *testing.T) {
	for _, dies := range []string{"loser", "winner"} {
		h := newHarness(t, two(4))
		_, r := mapReduce(h, 3, 1)
		h.submit(0, r)
		ts := h.core.sets[0]
		winner := h.find(0, 2)
		if h.tasks[winner].Executor != "a" { // executor 0 takes the copy
			h.core.executors[0], h.core.executors[1] = h.core.executors[1], h.core.executors[0]
		}
		// The copy goes to the other executor.
		h.core.executors[0], h.core.executors[1] = h.core.executors[1], h.core.executors[0]
		loser := launchCopy(h, ts, 2)
		on := map[string]id.Executor{"winner": h.tasks[winner].Executor, "loser": h.tasks[loser].Executor}
		if on["winner"] == on["loser"] {
			t.Fatal("both copies are on one executor")
		}
		h.ok(winner)
		h.dies(loser)
		for _, n := range slices.Clone(h.order) {
			if h.tasks[n].Executor == on[dies] {
				h.gone(n)
			}
		}
		h.clear()
		h.do(&ExecutorLost{Executor: on[dies], Reason: "gone"})
		again := false
		for _, l := range h.lines("launch") {
			again = again || strings.Contains(l, ": 2.2 of 0.0")
		}
		if again != (dies == "winner") {
			t.Fatalf("the %s's executor died: task 2 launched again: %v\n%q", dies, again, h.lines("launch"))
		}
		if told := len(h.lines(fmt.Sprintf("event TaskEnd %d Resubmitted", winner))) == 1; told != again || len(h.lines(fmt.Sprintf("event TaskEnd %d ", loser))) != 0 {
			t.Fatalf("the %s's executor died: told of task 2: %v\n%q", dies, told, h.lines("event TaskEnd"))
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

// NOT APPLICABLE: TSM-008 as to output that exists, because no task can find
// any: whether the folder is free is seen before the job begins, and no two
// attempts write to one file.
func TestTSM_008_FailuresThatNoRetryMends(t *testing.T) {
	h := newHarness(t, one(1))
	h.submit(0, h.node(1))
	n := h.order[0]
	h.failWith(n, &task.Failure{Kind: task.ExceptionFailure, NoRetry: true, Message: "the result cannot be encoded"})
	h.failedWith(0, "no retry can mend", "the result cannot be encoded")
	if h.infos[n].Reason != task.ExceptionFailure {
		t.Fatal("no TaskEnd")
	}
	h.empty()
}

func TestTSM_009_SuccessResetsTheCount(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(2))
	for range 3 {
		h.fail(h.find(0, 0))
	}
	h.ok(launchCopy(h, h.core.sets[0], 0))
	for _, n := range slices.Clone(h.order) {
		if h.tasks[n].Index == 0 {
			h.fail(n)
		}
	}
	h.active(0)
	if got := h.core.sets[0].fails[0]; got != 0 {
		t.Fatalf("%d failures counted", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestTSM_010_LostResultCountsAndIsTriedAgain(t *testing.T) {
	cfg := one(1)
	cfg.MaxFailures = 2
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	h.stored(0, 1000, task.RouteIndirect)
	h.do(&FetchBegun{Task: 0})
	h.do(&ResultFetched{Task: 0, Lost: "gone"})
	h.active(0)
	h.stored(1, 1000, task.RouteIndirect)
	h.do(&ResultFetched{Task: 1, Lost: "gone again"})
	h.failedWith(0, "failed 2 times", "gone again")
	if e := h.infos[0].Info; e.Failed || e.Killed || e.GettingResult != h.now && h.now != 0 {
		t.Fatalf("info %+v", e)
	}
	h.empty()
}

// prefer makes a dataset whose partitions prefer places: "exec@host", "@host"
// or "".
func prefer(h *harness, places ...string) *plan.Node {
	n := h.node(len(places))
	n.Preferred = func(p int) []task.Location {
		var at []task.Location
		for place := range strings.FieldsSeq(places[p]) {
			x, host, _ := strings.Cut(place, "@")
			at = append(at, task.Location{Host: host, Executor: id.Executor(x)})
		}
		return at
	}
	return n
}

func waits(cfg Config) Config {
	w := 3 * time.Second
	cfg.LocalityWait = conf.LocalityWait{All: w, Process: w, Node: w}
	return cfg
}

func TestTSM_011_DelayScheduling(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "a", Host: "ha", Slots: 1}, {ID: "b", Host: "hb", Slots: 0}}}))
	h.submit(0, prefer(h, "b@hb", "", "@ha", "a@ha"))
	// The nearest first, then those without preference; never what waits for b.
	for _, want := range []string{": 3.0 of 0.0, partition 3, on a, PROCESS_LOCAL",
		": 2.0 of 0.0, partition 2, on a, NODE_LOCAL", ": 1.0 of 0.0, partition 1, on a, PROCESS_LOCAL"} {
		got := h.lines("launch")
		if len(h.order) != 1 || !strings.HasSuffix(got[len(got)-1], want) {
			t.Fatalf("launched %q, want %q", got, want)
		}
		h.now += int64(time.Second)
		h.ok(h.order[0])
	}
	for range 5 { // the last launch was one second ago
		h.after(time.Second)
		if h.now < int64(8*time.Second) && len(h.order) != 0 {
			t.Fatalf("at %v: %q", time.Duration(h.now), h.lines("launch"))
		}
	}
	if got := h.lines("launch"); len(got) != 4 || !strings.HasSuffix(got[3], ": 0.0 of 0.0, partition 0, on a, ANY") {
		t.Fatalf("at %v: %q", time.Duration(h.now), got)
	}
	h.finish()
	h.succeeded(0, 4)
	h.empty()
}

// The golden vector of spark-semantics §13.
func TestDelaySchedulingGolden(t *testing.T) {
	cfg := waits(Config{Executors: []ExecutorSpec{{ID: "busy", Host: "hb", Slots: 0}, {ID: "free", Host: "hf", Slots: 1}}})
	h := newHarness(t, cfg)
	h.submit(0, prefer(h, "busy@hb", "busy@hb"))
	ts := h.core.sets[0]
	if got := fmt.Sprint(ts.levels); got != "[PROCESS_LOCAL NODE_LOCAL ANY]" {
		t.Fatalf("levels %s", got)
	}
	launched := func() int { return len(h.lines("launch")) }
	if got := h.lines("timer"); launched() != 0 || len(got) != 1 || got[0] != "timer at 3s" {
		t.Fatalf("at 0 s: %d launched, timer %q", launched(), got)
	}
	h.after(3*time.Second - 1)
	if launched() != 0 {
		t.Fatal("launched before 3 s")
	}
	h.after(1)
	if launched() != 0 || ts.levels[ts.level] != task.NodeLocal || ts.since != int64(3*time.Second) {
		t.Fatalf("at 3 s: %d launched, level %v since %v", launched(), ts.levels[ts.level], time.Duration(ts.since))
	}
	h.after(3 * time.Second)
	if got := h.lines("launch"); len(got) != 1 || !strings.HasSuffix(got[0], "on free, ANY") {
		t.Fatalf("at 6 s: %q", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestTSM_012_UnsatisfiableLevelIsNotWaitedFor(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "b", Host: "ha", Slots: 1}}}))
	h.submit(0, prefer(h, "gone@ha"))
	if got := h.lines("launch"); len(got) != 1 || !strings.HasSuffix(got[0], "on b, NODE_LOCAL") {
		t.Fatalf("%q", got)
	}
	h.finish()
	h.succeeded(0, 1)
}

// Tasks that prefer a place that is busy, or one that died, wait two levels out
// before they run elsewhere.
//
// NOT APPLICABLE: TSM-013 as to a set of which no preferred place lives,
// because no level of it is left that could be waited for, in Spark neither:
// its tasks run at once.
func TestTSM_013_StrandedTasksRunAfterTwoWaits(t *testing.T) {
	for name, c := range map[string]struct {
		prefs []string
		die   id.Executor
		first int // launched at once
	}{
		"busy":              {prefs: []string{"c@hc", "c@hc"}},
		"one of two died":   {prefs: []string{"c@hc d@hd", "c@hc d@hd"}, die: "d"},
		"another's lives":   {prefs: []string{"a@ha", "d@hd", "d@hd"}, die: "d", first: 1},
		"no preferred left": {prefs: []string{"d@hd", "d@hd"}, die: "d", first: 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, waits(Config{Executors: []ExecutorSpec{
				{ID: "a", Host: "ha", Slots: 3}, {ID: "c", Host: "hc", Slots: 0}, {ID: "d", Host: "hd", Slots: 0}}}))
			h.submit(0, prefer(h, c.prefs...))
			if c.die != "" {
				h.do(&ExecutorLost{Executor: c.die, Reason: "gone"})
			}
			for _, wait := range []time.Duration{0, 3*time.Second - 1, 1, 3*time.Second - 1} {
				h.after(wait)
				if got := h.lines("launch"); len(got) != c.first {
					t.Fatalf("after %v: %q", time.Duration(h.now), got)
				}
			}
			h.after(1)
			if got := h.lines("launch"); len(got) != len(c.prefs) || !strings.HasSuffix(got[len(got)-1], "on a, ANY") {
				t.Fatalf("after 6 s: %q", got)
			}
			h.finish()
			h.succeeded(0, len(c.prefs))
			h.empty()
		})
	}
}

// levelsAre asserts the localities at which a set may launch, and that the
// one it is at is one of them.
func levelsAre(t *testing.T, ts *taskSet, want string) {
	t.Helper()
	if got := fmt.Sprint(ts.levels); got != want || ts.level < 0 || ts.level >= len(ts.levels) {
		t.Fatalf("levels %s at %d, want %s", got, ts.level, want)
	}
}

func TestTSM_014_LevelsFollowExecutors(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "x", Host: "hx", Slots: 0}}}))
	h.submit(0, prefer(h, "", "", "a@ha", "b@hb"))
	ts := h.core.sets[0]
	levelsAre(t, ts, "[NO_PREF ANY]")
	come := func(n id.Executor, host string, slots int) {
		t.Helper()
		h.do(&ExecutorAdded{ExecutorSpec{ID: n, Host: host, Slots: slots}})
	}
	for at := range 3 { // whichever level it had reached
		come("h", "hb", 0)
		levelsAre(t, ts, "[NODE_LOCAL NO_PREF ANY]")
		ts.level = at
		h.do(&ExecutorLost{Executor: "h", Reason: "gone"})
		levelsAre(t, ts, "[NO_PREF ANY]")
		if now := ts.levels[ts.level]; at > 0 && now != []task.Locality{task.NoPref, task.AnyLocality}[at-1] {
			t.Fatalf("at level %d of three it is at %v after the executor went", at, now)
		}
	}
	come("h", "hb", 0)
	h.do(&ExecutorLost{Executor: "x", Reason: "gone"})
	levelsAre(t, ts, "[NODE_LOCAL NO_PREF ANY]")
	h.do(&ExecutorLost{Executor: "h", Reason: "gone"})
	if len(h.core.sets) != 0 { // nobody is left, and the job ends
		t.Fatalf("%d task sets live without executors", len(h.core.sets))
	}
	h.empty()
}

// What was unpreferred and what has lost its place is launched after all the
// coming and going.
func TestTSM_014_OffersAfterExecutorsWent(t *testing.T) {
	h := newHarness(t, waits(Config{Executors: []ExecutorSpec{{ID: "x", Host: "hx", Slots: 0}}}))
	h.submit(0, prefer(h, "", "", "a@ha", "b@hb"))
	ts := h.core.sets[0]
	h.do(&ExecutorAdded{ExecutorSpec{ID: "h", Host: "hb", Slots: 0}})
	ts.level = 2
	h.do(&ExecutorLost{Executor: "h", Reason: "gone"})
	h.do(&ExecutorAdded{ExecutorSpec{ID: "y", Host: "hy", Slots: 1}})
	h.finish()
	h.succeeded(0, 4)
	h.empty()
}

func TestTSM_016_OnlyDelayIsADelayRefusal(t *testing.T) {
	// again offers what is free once more.
	again := func(h *harness, ts *taskSet, why string) {
		t.Helper()
		ts.rejected = false
		h.core.offers = true
		h.running(h.order[0])
		if ts.rejected || ts.opens != 0 {
			t.Fatalf("%s was taken for a delay", why)
		}
	}
	h := newHarness(t, waits(two(1)))
	h.submit(0, h.node(1))
	again(h, h.core.sets[0], "that nothing is pending")
	h.finish()
	h.succeeded(0, 1)

	h = newHarness(t, waits(two(1)))
	h.submit(0, prefer(h, "a@ha", "a@ha"))
	ts := h.core.sets[0]
	if !ts.rejected || len(h.order) != 1 { // b, for the second task
		t.Fatalf("refused %v, %d launched", ts.rejected, len(h.order))
	}
	h.core.drain(ts)
	again(h, ts, "that the set drains") // a stage that runs without a set: no more is done with it

	// The executor whose slots are free is excluded, and the other is taken.
	h = newHarness(t, excluding(t, waits(executors("a@ha:2", "b@hb:1"))))
	h.submit(0, prefer(h, "a@ha", "a@ha", "b@hb"))
	h.failOn(0, 0, "a")
	h.failOn(0, 1, "a")
	if ts = h.core.sets[0]; !ts.health.bars(h.core.executor("a")) || h.core.executor("a").free != 2 || len(h.order) != 1 {
		t.Fatal("a is not excluded, or b is free")
	}
	again(h, ts, "that an executor is excluded")
	h.finish()
	h.after(time.Minute)
	h.finish()
	h.succeeded(0, 3)
	h.empty()
}

func TestTSM_017_PartitionDoneElsewhere(t *testing.T) {
	h := newHarness(t, speculating(t, one(3), "speculation.quantile", "0.3"))
	h.submit(0, h.node(3))
	ts := h.core.sets[0]
	h.core.partitionDone(ts, 1)
	if ts.left != 2 || !ts.done[1] {
		t.Fatalf("left %d", ts.left)
	}
	h.core.partitionDone(ts, 1)
	if ts.left != 2 {
		t.Fatal("counted twice")
	}
	h.after(time.Minute) // a check, which knows of no time that a task took
	if got := h.marked(); ts.spec.times.len() != 0 || len(got) != 0 {
		t.Fatalf("%d times are known; marked %q", ts.spec.times.len(), got)
	}
	h.do(&AllCancelled{})
	h.diesAll()
	h.empty()
}

func TestTSM_018_DescriptionTooLarge(t *testing.T) {
	cfg := one(1)
	cfg.MaxMessage = 1000
	h := newHarness(t, cfg)
	h.submit(0, h.node(2), "big", strings.Repeat("x", 2000))
	h.failedWith(0, "cannot be launched", "1000 bytes", keyMessage)
	if len(h.starts) != 0 {
		t.Fatal("a TaskStart of an attempt that was never launched")
	}
	h.submit(1, h.node(1))
	h.finish()
	h.succeeded(1, 1)
	h.empty()
}

// What is compared, and named beside the limit, is the size of one description
// with all that it holds, of which the job's properties are the most here.
func TestTSM_018_SizeOfADescription(t *testing.T) {
	cfg := one(2)
	h := newHarness(t, cfg)
	h.submit(0, h.node(2), "big", strings.Repeat("x", 2000))
	size := len(task.AppendDescription(nil, h.tasks[0]))
	h.finish()
	if size < 2000 {
		t.Fatalf("%d bytes", size)
	}
	cfg.MaxMessage = units.Bytes(size)
	h = newHarness(t, cfg)
	h.submit(0, h.node(2), "big", strings.Repeat("x", 2000))
	if len(h.order) != 2 {
		t.Fatalf("of 2 descriptions of the limit's size each, %d are launched", len(h.order))
	}
	h.finish()
	h.succeeded(0, 2)
	cfg.MaxMessage--
	h = newHarness(t, cfg)
	h.submit(0, h.node(2), "big", strings.Repeat("x", 2000))
	h.failedWith(0, fmt.Sprintf("(%d bytes) is above spark.rpc.message.maxSize of ", size), fmt.Sprintf("(%d bytes);", size-1))
	h.empty()
}

func TestTSM_019_NamesAndOrder(t *testing.T) {
	r := newHarness(t, one(1))
	r.submit(0, r.node(1, r.shuffle(r.node(1), 1)))
	var names []string
	name := func() { names = append(names, r.core.sets[0].leaf.name) }
	name()
	r.ok(r.find(0, 0))
	r.fetchFail(r.find(1, 0), 0, 0, "driver")
	r.after(delay)
	name()
	r.ok(r.find(0, 0))
	name()
	r.finish()
	if !slices.Equal(names, []string{"TaskSet_0.0", "TaskSet_0.1", "TaskSet_1.1"}) {
		t.Fatalf("names %q", names)
	}
	h := newHarness(t, one(1))
	h.submit(0, h.node(3))
	h.fail(h.order[0]) // a retry runs before untouched tasks
	var order []string
	for len(h.order) > 0 {
		d := h.tasks[h.order[0]]
		order = append(order, fmt.Sprintf("%d.%d", d.Index, d.Number))
		h.ok(h.order[0])
	}
	if !slices.Equal(order, []string{"0.1", "1.0", "2.0"}) {
		t.Fatalf("order %q", order)
	}
}

func TestKilledTaskIsTriedAgain(t *testing.T) {
	cfg := one(1)
	cfg.MaxFailures = 1
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	h.do(&KillRequested{Task: 0, Reason: "why not"})
	if !h.answers[0].OK || h.killed[0] != "why not" {
		t.Fatalf("%+v, %v", h.answers, h.killed)
	}
	h.dies(0)
	h.failWith(1, &task.Failure{Kind: task.TaskCommitDenied, Message: "denied"})
	h.active(0)
	h.ok(2)
	h.succeeded(0, 1)
	h.empty()
}

func TestRES_003_BudgetOfResults(t *testing.T) {
	for _, route := range []task.Route{task.RouteDirect, task.RouteIndirect, task.RouteDropped} {
		cfg := one(4)
		cfg.MaxResult = 1000
		h := newHarness(t, cfg)
		h.submit(0, h.node(4))
		h.stored(0, 600, task.RouteIndirect)
		if route == task.RouteDirect {
			d := h.gone(1)
			e := &TaskStatus{Status: task.Status{Task: 1, Executor: d.Executor, State: task.Finished, Route: route}}
			e.Result.Value = make([]byte, 600)
			h.do(e)
		} else {
			h.stored(1, 600, route)
		}
		err := h.failedWith(0, "1200 bytes", "1000 bytes", result.KeyMaxResult)
		if _, ok := errors.AsType[*result.TooLargeError](err); !ok {
			t.Fatalf("%v: error %T", route, err)
		}
		if e := h.infos[1]; e.Reason != task.TaskKilled || !e.Info.Killed {
			t.Fatalf("%v: ended as %v", route, e.Reason)
		}
		h.stored(2, 700, task.RouteIndirect) // it is not fetched either
		if e := h.infos[2]; e.Reason != task.TaskKilled {
			t.Fatalf("%v: the next ended as %v", route, e.Reason)
		}
		refused := []block.ID{block.TaskResult(2)}
		if route == task.RouteIndirect {
			refused = []block.ID{block.TaskResult(1), block.TaskResult(2)}
		}
		if len(h.fetches) != 1 || h.fetches[0].Task != 0 || !slices.Equal(h.removed, refused) {
			t.Fatalf("%v: fetches %v, removed %v, want %v removed", route, h.fetches, h.removed, refused)
		}
		h.do(&ResultFetched{Task: 0, Result: task.Result{Value: make([]byte, 600)}})
		h.diesAll()
		h.empty()
	}
}

// A caller who is far behind its results gets no more made, while other jobs
// get the slots; what it takes sets them going again.
func TestResultsWaitForTheirCaller(t *testing.T) {
	cfg := one(2)
	cfg.MaxUntaken = 1000
	h := newHarness(t, cfg)
	h.submit(0, h.node(7))
	done := func(n id.Task, bytes int) {
		d := h.gone(n)
		e := &TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect}}
		e.Result.Value = make([]byte, bytes)
		h.do(e)
	}
	done(0, 500)
	done(1, 500) // at the limit
	done(2, 500)
	done(3, 500)
	if n := len(h.tasks); n != 0 {
		t.Fatalf("%d attempts run although %d bytes wait for the caller", n, 2000)
	}
	h.submit(1, h.node(1))
	done(4, 10) // the other job's
	h.do(&ResultsTaken{Job: 0, Bytes: 900})
	if n := len(h.tasks); n != 0 {
		t.Fatalf("%d attempts run although 1100 bytes wait for the caller", n)
	}
	h.do(&ResultsTaken{Job: 0, Bytes: 100})
	if n := len(h.tasks); n != 2 {
		t.Fatalf("%d attempts run, want 2", n)
	}
	h.do(&ResultsTaken{Job: 0, Bytes: 1000})
	done(5, 1)
	done(6, 1)
	done(7, 1)
	h.succeeded(0, 7)
	h.do(&ResultsTaken{Job: 0, Bytes: 3}) // it has ended
	h.empty()
}

func TestRES_006_ResultSizeIsSetByTheDriver(t *testing.T) {
	h := newHarness(t, one(1))
	h.submit(0, h.node(1))
	h.ok(0)
	e := h.infos[0]
	if e.Metrics[task.ResultSize] != int64(len("0/0"))+50 || !e.HasMetrics || e.StatusBytes[0] == 0 || e.StatusBytes[2] != 100 {
		t.Fatalf("%+v", e)
	}
}

func TestMapResultsAreNotLimited(t *testing.T) {
	cfg := one(1)
	cfg.MaxResult = 1
	h := newHarness(t, cfg)
	d := h.shuffle(h.node(2), 1)
	h.submitSpec(0, JobSpec{Final: d.Parent, Shuffle: d})
	h.finish()
	h.succeeded(0, 1)
}

func TestDamagedMapStatusFailsTheAttempt(t *testing.T) {
	h := newHarness(t, one(1))
	_, r := mapReduce(h, 1, 1)
	h.submit(0, r)
	d := h.gone(0)
	e := &TaskStatus{Status: task.Status{Task: 0, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect}}
	e.Result.Value = []byte("no map status")
	h.do(e)
	if h.infos[0].Reason != task.UnknownReason {
		t.Fatalf("ended as %v", h.infos[0].Reason)
	}
	h.finish()
	h.succeeded(0, 1)
}

// Pools.

func TestPOOL_001_FIFO(t *testing.T) {
	h := newHarness(t, one(1))
	d := h.shuffle(h.node(2), 1)
	e := h.shuffle(h.node(2), 1)
	h.submit(0, h.node(2, d, e))
	h.submit(1, h.node(2))
	var order []string
	for len(h.order) > 0 {
		order = append(order, fmt.Sprint(h.tasks[h.order[0]].Stage))
		h.ok(h.order[0])
	}
	// Stage 3 is of the later job: earlier jobs first, then lower stages.
	if got := strings.Join(order, ""); got != "00112233" {
		t.Fatalf("order %s", got)
	}
}

func TestPOOL_002_NestedPools(t *testing.T) {
	root := newPool("root", conf.FAIR, 1, 0)
	set := 0
	leafs := map[*taskSet]int{}
	add := func(p *pool, name string, minShare, weight int) *pool {
		q := newPool(name, conf.FAIR, weight, minShare)
		p.add(&q.poolNode)
		return q
	}
	p0, p1 := add(root, "0", 3, 1), add(root, "1", 4, 1)
	for _, p := range []*pool{add(p0, "00", 2, 2), add(p0, "01", 1, 1), add(p1, "10", 2, 2), add(p1, "11", 2, 1)} {
		for range 2 {
			ts := &taskSet{id: id.StageAttempt{Stage: id.Stage(set)}, idle: 5}
			ts.leaf = &poolNode{name: fmt.Sprint(set), weight: 1, set: ts}
			p.add(ts.leaf)
			leafs[ts] = set
			set++
		}
	}
	var order []int
	for range 4 {
		ts := root.append(nil)[0]
		order = append(order, leafs[ts])
		ts.leaf.count(1)
	}
	if !slices.Equal(order, []int{0, 4, 6, 2}) {
		t.Fatalf("order %v", order)
	}
}

func TestPOOL_003_FairOrder(t *testing.T) {
	// Golden vector of spark-semantics §13.
	order := func(runningA, runningC int) string {
		nodes := []*poolNode{
			{name: "A", minShare: 2, weight: 1, running: runningA},
			{name: "B", minShare: 0, weight: 1, running: 0},
			{name: "C", minShare: 4, weight: 1, running: runningC},
		}
		slices.SortStableFunc(nodes, fair)
		return nodes[0].name + nodes[1].name + nodes[2].name
	}
	if got := order(1, 1); got != "CAB" {
		t.Errorf("A 1, C 1: %s", got)
	}
	if got := order(2, 4); got != "BAC" {
		t.Errorf("A 2, C 4: %s", got)
	}
	heavy := []*poolNode{{name: "a", weight: 1, running: 2}, {name: "b", weight: 3, running: 3}}
	slices.SortStableFunc(heavy, fair)
	if heavy[0].name != "b" {
		t.Error("3 running of weight 3 come after 2 of weight 1")
	}
	tie := []*poolNode{{name: "b", weight: 1}, {name: "a", weight: 1}}
	slices.SortStableFunc(tie, fair)
	if tie[0].name != "a" {
		t.Error("a tie does not go by name")
	}
}

func TestPOOL_004_DefaultAndUnknownPools(t *testing.T) {
	cfg := one(1)
	cfg.Mode = conf.FAIR
	cfg.Pools = []conf.Pool{{Name: "p", Mode: conf.FAIR, Weight: 2, MinShare: 1}}
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	h.submit(1, h.node(1), propPool, "new")
	h.submit(2, h.node(1), propPool, "p")
	for pool, want := range map[string]conf.Pool{
		"default": {Mode: conf.FIFO, Weight: 1}, "new": {Mode: conf.FIFO, Weight: 1}, "p": {Mode: conf.FAIR, Weight: 2, MinShare: 1},
	} {
		p := h.core.root.find(pool)
		if p == nil || p.mode != want.Mode || p.weight != want.Weight || p.minShare != want.MinShare || len(p.children) != 1 {
			t.Fatalf("pool %s is %+v", pool, p)
		}
	}
	if got := h.lines("warn"); len(got) != 1 || !strings.Contains(got[0], `"new"`) {
		t.Fatalf("warnings %q", got)
	}
	if got := newRoot(conf.FAIR, nil).find(defaultPool).mode; got != conf.FAIR {
		t.Fatalf("without any pools, the default one is %s inside", got)
	}
	h.finish()
	h.empty()
}

func TestPOOL_003_WeightsShareTheSlots(t *testing.T) {
	cfg := one(4)
	cfg.Mode = conf.FAIR
	cfg.Pools = []conf.Pool{{Name: "heavy", Mode: conf.FIFO, Weight: 3}, {Name: "light", Mode: conf.FIFO, Weight: 1}}
	h := newHarness(t, cfg)
	h.submit(0, h.node(100), propPool, "heavy")
	h.submit(1, h.node(100), propPool, "light")
	for range 40 {
		h.ok(h.order[0])
	}
	count := map[id.Job]int{}
	for _, d := range h.tasks {
		count[d.Job]++
	}
	if count[0] != 3 || count[1] != 1 {
		t.Fatalf("slots by job: %v, want 3 and 1", count)
	}
	h.do(&AllCancelled{})
	h.diesAll()
	h.empty()
}

// Commit rights.

func TestOCC_001_OwnerKeepsTheRightUntilItFails(t *testing.T) {
	var k commits
	k.init()
	s := id.StageAttempt{Stage: 1}
	k.start(1, 3)
	if !k.ask(s, 0, 3) {
		t.Fatal("the first to ask is denied")
	}
	if again := k.ask(s, 0, 3); !again || k.ask(s, 0, 4) {
		t.Fatal("another than the first to ask may commit")
	}
	k.ended(s, 0, 5, false)
	if k.ask(s, 0, 4) {
		t.Fatal("another's failure gave the right away")
	}
	k.ended(s, 0, 3, true) // denied: keeps
	if k.ask(s, 0, 4) {
		t.Fatal("a denial gave the right away")
	}
	k.ended(s, 0, 3, false)
	if !k.ask(s, 0, 6) || k.ask(s, 0, 7) {
		t.Fatal("after the owner failed")
	}
}

func TestOCC_002_FailedAttemptsAreDenied(t *testing.T) {
	var k commits
	k.init()
	k.start(1, 1)
	s := id.StageAttempt{Stage: 1}
	k.ended(s, 0, 0, false)
	if k.ask(s, 0, 0) || !k.ask(s, 0, 1) {
		t.Fatal("the failed attempt may, or the next may not")
	}
	if k.ask(id.StageAttempt{Stage: 2}, 0, 0) || k.ask(s, 9, 0) {
		t.Fatal("an unknown stage or partition may")
	}
}

// A map task that had committed runs again when its output is lost with its
// executor: it may commit again, and what it was before may not.
func TestOCC_002_ResubmittedTaskMayCommitAgain(t *testing.T) {
	h := newHarness(t, two(1))
	_, r := mapReduce(h, 2, 1)
	h.submit(0, r)
	n := h.attemptsOn("a")[0]
	first := *h.tasks[n]
	ask := func(d *task.Description) bool {
		h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
		return h.answers[len(h.answers)-1].OK
	}
	if !ask(&first) {
		t.Fatal("the first to ask is denied")
	}
	h.ok(n)
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	if h.infos[n].Reason != task.Resubmitted {
		t.Fatalf("the attempt ended as %v", h.infos[n].Reason)
	}
	h.ok(h.attemptsOn("b")[0])
	second := *h.tasks[h.attemptsOn("b")[0]]
	if second.Partition != first.Partition || second.Number == first.Number {
		t.Fatalf("%v runs, want another attempt of %v", second.TaskAttempt, first.TaskAttempt)
	}
	if ask(&first) || !ask(&second) {
		t.Fatal("the lost attempt may commit, or the next may not")
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestOCC_003_StageAttemptsAreApart(t *testing.T) {
	var k commits
	k.init()
	k.start(1, 1)
	one, two := id.StageAttempt{Stage: 1, Attempt: 1}, id.StageAttempt{Stage: 1, Attempt: 2}
	if !k.ask(one, 0, 0) || k.ask(two, 0, 0) {
		t.Fatal("both may")
	}
	k.start(1, 1) // a retry keeps the rights
	k.ended(two, 0, 0, false)
	if k.ask(two, 0, 1) {
		t.Fatal("the other's failure freed it")
	}
	k.ended(one, 0, 0, false)
	if !k.ask(two, 0, 1) {
		t.Fatal("the owner's failure did not free it")
	}
}

func TestOCC_004_DenialsAreNotFailures(t *testing.T) {
	cfg := one(1)
	cfg.MaxFailures = 1
	h := newHarness(t, cfg)
	h.submit(0, h.node(1))
	for range 20 {
		h.failWith(h.order[0], &task.Failure{Kind: task.TaskCommitDenied, Message: "denied"})
		h.active(0)
	}
	h.finish()
	h.succeeded(0, 1)
}

// Each first attempt is let commit, and fails at that: the next has the right.
func TestOCC_005_CommitOfFirstAttemptsFails(t *testing.T) {
	h := newHarness(t, one(2))
	h.submit(0, h.node(4))
	for len(h.order) > 0 {
		n := h.order[0]
		d := h.tasks[n]
		h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
		if !h.answers[len(h.answers)-1].OK {
			t.Fatalf("%v may not commit", d.TaskAttempt)
		}
		if d.Number == 0 {
			h.fail(n)
		} else {
			h.ok(n)
		}
	}
	if len(h.answers) != 8 {
		t.Fatalf("%d attempts asked, want 2 for each of 4 tasks", len(h.answers))
	}
	h.succeeded(0, 4)
	h.empty()
}

func TestOCC_006_RightsEndWithTheStage(t *testing.T) {
	h := newHarness(t, one(2))
	_, r := mapReduce(h, 1, 2)
	h.submit(0, r)
	h.ok(0)
	n := h.find(1, 0)
	h.do(&CommitAsked{Stage: h.tasks[n].StageAttempt, Partition: 0})
	h.do(&CommitAsked{Stage: h.tasks[n].StageAttempt, Partition: 0, Attempt: 1})
	if !h.answers[0].OK || h.answers[1].OK {
		t.Fatalf("answers %+v", h.answers)
	}
	h.fetchFail(h.find(1, 1), 0, 0, "driver")
	if h.core.commits.stages[1] == nil {
		t.Fatal("the rights ended although the stage will be tried again")
	}
	h.ok(n)
	h.after(delay)
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

// The rights of a map stage end when it is complete, while its job goes on: a
// copy that still runs is refused, though nobody had asked before it.
func TestOCC_006_RightsEndWithAMapStage(t *testing.T) {
	h := newHarness(t, speculating(t, one(4), "speculation.quantile", "0.5"))
	_, r := mapReduce(h, 2, 2)
	h.submit(0, r)
	slow := h.find(0, 1)
	h.finishFirst(1, 200*time.Millisecond)
	for range 8 {
		h.after(100 * time.Millisecond)
	}
	d := h.tasks[h.find(0, 1)]
	if d.Task == slow || !d.Speculative {
		t.Fatalf("no copy was made of attempt %d", slow)
	}
	h.ok(slow)
	h.active(0)
	h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
	if h.answers[0].OK || h.core.commits.stages[0] != nil {
		t.Fatal("an attempt of a stage that is complete may commit")
	}
	h.diesAll()
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

// Barriers.

func barrierNode(h *harness, parts int, reads ...any) *plan.Node {
	n := h.node(parts, reads...)
	n.Barrier = true
	return n
}

func TestBAR_001_TooFewSlots(t *testing.T) {
	cfg := one(4)
	cfg.Barrier = conf.Barrier{CheckInterval: time.Second, CheckMaxFailures: 3}
	h := newHarness(t, cfg)
	h.submit(0, barrierNode(h, 5))
	for range 3 {
		if _, over := h.ends[0]; over {
			t.Fatal("it did not wait")
		}
		h.after(time.Second)
	}
	if err := h.failedWith(0, "5 tasks", "4 slots"); !errors.Is(err, ErrSlots) {
		t.Fatal(err)
	}
	if len(h.lines("event")) != 0 {
		t.Fatalf("events %q", h.lines("event"))
	}
	// In a map stage too; and slots that come in time are enough.
	h.submit(1, h.node(1, h.shuffle(barrierNode(h, 5), 1)))
	h.do(&ExecutorAdded{ExecutorSpec{ID: "more", Host: "m", Slots: 1}})
	h.after(time.Second)
	h.finish()
	h.succeeded(1, 1)
	h.submit(2, barrierNode(h, 9))
	h.do(&JobCancelled{Job: 2})
	h.failedWith(2)
	h.empty()
}

func TestBAR_001_LooksForSlotsFortyTimes(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, barrierNode(h, 5))
	for i, wait := range append(slices.Repeat([]time.Duration{15 * time.Second}, 39), 15*time.Second-1) {
		h.after(wait)
		if _, over := h.ends[0]; over {
			t.Fatalf("look %d was the last, at %v", i+1, time.Duration(h.now))
		}
	}
	h.after(1)
	h.failedWith(0, "5 tasks", "4 slots")
	h.empty()
}

func TestBAR_002_MapStageRunsWholeAgain(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(1, h.shuffle(barrierNode(h, 3), 1)))
	h.ok(h.find(0, 1))
	h.fail(h.find(0, 0))
	if got := h.lines("kill"); len(got) != 1 {
		t.Fatalf("kills %q", got)
	}
	if h.core.outputs.available(0) != 0 {
		t.Fatal("outputs are still registered")
	}
	h.diesAll()
	h.after(delay)
	if got := h.lines("event StageSubmitted 0.1"); len(got) != 1 || !strings.Contains(got[0], "3 tasks") {
		t.Fatalf("%q", got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// A task of an attempt that was given up succeeds all the same: the next one
// runs every task for all that, whether the word comes before it has launched
// them or after.
func TestALateSuccessOfABarrierStageCountsForNothing(t *testing.T) {
	for _, slots := range []int{3, 6} { // three: the late one keeps the next attempt from launching
		h := newHarness(t, one(slots))
		h.submit(0, h.node(1, h.shuffle(barrierNode(h, 3), 1)))
		late := h.find(0, 2)
		if !h.commits(late) {
			t.Fatal("the first to ask may not commit")
		}
		h.ok(h.find(0, 1))
		h.fail(h.find(0, 0))
		h.after(delay)
		h.ok(late)
		if n := h.core.outputs.available(0); n != 0 {
			t.Errorf("%d slots: %d outputs are registered", slots, n)
		}
		for part := range int32(3) {
			if next := h.find(0, part); !h.commits(next) {
				t.Errorf("%d slots: the next attempt may not commit partition %d", slots, part)
			} else {
				h.ok(next)
			}
			if left := h.core.outputs.available(0); part < 2 && left != int(part)+1 {
				t.Errorf("%d slots: %d outputs after %d tasks", slots, left, part+1)
			}
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

func TestBAR_003_ResultStageAborts(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, barrierNode(h, 3))
	h.fail(h.find(0, 0))
	if _, ok := errors.AsType[*TaskError](h.failedWith(0, "barrier", "committed")); !ok {
		t.Fatal("the error does not name the attempt")
	}
	h.diesAll()
	h.empty()
}

func TestBarrierStageThatAlwaysFailsAborts(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(1, h.shuffle(barrierNode(h, 2), 1)))
	for i := range 4 {
		h.active(0)
		h.fail(h.find(0, 1))
		h.diesAll()
		if i < 3 {
			h.after(delay)
		}
	}
	h.failedWith(0, "4 attempts in a row", "boom")
	h.empty()
}

func TestBarrierResultsAboveTheLimit(t *testing.T) {
	cfg := one(2)
	cfg.MaxResult = 10
	h := newHarness(t, cfg)
	h.submit(0, barrierNode(h, 2))
	h.stored(0, 11, task.RouteIndirect)
	if _, ok := errors.AsType[*result.TooLargeError](h.failedWith(0, result.KeyMaxResult)); !ok {
		t.Fatal("another error came first")
	}
	h.diesAll()
	h.empty()
}

func TestBAR_007_AllOrNothing(t *testing.T) {
	cfg := waits(two(1))
	h := newHarness(t, cfg)
	b := prefer(h, "a@ha", "x@hx")
	b.Barrier = true
	h.do(&ExecutorAdded{ExecutorSpec{ID: "x", Host: "hx", Slots: 0}})
	h.core.cfg.LocalityWait = conf.LocalityWait{Process: 2 * time.Second, Node: 2 * time.Second}
	h.submit(0, b)
	if len(h.lines("launch")) != 0 {
		t.Fatalf("%q", h.lines("launch"))
	}
	h.submit(1, h.node(2))
	if got := h.lines("launch"); len(got) != 2 || !strings.Contains(got[0], "of 1.0") || !strings.Contains(got[1], "of 1.0") {
		t.Fatalf("the other job's tasks: %q", got)
	}
	h.finish()
	h.succeeded(1, 2)
	for range 4 {
		h.after(time.Second)
	}
	if got := h.lines("launch"); len(got) != 4 {
		t.Fatalf("after 4 s: %q", got)
	}
	if got := h.tasks[h.find(0, 0)].Properties[propAddresses]; len(strings.Split(got, ",")) != 2 {
		t.Fatalf("addresses %q", got)
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestBAR_010_Patterns(t *testing.T) {
	h := newHarness(t, one(8))
	b1, b2 := barrierNode(h, 2), barrierNode(h, 2)
	coalesced := h.node(1)
	coalesced.SetDeps(&plan.NarrowDep{Parent: b1, Parts: func(int) []int { return []int{0, 1} }})
	union := h.node(4, b1, h.node(2))
	for j, spec := range []JobSpec{
		{Final: b1, Partitions: []int32{0}}, {Final: coalesced}, {Final: union}, {Final: h.node(2, b1, b2)},
	} {
		h.submitSpec(id.Job(j), spec)
		if err := h.failedWith(id.Job(j)); !errors.Is(err, ErrBarrierPattern) {
			t.Errorf("job %d: %v", j, err)
		}
	}
	for j, n := range []*plan.Node{h.node(1, h.shuffle(b1, 1)), h.node(2, b1, h.node(2))} {
		h.submit(id.Job(10+j), n)
		h.finish()
		h.succeeded(id.Job(10+j), n.Partitions)
	}
	h.empty()
}

func TestBAR_011_FetchFailureAgainstABarrierStage(t *testing.T) {
	h := newHarness(t, one(4))
	h.submit(0, h.node(1, h.shuffle(barrierNode(h, 2), 1)))
	h.ok(0, 1)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	if h.core.outputs.available(0) != 0 {
		t.Fatal("outputs are left")
	}
	h.after(delay)
	if got := h.lines("event StageSubmitted 0.1"); len(got) != 1 || !strings.Contains(got[0], "2 tasks") {
		t.Fatalf("%q", got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestBAR_012_Rounds(t *testing.T) {
	cfg := one(2)
	cfg.Barrier.SyncTimeout = time.Second
	h := newHarness(t, cfg)
	h.submit(0, barrierNode(h, 2))
	arrive := func(part int32, epoch int64, m task.BarrierMethod, msg string) []Answer {
		h.answers = nil
		h.do(&BarrierArrived{Token: Token(part), Request: task.BarrierRequest{
			Task: id.Task(part), Partition: part, NumTasks: 2, Epoch: epoch, Method: m, Message: msg}})
		return h.answers
	}
	if a := arrive(1, 0, task.AllGather, "b"); len(a) != 0 {
		t.Fatalf("answered at once: %+v", a)
	}
	a := arrive(0, 0, task.AllGather, "a")
	if len(a) != 2 || !slices.Equal(a[0].Messages, []string{"a", "b"}) || !slices.Equal(a[1].Messages, []string{"a", "b"}) {
		t.Fatalf("%+v", a)
	}
	a[0].Messages[0] = "changed"
	if a[1].Messages[0] != "a" {
		t.Fatal("answers share memory")
	}
	if a := arrive(0, 0, task.Barrier, ""); len(a) != 1 || !errors.Is(a[0].Err, ErrBarrier) {
		t.Fatalf("a finished round: %+v", a)
	}
	// Timeout.
	arrive(0, 1, task.Barrier, "")
	h.answers = nil
	h.after(time.Second)
	if len(h.answers) != 1 || !strings.Contains(h.answers[0].Err.Error(), "1 of 2 tasks arrived within 1s") {
		t.Fatalf("%+v", h.answers)
	}
	// Two methods at once fail everybody.
	arrive(0, 0, task.Barrier, "")
	if a := arrive(1, 0, task.AllGather, ""); len(a) != 2 || a[0].Err == nil || a[1].Err == nil {
		t.Fatalf("%+v", a)
	}
	h.core.barriers.syncs = nil
	arrive(0, 0, task.Barrier, "")
	h.answers = nil
	h.ok(1)
	h.ok(0)
	if len(h.answers) != 1 || h.answers[0].Err == nil || len(h.core.barriers.syncs) != 0 {
		t.Fatalf("the stage is complete: %+v", h.answers)
	}
	// Nothing is kept of a stage attempt that is complete while its job goes on.
	h.submit(1, h.node(1, h.shuffle(barrierNode(h, 2), 1)))
	for n, d := range h.tasks {
		h.do(&BarrierArrived{Token: Token(n), Request: task.BarrierRequest{
			StageAttempt: d.StageAttempt, Task: n, Partition: d.Partition, NumTasks: 2, Method: task.Barrier}})
	}
	if n := len(h.core.barriers.syncs); n != 1 {
		t.Fatalf("%d syncs of the running stage", n)
	}
	h.ok(slices.Clone(h.order)...)
	h.active(1)
	if n := len(h.core.barriers.syncs); n != 0 {
		t.Fatalf("%d syncs are kept of the completed stage", n)
	}
	h.finish()
	h.succeeded(1, 1)
	h.empty()
}

// Map outputs.

func status(x id.Executor, n id.Task, sizes ...int64) *task.MapStatus {
	return task.NewMapStatus(task.Location{Host: "host-" + string(x), Executor: x}, n, sizes)
}

// The epoch grows when an output is gone, and not when one comes: what was
// handed out before stays as it was, and who asks anew is told.
func TestMOT_001_EpochGrowsWhenAnOutputIsGone(t *testing.T) {
	var o outputs
	o.init()
	o.register(1, 2)
	o.register(1, 9) // known: kept
	o.add(1, 0, status("a", 5, 10))
	o.add(1, 1, status("a", 6, 10))
	if o.epoch != 0 || !o.complete(1) {
		t.Fatalf("epoch %d", o.epoch)
	}
	before, _ := o.snapshot(1)
	o.removeOne(1, 0, "a")
	after, _ := o.snapshot(1)
	if o.epoch != 1 || after[0] != nil || after[1] == nil || before[0] == nil || o.complete(1) {
		t.Fatalf("epoch %d, before %v, after %v", o.epoch, before, after)
	}
}

// An output that is removed twice is missing once.
func TestMOT_002_RemovedTwice(t *testing.T) {
	var o outputs
	o.init()
	o.register(1, 2)
	o.add(1, 0, status("a", 5, 10))
	o.add(1, 1, status("a", 6, 10))
	for _, c := range []struct {
		part int32
		on   id.Executor
		left []int32
	}{{0, "b", nil}, {0, "a", []int32{0}}, {0, "a", []int32{0}}, {7, "a", []int32{0}}, {-1, "a", []int32{0}}} {
		epoch := o.epoch
		before := len(o.missing(1))
		o.removeOne(1, c.part, c.on)
		if got := o.missing(1); !slices.Equal(got, c.left) || o.epoch-epoch != int64(len(got)-before) {
			t.Fatalf("after output %d of %s: %v are missing, want %v; epoch %d after %d", c.part, c.on, got, c.left, o.epoch, epoch)
		}
	}
	if _, ok := o.snapshot(99); ok {
		t.Fatal("an unknown shuffle was found")
	}
}

func TestSizesByReducer(t *testing.T) {
	var o outputs
	o.init()
	o.register(1, 2)
	o.add(1, 0, status("a", 1, 0, 10, 0, 100))
	o.add(1, 1, status("b", 2, 100, 0, 10, 0))
	if got := o.totals(1, 4); !slices.Equal(got, []int64{106, 10, 10, 106}) {
		t.Fatalf("%v", got)
	}
}

func TestMOT_005_ReducePreference(t *testing.T) {
	var o outputs
	o.init()
	o.register(1, 3)
	d := &plan.ShuffleDep{Shuffle: 1, Reducers: 1}
	// Bytes that one byte keeps exactly: 2, 2 and 3.
	o.add(1, 0, status("A", 1, 2))
	o.add(1, 1, status("A", 2, 2))
	o.add(1, 2, status("B", 3, 3))
	hosts := func(f float64) string { return fmt.Sprint(o.prefer(d, f)[0]) }
	if got := hosts(0.5); got != "[{host-A }]" {
		t.Errorf("0.5: %s", got)
	}
	if got := hosts(0.2); got != "[{host-A } {host-B }]" {
		t.Errorf("0.2: %s", got)
	}
	o.register(2, 3) // three executors of one host
	for i := range int32(3) {
		o.add(2, i, task.NewMapStatus(task.Location{Host: "h", Executor: id.Executor(fmt.Sprint(i))}, id.Task(10+i), []int64{5}))
	}
	if got := fmt.Sprint(o.prefer(&plan.ShuffleDep{Shuffle: 2, Reducers: 1}, 0.2)[0]); got != "[{h }]" {
		t.Errorf("three executors of one host: %s", got)
	}
	if got := o.prefer(&plan.ShuffleDep{Shuffle: 1, Reducers: preferMax}, 0.2); got != nil {
		t.Errorf("many reducers: %v", got)
	}
	for off, want := range map[bool]string{false: "NODE_LOCAL", true: "PROCESS_LOCAL"} { // without any preference
		cfg := two(1)
		cfg.NoReduceLocality = off
		h := newHarness(t, cfg)
		_, r := mapReduce(h, 1, 1)
		h.submit(0, r)
		h.finish()
		if got := h.lines("launch"); len(got) != 2 || !strings.HasSuffix(got[1], want) {
			t.Errorf("reduce locality off %v: %q, want %s", off, got, want)
		}
	}
}

// attempts returns the map partitions of a shuffle's outputs by the attempt
// that wrote them, as who asks for the outputs sees them.
func (o *outputs) attempts(t *testing.T, s id.Shuffle) map[id.Task]int {
	t.Helper()
	list, ok := o.snapshot(s)
	if !ok {
		t.Fatalf("shuffle %d is not known", s)
	}
	byMap, missing := map[id.Task]int{}, 0
	for part, status := range list {
		if status == nil {
			missing++
		} else if _, twice := byMap[status.Map]; twice {
			t.Fatalf("two outputs are of attempt %d", status.Map)
		} else {
			byMap[status.Map] = part
		}
	}
	if missing != o.shuffles[s].missing || o.complete(s) != (missing == 0) || len(o.missing(s)) != missing {
		t.Fatalf("%d outputs are missing, counted %d, listed %v", missing, o.shuffles[s].missing, o.missing(s))
	}
	return byMap
}

// There is no index of attempts beside the outputs: an output that goes, or
// that another attempt's replaces, takes its attempt's number along.
func TestMOT_007_EachPartitionHasOneAttempt(t *testing.T) {
	var o outputs
	o.init()
	o.register(1, 3)
	for part := range int32(3) {
		o.add(1, part, status("a", 10+id.Task(part), 1))
	}
	is := func(what string, want map[id.Task]int) {
		t.Helper()
		if got := o.attempts(t, 1); !maps.Equal(got, want) {
			t.Fatalf("%s: partitions by attempt %v, want %v", what, got, want)
		}
	}
	is("as registered", map[id.Task]int{10: 0, 11: 1, 12: 2})
	before, _ := o.snapshot(1)
	o.add(1, 1, status("b", 20, 1))
	is("one replaced", map[id.Task]int{10: 0, 20: 1, 12: 2})
	o.add(1, 1, status("b", 20, 1))
	is("the same again", map[id.Task]int{10: 0, 20: 1, 12: 2})
	o.removeOne(1, 1, "a") // the former place: what is there now stays
	is("removed where it is not", map[id.Task]int{10: 0, 20: 1, 12: 2})
	o.removeOne(1, 1, "b")
	is("one removed", map[id.Task]int{10: 0, 12: 2})
	o.add(1, 1, status("b", 30, 1))
	is("made anew", map[id.Task]int{10: 0, 30: 1, 12: 2})
	o.removeExecutor("a")
	is("an executor lost", map[id.Task]int{30: 1})
	o.removeAll(1)
	is("all removed", map[id.Task]int{})
	if len(before) != 3 || before[1].Map != 11 {
		t.Errorf("what was handed out changed: %v", before)
	}
}

// A batch of unlike events must not let one's data into the next.
func TestReusedEventsAreClean(t *testing.T) {
	h := newHarness(t, one(1))
	h.submit(0, h.node(2))
	h.ok(0)
	h.failWith(1, &task.Failure{Kind: task.ExceptionFailure, Message: "boom"})
	if e := h.infos[1]; e.HasMetrics || e.Metrics != (task.Metrics{}) || e.Route != task.RouteNone || len(e.Accums) != 0 {
		t.Fatalf("%+v", e)
	}
	h.finish()
	h.succeeded(0, 2)
}
