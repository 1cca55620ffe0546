//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

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
