package scheduler

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func chained(slots, chain int) Config {
	cfg := one(slots)
	cfg.Chain = chain
	return cfg
}

// okAt reports the success of attempts that ran from one moment to the next.
func (h *harness) okAt(n id.Task, start, end int64) {
	h.t.Helper()
	d := h.gone(n)
	e := &TaskStatus{Status: task.Status{Task: n, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect,
		Stamps: task.Stamps{Start: start, RunStart: start, RunEnd: end, EncodeEnd: end, End: end}}, Bytes: 100}
	e.Result.Value = h.value(d)
	e.Status.Size = int64(len(e.Result.Value)) + 50
	h.do(e)
}

// then returns the attempts that follow one.
func (h *harness) then(n id.Task) (chain []id.Task) {
	for _, o := range h.order {
		if before, ok := h.before[o]; ok && before == n {
			chain, n = append(chain, o), o
		}
	}
	return chain
}

func TestShortTasksFollowOneAnother(t *testing.T) {
	h := newHarness(t, chained(2, 3))
	h.submit(0, h.node(100))
	if len(h.order) != 2 {
		t.Fatalf("nothing is known of the tasks yet, but launched are %v", h.order)
	}
	h.now = 10
	h.okAt(0, 1, 9)
	if got := h.then(2); !slices.Equal(got, []id.Task{3, 4, 5}) {
		t.Fatalf("2 is followed by %v\n%s", got, strings.Join(h.out, "\n"))
	}
	if len(h.lines("event TaskStart")) != 3 {
		t.Fatalf("attempts that wait have started:\n%s", strings.Join(h.out, "\n"))
	}
	h.now = 50
	h.clear()
	h.running(2)
	h.okAt(2, 12, 20)
	h.running(3)
	h.okAt(3, 21, 30)
	if end := h.infos[2].Info; end.Launch != 10 || end.Finish != 20 {
		t.Errorf("attempt 2 lasted from %d to %d: its slot went on at its end, 20", end.Launch, end.Finish)
	}
	if end := h.infos[3].Info; end.Launch != 20 || end.Finish != 30 || end.Index != 3 || end.Number != 0 {
		t.Errorf("attempt 3 lasted from %d to %d", end.Launch, end.Finish)
	}
	want := []string{"event TaskEnd 2", "deliver", "event TaskStart 3", "event TaskEnd 3", "deliver"}
	if len(h.out) != len(want) {
		t.Fatalf("got:\n%s", strings.Join(h.out, "\n"))
	}
	for i, line := range h.out {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d is %q, want %q", i, line, want[i])
		}
	}
	if h.infos[3].StatusBytes != [3]int32{h.infos[3].StatusBytes[0], 40, 100} {
		t.Errorf("messages of %v bytes", h.infos[3].StatusBytes)
	}
	h.finish()
	h.succeeded(0, 100)
	h.empty()
}

// Launched at once are only those that the slot would have got one by one.
func TestNoChains(t *testing.T) {
	first := func(h *harness) { h.okAt(h.order[0], h.now-1, h.now) }
	for name, run := range map[string]func(t *testing.T) *harness{
		"few tasks": func(t *testing.T) *harness {
			h := newHarness(t, chained(2, 3))
			h.submit(0, h.node(9))
			first(h)
			return h
		},
		"two jobs": func(t *testing.T) *harness {
			h := newHarness(t, chained(2, 3))
			h.submit(0, h.node(100))
			h.submit(1, h.node(100))
			first(h)
			return h
		},
		"long tasks": func(t *testing.T) *harness {
			h := newHarness(t, chained(2, 3))
			h.submit(0, h.node(100))
			h.now += int64(time.Millisecond)
			first(h)
			return h
		},
		"large results": func(t *testing.T) *harness {
			h := newHarness(t, chained(2, 3))
			h.submit(0, h.node(100))
			d := h.gone(h.order[0])
			e := &TaskStatus{Status: task.Status{Task: d.Task, Executor: d.Executor, State: task.Finished, Route: task.RouteDirect, Size: 1 << 20}}
			h.do(e)
			return h
		},
		"tasks with places": func(t *testing.T) *harness {
			h := newHarness(t, chained(2, 3))
			n := h.node(100)
			n.Preferred = func(int) []task.Location { return []task.Location{{Host: "h"}} }
			h.submit(0, n)
			first(h)
			return h
		},
		"switched off": func(t *testing.T) *harness {
			h := newHarness(t, one(2))
			h.submit(0, h.node(100))
			first(h)
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := run(t)
			if len(h.before) > 0 {
				t.Errorf("attempts follow others:\n%s", strings.Join(h.out, "\n"))
			}
			h.finish()
			h.empty()
		})
	}
}

