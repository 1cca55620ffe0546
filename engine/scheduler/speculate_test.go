package scheduler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// speculating switches speculation on, with the defaults of its keys but for
// those given.
func speculating(t *testing.T, cfg Config, keys ...string) Config {
	t.Helper()
	values := pairs(append(keys, "speculation", "true"))
	set, warnings, err := conf.Parse(values)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	cfg.Speculation = set.Speculation
	return cfg
}

// marked returns the tasks that the core said it would copy.
func (h *harness) marked() []string {
	var list []string
	for _, l := range h.lines("event SpeculativeTaskSubmitted") {
		list = append(list, strings.Fields(l)[2])
	}
	return list
}

// finishFirst lets the first n tasks of stage 0 succeed after a time.
func (h *harness) finishFirst(n int, after time.Duration) {
	h.t.Helper()
	h.now += int64(after)
	for i := range int32(n) {
		h.ok(h.find(0, i))
	}
}

func TestSPC_001_SlowTaskIsMarked(t *testing.T) {
	h := newHarness(t, speculating(t, one(10)))
	if s := h.core.cfg.Speculation; s.Quantile != 0.9 || s.Multiplier != 3 || s.MinTaskRuntime != 100*time.Millisecond || s.Interval != 100*time.Millisecond {
		t.Fatalf("defaults %+v", s)
	}
	h.submit(0, h.node(10))
	h.finishFirst(9, 200*time.Millisecond)
	if got := h.lines("timer"); !slices.Equal(got, []string{"timer at 100ms"}) {
		t.Fatalf("%q", got)
	}
	for range 4 {
		h.after(100 * time.Millisecond)
	}
	if got := h.marked(); len(got) != 0 { // 600 ms: 3 medians
		t.Fatalf("not above 3 medians: marked %q", got)
	}
	h.after(time.Millisecond)
	if got := h.marked(); len(got) != 0 {
		t.Fatalf("between two checks: marked %q", got)
	}
	h.after(99 * time.Millisecond)
	if got := h.marked(); !slices.Equal(got, []string{"9"}) {
		t.Fatalf("above 3 medians: marked %q", got)
	}
	if d := h.tasks[h.find(0, 9)]; d.Number != 1 || !d.Speculative {
		t.Fatalf("second attempt %+v", d)
	}
	h.after(time.Second)
	if got := h.marked(); len(got) != 1 {
		t.Fatalf("while a copy runs: marked %q", got)
	}
	h.finish()
	h.succeeded(0, 10)
	h.empty()
}

func TestSPC_001_NotEnoughSucceeded(t *testing.T) {
	for n, enough := range map[int]int{2: 1, 5: 4, 10: 9, 11: 9, 20: 18, 100: 90} {
		h := newHarness(t, speculating(t, one(n)))
		h.submit(0, h.node(n))
		h.finishFirst(enough-1, time.Second)
		h.after(time.Minute)
		if got := h.marked(); len(got) != 0 {
			t.Fatalf("%d of %d succeeded: marked %q", enough-1, n, got)
		}
		h.ok(h.find(0, int32(enough-1)))
		h.after(4 * time.Minute)
		if got := h.marked(); len(got) != n-enough {
			t.Fatalf("%d of %d succeeded: marked %q", enough, n, got)
		}
		h.finish()
		h.succeeded(0, n)
		h.empty()
	}
}

func TestSPC_001_ShortTasksAreLetBe(t *testing.T) {
	h := newHarness(t, speculating(t, one(10)))
	h.submit(0, h.node(10))
	h.finishFirst(9, time.Millisecond)
	h.now = int64(100 * time.Millisecond)
	h.do(&TimerDue{})
	if got := h.marked(); len(got) != 0 {
		t.Fatalf("at the least run time: marked %q", got)
	}
	h.after(100 * time.Millisecond)
	if got := h.marked(); len(got) != 1 {
		t.Fatalf("above it: marked %q", got)
	}
	h.finish()
	h.empty()
}

// Off, it costs not even a timer.
func TestSPC_001_OffByDefault(t *testing.T) {
	h := newHarness(t, one(10))
	h.submit(0, h.node(10))
	h.finishFirst(9, time.Second)
	h.after(time.Hour)
	if got := h.marked(); len(got) != 0 || h.core.sets[0].spec != nil || len(h.lines("timer")) != 0 {
		t.Fatalf("marked %q; %q", got, h.lines("timer"))
	}
	h.finish()
	h.empty()
}

