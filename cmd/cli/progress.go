package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// progress is the one line that says how a run goes. The zero progress
// writes nothing.
//
// Events only count; one goroutine, which close joins, draws.
type progress struct {
	out        io.Writer // nil: nowhere
	stop, done chan struct{}

	mu    sync.Mutex
	state progressState

	bar   *progressbar.ProgressBar // of the goroutine that draws, as what follows
	line  bytes.Buffer             // what the bar writes
	drawn progressState
}

// progressState is what there is to say.
type progressState struct {
	serial          int    // grows when a new thing is counted
	phase           string // "iteration 2 of 5"
	bytes           bool   // done and total are bytes
	done, total     int64
	stage           string // the one submitted last
	stages          int64  // that run at the same time, counted together
	running, failed int64
}

// drawEvery is the distance between two drawings: readable, and cheap.
const drawEvery = 200 * time.Millisecond

// progress begins the line when standard error is a terminal.
func (a *app) progress(quiet bool) *progress {
	f, ok := a.err.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return &progress{}
	}
	p := &progress{out: f, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		tick := time.NewTicker(drawEvery)
		defer tick.Stop()
		for {
			select {
			case <-p.stop:
				p.clear()
				return
			case <-tick.C:
				p.draw()
			}
		}
	}()
	return p
}

// observe makes the line listen to a run.
func (p *progress) observe(o *bench.Observer) {
	if p.out == nil {
		return
	}
	o.Phase, o.Bytes, o.Events = p.begin, p.count, p
}

// close removes the line.
func (p *progress) close() {
	if p.stop != nil {
		close(p.stop)
		<-p.done
		p.stop = nil
	}
}

// begin is told which phase begins.
func (p *progress) begin(name string, index, of int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if of > 1 {
		name = fmt.Sprintf("%s %d of %d", name, index+1, of)
	}
	p.state = progressState{serial: p.state.serial + 1, phase: name}
}

// count is told how many bytes of a phase are done.
func (p *progress) count(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state.bytes, p.state.done, p.state.total = true, done, total
}

// Emit implements event.Sink.
func (p *progress) Emit(e event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.state
	switch e := e.(type) {
	case *event.StageSubmitted:
		if s.stages == 0 {
			*s = progressState{serial: s.serial + 1, phase: s.phase}
		}
		s.stages++
		s.total += int64(e.Stage.NumTasks)
		s.stage = "stage " + e.Stage.StageAttempt.String() + " " + e.Stage.Name
	case *event.StageCompleted:
		s.stages = max(0, s.stages-1) // it may have begun before the phase
	case *event.TaskStart:
		s.running++
	case *event.TaskEnd:
		switch e.Reason {
		case task.Success:
			s.running--
			s.done++
		case task.Resubmitted: // it ended before, and runs again
			s.done = max(0, s.done-1)
		default:
			s.running--
			s.failed++
		}
	}
}

// text is the line without its bar.
func (s progressState) text() string {
	parts := []string{s.phase}
	if s.stage != "" {
		parts = append(parts, s.stage)
	}
	if s.stages > 1 {
		parts[len(parts)-1] += fmt.Sprintf(" and %d more", s.stages-1)
	}
	switch {
	case s.bytes:
		parts = append(parts, fmt.Sprintf("%s of %s", units.Bytes(s.done), units.Bytes(s.total)))
	case s.stage != "":
		parts = append(parts, fmt.Sprintf("tasks %d done %d running %d failed", s.done, max(0, s.running), s.failed))
	}
	return strings.Join(parts, " · ")
}

// barUnit is how much the bar grows by for each that is done. It ends short of
// its end: at it, it would not be drawn again, whatever there is to say until
// the next phase or stage begins.
const barUnit = 1000

// barEnd is the bar's end for a total; 0: not known.
func barEnd(total int64) int64 { return barUnit * max(1, total) }

// draw writes the line as things stand, once: of the bar, which renders itself
// at every change of its text, its number or its end, the last rendering counts.
func (p *progress) draw() {
	p.mu.Lock()
	s := p.state
	p.mu.Unlock()
	if s.phase == "" || s == p.drawn {
		return
	}
	if p.bar == nil || s.serial != p.drawn.serial {
		p.clear()
		p.bar = progressbar.NewOptions64(barEnd(s.total),
			progressbar.OptionSetWriter(&p.line), progressbar.OptionSetWidth(16), progressbar.OptionUseANSICodes(true),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionShowDescriptionAtLineEnd())
	}
	if end := barEnd(s.total); end != p.bar.GetMax64() {
		p.bar.ChangeMax64(end)
	}
	p.drawn = s
	_ = p.bar.Set64(min(s.done*barUnit, barEnd(s.total)-1)) // it is below the bar's end
	p.line.Reset()
	p.bar.Describe(s.text())
	p.flush()
}

// flush writes what the bar last wrote. An error would be the terminal's:
// there is nobody to tell.
func (p *progress) flush() {
	_, _ = p.line.WriteTo(p.out)
}

// clear removes the line from the terminal.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.flush()
	}
	p.bar = nil
}
