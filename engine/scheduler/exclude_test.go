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
)

// excluding switches exclusion on, with the defaults of its keys but for
// those given.
func excluding(t *testing.T, cfg Config, keys ...string) Config {
	t.Helper()
	set, warnings, err := conf.Parse(pairs(append(keys, "excludeOnFailure.enabled", "true", "task.maxFailures", fmt.Sprint(cfg.MaxFailures))))
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	cfg.Exclusion = set.Exclusion
	return cfg
}

// executors describes executors as "ID@HOST:SLOTS".
func executors(list ...string) Config {
	cfg := Config{MaxFailures: 4}
	for _, x := range list {
		n, at, _ := strings.Cut(x, "@")
		host, slots, _ := strings.Cut(at, ":")
		cfg.Executors = append(cfg.Executors, ExecutorSpec{ID: id.Executor(n), Host: host, Slots: int(slots[0] - '0')})
	}
	return cfg
}

// failOn lets the attempt of a task fail, which must run on an executor.
func (h *harness) failOn(s id.Stage, index int32, x id.Executor) {
	h.t.Helper()
	n := h.find(s, index)
	if on := h.tasks[n].Executor; on != x {
		h.t.Fatalf("task %d of stage %d runs on %s, not on %s", index, s, on, x)
	}
	h.fail(n)
}

// on returns the executors on which a task's attempts were launched, in order.
func (h *harness) on(s id.Stage, index int32) (list []string) {
	for _, l := range h.lines("launch") {
		f := strings.Fields(l)
		if strings.HasPrefix(f[2], fmt.Sprintf("%d.", index)) && f[4] == fmt.Sprintf("%d.0,", s) {
			list = append(list, strings.TrimSuffix(f[8], ","))
		}
	}
	return list
}

func TestHLT_001_TaskAvoidsTheExecutor(t *testing.T) {
	h := newHarness(t, excluding(t, executors("a@ha:2", "b@hb:1")))
	h.submit(0, prefer(h, "a@ha", "a@ha", "b@hb"))
	h.failOn(0, 0, "a") // b is taken, a is free
	if got := h.on(0, 0); len(got) != 1 {
		t.Fatalf("it was launched on %q", got)
	}
	if got := h.lines("event Excluded"); len(got) != 0 {
		t.Fatalf("after one failure: %q", got)
	}
	h.ok(h.find(0, 2))
	h.after(time.Minute) // the wait for its place is over
	if got := h.on(0, 0); fmt.Sprint(got) != "[a b]" {
		t.Fatalf("it was launched on %q", got)
	}
	h.finish()
	h.succeeded(0, 3)
	h.empty()
}