// twoHosts are executors a and b on one host, and c on another.
func twoHosts(slots int) Config {
	return Config{MaxFailures: 4, Executors: []ExecutorSpec{
		{ID: "a", Host: "h1", Slots: slots}, {ID: "b", Host: "h1", Slots: slots}, {ID: "c", Host: "h2", Slots: slots}}}
}

// slowOn runs a stage of two tasks, of which the second, on executor x, is
// slow, and returns that attempt.
func slowOn(h *harness, x id.Executor) id.Task {
	h.t.Helper()
	h.submit(0, prefer(h, "a@h1", string(x)+"@"+h.hostOf(x)))
	n := h.find(0, 1)
	if on := h.tasks[n].Executor; on != x {
		h.t.Fatalf("the slow task runs on %s", on)
	}
	h.finishFirst(1, time.Millisecond)
	h.after(time.Second)
	return n
}

func TestSPC_002_CopyGoesToAnotherHost(t *testing.T) {
	for seed := range uint64(20) { // the order of offers
		cfg := speculating(t, twoHosts(2))
		cfg.Seed = seed
		h := newHarness(t, cfg)
		first := slowOn(h, "b")
		second := h.find(0, 1)
		if second == first || h.tasks[second].Executor != "c" || h.tasks[second].Locality != task.AnyLocality {
			t.Fatalf("the copy runs as %+v", h.tasks[second])
		}
		h.finish()
		h.succeeded(0, 2)
		h.empty()
	}
}

func TestSPC_002_NoCopyWhereAnAttemptRan(t *testing.T) {
	h := newHarness(t, speculating(t, twoHosts(1)))
	h.submit(0, prefer(h, "a@h1", "c@h2"))
	first := h.find(0, 1)
	h.finishFirst(1, time.Millisecond)
	h.fail(first) // on h2; the next attempt finds c free again
	again := h.find(0, 1)
	if h.tasks[again].Executor != "c" {
		t.Fatalf("runs again on %s", h.tasks[again].Executor)
	}
	h.after(time.Second)
	if got := h.marked(); len(got) != 1 {
		t.Fatalf("marked %q", got)
	}
	second := h.find(0, 1)
	if second == again || h.hostOf(h.tasks[second].Executor) != "h1" {
		t.Fatalf("the copy runs as %+v", h.tasks[second])
	}
	h.fail(second) // now both hosts have seen it
	h.after(time.Second)
	if got := h.marked(); len(got) != 2 || len(h.tasks) != 1 {
		t.Fatalf("marked %q; %d run", got, len(h.tasks))
	}
	h.ok(again)
	h.succeeded(0, 2)
	h.empty()
}

// The copy keeps its task's preferences: a slot of the preferred executor
// takes it rather than another that is offered before.
func TestSPC_002_CopyKeepsPreferences(t *testing.T) {
	for seed := range uint64(20) {
		cfg := speculating(t, Config{MaxFailures: 4, Executors: []ExecutorSpec{
			{ID: "a", Host: "h1", Slots: 2}, {ID: "b", Host: "h2", Slots: 1}, {ID: "c", Host: "h3", Slots: 1}}})
		cfg.Seed = seed
		h := newHarness(t, cfg)
		n := h.node(2)
		n.Preferred = func(p int) []task.Location {
			if p == 0 {
				return []task.Location{{Host: "h1", Executor: "a"}}
			}
			return []task.Location{{Host: "h1", Executor: "a"}, {Host: "h3", Executor: "c"}}
		}
		h.do(&ExecutorAdded{ExecutorSpec{ID: "d", Host: "h1", Slots: 1}})
		h.submit(0, n)
		first := h.find(0, 1)
		h.finishFirst(1, time.Millisecond)
		h.after(time.Second)
		second := h.find(0, 1)
		want := id.Executor("c")
		if h.tasks[first].Executor == "c" {
			want = "a"
		}
		if d := h.tasks[second]; second == first || d.Executor != want || d.Locality != task.ProcessLocal {
			t.Fatalf("seed %d: the first runs on %s, the copy as %+v", seed, h.tasks[first].Executor, d)
		}
		h.finish()
		h.succeeded(0, 2)
		h.empty()
	}
}

