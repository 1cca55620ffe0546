package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

const delay = 200 * time.Millisecond

// mapReduce submits job 0 over maps → reducers: stages 0 and 1.
func mapReduce(h *harness, maps, reducers int) (*plan.ShuffleDep, *plan.Node) {
	d := h.shuffle(h.node(maps), reducers)
	return d, h.node(reducers, d)
}

func TestDAG_001_FourFetchFailuresInARowAbort(t *testing.T) {
	h := newHarness(t, one(2))
	_, r := mapReduce(h, 2, 1)
	h.submit(0, r)
	for attempt := range int32(4) {
		h.active(0)
		for h.tasks[h.order[0]].Stage == 0 {
			h.ok(h.order[0])
		}
		n := h.find(1, 0)
		if got := h.tasks[n].Attempt; got != attempt {
			t.Fatalf("attempt %d, want %d", got, attempt)
		}
		h.fetchFail(n, 0, 0, "driver")
		if attempt < 3 {
			h.active(0)
			h.after(delay)
		}
	}
	h.failedWith(0, "stage 1", "4 attempts in a row", "spark.stage.maxConsecutiveAttempts")
	h.empty()
}

func TestDAG_002_FailuresOfOneAttemptCountOnce(t *testing.T) {
	h := newHarness(t, one(8))
	_, r := mapReduce(h, 2, 8)
	h.submit(0, r)
	h.ok(0, 1)
	for i := range int32(8) {
		h.fetchFail(h.find(1, i), 0, i%2, "driver")
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 8)
	if got := len(h.lines("event StageSubmitted")); got != 4 {
		t.Fatalf("%d stage attempts, want 2 of each stage", got)
	}
	h.empty()
}

