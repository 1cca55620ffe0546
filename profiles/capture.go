package profiles

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/trace"
	"sync"
	"sync/atomic"

	"github.com/google/pprof/profile"
	capture "github.com/pkg/profile"
)

// What pkg/profile does that a harness cannot have, and what is done here:
//
//   - One mode at a time: a later one silently replaces an earlier one. Start
//     takes one Kind.
//   - A second Start ends the process, as does every error while it sets up.
//     Start refuses first: while a capture or an execution trace is going on,
//     and when the file cannot be made. It captures into a new folder of its
//     own, beside the place of the file.
//   - Ctrl-C ends the process with code 0, and a hook once set is never taken
//     back. NoShutdownHook; who runs the capture stops it.
//   - It looks at no error of writing, nor at whether a CPU profile began.
//     Stop reads the file before it gives it its name; what cannot be read is
//     removed.
//   - The memory profile's rate becomes 4096, while the profile reaches back
//     to the start of the process: its older samples are then scaled wrongly.
//     The rate stays as it is.
//   - Memory, mutex and block profiles count from the start of the process.
//     What they said when the capture began is subtracted.
//   - The heap is written as of the last collection. Stop runs one before.
//   - The rates of the mutex and block profiles become 1, then 0. That of the
//     mutex profile is put back. That of the block profile cannot be asked
//     for: afterwards it is 0, which is what a Go program begins with.
//   - The file of a trace is never closed; the collector closes it.

// active says that a capture is going on: the process has one profiler.
var active atomic.Bool

// ErrActive is returned by Start while another capture is going on.
var ErrActive = errors.New("another profile is being taken")

// Capture is a profile that is being taken. Its methods may be called from
// several goroutines.
type Capture struct {
	kind     Kind
	dir      string
	temp     string // where pkg/profile writes
	base     []byte // the profile as it was before; nil: it begins at nothing
	fraction int    // of the mutex profile, before
	session  interface{ Stop() }

	stop sync.Once
	path string
	err  error
}

// modes are the ways in which pkg/profile takes a kind, and the name that it
// gives the file.
var modes = [kindCount]struct {
	options []func(*capture.Profile)
	file    string
}{
	CPU:       {[]func(*capture.Profile){capture.CPUProfile}, "cpu.pprof"},
	Heap:      {[]func(*capture.Profile){capture.MemProfileHeap}, "mem.pprof"},
	Allocs:    {[]func(*capture.Profile){capture.MemProfileAllocs}, "mem.pprof"},
	Mutex:     {[]func(*capture.Profile){capture.MutexProfile}, "mutex.pprof"},
	Block:     {[]func(*capture.Profile){capture.BlockProfile}, "block.pprof"},
	Goroutine: {[]func(*capture.Profile){capture.GoroutineProfile}, "goroutine.pprof"},
	Trace:     {[]func(*capture.Profile){capture.TraceProfile}, "trace.out"},
}

// Start begins a capture whose file goes into the folder dir, which is made.
// The caller calls Stop, whatever happens meanwhile.
func Start(dir string, k Kind) (*Capture, error) {
	if k >= kindCount {
		return nil, fmt.Errorf("cannot take a profile: there is no kind %d", k)
	}
	if !active.CompareAndSwap(false, true) {
		return nil, fmt.Errorf("cannot take a %s profile: %w", k, ErrActive)
	}
	c := &Capture{kind: k, dir: dir, fraction: runtime.SetMutexProfileFraction(-1)}
	if err := c.begin(); err != nil {
		active.Store(false)
		return nil, fmt.Errorf("cannot take a %s profile: %w", k, err)
	}
	return c, nil
}

func (c *Capture) begin() (err error) {
	if c.kind == Trace && trace.IsEnabled() {
		return errors.New("an execution trace is going on")
	}
	if err := os.MkdirAll(c.dir, 0o777); err != nil {
		return err
	}
	switch c.kind {
	case Heap, Allocs:
		runtime.GC() // the profile is as of the last collection
		fallthrough
	case Mutex, Block:
		if c.base, err = c.snapshot(); err != nil {
			return err
		}
	}
	c.session, c.temp, err = c.open()
	return err
}

