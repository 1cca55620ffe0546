package tune

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
)

// Process runs each setting in a new process of the same program.
type Process struct {
	Executable string
	// Args returns the arguments that run a setting into a run folder.
	Args func(s Setting, dir string) []string
	Env  []string
	Dir  string    // the folder in which run folders are made
	Echo io.Writer // receives what the processes say on standard error; nil: nobody
}

// grace is how long a process that was interrupted may take to write down
// what it did and to remove its temporary files.
const grace = 30 * time.Second

// Run implements Runner.
func (p *Process) Run(ctx context.Context, s Setting, round int) Outcome {
	began := time.Now()
	dir := filepath.Join(p.Dir, fmt.Sprintf("%s-r%d", folderName(s), round+1))
	c := exec.CommandContext(ctx, p.Executable, p.Args(s, dir)...)
	said := &tail{echo: p.Echo}
	c.Env, c.Stderr = p.Env, said
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
	o.Wall = time.Since(began).Seconds()
	return o
}

// unsafeName are runs of characters that do not belong into a folder's name.
var unsafeName = regexp.MustCompile(`[^A-Za-z0-9._=+-]+`)

func folderName(s Setting) string {
	name := fmt.Sprintf("cores=%d-memory=%s", s.Cores, sparkSize(s.Memory))
	for _, p := range s.Conf {
		name += "-" + p.Key + "=" + p.Value
	}
	return unsafeName.ReplaceAllString(name, "_")
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
		// Without a folder nothing was begun: the setting was refused.
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
