package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain makes this test executable the program itself, in the path of
// every test.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"execbench": main, "smalldisk": func() { os.Exit(smallDisk()) }})
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
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "interrupt": interrupt},
		Condition: func(name string) (bool, error) {
			if name != "smalldisk" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return haveSmallDisks(t.TempDir()), nil
		},
	})
}

// exits runs execbench and wants an exit code: "exits 2 run nothing". "exits 3
// smalldisk BYTES FOLDER execbench run …" does so with a small disk.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG…")
	}
	program := "execbench"
	if args[1] == "smalldisk" {
		program, args = args[1], append(args[:1:1], args[2:]...)
	}
	if got := strconv.Itoa(exitCode(ts.Exec(program, args[1:]...))); got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}
