package cli_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The README's own workload builds and runs. It stands in a folder of the
// module that exists for this build alone.
func TestTheWorkloadOfTheReadmeRuns(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(text), "```go\n")
	if !ok {
		t.Fatal("the README shows no Go")
	}
	code, _, _ = strings.Cut(code, "```")
	if n := strings.Count(code, "\n"); n > 50 {
		t.Errorf("the README's workload has %d lines", n)
	}
	dir := t.TempDir()
	main, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, "cmd", "readme", "main.go"): main}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{main: []byte(code), overlay: replace} {
		if err := os.WriteFile(name, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "squares")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", program, "./cmd/readme")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the README's workload: %v\n%s", err, out)
	}
	run := exec.CommandContext(t.Context(), program, "run", "squares", "--n", "1000", "--iterations", "1", "--out", filepath.Join(dir, "run"), "--temp", dir)
	run.Dir = dir
	if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), "every answer verified") {
		t.Errorf("the README's workload: %v\n%s", err, out)
	}
}
