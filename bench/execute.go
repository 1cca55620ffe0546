package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/proc"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// execute runs the job once, verifies its answer and records the sample. The
// lineage is built anew, so that no stage of it has run before, and what it
// left (map outputs, cached partitions) is dropped before the answer is
// verified.
func (e *execution) execute(ctx context.Context, phase string, index, of int) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	last := phase == folder.Iteration && index == of-1
	out, keep, err := e.outputFor(phase, index, last)
	if err != nil {
		return err
	}
	s := folder.Sample{Workload: e.Workload.Name, Phase: phase, Index: index, Started: time.Now().UTC()}
	answer, err := e.timed(ctx, &s, out, index, of)
	if err == nil && e.Verify {
		err = e.verify(ctx, &s, answer, index, of)
	}
	if err == nil && last && e.Workload.Measure != nil {
		err = e.measure(ctx, &s)
	}
	err = cause(ctx, err)
	if err != nil {
		s.Error = err.Error()
	}
	if rerr := e.folder.Add(s); rerr != nil {
		err = errors.Join(err, rerr)
	}
	e.samples = append(e.samples, s)
	if e.o.Sample != nil {
		e.o.Sample(s)
	}
	if !keep {
		if rerr := os.RemoveAll(out); rerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot remove an iteration's output: %w", rerr))
		}
	}
	return err
}

// timed runs the job between two readings of the clock.
func (e *execution) timed(ctx context.Context, s *folder.Sample, out string, index, of int) (answer *workloads.Answer, err error) {
	scope := e.session.Scope() // what this round keeps in memory ends with it
	defer scope.Release()
	built, err := e.build(ctx, scope, index, of)
	if err != nil {
		return nil, err
	}
	e.totals.take()
	err = e.inPhase(s.Phase, index, of, func() error {
		cpu := proc.ReadUsage().CPU()
		start := time.Now()
		answer, err = e.Workload.Run(ctx, scope, built, e.Values, out)
		s.Seconds = time.Since(start).Seconds()
		usage := proc.ReadUsage()
		s.CPU, s.PeakRSS = (usage.CPU() - cpu).Seconds(), usage.PeakRSS
		return err
	})
	s.Totals = e.totals.take()
	if err != nil {
		return nil, err
	}
	if err := e.complete(ctx, answer, index, of); err != nil {
		return nil, err
	}
	s.Records, s.Bytes, s.Checksum, s.Figures = answer.Records, answer.Bytes, answer.Checksum, figures(answer.Figures)
	return answer, nil
}

// build makes the job's graph, and whatever is to be there before the clock
// starts.
func (e *execution) build(ctx context.Context, scope *engine.Session, index, of int) (built any, err error) {
	if built, err = workloads.Build(scope, e.Workload, e.Values, e.input); err != nil {
		return nil, &Usage{err}
	}
	if e.Workload.Prepare != nil {
		err = e.inPhase("prepare", index, of, func() error { return e.Workload.Prepare(ctx, scope, built, e.Values) })
	}
	return built, err
}

// complete computes what belongs to the answer and not to the job's time.
func (e *execution) complete(ctx context.Context, a *workloads.Answer, index, of int) error {
	if a.Rest == nil {
		return nil
	}
	return e.inPhase("digest", index, of, func() error { return a.Rest(ctx) })
}

// verify checks the answer without the engine.
func (e *execution) verify(ctx context.Context, s *folder.Sample, answer *workloads.Answer, index, of int) error {
	return e.inPhase("verify", index, of, func() error {
		g := e.gen()
		held, err := e.session.Reserve("verifier", g.Memory) // its tables are part of the budget
		if err != nil {
			return fmt.Errorf("cannot verify the answer: %w", err)
		}
		defer held.Release()
		start := time.Now()
		v, err := e.Workload.Verify(ctx, g, e.Values, e.input, answer)
		s.Verify = time.Since(start).Seconds()
		if err != nil {
			return fmt.Errorf("cannot verify the answer: %w", err)
		}
		s.Checksum = answer.Checksum
		e.checks = checks(v.Checks)
		if !v.OK {
			return &WrongAnswer{e.Workload.Name, s.Phase, index, checks(v.Failed())}
		}
		s.Verified = true
		return nil
	})
}

// measure adds the figures that take jobs of their own to the last sample.
func (e *execution) measure(ctx context.Context, s *folder.Sample) error {
	return e.inPhase("measure", 0, 1, func() error {
		scope := e.session.Scope()
		defer scope.Release()
		f, err := e.Workload.Measure(ctx, scope, e.Values)
		s.Figures = append(s.Figures, figures(f)...)
		return err
	})
}

// besideMemory is what a generator or verifier may hold while the session's
// pages are there: the reserve is for it, the runtime and the harness.
func (e *execution) besideMemory() units.Bytes {
	return min(64*units.MiB, max(8*units.MiB, e.Memory/16))
}

// checkOutput refuses an output folder that holds something.
func (e *execution) checkOutput() error {
	if e.Output == "" {
		return nil
	}
	entries, err := os.ReadDir(e.Output)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return Usagef("cannot use %s as the output folder: %w", e.Output, workloads.Cause(err))
	case len(entries) > 0:
		return Usagef("cannot use %s as the output folder: it is not empty; name a new one", e.Output)
	}
	return nil
}

// outputFor names the folder that an execution writes. Only the last one's
// output is kept, and only if the user named a folder for it; the others go
// beside that folder, onto the same disk, or into the temporary folder.
func (e *execution) outputFor(phase string, index int, last bool) (dir string, keep bool, err error) {
	if last && e.Output != "" {
		if err := os.Remove(e.Output); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", false, Usagef("cannot use %s as the output folder: %w", e.Output, workloads.Cause(err))
		}
		if err := e.makeFolder(filepath.Dir(e.Output)); err != nil {
			return "", false, Usagef("cannot use %s as the output folder: %w", e.Output, err)
		}
		return e.Output, true, nil
	}
	if e.scratch == "" {
		parent := e.tempParent()
		if e.Output != "" {
			parent = filepath.Dir(e.Output)
		}
		// Named like a session's folder, so that clean finds what a killed
		// process left.
		dir := filepath.Join(parent, fmt.Sprintf("execbench-%d-%08x", os.Getpid(), rand.Uint32()))
		if err := e.makeFolder(dir); err != nil {
			return "", false, Usagef("cannot make temporary folder %s: %w", dir, err)
		}
		e.scratch = dir
	}
	return filepath.Join(e.scratch, fmt.Sprintf("%s-%d", phase, index)), false, nil
}

// tempParent is where temporary folders are made.
func (e *execution) tempParent() string {
	for _, dir := range []string{e.Temp, e.set.Temp} {
		if dir != "" {
			return dir
		}
	}
	return os.TempDir()
}

func figures(in []workloads.Figure) []folder.Figure {
	var out []folder.Figure
	for _, f := range in {
		out = append(out, folder.Figure(f))
	}
	return out
}

func checks(in []workloads.Check) []folder.Check {
	var out []folder.Check
	for _, c := range in {
		out = append(out, folder.Check(c))
	}
	return out
}
