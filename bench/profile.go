package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/proc"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/profiles"
	"github.com/execbench/execbench/workloads"
)

// profiling is what a run that takes profiles needs beyond the others.
type profiling struct {
	// labels is on while a round is profiled: the engine asks it for every
	// attempt.
	labels atomic.Bool
	first  firstStage
}

// firstStage is a Sink that notes the first stage since it was last reset.
type firstStage struct {
	stage atomic.Int64 // id + 1; 0: none yet
}

// Emit implements event.Sink.
func (f *firstStage) Emit(e event.Event) {
	if s, ok := e.(*event.StageSubmitted); ok {
		f.stage.CompareAndSwap(0, int64(s.Stage.Stage)+1)
	}
}

// take returns the first stage, and begins anew.
func (f *firstStage) take() (id.Stage, bool) {
	n := f.stage.Swap(0)
	return id.Stage(n - 1), n != 0
}

// profileRounds executes the job once more for each profile that was asked
// for. None of these rounds is a sample.
func (e *execution) profileRounds(ctx context.Context) error {
	for i, k := range e.Profiles {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := folder.Profile{Kind: k.String(), Stage: -1, Median: report.Median(folder.Seconds(e.samples))}
		err := cause(ctx, e.profileRound(ctx, k, i, &p))
		if err != nil {
			p.Error = err.Error()
		}
		m := e.folder.Manifest
		m.Profiles = append(m.Profiles, p)
		if err = errors.Join(err, e.folder.Update()); err != nil {
			return err
		}
	}
	return nil
}

// profileRound is one round. Its answer is verified like any other.
func (e *execution) profileRound(ctx context.Context, k profiles.Kind, index int, p *folder.Profile) error {
	out, _, err := e.outputFor("profile", index, false)
	if err != nil {
		return err
	}
	answer, err := e.captured(ctx, k, index, p, out)
	if err == nil && e.Verify {
		err = e.verify(ctx, &folder.Sample{Phase: "profile " + k.String(), Index: index}, answer, index, len(e.Profiles))
	}
	return errors.Join(err, os.RemoveAll(out))
}

// captured runs the job while a profile is taken. The clock starts after the
// capture and stops before it, so what is seen beyond a timed round is what
// taking the profile costs.
func (e *execution) captured(ctx context.Context, k profiles.Kind, index int, p *folder.Profile, out string) (answer *workloads.Answer, err error) {
	scope := e.session.Scope()
	defer scope.Release()
	built, err := e.build(ctx, scope, 0, 1)
	if err != nil {
		return nil, err
	}
	ctx = engine.WithLabel(ctx, string(profiles.Workload), e.Workload.Name)
	defer e.totals.take()
	err = e.inPhase("profile "+k.String(), 0, 1, func() (err error) {
		e.profiling.first.take()
		e.profiling.labels.Store(true)
		defer e.profiling.labels.Store(false)
		capture, err := profiles.Start(e.folder.ProfilesDir(), k)
		if err != nil {
			return err
		}
		defer func() { // also when the job fails or panics
			path, serr := capture.Stop()
			if serr == nil {
				p.File = folder.ProfilesFolder + "/" + filepath.Base(path)
			}
			err = errors.Join(err, serr)
		}()
		if k == profiles.Goroutine && p.Median > 0 {
			// At the end the workers are parked, so it is taken half-way. The
			// Stop above waits for this one, and says what it said.
			half := time.AfterFunc(time.Duration(p.Median/2*float64(time.Second)), func() { _, _ = capture.Stop() })
			defer half.Stop()
		}
		cpu := proc.ReadUsage().CPU()
		start := time.Now()
		answer, err = e.Workload.Run(ctx, scope, built, e.Values, out)
		p.Seconds = time.Since(start).Seconds()
		p.CPU = (proc.ReadUsage().CPU() - cpu).Seconds()
		if first, ok := e.profiling.first.take(); ok {
			p.Stage = int64(first)
		}
		if err == nil {
			p.Records = answer.Records
		}
		return err
	})
	if err == nil {
		err = e.complete(ctx, answer, 0, 1)
	}
	if err != nil {
		return nil, fmt.Errorf("in the round for the %s profile: %w", k, err)
	}
	return answer, nil
}
