package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func TestProgressSaysStageAndTasks(t *testing.T) {
	p := &progress{out: &bytes.Buffer{}}
	var o bench.Observer
	p.observe(&o)
	f := func(want string) {
		t.Helper()
		if got := p.state.text(); got != want {
			t.Errorf("the line says %q, want %q", got, want)
		}
	}
	o.Phase("generate", 0, 1)
	f("generate")
	o.Bytes(1<<20, 4<<20)
	f("generate · 1.00 MiB of 4.00 MiB")
	o.Phase("iteration", 1, 5)
	f("iteration 2 of 5")
	o.Events.Emit(&event.StageSubmitted{Stage: event.StageInfo{StageAttempt: id.StageAttempt{Stage: 3}, Name: "sortBy at x.go:1", NumTasks: 8}})
	for range 3 {
		o.Events.Emit(&event.TaskStart{})
	}
	o.Events.Emit(&event.TaskEnd{Reason: task.Success})
	o.Events.Emit(&event.TaskEnd{Reason: task.TaskKilled})
	f("iteration 2 of 5 · stage 3.0 sortBy at x.go:1 · tasks 1 done 1 running 1 failed")
	if p.state.done != 1 || p.state.total != 8 {
		t.Errorf("bar at %d of %d", p.state.done, p.state.total)
	}
}

// Stages that run side by side, as those of the two sides of a join, are
// counted together; the next one begins anew.
func TestProgressOfStagesSideBySide(t *testing.T) {
	p := &progress{out: &bytes.Buffer{}}
	p.begin("iteration", 0, 1)
	submit := func(n id.Stage, tasks int32) {
		p.Emit(&event.StageSubmitted{Stage: event.StageInfo{StageAttempt: id.StageAttempt{Stage: n}, Name: "map", NumTasks: tasks}})
	}
	one := func() {
		p.Emit(&event.TaskStart{})
		p.Emit(&event.TaskEnd{Reason: task.Success})
	}
	f := func(want string, done, total int64) {
		t.Helper()
		if got := p.state.text(); got != want || p.state.done != done || p.state.total != total {
			t.Errorf("the line says %q, bar at %d of %d; want %q, %d of %d", got, p.state.done, p.state.total, want, done, total)
		}
	}
	submit(0, 2)
	p.Emit(&event.TaskStart{})
	submit(1, 3)
	f("iteration · stage 1.0 map and 1 more · tasks 0 done 1 running 0 failed", 0, 5)
	p.Emit(&event.TaskEnd{Reason: task.Success})
	one()
	p.Emit(&event.StageCompleted{})
	for range 3 {
		one()
	}
	f("iteration · stage 1.0 map · tasks 5 done 0 running 0 failed", 5, 5)
	p.Emit(&event.StageCompleted{})
	submit(2, 4)
	f("iteration · stage 2.0 map · tasks 0 done 0 running 0 failed", 0, 4)
}

// The line is one line: it is drawn over, taken away, and drawn only when
// there is something new.
func TestProgressIsOneLine(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out}
	p.draw()
	if out.Len() > 0 {
		t.Errorf("drew %q before there was anything to say", out.String())
	}
	p.begin("verify", 0, 1)
	p.count(1, 4)
	p.draw()
	if !strings.Contains(out.String(), "verify · 1 B of 4 B") {
		t.Errorf("drew %q", out.String())
	}
	p.count(2, 5) // a new number, a new end and a new text
	out.Reset()
	p.draw()
	if n := strings.Count(out.String(), "verify"); n != 1 || !strings.Contains(out.String(), "2 B of 5 B") {
		t.Errorf("drew the line %d times: %q", n, out.String())
	}
	drawn := out.Len()
	p.draw()
	if out.Len() != drawn {
		t.Errorf("drew the same again: %q", out.String()[drawn:])
	}
	p.count(5, 5) // which is the end of what is counted, not of the line
	out.Reset()
	p.draw()
	if !strings.Contains(out.String(), "5 B of 5 B") || !strings.Contains(out.String(), "99%") {
		t.Errorf("at the end it drew %q", out.String())
	}
	p.begin("verify", 0, 1)
	p.count(1, 4)
	p.draw()
	p.count(4, 4)
	p.draw()
	p.count(4, 6) // there is more, after all
	out.Reset()
	p.draw()
	if !strings.Contains(out.String(), "4 B of 6 B") || !strings.Contains(out.String(), "66%") {
		t.Errorf("with more to do it drew %q", out.String())
	}
	p.clear()
	if strings.Contains(out.String(), "\n") {
		t.Errorf("took more than a line: %q", out.String())
	}
}

// Without a terminal there is no line, and nobody to listen.
func TestNoProgressWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	p := (&app{err: &out}).progress(false)
	var o bench.Observer
	p.observe(&o)
	if o.Phase != nil || o.Bytes != nil || o.Events != nil {
		t.Error("it listens")
	}
	p.close()
}