// On one host, where Spark would make no copy, another executor is another
// place, and of one executor another slot.
func TestSPC_002_OneHost(t *testing.T) {
	h := newHarness(t, speculating(t, Config{MaxFailures: 4, Executors: []ExecutorSpec{
		{ID: "a", Host: "h", Slots: 2}, {ID: "b", Host: "h", Slots: 2}}}))
	first := slowOn(h, "a")
	if second := h.find(0, 1); second == first || h.tasks[second].Executor != "b" {
		t.Fatalf("the copy runs as %+v", h.tasks[second])
	}
	h.finish()
	h.empty()

	h = newHarness(t, speculating(t, Config{MaxFailures: 4, Executors: []ExecutorSpec{{ID: "a", Host: "h", Slots: 2}}}))
	first = slowOn(h, "a")
	if second := h.find(0, 1); second == first || h.tasks[second].Executor != "a" {
		t.Fatalf("the copy runs as %+v", h.tasks[second])
	}
	h.finish()
	h.succeeded(0, 2)
	h.empty()
}

func TestSPC_003_DurationThreshold(t *testing.T) {
	for _, c := range []struct {
		name   string
		keys   []string
		slots  int
		marked int
	}{
		{"threshold", []string{"speculation.task.duration.threshold", "60min"}, 2, 2},
		{"no threshold", nil, 2, 0},
		{"fewer slots than tasks", []string{"speculation.task.duration.threshold", "60min"}, 1, 0},
	} {
		h := newHarness(t, speculating(t, two(c.slots), c.keys...))
		h.submit(0, h.node(2))
		h.after(time.Hour)
		if got := h.marked(); len(got) != 0 {
			t.Fatalf("%s, at 60 min: marked %q", c.name, got)
		}
		h.after(time.Second)
		if got := h.marked(); len(got) != c.marked {
			t.Fatalf("%s, a second later: marked %q", c.name, got)
		}
		h.finish()
		h.succeeded(0, 2)
		h.empty()
	}
}

func TestSPC_004_OneTaskAlone(t *testing.T) {
	for keys, marked := range map[string]int{"": 0, "15s": 1} {
		var set []string
		if keys != "" {
			set = []string{"speculation.task.duration.threshold", keys}
		}
		h := newHarness(t, speculating(t, one(2), set...))
		h.submit(0, h.node(1))
		h.after(20 * time.Second)
		if got := h.marked(); len(got) != marked {
			t.Fatalf("threshold %q: marked %q", keys, got)
		}
		h.finish()
		h.succeeded(0, 1)
		h.empty()
	}
}

func TestSPC_005_EfficientTaskIsLetBe(t *testing.T) {
	for _, c := range []struct {
		name   string
		keys   []string
		rate   int64 // of 100 records a second
		after  time.Duration
		marked int
	}{
		{"below 0.8 of the rate", []string{"speculation.efficiency.processRateMultiplier", "0.8"}, 60, 20 * time.Second, 1},
		{"above 0.5 of the rate", []string{"speculation.efficiency.processRateMultiplier", "0.5"}, 60, 20 * time.Second, 0},
		{"but far too long", []string{"speculation.efficiency.processRateMultiplier", "0.5", "speculation.efficiency.longRunTaskFactor", "1.2"}, 60, 20 * time.Second, 1},
		{"default, below 0.75", nil, 74, 20 * time.Second, 1},
		{"default, above 0.75", nil, 76, 20 * time.Second, 0},
		{"default, twice the limit", nil, 76, 30 * time.Second, 0},
		{"default, above twice the limit", nil, 76, 30*time.Second + 1, 1},
		{"no rate is known", nil, 0, 20 * time.Second, 1},
		{"not looked at", []string{"speculation.efficiency.enabled", "false"}, 100, 20 * time.Second, 1},
	} {
		h := newHarness(t, speculating(t, one(4), append(c.keys, "speculation.minTaskRuntime", "15s", "speculation.quantile", "0.5")...))
		h.submit(0, h.node(4))
		h.now = int64(time.Second)
		for i := range int32(3) {
			n := h.find(0, i)
			h.gone(n)
			e := &TaskStatus{Status: task.Status{Task: n, Executor: "driver", State: task.Finished, Route: task.RouteDirect, Size: 1}}
			e.Result.Value = []byte("v")
			e.Result.Metrics[task.ExecutorRunTime] = int64(time.Second)
			e.Result.Metrics[task.InputRecordsRead], e.Result.Metrics[task.ShuffleRecordsRead] = 40, 60
			h.do(e)
		}
		slow := h.find(0, 3)
		h.now = int64(10 * time.Second)
		h.do(&Heartbeat{Executor: "driver", Progress: []Progress{
			{Task: slow, Records: 10 * c.rate, RunTime: int64(10 * time.Second)}, {Task: 1000, Records: 1, RunTime: 1}}})
		h.now = int64(c.after)
		h.do(&TimerDue{})
		if got := h.marked(); len(got) != c.marked {
			t.Errorf("%s: marked %q, want %d", c.name, got, c.marked)
		}
		h.finish()
		h.succeeded(0, 4)
		h.empty()
	}
}

