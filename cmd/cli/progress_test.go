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
	drawn := out.Len()
	p.draw()
	if out.Len() != drawn {
		t.Errorf("drew the same again: %q", out.String()[drawn:])
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
