package scheduler

import (
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// beat returns what a heartbeat is answered.
func (h *harness) beat(x id.Executor) (ok bool) {
	h.t.Helper()
	h.do(&Heartbeat{Executor: x, Token: 7})
	a := h.answers[len(h.answers)-1]
	if a.Token != 7 {
		h.t.Fatalf("answer to %d", a.Token)
	}
	return a.OK
}

func TestSCH_011_UnknownExecutorIsToComeAgain(t *testing.T) {
	h := newHarness(t, two(1))
	if !h.beat("a") || !h.beat("b") {
		t.Fatal("an executor that is known is to come again")
	}
	if h.beat("c") {
		t.Fatal("an unknown executor is not to come again")
	}
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	if h.beat("a") {
		t.Fatal("an executor that was removed is not to come again")
	}
	h.do(&ExecutorAdded{ExecutorSpec{ID: "a", Host: "ha", Slots: 1}})
	if !h.beat("a") {
		t.Fatal("an executor that came again is not known")
	}
	h.do(&ExecutorLost{Executor: "a", Reason: "gone"})
	h.do(&AllCancelled{Final: true})
	if !h.beat("a") || !h.beat("c") {
		t.Fatal("an executor is to come again to a driver that closes")
	}
	h.empty()
}

func TestSCH_012_SilentExecutorIsLost(t *testing.T) {
	const timeout = 120 * time.Second
	cfg := two(2)
	cfg.HeartbeatTimeout = timeout
	h := newHarness(t, cfg)
	h.submit(0, h.node(4))
	on := map[id.Executor][]id.Task{}
	for _, n := range h.order {
		on[h.tasks[n].Executor] = append(on[h.tasks[n].Executor], n)
	}
	h.after(timeout / 2)
	if !h.beat("a") {
		t.Fatal("a is not known")
	}
	h.after(timeout/2 - 1)
	h.after(1) // b has been silent for the timeout, and not for longer
	if got := h.lines("event ExecutorRemoved"); len(got) != 0 {
		t.Fatalf("after the timeout: %q", got)
	}
	h.clear()
	h.running(on["b"][0])
	h.running(on["b"][1])
	for _, n := range on["b"] {
		h.gone(n)
	}
	h.after(1)
	if got := h.lines("event ExecutorRemoved"); len(got) != 1 || !strings.Contains(got[0], "b") {
		t.Fatalf("removed: %q", got)
	}
	if got := h.lines("drop"); len(got) != 1 || !strings.Contains(got[0], "b") || !strings.Contains(got[0], "spark.network.timeout") {
		t.Fatalf("the backend is told %q", got)
	}
	for _, n := range on["b"] {
		e := h.infos[n]
		if e.Reason != task.ExecutorLostFailure || !e.Info.Failed || h.core.sets[0].fails[e.Info.Index] != 1 {
			t.Errorf("attempt %d ended with %v, which counts as %d failures", n, e.Reason, h.core.sets[0].fails[e.Info.Index])
		}
	}
	h.after(timeout/2 - 1) // a has been silent for just the timeout
	if got := h.lines("event ExecutorRemoved"); len(got) != 1 {
		t.Fatalf("removed: %q", got)
	}
	if h.beat("b") {
		t.Error("b is not to come again")
	}
	if !h.beat("a") {
		t.Error("a is not known any more")
	}
	h.finish()
	h.succeeded(0, 4)
	for range 3 { // looks, as asked for
		if h.core.silence > h.now {
			h.now = h.core.silence
			h.do(&TimerDue{})
		}
	}
	if h.core.anyExecutor() || h.core.silence != 0 || h.now != int64(timeout/2*5+1) {
		t.Errorf("at %v: is a alive %v; the next look at %v", time.Duration(h.now), h.core.anyExecutor(), time.Duration(h.core.silence))
	}
	h.empty()
}

// A driver that stood still hears first what executors say now.
func TestSCH_012_DriverThatStoodStill(t *testing.T) {
	const timeout = 120 * time.Second
	cfg := two(1)
	cfg.HeartbeatTimeout = timeout
	h := newHarness(t, cfg)
	h.after(time.Second)
	h.beat("a")
	h.after(time.Hour)
	if got := h.lines("event ExecutorRemoved"); len(got) != 0 {
		t.Fatalf("removed: %q", got)
	}
	h.beat("a")
	h.now = h.core.silence
	h.do(&TimerDue{})
	if got := h.lines("event ExecutorRemoved"); len(got) != 1 || !strings.Contains(got[0], "b") {
		t.Fatalf("removed: %q", got)
	}
	h.empty()
}
