//go:build unix

package tune

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
)

// TestMain makes this test executable the program that a Process runs: it
// does what its first argument says.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Getenv("TUNE_TEST") != "" {
		os.Exit(child(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// child leaves a run folder, as a run would, and ends as told.
func child(how, dir string) int {
	os.Stderr.WriteString("execbench: warning: of no matter\nexecbench: " + how + " it is\ngoroutine 1\n")
	if how == "refused" {
		return 2
	}
	w, err := folder.Create(dir, &folder.Manifest{Iterations: 1})
	if err != nil {
		return 70
	}
	if err := w.Add(folder.Sample{Phase: folder.Iteration, Seconds: 2.5, PeakRSS: units.MiB, Totals: folder.Totals{DiskSpilled: 7}}); err != nil {
		return 70
	}
	v := folder.Verdict{Status: folder.Done}
	code := 0
	switch how {
	case "killed":
		p, _ := os.FindProcess(os.Getpid())
		_ = p.Kill()
		select {}
	case "memory":
		v, code = folder.Verdict{Status: folder.Failed, Error: "the job failed: cannot reserve 1.00 GiB for sort: 3 B free\nstack"}, 3
	case "failed":
		v, code = folder.Verdict{Status: folder.Failed, Error: "planted"}, 3
	case "wrong":
		v, code = folder.Verdict{Status: folder.Wrong, Error: "lines are missing"}, 3
	case "timeout":
		v, code = folder.Verdict{Status: folder.TimedOut, Error: "late"}, 3
	case "crash":
		code = 70
	}
	if err := w.Finish(v); err != nil {
		return 70
	}
	return code
}

func TestHowProcessesEnd(t *testing.T) {
	for how, want := range map[string]Outcome{
		"done":    {Kind: Done, Seconds: []float64{2.5}},
		"refused": {Kind: Refused, Why: "refused it is"},
		"killed":  {Kind: OutOfMemory, Why: "the process was killed from outside, as systems do when memory is short"},
		"memory":  {Kind: OutOfMemory, Why: "the job failed: cannot reserve 1.00 GiB for sort: 3 B free"},
		"failed":  {Kind: Failed, Why: "planted"},
		"wrong":   {Kind: Wrong, Why: "lines are missing"},
		"timeout": {Kind: TimedOut, Why: "late"},
		"crash":   {Kind: Failed, Why: "crash it is"},
	} {
		dir := t.TempDir()
		var echo strings.Builder
		p := &Process{Executable: os.Args[0], Env: append(os.Environ(), "TUNE_TEST=1"), Dir: dir, Echo: &echo,
			Args: func(_ Setting, dir string) []string { return []string{how, dir} }}
		s := Setting{Cores: 2, Memory: units.GiB, Conf: []Pair{{"a/b", "x y"}}}
		o := p.Run(t.Context(), s, 0)
		if o.Kind != want.Kind || o.Why != want.Why || len(o.Seconds) != len(want.Seconds) || o.Wall <= 0 {
			t.Errorf("%s: %+v, want %+v", how, o, want)
		}
		if how == "done" && (o.Spilled != 7 || o.PeakRSS != units.MiB || o.Folder != filepath.Join(dir, "cores=2-memory=1g-a_b=x_y-r1")) {
			t.Errorf("%+v", o)
		}
		if !strings.Contains(echo.String(), "of no matter") {
			t.Errorf("%s said %q", how, &echo)
		}
	}
}

func TestProcessesThatCannotBeginAndThatAreStopped(t *testing.T) {
	p := &Process{Executable: filepath.Join(t.TempDir(), "nothing"), Dir: t.TempDir(), Args: func(Setting, string) []string { return nil }}
	if o := p.Run(t.Context(), Setting{Cores: 1, Memory: 1}, 0); o.Kind != Failed || !strings.Contains(o.Why, "no such file") {
		t.Errorf("%+v", o)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if o := p.Run(ctx, Setting{Cores: 1, Memory: 1}, 0); o.Kind != Stopped || o.Why != "enough" {
		t.Errorf("%+v", o)
	}
}
