package cli_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/execbench/execbench/cmd/cli"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// TestMain makes this test executable the command that the scripts run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"execbench": func() { os.Exit(cli.Main(lines(), silent())) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("EXECBENCH_DATA", e.WorkDir+"/data")
			e.Setenv("EXECBENCH_TEMP", e.WorkDir+"/temp")
			e.Setenv("EXECBENCH_CORES", "1")
			e.Setenv("EXECBENCH_MEMORY", "96MiB")
			return os.Mkdir(e.WorkDir+"/temp", 0o777)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "matches": matches, "interrupt": interrupt, "cut": cut, "empty": empty, "replace": replace,
		},
	})
}

// exits runs execbench and wants an exit code: "exits 2 run nothing".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG…")
	}
	err := ts.Exec("execbench", args[1:]...)
	if got := codeOf(err); got != args[0] {
		ts.Fatalf("exit code %s, want %s (%v)", got, args[0], err)
	}
}

func codeOf(err error) string {
	if err == nil {
		return "0"
	}
	_, code, ok := strings.Cut(err.Error(), "exit status ")
	if !ok {
		return err.Error()
	}
	return code
}

// matches wants a fixed text in a file: "matches run/log.txt 'some text'".
func matches(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: matches FILE TEXT")
	}
	if strings.Contains(ts.ReadFile(args[0]), args[1]) == neg {
		ts.Fatalf("%s: %q is there: %v\n%s", args[0], args[1], neg, ts.ReadFile(args[0]))
	}
}

// cut shortens a file: "cut run/samples.jsonl 3".
func cut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE BYTES")
	}
	path := ts.MkAbs(args[0])
	info, err := os.Stat(path)
	ts.Check(err)
	n := int64(0)
	for _, c := range args[1] {
		n = n*10 + int64(c-'0')
	}
	ts.Check(os.Truncate(path, info.Size()-n))
}

// replace changes a text in a file, everywhere: "replace FILE OLD NEW".
func replace(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace FILE OLD NEW")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s: there is no %q\n%s", args[0], args[1], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o666))
}

// empty wants a folder without anything in it, or none at all.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: empty FOLDER")
	}
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	if (len(entries) == 0) == neg {
		ts.Fatalf("%s holds %v", args[0], entries)
	}
}
