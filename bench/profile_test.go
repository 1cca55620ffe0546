package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/profiles"
	"github.com/execbench/execbench/workloads"
)

// profiled runs a plan with every kind of profile.
func profiled(t *testing.T, p Plan, o Observer) (*folder.Run, error) {
	t.Helper()
	var err error
	if p.Profiles, err = profiles.ParseKinds("all"); err != nil {
		t.Fatal(err)
	}
	dir, err := Run(t.Context(), p, o)
	r, oerr := folder.Open(dir)
	if oerr != nil {
		t.Fatal(oerr)
	}
	return r, err
}

// readable says that whatever profiles a run left can be read.
func readable(t *testing.T, r *folder.Run) (files int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Dir, folder.ProfilesFolder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".pb.gz") {
			if _, err := profiles.Read(filepath.Join(r.Dir, folder.ProfilesFolder, e.Name())); err != nil {
				t.Error(err)
			}
		} else if e.Name() != profiles.Trace.File() {
			t.Errorf("%s lies among the profiles", e.Name())
		}
	}
	return len(entries)
}

func TestProfilesHaveRoundsOfTheirOwn(t *testing.T) {
	p := small(t)
	var phases []string
	r, err := profiled(t, p, Observer{Phase: func(name string, _, _ int) { phases = append(phases, name) }})
	if err != nil {
		t.Fatal(err)
	}
	kinds := profiles.Kinds()
	if got := seen.built; got != 4+len(kinds) {
		t.Errorf("the job ran %d times", got)
	}
	if len(r.Samples) != 4 || len(r.Problems) > 0 {
		t.Errorf("%d samples, problems %q", len(r.Samples), r.Problems)
	}
	for _, s := range r.Samples {
		if s.Profiled || s.Phase != folder.Iteration && s.Phase != folder.Warmup {
			t.Errorf("sample %+v", s)
		}
	}
	if n := readable(t, r); n != len(kinds) || len(r.Manifest.Profiles) != len(kinds) {
		t.Fatalf("%d files, %d rounds in the manifest", n, len(r.Manifest.Profiles))
	}
	// Stages are numbered through: two for each execution, four of which came
	// before the first profile.
	for i, f := range r.Manifest.Profiles {
		if f.Kind != kinds[i] || f.Seconds <= 0 || f.Records != 5000 || f.Stage != int64(8+2*i) || f.Error != "" {
			t.Errorf("round %d: %+v", i, f)
		}
		if _, ok := f.Overhead(); !ok {
			t.Errorf("the overhead of %s is not known", f.Kind)
		}
		if _, err := os.Stat(filepath.Join(r.Dir, filepath.FromSlash(f.File))); err != nil {
			t.Error(err)
		}
	}
	if all := strings.Join(phases, " "); !strings.Contains(all, "profile cpu verify profile heap") {
		t.Errorf("phases %s", all)
	}
	mustBeEmpty(t, p.Temp)
}

// What is loaded before a timed round's clock starts is loaded before a profile
// starts, too: it is not what the user asked about.
func TestAProfileBeginsWhereTheClockDoes(t *testing.T) {
	p := small(t)
	prepares := *p.Workload
	prepares.Prepare = func(context.Context, *engine.Session, any, workloads.Values) error { return nil }
	p.Workload, p.Profiles = &prepares, []profiles.Kind{profiles.CPU}
	var phases []string
	if _, err := Run(t.Context(), p, Observer{Phase: func(name string, _, _ int) { phases = append(phases, name) }}); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(phases, " "); !strings.Contains(all, "prepare profile cpu") {
		t.Errorf("phases %s", all)
	}
}

// What the workers do while a goroutine profile is taken is labelled, with
// the workload; the rounds before and after are not.
func TestTheRoundIsLabelled(t *testing.T) {
	p := small(t)
	if err := p.Values.Set("n", "3000000"); err != nil {
		t.Fatal(err)
	}
	p.Iterations, p.Warmup = 1, 0
	p.Profiles = []profiles.Kind{profiles.CPU}
	dir, err := Run(t.Context(), p, Observer{})
	if err != nil {
		t.Fatal(err)
	}
	file, err := profiles.Read(filepath.Join(dir, folder.ProfilesFolder, profiles.CPU.File()))
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Sample) == 0 {
		t.Skip("the job was over between two ticks")
	}
	top, err := profiles.NewTop(file, profiles.Options{By: profiles.Workload})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range top.Rows {
		if row.Name != "counting" && row.Name != profiles.Unlabelled {
			t.Errorf("row %+v", row)
		}
	}
}

// A round that fails or is stopped leaves a file that can be read, or none,
// and is no reason to lose the samples.
func TestARoundThatDoesNotEnd(t *testing.T) {
	wrong := small(t)
	seen.wrong = 6 // the second profile's
	r, err := profiled(t, wrong, Observer{})
	var answer *WrongAnswer
	if !errors.As(err, &answer) || answer.Phase != "profile heap" || r.Manifest.Status != folder.Wrong {
		t.Errorf("ended with %v, %s", err, r.Manifest.Status)
	}
	if readable(t, r) != 2 || len(r.Samples) != 4 || len(r.Manifest.Profiles) != 2 || r.Manifest.Profiles[1].Error == "" {
		t.Errorf("%d samples, rounds %+v", len(r.Samples), r.Manifest.Profiles)
	}

	blocked := small(t)
	o := Observer{Phase: func(name string, _, _ int) {
		if name == "profile mutex" { // somebody puts a file where the folder was
			dir := filepath.Join(blocked.Out, folder.ProfilesFolder)
			if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o666)); err != nil {
				t.Error(err)
			}
		}
	}}
	if blocked.Profiles, err = profiles.ParseKinds("cpu,mutex,block"); err != nil {
		t.Fatal(err)
	}
	dir, err := Run(t.Context(), blocked, o)
	if err == nil || !strings.Contains(err.Error(), "mutex profile") || ExitCode(err) != ExitBroken {
		t.Errorf("without a folder: %v", err)
	}
	if r, err = folder.Open(dir); err != nil || len(r.Samples) != 4 || r.Verdict == nil || len(r.Manifest.Profiles) != 2 {
		t.Errorf("%v, %+v", err, r)
	}
	mustBeEmpty(t, blocked.Temp)
}
