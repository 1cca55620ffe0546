package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/bench/proc"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Run carries out a plan and returns its run folder. The folder is empty when
// nothing was begun, which is when the error is a *Usage. When ctx ends, the
// job is cancelled, what was done is written, temporary files are removed,
// and the error wraps the context's cause.
//
// Run sets up the whole process: only one may be going on.
func Run(ctx context.Context, p Plan, o Observer) (dir string, err error) {
	r, err := p.resolve()
	if err != nil {
		return "", err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Timeout, ErrTimeout)
		defer cancel()
	}
	e := &execution{resolved: r, o: o, began: time.Now(), before: machine.ReadCounters(machine.Root())}
	e.setUp()
	if err := e.open(); err != nil {
		return "", errors.Join(err, e.abandon())
	}
	err = cause(ctx, e.phases(ctx))
	err = errors.Join(err, e.close())
	var usage *Usage
	if errors.As(err, &usage) {
		return "", errors.Join(err, e.abandon())
	}
	return e.folder.Dir, errors.Join(err, e.finish(err))
}

// execution is a run that is going on. One goroutine uses it.
type execution struct {
	*resolved
	o      Observer
	began  time.Time
	before machine.Counters

	setup   *proc.Setup
	folder  *folder.Writer
	events  *event.File
	spark   *event.SparkLog // nil: not asked for
	logged  string          // where that was
	totals  totals
	session *engine.Session
	scratch string   // for outputs that nobody keeps; made when needed
	made    []string // folders around what is temporary, to be removed if they are empty
	samples []folder.Sample

	profiling profiling

	input  workloads.Input
	checks []folder.Check // of the last answer that was verified, or of the wrong one
}

// setUp prepares the process.
func (e *execution) setUp() {
	c := proc.Config{Cores: e.Cores, Memory: e.Memory}
	if e.Pin && e.Cores < len(e.limits.CPUs) {
		c.CPUs = machine.Choose(machine.Root(), e.limits.CPUs, e.Cores)
	}
	var err error
	if e.setup, err = proc.Start(c); err != nil {
		e.warn("%v", err)
	}
}

// open makes the run folder, the event file and the session.
func (e *execution) open() (err error) {
	dir := e.Out
	id := fmt.Sprintf("%s-%s-%s", e.began.UTC().Format("20060102T150405"), e.Workload.Name, strconv.FormatInt(int64(os.Getpid()), 36))
	if dir == "" {
		dir = filepath.Join("results", id)
	}
	if err := e.checkOutput(); err != nil {
		return err
	}
	if e.folder, err = folder.Create(dir, e.manifest(id)); err != nil {
		return &Usage{err}
	}
	sinks := []event.Sink{&e.totals}
	if !e.NoEvents {
		if e.events, err = event.Create(e.folder.EventsPath()); err != nil {
			return err
		}
		sinks = append(sinks, e.events)
	}
	var labels func() bool
	if len(e.Profiles) > 0 {
		sinks = append(sinks, &e.profiling.first)
		labels = e.profiling.labels.Load
	}
	if e.o.Events != nil {
		sinks = append(sinks, e.o.Events)
	}
	if dir := e.sparkLogDir(); dir != "" {
		if err := e.makeFolder(dir); err != nil {
			return Usagef("cannot write event logs to %s: %w", dir, err)
		}
		if e.spark, err = event.NewSparkLog(dir, e.sparkOptions()); err != nil {
			return &Usage{err}
		}
		sinks = append(sinks, e.spark)
	}
	for _, w := range e.warnings {
		e.tell(w)
	}
	if err := e.makeFolder(e.tempParent()); err != nil {
		return Usagef("cannot make temporary folder %s: %w", e.tempParent(), err)
	}
	e.session, err = engine.Open(engine.Config{
		Name: e.Workload.Name, Cores: e.Cores, Executors: e.Executors, Memory: e.Memory, Conf: e.conf, Temp: e.Temp,
		Logger: slog.New(slog.NewTextHandler(e.folder.Log(), nil)),
		Events: sinks, Mapped: e.setup.Mapped, Labels: labels,
	})
	if err != nil {
		return &Usage{err} // too little memory, a temporary folder that cannot be used
	}
	return nil
}

// makeFolder makes a folder that goes with the session if it is empty then.
func (e *execution) makeFolder(dir string) error {
	made, err := folder.MakeAll(dir)
	e.made = append(made, e.made...) // later ones may stand in earlier ones
	return workloads.Cause(err)
}

// sparkLogDir is where Spark's own log is to go; empty: nowhere.
func (e *execution) sparkLogDir() string {
	if e.EventLog != "" || !e.set.EventLog.Enabled {
		return e.EventLog
	}
	return e.set.EventLog.Dir
}

func (e *execution) sparkOptions() event.SparkOptions {
	l := e.set.EventLog
	o := event.SparkOptions{BlockUpdates: l.BlockUpdates, Overwrite: l.Overwrite}
	if l.Rolling {
		o.RollBytes = int64(l.MaxFileSize)
	}
	return o
}

func (e *execution) tell(warning string) {
	if e.o.Warn != nil {
		e.o.Warn(warning)
	}
}

