package folder

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/engine/units"
)

func manifest() *Manifest {
	return &Manifest{
		ID: "x", Status: Running, Started: time.Unix(1e9, 0).UTC(), Workload: "word-count",
		Params:     []Setting{{"size", "1000000000", "flag"}, {"seed", "0", "default"}, {"text", "a b/c", "environment"}},
		Input:      Input{Bytes: 1e9, Checksum: "abc"},
		Iterations: 2, Warmup: 1, Verify: true, Cores: 2, Memory: 512 * units.MiB,
		Machine:  machine.Facts{OS: "linux", Arch: "amd64", CPU: "Some  CPU"},
		Versions: Versions{Go: "go1.26.0", Commit: "0123"},
	}
}

func samples() []Sample {
	return []Sample{
		{Workload: "word-count", Phase: Warmup, Seconds: 9},
		{Workload: "word-count", Phase: Iteration, Index: 0, Seconds: 2, CPU: 3.5, PeakRSS: 1 << 20, Totals: Totals{Tasks: 16, DiskSpilled: 7}, Verified: true,
			Figures: []Figure{{Name: "tasks per second", Value: 1e5, Unit: "1/s"}, {Name: "wall per task", Value: 1e-5, Unit: "s"}}},
		{Workload: "word-count", Phase: Iteration, Index: 1, Seconds: 4, CPU: 3.25, Verified: true},
	}
}

// write makes a whole run folder.
func write(t *testing.T, dir string) {
	t.Helper()
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples() {
		if err := w.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.EventsPath(), []byte("events"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Log().WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	w.Manifest.End = &End{Wall: 12, PeakRSS: 3}
	if err := w.Finish(Verdict{Status: Done, Verdict: "all right"}); err != nil {
		t.Fatal(err)
	}
}

func TestRunFolderComesBackAsWrittenAndMayMove(t *testing.T) {
	old := filepath.Join(t.TempDir(), "a", "b", "run")
	write(t, old)
	dir := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(old, dir); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := manifest()
	want.SchemaVersion, want.Status, want.End = SchemaVersion, Done, &End{Wall: 12, PeakRSS: 3}
	if !reflect.DeepEqual(&r.Manifest, want) {
		t.Errorf("manifest %+v, want %+v", r.Manifest, want)
	}
	if !reflect.DeepEqual(r.Samples, samples()) {
		t.Errorf("samples %+v", r.Samples)
	}
	if len(r.Problems) != 0 || r.Verdict == nil || r.Verdict.Verdict != "all right" {
		t.Errorf("problems %q, verdict %+v", r.Problems, r.Verdict)
	}
	if got := Seconds(r.Samples); !reflect.DeepEqual(got, []float64{2, 4}) {
		t.Errorf("seconds %v", got)
	}
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "bench.txt events.bin log.txt manifest.json samples.jsonl verdict.json" {
		t.Errorf("the folder holds %s", got)
	}
}

func TestSecondsLeavesOutWhatIsNoResult(t *testing.T) {
	got := Seconds([]Sample{
		{Phase: Iteration, Seconds: 1}, {Phase: Iteration, Seconds: 2, Error: "wrong"},
		{Phase: Warmup, Seconds: 3}, {Phase: Iteration, Seconds: 4, Profiled: true},
	})
	if !reflect.DeepEqual(got, []float64{1}) {
		t.Errorf("seconds %v", got)
	}
}

func TestHalfWrittenFoldersOpenWithWhatIsWhole(t *testing.T) {
	f := func(name string, harm func(dir string) error, samplesLeft int, problem string) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "run")
		write(t, dir)
		if err := harm(dir); err != nil {
			t.Fatal(err)
		}
		r, err := Open(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if len(r.Samples) != samplesLeft || !strings.Contains(strings.Join(r.Problems, "\n"), problem) {
			t.Errorf("%s: %d samples, problems %q; want %d and %q", name, len(r.Samples), r.Problems, samplesLeft, problem)
		}
	}
	cut := func(name string, by int64) func(string) error {
		return func(dir string) error {
			p := filepath.Join(dir, name)
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			return os.Truncate(p, info.Size()-by)
		}
	}
	remove := func(name string) func(string) error {
		return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
	}
	f("a cut sample", cut(SamplesFile, 5), 2, "samples.jsonl ends within line 3")
	f("a sample without its newline", cut(SamplesFile, 1), 2, "samples.jsonl ends within line 3")
	f("no samples", remove(SamplesFile), 0, "samples.jsonl is missing")
	f("no verdict", remove(VerdictFile), 3, "cut off before its end")
	f("a cut verdict", cut(VerdictFile, 5), 3, "verdict.json cannot be read")
	f("no events", remove(EventsFile), 3, "events.bin is missing")
	f("a changed line", func(dir string) error {
		p := filepath.Join(dir, SamplesFile)
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(p, bytes.Replace(data, []byte("{"), []byte("["), 1), 0o666)
	}, 2, "line 1 of samples.jsonl cannot be read")
}

func TestWhatIsNoRunFolder(t *testing.T) {
	f := func(dir, want string) {
		t.Helper()
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%s): %v, want %q", dir, err, want)
		}
	}
	tmp := t.TempDir()
	f(filepath.Join(tmp, "no"), "there is no such folder")
	f(tmp, "there is no manifest.json in it")
	put := func(text string) {
		if err := os.WriteFile(filepath.Join(tmp, ManifestFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put(`{"schema_version": 1, "id": "`)
	f(tmp, "cannot read "+filepath.Join(tmp, ManifestFile))
	put(`{"schema_version": 99}`)
	f(tmp, "version 99, this program knows version 1")

	if _, err := Create(tmp, manifest()); err == nil || !strings.Contains(err.Error(), "it is not empty") {
		t.Errorf("Create over a folder in use: %v", err)
	}
	if _, err := Create(filepath.Join(tmp, ManifestFile), manifest()); err == nil || !strings.Contains(err.Error(), "there is a file of that name") {
		t.Errorf("Create over a file: %v", err)
	}
	empty := filepath.Join(tmp, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(empty, manifest()); err != nil {
		t.Errorf("Create in an empty folder: %v", err)
	}
}

// Before the end the folder opens as a run that is going on.
func TestAnUnfinishedRunOpens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	w, err := Create(dir, manifest())
	if err != nil {
		t.Fatal(err)
	}
	w.Manifest.Input.Checksum = "known by now"
	if err := w.Update(); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(samples()[1]); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, BenchFile)); err != nil || !strings.Contains(string(text), "data: known by now\n") {
		t.Errorf("bench.txt says %s, %v", text, err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.Manifest.Input.Checksum != "known by now" || r.Manifest.Status != Running || r.Manifest.End != nil || len(r.Samples) != 1 || r.Verdict != nil || len(r.Problems) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestSamplesAreJSONLines(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	write(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, SamplesFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"phase", "index", "seconds", "cpu_seconds", "totals"} {
			if _, ok := m[key]; !ok {
				t.Errorf("no %s in %s", key, line)
			}
		}
	}
}
