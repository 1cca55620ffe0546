package main

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain makes this test executable the program itself, in the path of
// every test.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"execbench": main})
}

// TestScripts runs the program's own workloads; how the command line behaves
// otherwise is tested beside it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXECBENCH_DATA", e.WorkDir+"/data")
			e.Setenv("EXECBENCH_TEMP", e.WorkDir+"/temp")
			e.Setenv("EXECBENCH_CORES", "1")
			e.Setenv("EXECBENCH_MEMORY", "128MiB")
			return os.Mkdir(e.WorkDir+"/temp", 0o777)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs execbench and wants an exit code: "exits 2 run nothing".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG…")
	}
	got := 0
	err := ts.Exec("execbench", args[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}
