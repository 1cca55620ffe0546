package main

import (
	"bufio"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interrupt starts execbench with --samples, waits for a sample of a workload,
// or for the first sample and then for a spilled run that is being written into
// the folder TEMP, sends an interrupt and wants an exit code:
//
//	interrupt 130 @groupby run --all --samples
//	interrupt 130 temp run terasort --memory 64MiB --samples
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt CODE TEMP|@WORKLOAD ARG…")
	}
	path, err := exec.LookPath("execbench")
	ts.Check(err)
	c := exec.Command(path, args[2:]...)
	c.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "EXECBENCH_DATA", "EXECBENCH_TEMP", "EXECBENCH_CORES", "EXECBENCH_MEMORY"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	var said strings.Builder
	c.Stderr = &said
	out, err := c.StdoutPipe()
	ts.Check(err)
	ts.Check(c.Start())
	lines := bufio.NewScanner(out)
	var ready bool
	if workload, ok := strings.CutPrefix(args[1], "@"); ok {
		ready = scanTo(lines, "@ "+workload+" ")
	} else {
		ready = scanTo(lines, "@ ") && awaitSpill(ts.MkAbs(args[1]))
	}
	ts.Check(c.Process.Signal(os.Interrupt))
	for lines.Scan() {
	}
	if got := strconv.Itoa(exitCode(c.Wait())); got != args[0] || !ready {
		ts.Fatalf("exit code %s, want %s; came as far as %s: %v\n%s", got, args[0], args[1], ready, said.String())
	}
}

// scanTo reads lines up to one with a prefix.
func scanTo(lines *bufio.Scanner, prefix string) bool {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return true
		}
	}
	return false
}

// awaitSpill waits until a run is written below a folder, at most a minute.
func awaitSpill(temp string) bool {
	begin := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ; !spilling(temp, begin); <-tick.C {
		if time.Since(begin) > time.Minute {
			return false
		}
	}
	return true
}

// spilling says whether a run was written below a folder after a moment:
// files of runs stay, to be used again.
func spilling(folder string, after time.Time) (found bool) {
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "temp_local") {
			info, err := d.Info()
			found = found || err == nil && info.Size() > 0 && info.ModTime().After(after)
		}
		return nil // what is gone meanwhile is none
	})
	return found
}