func TestSPC_006_MedianRuleStillHolds(t *testing.T) {
	h := newHarness(t, speculating(t, one(10), "speculation.task.duration.threshold", "60min"))
	h.submit(0, h.node(10))
	h.finishFirst(9, time.Second)
	h.after(2*time.Second + 1)
	if got := h.marked(); !slices.Equal(got, []string{"9"}) {
		t.Fatalf("marked %q", got)
	}
	h.finish()
	h.succeeded(0, 10)
	h.empty()
}

// The first success counts, whoever's it is; the other attempt is told so,
// and where it says that it succeeded too, it is taken as killed.
func TestSPC_002_FirstSuccessWins(t *testing.T) {
	for _, copyWins := range []bool{true, false} {
		for _, loserSucceeds := range []bool{true, false} {
			h := newHarness(t, speculating(t, one(2)))
			first := slowOn(h, "driver")
			second := h.find(0, 1)
			winner, loser := first, second
			if copyWins {
				winner, loser = second, first
			}
			if ask := h.commits(winner); !ask {
				t.Fatal("the first to ask may not commit")
			}
			if ask := h.commits(loser); ask {
				t.Fatal("both may commit")
			}
			h.ok(winner)
			h.succeeded(0, 2)
			if got := h.lines("kill"); !strings.HasSuffix(got[0], "interrupt=true: another attempt succeeded") {
				t.Fatalf("kills %q", got)
			}
			if loserSucceeds {
				h.ok(loser)
			} else {
				h.dies(loser)
			}
			if e := h.infos[loser]; e.Reason != task.TaskKilled || !e.Info.Killed || e.Info.Speculative == copyWins {
				t.Fatalf("the loser ended as %+v", e)
			}
			if e := h.infos[winner]; e.Reason != task.Success || e.Info.Speculative != copyWins {
				t.Fatalf("the winner ended as %+v", e)
			}
			h.empty()
		}
	}
}

// commits asks whether an attempt may commit its output.
func (h *harness) commits(n id.Task) bool {
	h.t.Helper()
	d := h.launched(n)
	h.do(&CommitAsked{Stage: d.StageAttempt, Partition: d.Partition, Attempt: d.Number})
	return h.answers[len(h.answers)-1].OK
}

// A task whose attempt ends while it is marked starts anew, not as a copy.
func TestSPC_002_MarkEndsWithTheAttempt(t *testing.T) {
	h := newHarness(t, speculating(t, one(2), "speculation.quantile", "0.3"))
	h.submit(0, h.node(3))
	h.finishFirst(1, time.Millisecond)
	h.after(time.Second) // both that run are slow, and no slot is free
	if got := h.marked(); len(got) != 2 {
		t.Fatalf("marked %q", got)
	}
	n := h.find(0, 1)
	h.fail(n)
	d := h.tasks[h.find(0, 1)]
	if d.Speculative || d.Number != 1 {
		t.Fatalf("it starts anew as %+v", d)
	}
	h.ok(h.find(0, 1)) // its slot is for the copy of the other
	if d := h.tasks[h.find(0, 2)]; !d.Speculative {
		t.Fatalf("copy %+v", d)
	}
	h.finish()
	h.succeeded(0, 3)
	h.empty()
}
