package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ownWorkload is a whole program with a workload of its own; the README shows
// it.
const ownWorkload = "testdata/ownworkload/main.go"

func TestTheReadmeShowsTheOwnWorkload(t *testing.T) {
	code, err := os.ReadFile(ownWorkload)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(code), "\n"); n > 45 {
		t.Errorf("%s has %d lines", ownWorkload, n)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```go\n"+string(code)+"```\n") {
		t.Errorf("the README does not show %s as it is", ownWorkload)
	}
}

// A program outside this repository, in a module of its own, has every
// command for its workload.
func TestOwnWorkload(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyFile(t, ownWorkload, filepath.Join(dir, "main.go"))
	// As the README has it. The module names all modules of this one, so that
	// Go asks for none that this repository's own build did not need: not one
	// that only another system wants.
	for _, name := range []string{"go.mod", "go.sum"} {
		copyFile(t, filepath.Join(repository, name), filepath.Join(dir, name))
	}
	for _, args := range [][]string{
		{"mod", "edit", "-module=squares", "-require=github.com/execbench/execbench@v0.0.0", "-replace=github.com/execbench/execbench=" + repository},
		{"build", "-o", "squares", "."},
	} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"list", 0, []string{"squares   add up the squares of the numbers below n"}},
		{"describe squares", 0, []string{"squares: add up the squares", "--n   count  1000000  from 1 to 1000000  how many numbers"}},
		{"describe squares --plan --n 10", 0, []string{"(8) map #", "main.go:19", "range #", "main.go:18"}},
		{"run squares --n 1000 --iterations 2 --out run --samples", 0, []string{"@ squares 0.", "squares · n=1000", "fold at main.go:28", "every answer verified"}},
		{"report run", 0, []string{"fold at main.go:28", "every answer verified", "Median "}},
		{"report run --tasks --format csv", 0, []string{"stage,stage_attempt,index,number", "ResultTask"}},
		{"export spark run --out logs", 0, []string{"logs/local-"}},
		{"help run squares", 0, []string{"--n COUNT", "how many numbers (from 1 to 1000000) (default 1000000)", "--memory SIZE"}},
		{"run squares --n 0", 2, []string{"cannot set n to 0: it must be from 1 to 1000000"}},
		{"run squars", 2, []string{`there is no workload "squars"; did you mean "squares"?`}},
		{"gen squares --out data", 2, []string{"workload squares reads no input: there is nothing to generate"}},
		{"verify squares data", 2, []string{"workload squares writes no files: there is nothing to verify"}},
		{"run squares --n 1000 --iterations 2 --profile goroutine --out profiled", 0, []string{"every answer verified"}},
		{"profile top profiled --kind goroutine", 0, []string{"runtime."}},
		{"compare run profiled", 0, []string{"squares"}},
		{"explain run", 0, []string{"Bound by "}},
		{"tune squares --n 1000 --cores 1 --memory 96MiB,128MiB --runs 1 --warmup 0 --out tuned", 0, []string{"Recommended"}},
		{"run --all --iterations 1 --warmup 0 --out suite", 0, []string{"squares"}},
		{"doctor", 0, []string{"cores"}},
		{"completion bash", 0, []string{"__start_execbench"}},
		{"clean --keep-data --temp temp", 0, nil},
		{"version", 0, []string{"execbench"}},
	} {
		cmd := exec.CommandContext(t.Context(), "./squares", strings.Fields(c.args)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "EXECBENCH_TEMP="+temp, "EXECBENCH_CORES=1", "EXECBENCH_MEMORY=96MiB", "EXECBENCH_DATA="+filepath.Join(dir, "data"))
		out, err := cmd.CombinedOutput()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != c.code {
			t.Errorf("squares %s: exit code %d, want %d\n%s", c.args, code, c.code, out)
		}
		for _, text := range c.says {
			if !strings.Contains(string(out), text) {
				t.Errorf("squares %s does not say %q:\n%s", c.args, text, out)
			}
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}