func (e *execution) manifest(id string) *folder.Manifest {
	m := &folder.Manifest{
		ID: id, Status: folder.Running, Started: e.began.UTC(), Command: e.Command,
		Workload: e.Workload.Name, Iterations: e.Iterations, Warmup: e.Warmup, Verify: e.Verify, NoEvents: e.NoEvents,
		Cores: e.Cores, Executors: e.Executors, Memory: e.Memory, Pinned: e.setup.Pinned(), Settings: e.Settings,
		Machine: e.facts, Fingerprint: e.facts.Fingerprint(), Limits: e.limits,
		Versions: ReadVersions(), Warnings: e.warnings,
	}
	for _, p := range e.Workload.Params {
		s := folder.Setting{Name: p.Name, Value: e.Values.Text(p.Name), Source: cmp.Or(e.Sources[p.Name], "default")}
		m.Params = append(m.Params, s)
		if p.Name == "seed" {
			m.Seed = s.Value
		}
	}
	for _, c := range e.set.Resolved() {
		m.Conf = append(m.Conf, folder.Setting{Name: c.Key, Value: c.Value, Source: c.Source})
	}
	return m
}

// phases does the work, from the data to the last iteration.
func (e *execution) phases(ctx context.Context) error {
	if err := e.prepareInput(ctx); err != nil {
		return err
	}
	if err := e.folder.Update(); err != nil {
		return err
	}
	for i := range e.Warmup {
		if err := e.execute(ctx, folder.Warmup, i, e.Warmup); err != nil {
			return err
		}
	}
	for i := range e.Iterations {
		if err := e.execute(ctx, folder.Iteration, i, e.Iterations); err != nil {
			return err
		}
	}
	return e.profileRounds(ctx)
}

// inPhase marks a stretch of the run in the events.
func (e *execution) inPhase(name string, index, of int, f func() error) error {
	e.o.phase(name, index, of)
	end := e.session.Phase(name, index)
	err := f()
	end(err)
	return err
}

// prepareInput finds, checks or generates what the job reads.
func (e *execution) prepareInput(ctx context.Context) error {
	began := time.Now()
	in := &e.folder.Manifest.Input
	g := e.gen()
	switch {
	case e.Input != nil:
		files, err := workloads.InputFiles(e.Input)
		if err != nil {
			return &Usage{err}
		}
		err = e.inPhase("check data", 0, 1, func() error {
			for _, path := range e.Input {
				m, err := data.Check(ctx, g, path)
				if err != nil {
					return err
				}
				if m != nil && len(e.Input) == 1 {
					in.Checksum = m.Checksum
				}
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			return &Usage{err}
		}
		if err != nil {
			return err
		}
		in.Paths, in.Files, in.Bytes = e.Input, len(files), units.Bytes(workloads.TotalBytes(files))
	case e.Workload.Generate != nil:
		err := e.inPhase("generate", 0, 1, func() error {
			cache := data.Cache{Dir: cmp.Or(e.Cache, data.DefaultDir())}
			set, err := cache.Get(ctx, e.Workload, e.Values, g, func(err error) { e.tell(err.Error()) })
			if err != nil {
				return err
			}
			in.Paths, in.Generated, in.Reused = []string{set.Dir}, true, set.Reused
			in.Files, in.Bytes, in.Checksum = len(set.Files), set.Bytes, set.Checksum
			return nil
		})
		if err != nil {
			return e.badData(err)
		}
	}
	in.Seconds = time.Since(began).Seconds()
	e.input = workloads.Input{Paths: in.Paths, Generated: in.Generated, Checksum: in.Checksum}
	return nil
}

// badData makes what the user can mend a *Usage.
func (e *execution) badData(err error) error {
	var full *data.NoSpace
	if data.Damaged(err) || errors.As(err, &full) {
		return &Usage{err}
	}
	return err
}

// gen is what generators and verifiers may use.
func (e *execution) gen() workloads.Gen {
	return workloads.Gen{Cores: e.Cores, Memory: e.besideMemory(), Progress: e.o.Bytes}
}

// close ends the session and the event files.
func (e *execution) close() error {
	var errs []error
	if e.session != nil {
		errs = append(errs, e.session.Close())
		e.session = nil
	}
	if e.spark != nil {
		errs = append(errs, e.spark.Close())
		e.logged, e.spark = e.spark.Path(), nil
	}
	if e.events != nil {
		errs = append(errs, e.events.Close())
		e.events = nil
	}
	if e.scratch != "" {
		errs = append(errs, os.RemoveAll(e.scratch))
		e.scratch = ""
	}
	folder.RemoveEmpty(e.made)
	return errors.Join(errs...)
}

// abandon takes back what was begun when there is nothing to keep.
func (e *execution) abandon() error {
	errs := []error{e.close(), e.setup.Close()}
	if e.logged != "" {
		errs = append(errs, os.Remove(e.logged))
		folder.RemoveEmpty(e.made)
	}
	if e.folder != nil {
		errs = append(errs, e.folder.Abandon())
	}
	return errors.Join(errs...)
}

// finish writes the end of the run and gives the process back its set-up.
func (e *execution) finish(err error) error {
	usage, noise := proc.ReadUsage(), machine.Between(e.before, machine.ReadCounters(machine.Root()))
	end := &folder.End{
		Time: time.Now().UTC(), Wall: time.Since(e.began).Seconds(), CPU: usage.CPU().Seconds(),
		PeakRSS: usage.PeakRSS, Noise: noise, Warnings: noise.Warnings(e.limits.Machine),
	}
	e.folder.Manifest.End = end
	v := folder.Verdict{Status: status(err, e.Verify), ExitCode: ExitCode(err), Checks: e.checks}
	switch v.Status {
	case folder.Done:
		v.Verdict = "every answer verified"
	case folder.Unverified:
		v.Verdict = "no answer was verified"
	default:
		v.Error, v.Verdict = err.Error(), err.Error()
	}
	var panicked *engine.PanicError
	if errors.As(err, &panicked) {
		v.Stack = panicked.Stack
	}
	return errors.Join(e.folder.Finish(v), e.setup.Close())
}