func TestWhatFollowsIsCalledBack(t *testing.T) {
	start := func(t *testing.T) *harness { // attempt 2 runs, 3, 4 and 5 follow; 1 runs
		h := newHarness(t, chained(2, 3))
		h.submit(0, h.node(100))
		h.okAt(0, 0, 0)
		if got := h.then(2); len(got) != 3 {
			t.Fatalf("2 is followed by %v", got)
		}
		h.clear()
		return h
	}
	expect := func(t *testing.T, h *harness, back string) {
		t.Helper()
		if lines := h.lines("recalled"); !slices.Contains(lines, "recalled "+back) {
			t.Errorf("called back: %v, want %s\n%s", lines, back, strings.Join(h.out, "\n"))
		}
		for _, n := range []string{"3", "4", "5"} {
			if strings.Contains(back, n) && len(h.lines("event TaskStart "+n)) > 0 {
				t.Errorf("attempt %s started", n)
			}
		}
	}
	t.Run("a job comes", func(t *testing.T) {
		h := start(t)
		h.submit(1, h.node(3))
		expect(t, h, "[3 4 5]")
		h.okAt(2, 0, 0) // its slot goes to the first of what came back, in its order
		if lines := h.lines("launch"); len(lines) != 1 || !strings.Contains(lines[0], ": 3.0 of 0.0") {
			t.Errorf("launched: %v", lines)
		}
		h.finish()
		h.succeeded(0, 100)
		h.succeeded(1, 3)
		h.empty()
	})
	t.Run("the job is cancelled", func(t *testing.T) {
		h := start(t)
		h.do(&JobCancelled{Job: 0, Reason: "enough"})
		expect(t, h, "[3 4 5]")
		h.diesAll()
		h.failedWith(0, "enough")
		h.empty()
	})
	t.Run("an attempt fails", func(t *testing.T) {
		h := start(t)
		h.okAt(2, 0, 0)
		h.fail(3)
		expect(t, h, "[5]") // 4 follows 3, which has ended
		h.finish()
		h.succeeded(0, 100)
		h.empty()
	})
	t.Run("time passes", func(t *testing.T) {
		h := start(t)
		h.after(time.Duration(chainLook))
		expect(t, h, "[3 4 5]")
		h.finish()
		h.succeeded(0, 100)
		h.empty()
	})
	t.Run("a slot has nothing to do", func(t *testing.T) {
		h := newHarness(t, chained(2, 3))
		h.submit(0, h.node(12))
		h.okAt(0, 0, 0)
		chain := h.then(2)
		if len(chain) != 1 {
			t.Fatalf("2 is followed by %v", chain)
		}
		for len(h.lines("recalled")) == 0 { // the other slot does all the rest
			i := slices.IndexFunc(h.order, func(n id.Task) bool { return n != 2 && h.before[n] != 2 })
			h.okAt(h.order[i], 0, 0)
		}
		if lines := h.lines("recalled"); lines[0] != "recalled [3]" {
			t.Errorf("called back: %v", lines)
		}
		h.finish()
		h.succeeded(0, 12)
		h.empty()
	})
	t.Run("the executor is lost", func(t *testing.T) {
		h := start(t)
		h.do(&ExecutorLost{Executor: "driver", Reason: "gone"})
		expect(t, h, "[3 4 5]")
	})
}

// An attempt may have begun although the core does not know yet.
func TestWhatHasBegunIsNotCalledBack(t *testing.T) {
	h := newHarness(t, chained(2, 3))
	h.submit(0, h.node(100))
	h.okAt(0, 0, 0)
	// The worker has ended 2 and begun 3; its messages are on their way.
	h.core.Handle(h.now, &Recalled{Tasks: []id.Task{4, 5}})
	for _, n := range []id.Task{4, 5} {
		h.gone(n)
		delete(h.before, n)
	}
	if err := h.core.Check(); err != nil {
		t.Fatal(err)
	}
	h.okAt(2, 0, 0)
	h.running(3)
	if len(h.lines("event TaskStart 3")) != 1 {
		t.Errorf("attempt 3 did not start:\n%s", strings.Join(h.out, "\n"))
	}
	h.okAt(3, 0, 0)
	h.finish()
	h.succeeded(0, 100)
	h.empty()
}

// One attempt that lost its processor changes little; a change that stays is
// followed within as many attempts as it is times larger, or so.
func TestPaceOutlivesAnOutlier(t *testing.T) {
	var p pace
	note := func(took int64, times int) int64 {
		for range times {
			var a attempt
			a.info.Launch, a.info.Finish = 1000, 1000+took
			p.note(&a)
		}
		return p.mean
	}
	const usual = 8000
	if got := note(usual, 10); got != usual {
		t.Errorf("of attempts that take %d the mean is %d", usual, got)
	}
	if got := note(int64(time.Second), 1); got > usual*5/4+1 {
		t.Errorf("after one of a second it is %d", got)
	}
	if got := note(usual, 10); got > usual*11/10 {
		t.Errorf("ten later it is %d", got)
	}
	if got := note(20*usual, 20); got < 15*usual || got > 20*usual {
		t.Errorf("after 20 that take 20 times as long it is %d", got)
	}
	if got := note(1, 80); got > 20 {
		t.Errorf("after 80 that take nothing it is %d", got)
	}
	if got := note(usual, 40); got < usual/2 {
		t.Errorf("and after 40 of the first kind %d", got)
	}
}
