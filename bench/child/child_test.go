//go:build unix

package child

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

// TestMain makes this test executable what a Program runs: it does what its
// first argument says.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Getenv("CHILD_TEST") != "" {
		os.Exit(pretend(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// pretend leaves a run folder, as a run would, and ends as told.
func pretend(how, dir string) int {
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
		p := &Program{Executable: os.Args[0], Env: append(os.Environ(), "CHILD_TEST=1"), Err: &echo}
		o := p.Run(t.Context(), []string{how, dir}, dir)
		if o.Kind != want.Kind || o.Why != want.Why || len(o.Seconds) != len(want.Seconds) || o.Wall <= 0 {
			t.Errorf("%s: %+v, want %+v", how, o, want)
		}
		if how == "done" && (o.Spilled != 7 || o.PeakRSS != units.MiB || o.Folder != dir) {
			t.Errorf("%+v", o)
		}
		if !strings.Contains(echo.String(), "of no matter") {
			t.Errorf("%s said %q", how, &echo)
		}
	}
}

func TestProcessesThatCannotBeginAndThatAreStopped(t *testing.T) {
	p := &Program{Executable: filepath.Join(t.TempDir(), "nothing")}
	if o := p.Run(t.Context(), nil, t.TempDir()); o.Kind != Failed || o.Code != -1 || !strings.Contains(o.Why, "no such file") {
		t.Errorf("%+v", o)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if o := p.Run(ctx, nil, t.TempDir()); o.Kind != Stopped || o.Why != "enough" {
		t.Errorf("%+v", o)
	}
}
