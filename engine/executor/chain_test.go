package executor_test

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// chain describes tasks with the given bodies, to be launched as one chain.
func (h *harness) chain(bodies ...executor.Body) (chain []task.Launch) {
	for _, b := range bodies {
		d := h.describe(b)
		chain = append(chain, task.Launch{Task: d.Task, Desc: task.AppendDescription(nil, d)})
	}
	return chain
}

func tasksOf(chain []task.Launch) (tasks []id.Task) {
	for _, l := range chain {
		tasks = append(tasks, l.Task)
	}
	return tasks
}

func TestChainRunsOneAfterAnother(t *testing.T) {
	h := start(t, 1)
	var order []id.Task
	note := func(c *executor.Context) (executor.Encode, error) {
		order = append(order, c.Task)
		return value([]byte{byte(c.Task)}), nil
	}
	var told []id.Task // of terminal messages
	h.driver.onStatus = func(s *task.Status) {
		if s.State.Terminal() {
			told = append(told, s.Task)
		}
	}
	chain := h.chain(note, note, failing(errors.New("on purpose")), note, note)
	h.LaunchChain(chain)
	var outcomes []outcome
	for _, l := range chain {
		outcomes = append(outcomes, h.wait(l.Task))
	}
	want := tasksOf(chain)
	if !slices.Equal(told, want) {
		t.Errorf("reported were %v, want %v", told, want)
	}
	if !slices.Equal(order, slices.Delete(slices.Clone(want), 2, 3)) {
		t.Errorf("run were %v", order)
	}
	for i, o := range outcomes {
		state := task.Finished
		if i == 2 {
			state = task.Failed
		}
		if o.State != state || o.Worker != 0 || i > 0 && o.Stamps.Start < outcomes[i-1].Stamps.End {
			t.Errorf("attempt %d of the chain: %v, began at %d, the one before ended at %d", i, o.State, o.Stamps.Start, outcomes[max(0, i-1)].Stamps.End)
		}
		if all := h.driver.statuses[o.Task]; len(all) != 2 || all[0].State != task.Running {
			t.Errorf("attempt %d of the chain reported %+v", i, all)
		}
	}
	h.expectOK()
}

// What has not begun comes back, and with it what was reported and held back.
func TestRecall(t *testing.T) {
	h := start(t, 1)
	at, free := make(chan struct{}), make(chan struct{})
	stop := func(*executor.Context) (executor.Encode, error) {
		close(at)
		<-free
		return value([]byte("stopped")), nil
	}
	chain := h.chain(ok, ok, stop, ok, ok)
	h.LaunchChain(chain)
	behind := h.chain(ok, ok, ok)
	h.LaunchChain(behind)
	<-at
	messages, tasks := h.Recall()
	if want := []id.Task{chain[3].Task, chain[4].Task, behind[1].Task, behind[2].Task}; !slices.Equal(tasks, want) {
		t.Errorf("came back: %v, want %v", tasks, want)
	}
	var got []task.Status
	for _, m := range messages {
		var s task.Status
		if err := task.DecodeStatus(m, &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	for i, s := range got {
		state := task.Running
		if i%2 == 1 {
			state = task.Finished
		}
		if s.Task != chain[i/2].Task || s.State != state {
			t.Errorf("message %d is %v of %d", i, s.State, s.Task)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d messages, want those of two attempts and that the third runs", len(got))
	}
	if messages, tasks := h.Recall(); len(messages) != 0 || len(tasks) != 0 {
		t.Errorf("again came back %v, with %d messages", tasks, len(messages))
	}
	close(free)
	if o := h.wait(chain[2].Task); string(o.result.Value) != "stopped" {
		t.Errorf("%+v", o)
	}
	h.wait(behind[0].Task)
	h.expectOK()
	for _, n := range tasks {
		if all := h.driver.statuses[n]; len(all) > 0 {
			t.Errorf("attempt %d came back and reported %v", n, all)
		}
	}
}

// While the driver has yet to take what a chain has reported, nothing more is
// held back: Recall would bring it first.
func TestNothingIsHeldBehindWhatWaits(t *testing.T) {
	for _, busy := range []bool{false, true} {
		h := start(t, 1, fakeTime) // nothing is held for too long
		h.driver.busy = busy
		at, free := make(chan struct{}), make(chan struct{})
		stop := func(*executor.Context) (executor.Encode, error) {
			close(at)
			<-free
			return value(nil), nil
		}
		chain := h.chain(failing(errors.New("so that it is reported at once")), ok, stop)
		h.LaunchChain(chain)
		<-at
		messages, _ := h.Recall()
		if held := len(messages) > 0; held == busy {
			t.Errorf("driver busy %v: %d messages were held back", busy, len(messages))
		}
		if busy {
			h.wait(chain[1].Task)
		}
		close(free)
		h.wait(chain[2].Task)
		h.expectOK()
	}
}

func TestKillInsideChain(t *testing.T) {
	h := start(t, 1)
	at, free := make(chan struct{}), make(chan struct{})
	first := func(*executor.Context) (executor.Encode, error) {
		close(at)
		<-free
		return value(nil), nil
	}
	ran := false
	body := func(*executor.Context) (executor.Encode, error) { ran = true; return value(nil), nil }
	chain := h.chain(first, body, ok)
	h.LaunchChain(chain)
	<-at
	h.Kill(chain[1].Task, false, "not needed")
	close(free)
	if o := h.wait(chain[1].Task); o.State != task.Killed || o.failure.Message != "not needed" || ran {
		t.Errorf("killed before it began: %v %q, ran: %v", o.State, o.failure.Message, ran)
	}
	if o := h.wait(chain[2].Task); o.State != task.Finished {
		t.Errorf("the one after it: %v", o.State)
	}
	if o := h.wait(chain[0].Task); o.State != task.Finished {
		t.Errorf("the one before it: %v", o.State)
	}
}

func TestCloseAmidChain(t *testing.T) {
	h := start(t, 1)
	at := make(chan struct{})
	first := func(c *executor.Context) (executor.Encode, error) {
		close(at)
		<-c.Context().Done()
		return nil, c.Check()
	}
	chain := h.chain(first, ok, ok)
	h.LaunchChain(chain)
	<-at
	if err := h.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	h.LaunchChain(h.chain(ok, ok))
	for n := id.Task(1); n <= 5; n++ {
		if o := h.wait(n); o.State == task.Finished {
			t.Errorf("attempt %d: %v", n, o.State)
		}
	}
}

// An attempt may end its goroutine: those that follow run on another.
func TestGoexitInsideChain(t *testing.T) {
	h := start(t, 1)
	exit := func(*executor.Context) (executor.Encode, error) { runtime.Goexit(); return nil, nil }
	chain := h.chain(ok, exit, ok, exit, ok)
	h.LaunchChain(chain)
	for i, l := range chain {
		want := task.Finished
		if i%2 == 1 {
			want = task.Failed
		}
		if o := h.wait(l.Task); o.State != want {
			t.Errorf("attempt %d of the chain: %v", i, o.State)
		}
	}
	h.expectOK()
}