func TestHLT_001_TaskAvoidsTheHost(t *testing.T) {
	h := newHarness(t, excluding(t, executors("a@h1:1", "b@h1:1", "c@h1:1")))
	h.submit(0, prefer(h, "a@h1"))
	h.failOn(0, 0, "a")
	n := h.find(0, 0)
	h.failOn(0, 0, h.tasks[n].Executor) // twice on the host: c is out too
	if got := h.on(0, 0); len(got) != 2 {
		t.Fatalf("it was launched on %q", got)
	}
	h.do(&ExecutorAdded{ExecutorSpec{ID: "d", Host: "h2", Slots: 1}})
	if got := h.on(0, 0); len(got) != 3 || got[2] != "d" {
		t.Fatalf("it was launched on %q", got)
	}
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestHLT_001_StageAvoidsExecutorAndHost(t *testing.T) {
	h := newHarness(t, excluding(t, executors("a@h1:2", "b@h1:2", "c@h1:1", "d@h2:2")))
	h.submit(0, prefer(h, "a@h1", "a@h1", "b@h1", "b@h1", "c@h1", "d@h2", "d@h2"))
	h.failOn(0, 0, "a")
	h.failOn(0, 1, "a")
	if got := h.lines("event Excluded"); len(got) != 1 || got[0] != "event Excluded a of h1 for stage=true 0.0 after 2" {
		t.Fatalf("%q", got)
	}
	h.failOn(0, 2, "b")
	if got := h.lines("event Excluded"); len(got) != 1 {
		t.Fatalf("one task failed on b: %q", got)
	}
	h.failOn(0, 3, "b")
	if got := h.lines("event Excluded"); len(got) != 3 || got[1] != "event Excluded b of h1 for stage=true 0.0 after 2" ||
		got[2] != "event Excluded  of h1 for stage=true 0.0 after 2" {
		t.Fatalf("%q", got)
	}
	h.ok(h.find(0, 4)) // c is free, and on the host
	h.clear()
	h.after(time.Minute)
	if got := h.lines("launch"); len(got) != 0 {
		t.Fatalf("launched while d is taken: %q", got)
	}
	h.ok(h.find(0, 5), h.find(0, 6))
	if got := h.lines("launch"); len(got) != 2 {
		t.Fatalf("%q", got)
	}
	h.finish()
	for _, l := range h.lines("launch") {
		if !strings.Contains(l, "on d,") {
			t.Errorf("%s", l)
		}
	}
	h.succeeded(0, 7)
	h.empty()
}

func TestHLT_002_AbortedAtOnceWithoutIdleExecutor(t *testing.T) {
	h := newHarness(t, excluding(t, one(2)))
	h.submit(0, h.node(2))
	h.failOn(0, 0, "driver") // the other task runs there
	err := h.failedWith(0, "can run nowhere", "spark.excludeOnFailure", "boom")
	var te *TaskError
	if !errors.As(err, &te) || te.Index != 0 {
		t.Fatalf("cause %v", te)
	}
	h.diesAll()
	h.empty()
}

func TestHLT_002_AbortTimer(t *testing.T) {
	h := newHarness(t, excluding(t, one(1)))
	h.submit(0, h.node(1))
	h.failOn(0, 0, "driver")
	if got := h.lines("timer"); len(got) != 1 || got[0] != "timer at 2m0s" {
		t.Fatalf("%q", got)
	}
	h.after(120*time.Second - 1)
	h.active(0)
	h.submit(1, h.node(1)) // launched: there is hope for all
	h.after(1)
	h.active(0)
	h.ok(h.find(1, 0))
	h.succeeded(1, 1)
	if got := h.lines("timer"); got[len(got)-1] != "timer at 4m0s" {
		t.Fatalf("%q", got)
	}
	h.after(120 * time.Second)
	h.failedWith(0, "can run nowhere", "boom")
	h.empty()

	h = newHarness(t, excluding(t, one(1))) // an executor comes in time
	h.submit(0, h.node(1))
	h.failOn(0, 0, "driver")
	h.do(&ExecutorAdded{ExecutorSpec{ID: "b", Host: "hb", Slots: 1}})
	h.after(121 * time.Second)
	h.finish()
	h.succeeded(0, 1)
	h.empty()
}

func TestHLT_003_ExclusionIsThereWhenTheTaskIsBack(t *testing.T) {
	for seed := range uint64(20) { // the order of offers
		cfg := excluding(t, executors("a@ha:1", "b@hb:1"))
		cfg.Seed = seed
		h := newHarness(t, cfg)
		h.submit(0, h.node(1))
		first := h.tasks[h.find(0, 0)].Executor
		h.fail(h.find(0, 0)) // both are free in the step that puts it back
		if on := h.tasks[h.find(0, 0)].Executor; on == first {
			t.Fatalf("seed %d: it runs on %s again", seed, on)
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

// failOnce runs a job of one task, which fails on a and ends well on b.
func failOnce(h *harness, j id.Job) {
	h.t.Helper()
	h.submit(j, prefer(h, "a@ha"))
	h.failOn(id.Stage(j), 0, "a")
	h.after(time.Second) // past the wait for its place
	if on := h.tasks[h.find(id.Stage(j), 0)].Executor; on != "b" {
		h.t.Fatalf("it runs on %s", on)
	}
	h.finish()
	h.succeeded(j, 1)
}

func TestHLT_004_ExcludedForTheApplication(t *testing.T) {
	const timeout = time.Hour
	h := newHarness(t, excluding(t, executors("a@ha:1", "b@hb:1")))
	failOnce(h, 0)
	if got := h.lines("event Excluded"); len(got) != 0 {
		t.Fatalf("after one failure: %q", got)
	}
	failOnce(h, 1)
	since := time.Duration(h.now)
	if got := h.lines("event Excluded"); len(got) != 1 || got[0] != "event Excluded a of ha for stage=false 0.0 after 2" {
		t.Fatalf("after two: %q", got)
	}
	h.clear()
	h.submit(2, prefer(h, "a@ha", "a@ha"))
	h.now = int64(since + timeout)
	h.do(&TimerDue{})
	if got := h.on(2, 0); len(h.order) != 1 || fmt.Sprint(got) != "[b]" {
		t.Fatalf("while a is excluded: %q", h.lines("launch"))
	}
	h.after(1)
	if got := h.lines("event Unexcluded"); len(got) != 1 || got[0] != "event Unexcluded a of ha" {
		t.Fatalf("after the timeout: %q", got)
	}
	if got := h.on(2, 1); fmt.Sprint(got) != "[a]" {
		t.Fatalf("it runs on %q", got)
	}
	h.finish()
	h.succeeded(2, 2)
	failOnce(h, 3) // the count begins anew
	if got := h.lines("event Excluded"); len(got) != 0 {
		t.Fatalf("one failure after the timeout: %q", got)
	}
	failOnce(h, 4)
	if got := h.lines("event Excluded"); len(got) != 1 {
		t.Fatalf("two failures after the timeout: %q", got)
	}
	h.after(timeout + 1)
	h.empty()
}

func TestHLT_004_FailuresThatDoNotCount(t *testing.T) {
	h := newHarness(t, excluding(t, executors("a@ha:1", "b@hb:1")))
	failOnce(h, 0)
	h.after(time.Hour + 1) // too far apart
	failOnce(h, 1)
	h.submit(2, prefer(h, "a@ha")) // of a set that is aborted
	h.failOn(2, 0, "a")
	h.do(&JobCancelled{Job: 2})
	h.diesAll()
	if got := h.lines("event Excluded"); len(got) != 0 {
		t.Fatalf("%q", got)
	}
	failOnce(h, 3)
	if got := h.lines("event Excluded"); len(got) != 1 {
		t.Fatalf("with another within the hour: %q", got)
	}
	h.empty()
}

func TestHLT_004_HostOfTwoExcludedExecutors(t *testing.T) {
	h := newHarness(t, excluding(t, executors("a@h1:2", "b@h1:2", "c@h1:1", "d@h2:4"), "excludeOnFailure.taskAndStage.enabled", "false"))
	h.submit(0, prefer(h, "a@h1", "a@h1", "b@h1", "b@h1"))
	for i, x := range []id.Executor{"a", "a", "b", "b"} {
		h.failOn(0, int32(i), x)
	}
	h.finish()
	h.succeeded(0, 4)
	if got := h.lines("event Excluded"); len(got) != 3 || got[2] != "event Excluded  of h1 for stage=false 0.0 after 2" {
		t.Fatalf("%q", got)
	}
	h.clear()
	h.submit(1, prefer(h, "c@h1"))
	h.after(time.Minute)
	if got := h.on(1, 0); fmt.Sprint(got) != "[d]" {
		t.Fatalf("%q", h.lines("launch"))
	}
	h.finish()
	h.after(time.Hour)
	if got := h.lines("event Unexcluded"); len(got) != 3 || h.core.lift != 0 || len(h.core.hosts) != 0 {
		t.Fatalf("%q, the next at %v", got, h.core.lift)
	}
	h.empty()
}

func TestHLT_005_CostOfOffers(t *testing.T) {
	for what, list := range map[string][]string{
		"executor": {"a@h1:2", "b@h3:2", "c@h2:2"}, "host": {"a@h1:2", "b@h1:2", "c@h2:2"}} {
		for seed := range uint64(10) {
			cfg := excluding(t, executors(list...))
			cfg.Seed = seed
			h := newHarness(t, cfg)
			h.quiet = true
			h.submit(0, h.node(500))
			ts := h.core.sets[0]
			for _, n := range slices.Clone(h.order) {
				if x := h.tasks[n].Executor; x == "a" || x == "b" && what == "host" {
					h.fail(n)
				}
			}
			health := ts.health
			if !health.on(h.core.executor("a")).excluded || health.hosts["h1"] != (what == "host") {
				t.Fatalf("%s is not excluded", what)
			}
			check := func(when string) {
				t.Helper()
				const cores = 6
				if got := health.wholeChecks; got < 3 || got > cores+len(ts.levels) {
					t.Errorf("%s, %s: %d checks of executors and hosts for %d cores and %d levels", what, when, got, cores, len(ts.levels))
				}
				if health.taskChecks != 0 {
					t.Errorf("%s, %s: %d checks of tasks", what, when, health.taskChecks)
				}
				health.wholeChecks, health.taskChecks = 0, 0
			}
			health.wholeChecks, health.taskChecks = 0, 0
			h.running(h.order[0])
			h.core.offers = true // of the excluded alone: the other slots are taken
			h.running(h.order[0])
			check("nothing launched")
			h.ok(h.order[0])
			check("one launched")
			h.do(&ExecutorAdded{ExecutorSpec{ID: "d", Host: "h4", Slots: 4}})
			if len(h.order) < 6 {
				t.Fatalf("%d run", len(h.order))
			}
			h.do(&AllCancelled{})
			h.diesAll()
			h.empty()
		}
	}
}
