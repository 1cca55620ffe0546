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

// interrupt starts execbench with --samples, waits for its first sample and
// then for a spilled run that is being written into the folder TEMP, sends
// an interrupt and wants an exit code:
//
//	interrupt 130 temp run terasort --memory 64MiB --samples
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt CODE TEMP ARG…")
	}
	path, err := exec.LookPath("execbench")
	ts.Check(err)
	temp := ts.MkAbs(args[1])
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
	spilled := lines.Scan() && strings.HasPrefix(lines.Text(), "@ ")
	sampled := time.Now()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); spilled && !spilling(temp, sampled); <-tick.C {
		spilled = time.Now().Before(end)
	}
	ts.Check(c.Process.Signal(os.Interrupt))
	for lines.Scan() {
	}
	if got := strconv.Itoa(exitCode(c.Wait())); got != args[0] || !spilled {
		ts.Fatalf("exit code %s, want %s; spilling: %v\n%s", got, args[0], spilled, said.String())
	}
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
