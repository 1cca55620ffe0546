//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An interrupt in the middle of a sort that spills: the exit code says so, the
// run's folder holds what was done, and no temporary file is left.
func TestInterruptOfASpillingSort(t *testing.T) {
	dir := t.TempDir()
	temp, run := filepath.Join(dir, "temp"), filepath.Join(dir, "run")
	if err := os.Mkdir(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "execbench", "run", "terasort", "--size", "100MB", "--cores", "2", "--memory", "64MiB",
		"--warmup", "0", "--iterations", "1000", "--no-verify", "--quiet", "--out", run)
	cmd.Env = append(os.Environ(), "EXECBENCH_DATA="+filepath.Join(dir, "data"), "EXECBENCH_TEMP="+temp)
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !spilling(t, temp) {
		select {
		case err := <-ended:
			t.Fatalf("it ended by itself: %v\n%s", err, text.String())
		default:
			runtime.Gosched()
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("%v, want exit code 130\n%s", err, text.String())
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder of temporary files: %v, %v", left, err)
	}
	var v struct {
		Status   string `json:"status"`
		ExitCode int    `json:"exit_code"`
	}
	data, err := os.ReadFile(filepath.Join(run, "verdict.json"))
	if err == nil {
		err = json.Unmarshal(data, &v)
	}
	if err != nil || v.Status != "interrupted" || v.ExitCode != 130 {
		t.Errorf("verdict %+v, %v", v, err)
	}
	if out := string(output(t, "report", run)); !strings.Contains(out, "Verdict: interrupted") || !strings.Contains(out, "terasort.go") {
		t.Errorf("the report is\n%s", out)
	}
}

// spilling tells whether a session below dir has a temporary file: of a spill,
// or of a map output that memory has no room for.
func spilling(t *testing.T, dir string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "temp_") {
			found = true
			return fs.SkipAll
		}
		if errors.Is(err, fs.ErrNotExist) { // it comes and goes
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// With one worker the whole process stays on one processor: noise can only
// lower what it gets of it.
func TestOneWorkerTakesOneProcessor(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.NumCPU() < 2 {
		t.Skip("a process can be confined where there are affinity masks, and has to be where there are several processors")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	cmd := exec.CommandContext(t.Context(), "execbench", "run", "terasort", "--size", "50MB", "--cores", "1", "--memory", "64MiB",
		"--iterations", "3", "--quiet", "--out", run)
	cmd.Env = append(os.Environ(), "EXECBENCH_DATA="+filepath.Join(dir, "data"), "EXECBENCH_TEMP="+dir)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wall := time.Since(began).Seconds()
	var m struct {
		Pinned []int `json:"pinned_cpus"`
		End    struct {
			Wall float64 `json:"wall_seconds"`
			CPU  float64 `json:"cpu_seconds"`
		} `json:"end"`
	}
	data, err := os.ReadFile(filepath.Join(run, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil || len(m.Pinned) != 1 {
		t.Errorf("confined to %v, %v", m.Pinned, err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if cpu := float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9; cpu/wall > 1.05 {
		t.Errorf("the system says %.3f s of CPU in %.3f s", cpu, wall)
	}
	if m.End.Wall == 0 || m.End.CPU/m.End.Wall > 1.05 {
		t.Errorf("the manifest says %.3f s of CPU in %.3f s", m.End.CPU, m.End.Wall)
	}
}
