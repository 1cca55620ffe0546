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
// What it wrote to standard error goes to the file "interrupted".
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: interrupt INT|TERM CODE ARG…")
	}
	signal := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[args[0]]
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
	sent := false
	for s := bufio.NewScanner(stderr); s.Scan(); {
		text.WriteString(s.Text() + "\n")
		if s.Text() == "waiting" && !sent {
			sent = true
			ts.Check(c.Process.Signal(signal))
		}
	}
	err = c.Wait()
	ts.Check(os.WriteFile(filepath.Join(c.Dir, "interrupted"), []byte(text.String()), 0o666))
	if got := codeOf(err); got != args[1] || !sent {
		ts.Fatalf("exit code %s, want %s\n%s", got, args[1], text.String())
	}
}