// open begins a session of pkg/profile in a new folder.
func (c *Capture) open() (session interface{ Stop() }, temp string, err error) {
	mode := &modes[c.kind]
	if temp, err = os.MkdirTemp(c.dir, "."+c.kind.String()+"-*"); err != nil {
		return nil, "", err
	}
	// What cannot be made now would end the process in a moment.
	f, err := os.Create(filepath.Join(temp, mode.file))
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(temp))
	}
	options := []func(*capture.Profile){capture.NoShutdownHook, capture.Quiet, capture.ProfilePath(temp), capture.MemProfileRate(runtime.MemProfileRate)}
	return capture.Start(append(options, mode.options...)...), temp, nil
}

// snapshot returns the profile as it is now. Decoding it must wait: that
// would be seen by the capture.
func (c *Capture) snapshot() ([]byte, error) {
	session, temp, err := c.open()
	if err != nil {
		return nil, err
	}
	session.Stop()
	data, err := os.ReadFile(filepath.Join(temp, modes[c.kind].file))
	return data, errors.Join(err, os.RemoveAll(temp))
}

// Stop ends the capture and returns the path of its file. If that could not
// be written whole there is no file, and an error. Called again, it waits for
// the first call and returns the same.
func (c *Capture) Stop() (path string, err error) {
	c.stop.Do(func() {
		defer active.Store(false)
		if c.kind == Heap || c.kind == Allocs {
			runtime.GC()
		}
		c.session.Stop()
		runtime.SetMutexProfileFraction(c.fraction)
		path, err := c.keep()
		if err = errors.Join(err, os.RemoveAll(c.temp)); err != nil {
			c.err = fmt.Errorf("cannot keep the %s profile: %w", c.kind, err)
			return
		}
		c.path = path
	})
	return c.path, c.err
}

// keep looks at what was captured and puts it into its place.
func (c *Capture) keep() (string, error) {
	from, to := filepath.Join(c.temp, modes[c.kind].file), filepath.Join(c.dir, c.kind.File())
	if c.kind == Trace {
		if err := checkTrace(from); err != nil {
			return "", err
		}
		return to, os.Rename(from, to)
	}
	p, err := Read(from)
	if err != nil {
		return "", err
	}
	if c.base != nil {
		base, err := Parse(c.base)
		if err != nil {
			return "", err
		}
		if p, err = since(base, p, c.kind); err != nil {
			return "", err
		}
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			return "", err
		}
		if err := os.WriteFile(from, b.Bytes(), 0o666); err != nil {
			return "", err
		}
	}
	return to, os.Rename(from, to)
}

// since returns p less what base said. What a heap profile says is in use
// stays: it is a state, not a count.
func since(base, p *profile.Profile, k Kind) (*profile.Profile, error) {
	ratios := make([]float64, len(base.SampleType))
	for i, t := range base.SampleType {
		if k == Heap && (t.Type == "inuse_objects" || t.Type == "inuse_space") {
			continue
		}
		ratios[i] = -1
	}
	if err := base.ScaleN(ratios); err != nil {
		return nil, err
	}
	out, err := profile.Merge([]*profile.Profile{p, base})
	if err != nil {
		return nil, err
	}
	out.TimeNanos, out.DurationNanos = p.TimeNanos, p.DurationNanos
	out.DefaultSampleType = p.DefaultSampleType
	return out, nil
}

// checkTrace reads the beginning of an execution trace.
func checkTrace(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // only read
	head := make([]byte, 16)
	if _, err := f.Read(head); err != nil {
		return fmt.Errorf("the trace is empty: %w", err)
	}
	if !bytes.HasPrefix(head, []byte("go 1.")) || !bytes.Contains(head, []byte(" trace\x00")) {
		return fmt.Errorf("the trace begins with %q", head)
	}
	return nil
}
