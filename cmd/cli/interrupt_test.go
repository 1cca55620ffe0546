package cli_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// interrupt starts execbench, waits until its job says that it is waiting,
// sends signals and wants an exit code:
//
//	interrupt INT 130 run lines --fault wait --out run
//
// "INT+INT" sends the second one when execbench has said that it took the
// first. What it wrote to standard error goes to the file "interrupted".
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt INT|TERM|INT+INT CODE ARG…")
	}
	var signals []os.Signal
	for name := range strings.SplitSeq(args[0], "+") {
		signals = append(signals, map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[name])
	}
	after := []string{"waiting", "execbench: stopped by "} // what is said before each of them
	path, err := exec.LookPath("execbench")
	ts.Check(err)
	c := exec.Command(path, args[2:]...)
	c.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "EXECBENCH_DATA", "EXECBENCH_TEMP", "EXECBENCH_CORES", "EXECBENCH_MEMORY"} {
		c.Env = append(c.Env, name+"="+ts.Getenv(name))
	}
	stderr, err := c.StderrPipe()
	ts.Check(err)
	ts.Check(c.Start())
	var text strings.Builder
	sent := 0
	for s := bufio.NewScanner(stderr); s.Scan(); {
		text.WriteString(s.Text() + "\n")
		if sent < len(signals) && strings.HasPrefix(s.Text(), after[sent]) {
			ts.Check(c.Process.Signal(signals[sent]))
			sent++
		}
	}
	err = c.Wait()
	ts.Check(os.WriteFile(filepath.Join(c.Dir, "interrupted"), []byte(text.String()), 0o666))
	if got := codeOf(err); got != args[1] || sent < len(signals) {
		ts.Fatalf("exit code %s, want %s\n%s", got, args[1], text.String())
	}
}