// The attempts of a lost executor end with it, so that a success which comes
// after its loss is of nobody; one of an attempt that began there since counts.
func TestDAG_003_LateSuccessOfALostExecutorIsDropped(t *testing.T) {
	for _, back := range []bool{false, true} {
		h := newHarness(t, two(1))
		d, r := mapReduce(h, 2, 1)
		h.submit(0, r)
		late, onB := h.attemptsOn("a")[0], h.attemptsOn("b")[0]
		index := h.tasks[late].Index
		h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
		if back {
			h.do(&ExecutorAdded{ExecutorSpec{ID: "a", Host: "ha", Slots: 1}})
		}
		h.ok(late)
		if got := h.core.outputs.missing(d.Shuffle); len(got) != 2 || h.infos[late].Reason != task.ExecutorLostFailure {
			t.Fatalf("partitions %v are missing after the late success, which is told as %v", got, h.infos[late].Reason)
		}
		if !back {
			h.do(&ExecutorAdded{ExecutorSpec{ID: "a", Host: "ha", Slots: 1}})
		}
		again := h.attemptsOn("a")
		if len(again) != 1 || h.tasks[again[0]].Index != index {
			t.Fatalf("attempts %v run on the executor that is back", again)
		}
		h.ok(again[0], onB)
		if m := h.core.outputs.shuffles[d.Shuffle].statuses[index]; m == nil || m.Map != again[0] || m.Location.Executor != "a" {
			t.Fatalf("the output is %+v, want that of attempt %d", m, again[0])
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

func TestDAG_004_OldAttemptFinishesTheStage(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(2), 3)
	b := h.shuffle(h.node(3, a), 1)
	h.submit(0, h.node(1, b))
	h.ok(0, 1)
	p2 := h.find(1, 2)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0))
	h.ok(h.find(1, 0))
	h.ok(h.find(1, 1))
	if len(h.lines("event StageSubmitted 2.")) != 0 {
		t.Fatal("stage 2 was submitted before partition 2 was there")
	}
	for n := range h.tasks {
		if h.tasks[n].Stage == 1 && h.tasks[n].Index == 2 && n != p2 {
			h.ok(p2) // the first attempt's copy wins
			break
		}
	}
	if got := len(h.lines("event StageSubmitted 2.")); got != 1 || !h.core.outputs.complete(1) {
		t.Fatalf("stage 2 was submitted %d times", got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_005_FetchFailureOfAnOldAttemptIsIgnored(t *testing.T) {
	h := newHarness(t, one(8))
	d, r := mapReduce(h, 2, 2)
	h.submit(0, r)
	h.ok(0, 1)
	late := h.find(1, 1)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0))
	epoch := h.core.outputs.epoch
	h.fetchFail(late, 0, 1, "driver")
	if h.core.outputs.epoch != epoch || !h.core.outputs.complete(d.Shuffle) {
		t.Fatal("the late failure unregistered outputs")
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 2)
	for s := range 2 {
		if n := len(h.lines(fmt.Sprintf("event StageSubmitted %d.", s))); n != 2 {
			t.Fatalf("%d attempts of stage %d", n, s)
		}
	}
	h.empty()
}

// NOT APPLICABLE: DAG-006 as to a new attempt of the map stage, because
// attempts end with their executor, so that the set lives yet when outputs go
// and runs those tasks again itself.
func TestDAG_006_OutputsLostWhileTheStageRuns(t *testing.T) {
	h := newHarness(t, two(2))
	_, r := mapReduce(h, 3, 1)
	h.submit(0, r)
	h.ok(h.attemptsOn("a")...)
	done := len(h.lines("event TaskEnd"))
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	// Finished tasks whose output is gone are run again in the same set, and
	// what is told of that comes before the loss.
	told := h.lines("event TaskEnd")[done:]
	if done == 0 || len(told) != done || slices.ContainsFunc(told, func(l string) bool { return !strings.HasSuffix(l, " Resubmitted") }) ||
		slices.Index(h.out, told[0]) > slices.Index(h.out, h.lines("event ExecutorRemoved")[0]) {
		t.Fatalf("of %d that had ended: %q", done, told)
	}
	if len(h.lines("event StageSubmitted 1")) != 0 {
		t.Fatal("the reduce stage was submitted")
	}
	h.finish()
	h.succeeded(0, 1)
	if !h.core.outputs.complete(0) {
		t.Fatal("outputs are missing")
	}
	// The three and those run again had all begun, in the one set, before
	// anything of the reduce stage was.
	stages := h.lines("event StageSubmitted")
	if len(stages) != 2 || !strings.HasPrefix(stages[0], "event StageSubmitted 0.0") || !strings.HasPrefix(stages[1], "event StageSubmitted 1.0") {
		t.Fatalf("submitted %q", stages)
	}
	starts := 0
	for _, l := range h.out[:slices.Index(h.out, stages[1])] {
		if strings.HasPrefix(l, "event TaskStart") {
			starts++
		}
	}
	if starts != 3+done {
		t.Fatalf("%d attempts of 3 tasks, %d of them twice", starts, done)
	}
	h.empty()
}

// The last partition of attempt 1 succeeded on an executor that was lost
// meanwhile: it is run again, alone, and nothing else is done before that.
// Check sees after every event that one task set of a stage launches at most.
//
// NOT APPLICABLE: DAG-007 as to attempt 2 for that partition, because attempts
// end with their executor, so that attempt 1 still waits for the partition and
// runs it again itself.
func TestDAG_007_LastPartitionSucceededOnALostExecutor(t *testing.T) {
	h := newHarness(t, two(1))
	d, r := onlyMapOneIsRunAgain(h)
	n := h.attemptsOn("a")[0]
	started := len(h.lines("event TaskStart"))
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	h.ok(n)
	m := h.find(d, 1)
	if got := len(h.lines("event TaskStart")) - started; got != 1 || m == n || len(h.order) != 1 || len(h.lines("event StageSubmitted")) != 3 {
		t.Fatalf("%d attempts began; %v run, the late one was %d", got, h.order, n)
	}
	h.ok(m)
	if got := h.lines("event StageSubmitted"); len(got) != 4 || !strings.HasPrefix(got[3], fmt.Sprintf("event StageSubmitted %d.1", r)) {
		t.Fatalf("submitted %q", got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// Attempt 1 has done all of its partitions, but another's output went with its
// executor: attempt 2 has that one partition, when attempt 1 has ended.
func TestDAG_007_AttemptOfOnePartition(t *testing.T) {
	h := newHarness(t, two(1))
	d, r := onlyMapOneIsRunAgain(h)
	n := h.attemptsOn("a")[0]
	h.do(&ExecutorLost{Executor: "b", Reason: "gone"})
	if got := h.lines("event StageSubmitted"); len(got) != 3 {
		t.Fatalf("submitted %q while attempt 1 runs", got)
	}
	h.ok(n)
	want := fmt.Sprintf("event StageSubmitted %d.2 ShuffleMapTask, 1 tasks", d)
	if got := h.lines("event StageSubmitted"); len(got) != 4 || !strings.HasPrefix(got[3], want) || h.tasks[h.find(d, 0)] == nil {
		t.Fatalf("submitted %q, want at last %q", got, want)
	}
	h.ok(h.find(d, 0))
	if got := h.lines(fmt.Sprintf("event StageSubmitted %d.1", r)); len(got) != 1 {
		t.Fatalf("the reduce stage was submitted again %d times", len(got))
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// onlyMapOneIsRunAgain runs two map tasks, task 0 on b and task 1 on a, of
// which a reduce task cannot read the second: attempt 1 of the map stage runs
// that one, on a. It returns both stages.
func onlyMapOneIsRunAgain(h *harness) (maps, reduces id.Stage) {
	h.t.Helper()
	node := prefer(h, "b@hb", "a@ha")
	h.submit(0, h.node(1, h.shuffle(node, 1)))
	h.ok(h.find(0, 0), h.find(0, 1))
	h.fetchFail(h.find(1, 0), 0, 1, "a")
	h.after(delay)
	if got := h.lines("event StageSubmitted 0.1"); len(got) != 1 || !strings.Contains(got[0], "1 tasks") || len(h.attemptsOn("a")) != 1 || len(h.order) != 1 {
		h.t.Fatalf("submitted %q, running %v", got, h.order)
	}
	return 0, 1
}

func TestOnlyWhatIsMissingIsRunAgain(t *testing.T) {
	h := newHarness(t, two(2))
	d, r := mapReduce(h, 3, 1)
	h.submit(0, r)
	h.ok(h.find(0, 0), h.find(0, 1), h.find(0, 2))
	n := h.find(1, 0)
	// One output's executor is lost; the reduce task fails to read it.
	m := h.core.outputs.shuffles[d.Shuffle]
	lost := m.statuses[0].Location.Executor
	missing := 0
	for _, s := range m.statuses {
		if s.Location.Executor == lost {
			missing++
		}
	}
	if h.tasks[n].Executor == lost {
		h.gone(n)
	}
	h.do(&ExecutorLost{Executor: lost, Reason: "gone"})
	if _, ok := h.tasks[n]; ok {
		h.fetchFail(n, 0, 0, lost)
		h.after(delay)
	} else {
		h.fetchFail(h.find(1, 0), 0, -1, "")
		h.after(delay)
	}
	want := fmt.Sprintf("event StageSubmitted 0.1 ShuffleMapTask, %d tasks", missing)
	if got := h.lines("event StageSubmitted 0.1"); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_008_ActiveSetHearsOfOldSuccesses(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(1), 4)
	b := h.shuffle(h.node(4, a), 1)
	h.submit(0, h.node(1, b))
	h.ok(0)
	old2, old3 := h.find(1, 2), h.find(1, 3)
	h.ok(h.find(1, 0))
	h.fetchFail(h.find(1, 1), 0, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0))
	if got := h.lines("event StageSubmitted 1.1"); len(got) != 1 || !strings.Contains(got[0], "3 tasks") {
		t.Fatalf("got %q, want an attempt of 3 tasks", got)
	}
	new1, new2 := h.find(1, 1), h.find(1, 2)
	h.ok(old2, old3)
	h.fail(new2) // not tried again: the partition is there
	h.ok(new1)
	if len(h.lines("event StageSubmitted 2.0")) != 1 {
		t.Fatal("stage 1 did not end")
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_009_SuccessClearsTheCountOfFailures(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(1), 1)
	b := h.shuffle(h.node(1, a), 1)
	h.submit(0, h.node(1, b))
	h.ok(0)
	for range 2 {
		h.fetchFail(h.find(1, 0), 0, 0, "driver")
		h.after(delay)
		h.ok(h.find(0, 0))
	}
	h.ok(h.find(1, 0))
	for range 2 {
		h.fetchFail(h.find(2, 0), 1, 0, "driver")
		h.after(delay)
		for len(h.order) > 0 && h.tasks[h.order[0]].Stage < 2 {
			h.ok(h.order[0])
		}
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_010_LimitOfAllAttempts(t *testing.T) {
	cfg := one(8)
	cfg.MaxStageAttempts = 5
	h := newHarness(t, cfg)
	a := h.shuffle(h.node(1), 1)
	b := h.shuffle(h.node(1, a), 1)
	h.submit(0, h.node(1, b))
	h.ok(0)
	for range 3 {
		h.fetchFail(h.find(1, 0), 0, 0, "driver")
		h.after(delay)
		h.ok(h.find(0, 0))
	}
	h.ok(h.find(1, 0)) // fourth attempt succeeds
	h.fetchFail(h.find(2, 0), 1, 0, "driver")
	h.after(delay)
	h.active(0)
	h.fetchFail(h.find(1, 0), 0, 0, "driver") // the fifth
	h.failedWith(0, "attempted 5 times", "spark.stage.maxAttempts")
	h.diesAll()
	h.empty()
}

// Each map stage's output is lost while the other runs, so that the reduce
// stage never begins: the limit that ends this is the map stage's own.
func TestDAG_011_LostExecutorsDoNotLoop(t *testing.T) {
	cfg := two(1)
	cfg.MaxStageAttempts, cfg.MaxConsecutiveStageAttempts = 2, 2
	h := newHarness(t, cfg)
	onA, onB := prefer(h, "a@ha"), prefer(h, "b@hb")
	h.submit(0, h.node(1, h.shuffle(onA, 1), h.shuffle(onB, 1)))
	// lose ends an executor that wrote an output; another takes its place.
	lose := func(x id.Executor) {
		t.Helper()
		if running := h.attemptsOn(x); len(running) != 0 {
			t.Fatalf("attempts %v run on %s", running, x)
		}
		h.do(&ExecutorLost{Executor: x, Reason: "gone"})
		h.do(&ExecutorAdded{ExecutorSpec{ID: x, Host: "h" + string(x), Slots: 1}})
	}
	h.ok(h.find(0, 0))
	lose("a")
	h.ok(h.find(1, 0))
	lose("b")
	h.ok(h.find(0, 0)) // the second attempt
	lose("a")
	h.active(0)
	h.ok(h.find(1, 0)) // the second attempt, after which stage 0 would need a third
	h.failedWith(0, "stage 0", "attempted 2 times")
	if got := h.lines("event StageSubmitted"); len(got) != 4 || len(h.lines("event StageSubmitted 2.")) != 0 {
		t.Fatalf("submitted %q, want each map stage twice", got)
	}
	h.diesAll()
	h.empty()
}

func TestDAG_012_IndeterminateStageRunsAllAgain(t *testing.T) {
	h := newHarness(t, one(8))
	m1 := h.node(2)
	m1.Determinism = plan.Indeterminate
	a := h.shuffle(m1, 2)
	b := h.shuffle(h.node(2, a), 2)
	h.submit(0, h.node(2, b))
	h.ok(h.find(0, 0), h.find(0, 1))
	h.ok(h.find(1, 0), h.find(1, 1))
	h.clear()
	h.fetchFail(h.find(2, 0), 1, 0, "driver") // determinate parent: only what is missing
	h.after(delay)
	h.fetchFail(h.find(1, 0), 0, 1, "driver") // its input is indeterminate: all
	h.diesAll()
	h.after(delay)
	h.finish()
	h.succeeded(0, 2)
	for _, want := range []string{"event StageSubmitted 0.1 ShuffleMapTask, 2 tasks", "event StageSubmitted 1.2 ShuffleMapTask, 2 tasks",
		"event StageSubmitted 2.1 ResultTask, 2 tasks"} {
		if got := h.lines(want); len(got) != 1 {
			t.Errorf("no %q in\n%s", want, strings.Join(h.lines("event StageSubmitted"), "\n"))
		}
	}
	h.empty()
}

func TestDAG_013_ResultsOfARolledBackAttemptAreIgnored(t *testing.T) {
	h := newHarness(t, one(8))
	m1 := h.node(2)
	m1.Determinism = plan.Indeterminate
	a := h.shuffle(m1, 2)
	b := h.shuffle(h.node(2, a), 2)
	h.submit(0, h.node(2, b))
	h.ok(h.find(0, 0), h.find(0, 1))
	late := h.find(1, 1)
	if !h.commits(late) {
		t.Fatal("the first to ask may not commit")
	}
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0), h.find(0, 1))
	h.ok(late) // before its kill lands
	if got := h.core.outputs.available(1); got != 0 {
		t.Fatalf("%d outputs of the rolled back attempt were registered", got)
	}
	if !h.commits(h.find(1, 1)) {
		t.Error("who does the task again may not commit")
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestDAG_033_LateResultOfARolledBackAttemptAborts(t *testing.T) {
	h := newHarness(t, one(8))
	m := h.node(2)
	m.Determinism = plan.Indeterminate
	h.submit(0, h.node(2, h.shuffle(m, 2)))
	h.ok(0, 1)
	late := h.find(1, 1)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.active(0)
	h.ok(late) // before its kill lands
	h.failedWith(0, "rolled back", "checkpoint")
	h.empty()
	// And with a result that is there already, nothing can be rolled back.
	h.submit(1, h.node(2, h.shuffle(m, 2)))
	h.ok(h.find(2, 0), h.find(2, 1))
	h.ok(h.find(3, 1))
	h.fetchFail(h.find(3, 0), 1, 0, "driver")
	h.failedWith(1, "1 of 2 results", "checkpoint")
	h.empty()
}

func TestDAG_014_ChainOfIndeterminateStages(t *testing.T) {
	h := newHarness(t, two(8))
	prev := h.node(2)
	prev.Determinism = plan.Indeterminate
	for range 3 {
		n := h.node(2, h.shuffle(prev, 2))
		n.Determinism = plan.Indeterminate
		prev = n
	}
	h.submit(0, prev)
	for s := range id.Stage(3) {
		h.ok(h.find(s, 0), h.find(s, 1))
	}
	h.clear()
	lost := h.core.outputs.shuffles[2].statuses[0].Location.Executor
	for _, n := range slices.Clone(h.order) {
		if h.tasks[n].Executor == lost {
			h.gone(n)
		}
	}
	h.do(&ExecutorLost{Executor: lost, Reason: "gone"})
	h.fetchFail(h.find(3, 0), 2, 0, lost)
	h.diesAll()
	h.after(delay)
	h.finish()
	h.succeeded(0, 2)
	var order []string
	for _, l := range h.lines("event StageSubmitted") {
		order = append(order, strings.Join(strings.Fields(l)[2:6], " "))
	}
	for i, want := range []string{"0.1 ShuffleMapTask, 2 tasks", "1.1 ShuffleMapTask, 2 tasks", "2.1 ShuffleMapTask, 2 tasks", "3.1 ResultTask, 2 tasks"} {
		if i >= len(order) || !strings.HasPrefix(order[i], strings.TrimSuffix(want, "s")) {
			t.Fatalf("got %q, want %q at %d", order, want, i)
		}
	}
	h.empty()
}

func TestDAG_015_CachedDatasetCutsTheLineage(t *testing.T) {
	h := newHarness(t, one(2))
	c := h.node(2, h.node(2, h.shuffle(h.node(2), 2)))
	c.SetLevel(2)
	h.cachedAt[c.ID] = [][]task.Location{{{Host: "h", Executor: "driver"}}, {{Host: "h", Executor: "driver"}}}
	h.submit(0, h.node(2, c))
	if got := h.lines("launch"); len(got) != 2 || !strings.Contains(got[0], "1.0") || !strings.Contains(got[0], "PROCESS_LOCAL") {
		t.Fatalf("got %q, want two result tasks near the cache", got)
	}
	h.finish()
	h.succeeded(0, 2)
	if len(h.lines("event StageSubmitted 0")) != 0 {
		t.Fatal("the shuffle ran")
	}
	h.empty()
}

func TestDAG_016_FinishedShuffleIsUsedAgain(t *testing.T) {
	h := newHarness(t, one(4))
	d, r := mapReduce(h, 3, 2)
	h.submit(0, r)
	h.finish()
	h.submit(1, h.node(2, d))
	if got := h.lines("event StageSubmitted 2"); len(got) != 0 {
		t.Fatalf("the map stage of job 1 was submitted: %q", got)
	}
	h.fetchFail(h.find(3, 0), 0, 1, "driver")
	h.after(delay)
	// Skipping used up attempt 0 (spark-semantics §12.7).
	if got := h.lines("event StageSubmitted 2.1 ShuffleMapTask, 1 tasks"); len(got) != 1 || !strings.Contains(got[0], "job 1") {
		t.Fatalf("got %q", h.lines("event StageSubmitted"))
	}
	h.finish()
	h.succeeded(1, 2)
	h.empty()
}

func TestDAG_017_SharedStageFailsBothJobs(t *testing.T) {
	cfg := one(8)
	cfg.MaxFailures = 1
	h := newHarness(t, cfg)
	a, b := h.shuffle(h.node(1), 1), h.shuffle(h.node(1), 1)
	h.submit(0, h.node(1, a))
	h.submit(1, h.node(1, a, b))
	h.fail(h.find(0, 0))
	h.failedWith(0, "boom")
	h.failedWith(1, "boom")
	other := h.find(2, 0)
	if _, ok := h.killed[other]; !ok {
		t.Fatal("the stage that only job 1 needs was not cancelled")
	}
	h.diesAll()
	h.empty()
}

func TestDAG_018_SharedStageSurvivesOneJob(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(2), 1)
	h.submit(0, h.node(1, a), "who", "first")
	h.submit(1, h.node(1, a), "who", "second")
	n := h.find(0, 0)
	if h.tasks[n].Properties["who"] != "first" || h.tasks[n].Job != 0 {
		t.Fatalf("the first attempt runs for %v", h.tasks[n].Properties)
	}
	h.do(&JobCancelled{Job: 0, Reason: "not wanted"})
	err := h.failedWith(0, "cancelled: not wanted")
	if !errors.Is(err, ErrCancelled) {
		t.Fatalf("error %v", err)
	}
	if len(h.killed) != 0 {
		t.Fatalf("killed %v", h.killed)
	}
	h.ok(n, h.find(0, 1))
	r := h.find(2, 0)
	h.fetchFail(r, 0, 0, "driver")
	h.after(delay)
	again := h.find(0, 0)
	if d := h.tasks[again]; d.Properties["who"] != "second" || d.Job != 1 {
		t.Fatalf("the new attempt runs for job %d, %v", d.Job, d.Properties)
	}
	h.finish()
	h.succeeded(1, 1)
	h.empty()
}

// As long as both jobs live, a shared stage runs for the earlier one.
func TestDAG_018_EarliestJobGivesProperties(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(1), 1)
	h.submit(0, h.node(1, a), "who", "first")
	h.submit(1, h.node(1, a), "who", "second")
	h.ok(h.find(0, 0))
	h.fetchFail(h.find(2, 0), 0, 0, "driver") // of the second job
	h.after(delay)
	again := h.find(0, 0)
	if d := h.tasks[again]; d.Properties["who"] != "first" || d.Job != 0 || h.core.sets[len(h.core.sets)-1].job.id != 0 {
		t.Fatalf("the new attempt runs for job %d, %v", d.Job, d.Properties)
	}
	h.finish()
	h.succeeded(0, 1)
	h.succeeded(1, 1)
	h.empty()
}

func TestDAG_019_DuplicateSuccessCountsOnce(t *testing.T) {
	h := newHarness(t, one(8))
	_, r := mapReduce(h, 1, 2)
	h.submit(0, r)
	h.ok(0)
	h.merged = 0
	old := h.find(1, 1)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.after(delay)
	h.ok(h.find(0, 0))
	h.ok(old)
	again := h.find(1, 0)
	var dup id.Task = -1
	for n, d := range h.tasks {
		if d.Stage == 1 && d.Index == 1 {
			dup = n
		}
	}
	if dup < 0 {
		t.Fatal("no second copy of task 1 was launched")
	}
	merged := h.merged
	h.ok(dup)
	if h.merged != merged {
		t.Fatal("the duplicate's accumulators were merged")
	}
	h.ok(again)
	h.succeeded(0, 2)
	h.empty()
}

// NOT APPLICABLE: DAG-021 as to the cancellation, because a job that has ended
// is forgotten: its caller has its answer.
func TestDAG_021_NoPartitions(t *testing.T) {
	h := newHarness(t, one(1))
	h.submit(0, h.node(0))
	h.submitSpec(1, JobSpec{Final: h.node(4), Partitions: []int32{}, Action: "take"})
	h.do(&JobCancelled{Job: 0})
	want := []string{
		`event JobStart 0 "count at x.go:1" stages `, `event JobEnd 0 ""`, "end job 0: <nil>",
		`event JobStart 1 "take" stages `, `event JobEnd 1 ""`, "end job 1: <nil>",
	}
	if !slices.Equal(h.out, want) {
		t.Fatalf("got %q", h.out)
	}
	h.empty()
}

func TestDAG_022_MapStageJob(t *testing.T) {
	h := newHarness(t, one(4))
	d, r := mapReduce(h, 2, 3)
	h.submitSpec(0, JobSpec{Final: d.Parent, Shuffle: d})
	h.ok(0, 1)
	h.succeeded(0, 1)
	if got := h.totals[0]; !slices.Equal(got, []int64{212, 212, 212}) {
		t.Fatalf("bytes by reducer %v", got)
	}
	h.submitSpec(1, JobSpec{Final: d.Parent, Shuffle: d})
	h.succeeded(1, 1)
	if len(h.tasks) != 0 {
		t.Fatal("tasks were launched")
	}
	h.clear()
	h.submit(2, r)
	if got := h.lines("launch"); len(got) != 3 {
		t.Fatalf("got %q, want the result stage's tasks alone", got)
	}
	h.finish()
	h.submitSpec(3, JobSpec{Final: h.node(0), Shuffle: h.shuffle(h.nodes[len(h.nodes)-1], 1)})
	h.failedWith(3, "at least one partition")
	h.empty()
}

func TestDAG_023_MapStageJobsOnAChain(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(2), 2)
	b := h.shuffle(h.node(2, a), 2)
	r := h.node(2, b)
	h.submitSpec(0, JobSpec{Final: a.Parent, Shuffle: a})
	h.submitSpec(1, JobSpec{Final: b.Parent, Shuffle: b})
	h.submit(2, r)
	h.ok(h.find(0, 0), h.find(0, 1))
	h.succeeded(0, 1)
	h.fetchFail(h.find(1, 0), 0, 0, "driver")
	h.after(delay)
	h.active(1)
	h.ok(h.find(0, 0))
	h.ok(h.find(1, 0), h.find(1, 1))
	h.diesAll()
	h.succeeded(1, 1)
	h.fetchFail(h.find(2, 0), 1, 0, "driver")
	h.after(delay)
	h.finish()
	h.succeeded(2, 2)
	h.empty()
}

// All tasks of the stage's attempt are done, but an output of an earlier one
// went with its executor: the job that waits for the outputs is not told yet.
func TestDAG_023_MapStageJobWaitsForOutputsOnLiveExecutors(t *testing.T) {
	h := newHarness(t, two(1))
	maps, _ := onlyMapOneIsRunAgain(h)
	d := h.shuffles[0]
	h.submitSpec(1, JobSpec{Final: d.Parent, Shuffle: d})
	n := h.attemptsOn("a")[0]
	h.do(&ExecutorLost{Executor: "b", Reason: "gone"})
	h.ok(n)
	h.active(1)
	h.ok(h.find(maps, 0))
	h.succeeded(1, 1)
	if got := h.totals[1]; !slices.Equal(got, []int64{212}) {
		t.Fatalf("told %v bytes, want those of both outputs", got)
	}
	for i, status := range h.core.outputs.shuffles[d.Shuffle].statuses {
		if status == nil || !h.core.executor(status.Location.Executor).alive {
			t.Fatalf("output %d was told and is %+v", i, status)
		}
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_024_LeftoverCopyDoesNotEndAMapStageJob(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(1), 2)
	b := h.shuffle(h.node(2, a), 1)
	h.submitSpec(0, JobSpec{Final: b.Parent, Shuffle: b})
	h.ok(0)
	// Task 0 of the stage reads its input in two copies; one fails to.
	second := launchCopy(h, h.core.stages[1].sets[0], 0)
	h.ok(h.find(1, 1))
	h.fetchFail(second, 0, 0, "driver")
	h.ok(h.find(1, 0))
	h.active(0)
	if !h.core.outputs.complete(1) {
		t.Fatal("the copy's output is not registered")
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_025_OriginalWinsAfterItsCopyFailedToFetch(t *testing.T) {
	h := newHarness(t, one(8))
	_, r := mapReduce(h, 1, 1)
	h.submit(0, r)
	h.ok(0)
	ts := h.core.stages[1].sets[0]
	original := h.find(1, 0)
	h.clear()
	second := launchCopy(h, ts, 0)
	h.fetchFail(second, 0, 0, "driver")
	h.after(delay)
	h.ok(original)
	h.succeeded(0, 1)
	var completed []string
	for _, l := range h.lines("event StageCompleted") {
		completed = append(completed, strings.Fields(l)[2])
	}
	if !slices.Equal(completed, []string{"1.0", "1.0", "0.1"}) {
		t.Fatalf("stages completed after the first: %q", completed)
	}
	h.diesAll()
	h.empty()
}

// launchCopy launches a second attempt and takes its commands down.
func launchCopy(h *harness, ts *taskSet, pos int32) id.Task {
	h.t.Helper()
	h.core.out = h.core.out[:0]
	if !h.core.launch(ts, pos, h.core.executors[0], task.AnyLocality) {
		h.t.Fatal("the copy was not launched")
	}
	var n id.Task
	for _, c := range h.core.out {
		h.note(c)
		if l, ok := c.(*Launch); ok {
			n = l.Task
		}
	}
	return n
}

func TestDAG_026_StageWithNothingLeftIsClosed(t *testing.T) {
	h := newHarness(t, one(8))
	a := h.shuffle(h.node(1), 1)
	b := h.shuffle(h.node(1, a), 1)
	h.submit(0, h.node(1, b))
	h.ok(0)
	original := h.find(1, 0)
	second := launchCopy(h, h.core.stages[1].sets[0], 0)
	h.fetchFail(second, 0, 0, "driver")
	h.ok(original)
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_027_LostExecutorLosesItsOutputsOnce(t *testing.T) {
	h := newHarness(t, two(4))
	a, b := h.shuffle(h.node(4), 1), h.shuffle(h.node(4), 1)
	h.submit(0, h.node(1, a, b))
	for len(h.order) > 0 && h.tasks[h.order[0]].Stage < 2 {
		h.ok(h.order[0])
	}
	reduce := h.find(2, 0)
	lost := id.Executor("a")
	if h.tasks[reduce].Executor == lost {
		lost = "b"
	}
	epoch := h.core.outputs.epoch
	h.do(&ExecutorLost{Executor: lost, Reason: "gone"})
	for _, s := range []id.Shuffle{0, 1} {
		for i, status := range h.core.outputs.shuffles[s].statuses {
			if status != nil && status.Location.Executor == lost {
				t.Fatalf("output %d of shuffle %d is still there", i, s)
			}
		}
	}
	after := h.core.outputs.epoch
	if after <= epoch {
		t.Fatalf("epoch %d after %d", after, epoch)
	}
	available := h.core.outputs.available(0) + h.core.outputs.available(1)
	h.fetchFail(reduce, 0, 0, lost)
	if h.core.outputs.epoch != after || h.core.outputs.available(0)+h.core.outputs.available(1) != available {
		t.Fatal("the later fetch failure unregistered more")
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

// Two stages read the same outputs. The first to fail twice has its executor's
// files written again; the other's second failure is of an attempt that began
// before that, and says nothing about the new ones.
func TestDAG_027_OlderFetchFailureSparesNewOutputs(t *testing.T) {
	h := newHarness(t, one(8))
	d := h.shuffle(h.node(4), 1)
	h.submit(0, h.node(1, d))
	h.submit(1, h.node(1, d))
	maps := func() {
		t.Helper()
		for _, n := range slices.Clone(h.order) {
			if h.tasks[n].Stage == 0 {
				h.ok(n)
			}
		}
		if !h.core.outputs.complete(d.Shuffle) {
			t.Fatalf("outputs %v are missing", h.core.outputs.missing(d.Shuffle))
		}
	}
	maps()
	for _, failing := range []id.Stage{2, 1, 1} {
		h.fetchFail(h.find(failing, 0), 0, 1, "driver")
		h.after(delay)
		maps()
	}
	if got := h.lines("event StageSubmitted 0.3"); len(got) != 1 || !strings.Contains(got[0], "4 tasks") {
		t.Fatalf("got %q, want all outputs written again", got)
	}
	epoch := h.core.outputs.epoch
	old := h.find(2, 0)
	if a := h.core.attempts.get(old); a.info.Attempt != 1 || a.set.epoch >= h.core.executor("driver").distrusted {
		t.Fatalf("%v began at epoch %d", a.info.TaskAttempt, a.set.epoch)
	}
	h.fetchFail(old, 0, -1, "driver") // names no output
	if h.core.outputs.epoch != epoch || !h.core.outputs.complete(d.Shuffle) {
		t.Fatalf("outputs %v were unregistered", h.core.outputs.missing(d.Shuffle))
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.succeeded(1, 1)
	h.empty()
}

// An executor that is not trusted any more writes an output, of an attempt
// whose stage waits, and is lost before anything else changes the epoch.
func TestDAG_027_LostExecutorLosesWhatItWroteDistrusted(t *testing.T) {
	h := newHarness(t, two(2))
	a := h.shuffle(prefer(h, "b@hb"), 2)
	reads := prefer(h, "b@hb", "b@hb")
	reads.SetDeps(a)
	b := h.shuffle(reads, 1)
	h.submit(0, h.node(1, b))
	h.ok(h.find(0, 0))
	late := h.find(1, 1)
	h.fetchFail(h.find(1, 0), a.Shuffle, 0, "b")
	h.after(delay)
	h.ok(h.find(0, 0))
	h.fetchFail(h.find(1, 0), a.Shuffle, 0, "b")
	if x := h.core.executor("b"); x.distrusted != h.core.outputs.epoch || h.tasks[late].Executor != "b" {
		t.Fatalf("b is distrusted since %d at epoch %d; the late attempt is on %s", x.distrusted, h.core.outputs.epoch, h.tasks[late].Executor)
	}
	h.ok(late)
	if got := h.core.outputs.missing(b.Shuffle); !slices.Equal(got, []int32{0}) {
		t.Fatalf("outputs %v are missing", got)
	}
	h.do(&ExecutorLost{Executor: "b", Reason: "gone"})
	if got := h.core.outputs.missing(b.Shuffle); len(got) != 2 {
		t.Fatalf("outputs %v alone are missing after the loss of their executor", got)
	}
	h.after(delay)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestDAG_028_NarrowParentDecidesTheLocation(t *testing.T) {
	h := newHarness(t, two(2))
	narrow := h.node(1)
	narrow.Preferred = func(int) []task.Location { return []task.Location{{Host: "hb"}} }
	d := h.shuffle(h.node(1), 1)
	r := h.node(1, d, narrow)
	h.submit(0, r)
	h.ok(0)
	s := h.core.stages[1]
	prefs, err := h.core.preferred(s, []int32{0})
	if err != nil || len(prefs[0]) != 1 || prefs[0][0].Host != "hb" {
		t.Fatalf("prefers %v, %v", prefs, err)
	}
	only := h.node(1, d)
	prefs, _ = h.core.preferred(&stage{node: only, job: s.job}, []int32{0})
	if prefs[0][0].Host != h.core.outputs.shuffles[0].statuses[0].Location.Host {
		t.Fatalf("without it, prefers %v", prefs)
	}
	h.finish()
	h.empty()
}

func TestDAG_030_LocationHookFails(t *testing.T) {
	h := newHarness(t, one(2))
	bad := h.node(2)
	bad.Preferred = func(int) []task.Location { panic("no such file") }
	h.submit(0, bad)
	h.failedWith(0, "no such file")
	h.submit(1, h.node(1))
	h.finish()
	h.succeeded(1, 1)
	h.empty()
}

func TestDAG_031_SecondJobAfterAnAbort(t *testing.T) {
	h := newHarness(t, one(2))
	_, r := mapReduce(h, 1, 1)
	for j := range id.Job(2) {
		h.submit(j, r)
		for i := 0; i < 50; i++ {
			if _, over := h.ends[j]; over {
				break
			}
			if len(h.order) == 0 {
				h.after(delay)
				continue
			}
			n := h.order[0]
			if h.tasks[n].Kind == task.ResultTask {
				h.fetchFail(n, 0, 0, "driver")
			} else {
				h.ok(n)
			}
		}
		h.failedWith(j, "4 attempts in a row")
	}
	h.empty()
}

func TestDAG_035_Diamond(t *testing.T) {
	h := newHarness(t, one(3))
	a := h.node(2)
	b := h.node(10, h.shuffle(a, 10))
	c := h.node(20, h.shuffle(a, 20))
	d := h.node(30, h.shuffle(b, 30), h.shuffle(c, 30))
	h.submit(0, d)
	for len(h.order) > 0 {
		n := h.order[0]
		for _, p := range h.core.stages[h.tasks[n].Stage].parents {
			if !h.core.outputs.complete(p.dep.Shuffle) {
				t.Fatalf("%v runs before stage %d is complete", h.tasks[n].TaskAttempt, p.id)
			}
		}
		h.ok(n)
	}
	h.succeeded(0, 30)
	h.empty()
}

// Rules of spark-semantics §12 without an ID of their own.
func TestDeepLineages(t *testing.T) {
	if testing.Short() {
		t.Skip("a hundred thousand nodes")
	}
	const deep = 100_000
	t.Run("narrow", func(t *testing.T) {
		h := newHarness(t, one(1))
		n := h.node(1)
		for range deep {
			n = h.node(1, n)
		}
		h.submit(0, n)
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	})
	t.Run("shuffles", func(t *testing.T) {
		h := newHarness(t, one(1))
		h.quiet, h.manual = true, true
		n := h.node(1)
		for range deep {
			n = h.node(1, h.shuffle(n, 1))
		}
		h.submit(0, n)
		// The whole chain was cut without recursion; the first stage runs.
		if got := len(h.core.stages); got != deep+1 {
			t.Fatalf("%d stages", got)
		}
		if len(h.requests) != 1 || h.requests[0].Stage != 0 {
			t.Fatalf("requests %v", h.requests)
		}
		h.do(&JobCancelled{Job: 0})
		h.manual = false
		h.makeBinary(h.requests[0], nil)
		h.empty()
	})
}

func TestStageErrorsHaveNoEvents(t *testing.T) {
	h := newHarness(t, one(1))
	h.submitSpec(0, JobSpec{Final: h.node(2), Partitions: []int32{2}})
	h.failedWith(0, "partition 2 is none of the 2")
	b := h.node(2)
	b.Barrier = true
	h.submitSpec(1, JobSpec{Final: b, Partitions: []int32{1}})
	if err := h.failedWith(1, "one barrier stage"); !errors.Is(err, ErrBarrierPattern) {
		t.Fatal(err)
	}
	if got := h.lines("event"); len(got) != 0 {
		t.Fatalf("events %q", got)
	}
	h.empty()
}

func TestTaskBinaryThatCannotBeMade(t *testing.T) {
	h := newHarness(t, one(1))
	h.manual = true
	h.submit(0, h.node(1))
	cause := errors.New("no codec")
	h.makeBinary(h.requests[0], cause)
	if err := h.failedWith(0, "no codec"); !errors.Is(err, cause) {
		t.Fatal(err)
	}
	// One that comes too late is dropped.
	h.submit(1, h.node(1))
	h.do(&JobCancelled{Job: 1})
	h.makeBinary(h.requests[1], nil)
	h.empty()
}

func TestCancel(t *testing.T) {
	for name, cancel := range map[string]Event{
		"group": &GroupCancelled{Group: "g", Reason: "why"},
		"tag":   &TagCancelled{Tag: "t2", Reason: "why"},
		"stage": &StageCancelled{Stage: 0, Reason: "why"},
		"job":   &JobCancelled{Job: 0, Reason: "why"},
		"all":   &AllCancelled{Reason: "why"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, one(2))
			h.submit(0, h.node(4), propGroup, "g", propTags, "t1,t2", propInterrupt, "true")
			h.submit(1, h.node(1), propGroup, "other", propTags, "t3")
			h.do(cancel)
			if err := h.failedWith(0, "cancelled: why"); !errors.Is(err, ErrCancelled) {
				t.Fatal(err)
			}
			kills := h.lines("kill")
			if len(kills) != 2 || !strings.Contains(kills[0], "interrupt=true") || !strings.Contains(kills[0], "why") {
				t.Fatalf("kills %q", kills)
			}
			h.diesAll()
			h.finish()
			if name == "all" {
				h.failedWith(1)
			} else {
				h.succeeded(1, 1)
			}
			h.empty()
		})
	}
	h := newHarness(t, one(2))
	h.do(&GroupCancelled{Group: "g", Future: true})
	h.submit(0, h.node(4), propGroup, "g")
	if err := h.failedWith(0, "group"); !errors.Is(err, ErrCancelled) || len(h.lines("event")) != 0 {
		t.Fatal(err, h.out)
	}
	h.empty()
}

// Where nothing else is said, the latest 1000 groups are remembered.
func TestCAN_008_AThousandGroups(t *testing.T) {
	h := newHarness(t, one(1))
	for i := range 1001 {
		h.do(&GroupCancelled{Group: fmt.Sprint(i), Future: true})
	}
	for j, group := range []string{"0", "1", "1000"} {
		h.submit(id.Job(j), h.node(1), propGroup, group)
		h.finish()
	}
	h.succeeded(0, 1)
	h.failedWith(1, "group")
	h.failedWith(2, "group")
	h.empty()
}

// JobEnd comes before the last result on success, after the caller is told on
// failure (§12.5).
func TestOrderOfJobEnd(t *testing.T) {
	cfg := one(1)
	cfg.MaxFailures = 1
	h := newHarness(t, cfg)
	h.submit(0, h.node(2))
	h.finish()
	end := slices.Index(h.out, `event JobEnd 0 ""`)
	last := slices.Index(h.out, "deliver job 0, result 1")
	if end < 0 || last < end {
		t.Fatalf("%q", h.out)
	}
	h.clear()
	h.submit(1, h.node(1))
	h.fail(h.order[0])
	if n := len(h.out); !strings.HasPrefix(h.out[n-2], "end job 1") || !strings.HasPrefix(h.out[n-1], "event JobEnd 1") {
		t.Fatalf("%q", h.out)
	}
	h.empty()
}

func TestFetchFailureCostsOneBlockThenTheExecutor(t *testing.T) {
	h := newHarness(t, one(4))
	_, r := mapReduce(h, 4, 1)
	h.submit(0, r)
	h.ok(0, 1, 2, 3)
	for attempt, want := range []string{"1 tasks", "4 tasks"} {
		h.fetchFail(h.find(1, 0), 0, 2, "driver")
		h.after(delay)
		got := h.lines(fmt.Sprintf("event StageSubmitted 0.%d", attempt+1))
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Fatalf("attempt %d of the map stage: %q, want %s", attempt+1, got, want)
		}
		for len(h.order) > 0 && h.tasks[h.order[0]].Stage == 0 {
			h.ok(h.order[0])
		}
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}
