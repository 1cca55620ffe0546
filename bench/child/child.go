// Package child runs a workload in a process of its own and tells how that
// ended, from the run folder that it left, from how the process ended, and
// from what it said last.
//
// A process decides some things once (cores, memory limit), its peak memory
// is that of its whole life, and what it dies of takes nothing else with it:
// so whoever measures several runs gives each of them one.
package child

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
)

// Kind is how a run ended.
type Kind string

// The ends of a run. Only Done has times.
const (
	Done        Kind = "done"
	OutOfMemory Kind = "out of memory"
	TimedOut    Kind = "timeout"
	Refused     Kind = "refused" // it cannot be run so: too little memory, an unknown key
	Failed      Kind = "failed"
	Wrong       Kind = "wrong answer"
	Stopped     Kind = "stopped" // by a signal, or the end of a budget
)

// Outcome is one run.
type Outcome struct {
	Kind    Kind        `json:"outcome"`
	Why     string      `json:"why,omitempty"`
	Folder  string      `json:"folder,omitempty"`  // the run folder; empty: nothing was begun
	Code    int         `json:"exit_code"`         // of the process; -1: it was killed, or never began
	Seconds []float64   `json:"seconds,omitempty"` // of its timed iterations
	PeakRSS units.Bytes `json:"peak_rss_bytes"`
	Spilled units.Bytes `json:"spilled_bytes"` // to disk, in an iteration, at most
	Wall    float64     `json:"wall_seconds"`  // of the whole process
}

// Program is what the processes run.
type Program struct {
	Executable string
	Env        []string
	Out, Err   io.Writer // receive what the processes say; nil: nobody
}

// grace is how long a process that was interrupted may take to write down
// what it did and to remove its temporary files.
const grace = 30 * time.Second

// Run runs the program with args, which are to make it leave its run folder
// at dir, and blocks until it has ended. When ctx ends the process is
// interrupted, and the outcome is Stopped.
func (p *Program) Run(ctx context.Context, args []string, dir string) Outcome {
	began := time.Now()
	c := exec.CommandContext(ctx, p.Executable, args...)
	said := &tail{echo: p.Err}
	c.Env, c.Stdout, c.Stderr = p.Env, p.Out, said
	// A process group of its own: an interrupt from the terminal would reach
	// it twice otherwise, the second time without mercy.
	c.SysProcAttr = ownGroup()
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = grace
	err := c.Run()
	o := outcome(dir, err, said.last())
	if ctx.Err() != nil {
		o.Kind, o.Why, o.Seconds = Stopped, context.Cause(ctx).Error(), nil
	}
	o.Code, o.Wall = c.ProcessState.ExitCode(), time.Since(began).Seconds()
	return o
}

// noMemory is what the engine says when managed memory ran out.
var noMemory = regexp.MustCompile(`cannot reserve .* for |out of memory|cannot allocate memory`)

// outcome reads how a process ended: from its run folder, from how it was
// ended, and from the last line that it said.
func outcome(dir string, err error, said string) Outcome {
	o := Outcome{Kind: Failed, Why: said, Folder: dir}
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		o.Folder, o.Why = "", err.Error() // it was never begun
		return o
	}
	if ended != nil {
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			o.Kind, o.Why = OutOfMemory, "the process was killed from outside, as systems do when memory is short"
			return o
		}
	}
	r, rerr := folder.Open(dir)
	if rerr != nil {
		// Without a folder nothing was begun: what was asked for was refused.
		o.Kind, o.Folder = Refused, ""
		if noMemory.MatchString(said) {
			o.Kind = OutOfMemory
		}
		return o
	}
	for _, s := range r.Samples {
		if s.Phase == folder.Iteration {
			o.PeakRSS, o.Spilled = max(o.PeakRSS, s.PeakRSS), max(o.Spilled, units.Bytes(s.Totals.DiskSpilled))
		}
	}
	if v := r.Verdict; v != nil && v.Error != "" {
		o.Why = firstLine(v.Error)
	}
	switch status := r.Manifest.Status; {
	case status == folder.Wrong:
		o.Kind = Wrong
	case status == folder.TimedOut:
		o.Kind = TimedOut
	case noMemory.MatchString(o.Why) && err != nil:
		o.Kind = OutOfMemory
	case (status == folder.Done || status == folder.Unverified) && err == nil:
		o.Kind, o.Why, o.Seconds = Done, "", folder.Seconds(r.Samples)
	}
	return o
}

// tail keeps the end of what a process said.
type tail struct {
	echo io.Writer

	mu   sync.Mutex
	text []byte
}

// tailBytes is enough for a sentence with a stack behind it.
const tailBytes = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text = append(t.text, b...); len(t.text) > tailBytes {
		t.text = t.text[len(t.text)-tailBytes:]
	}
	if t.echo != nil {
		return t.echo.Write(b)
	}
	return len(b), nil
}

// last returns the last line in which the program itself speaks.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := ""
	for line := range strings.Lines(string(t.text)) {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "execbench: "); ok && !strings.HasPrefix(s, "warning: ") {
			said = s
		}
	}
	if said == "" {
		said = firstLine(string(t.text))
	}
	return said
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
