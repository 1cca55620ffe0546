package standard

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func TestMain(m *testing.M) {
	for _, w := range All() {
		workloads.Register(w)
	}
	goleak.VerifyTestMain(m)
}

// open starts a session that checks at its end that nothing is left of it.
func open(t testing.TB, cores int, memory units.Bytes) *engine.Session {
	t.Helper()
	return openShape(t, engine.Config{Cores: cores, Memory: memory})
}

func openShape(t testing.TB, cfg engine.Config) *engine.Session {
	t.Helper()
	cfg.Temp = t.TempDir()
	s, err := engine.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func set(t testing.TB, v workloads.Values, pairs ...string) workloads.Values {
	t.Helper()
	v = v.Clone()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// input generates a workload's data and returns them with their checksum.
func input(t testing.TB, w *workloads.Workload, g workloads.Gen, v workloads.Values) workloads.Input {
	t.Helper()
	if w.Generate == nil {
		return workloads.Input{}
	}
	dir := t.TempDir()
	if err := w.Generate(t.Context(), g, v, dir); err != nil {
		t.Fatal(err)
	}
	files, err := workloads.InputFiles([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	sums, err := workloads.Checksums(t.Context(), g, files)
	if err != nil {
		t.Fatal(err)
	}
	return workloads.Input{Paths: []string{dir}, Generated: true, Checksum: fmt.Sprintf("%x", sums)}
}

func prepare(t testing.TB, s *engine.Session, w *workloads.Workload, v workloads.Values, built any) {
	t.Helper()
	if w.Prepare == nil {
		return
	}
	if err := w.Prepare(t.Context(), s, built, v); err != nil {
		t.Fatal(err)
	}
}

// answer builds and runs a workload and verifies what it answers.
func answer(t testing.TB, s *engine.Session, w *workloads.Workload, v workloads.Values, in workloads.Input) *workloads.Answer {
	t.Helper()
	built, err := workloads.Build(s, w, v, in)
	if err != nil {
		t.Fatal(err)
	}
	prepare(t, s, w, v, built)
	a, err := w.Run(t.Context(), s, built, v, filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	verdict, err := w.Verify(t.Context(), workloads.Gen{Cores: s.Cores(), Memory: 8 * units.MiB}, v, in, a)
	if err != nil {
		t.Fatal(err)
	}
	if !verdict.OK || len(verdict.Checks) == 0 {
		t.Errorf("wrong answer: %v", verdict.Failed())
	}
	return a
}

// What a workload answers depends on its data alone.
func TestAnswersAreTheSameEverywhere(t *testing.T) {
	sizes := map[string][]string{
		"groupby":   {"rows", "120000", "keys", "50000", "skew", "0.5", "seed", "2"},
		"join":      {"rows", "60000", "ratio", "3", "keys", "15000", "skew", "0.5", "sparse", "true", "seed", "2"},
		"kmeans":    {"points", "20000", "dim", "7", "k", "9", "blobs", "12", "rounds", "6", "seed", "2"},
		"pagerank":  {"nodes", "7000", "edges", "90000", "skew", "0.7", "rounds", "5", "seed", "2"},
		"terasort":  {"records", "200000", "seed", "2"},
		"wordcount": {"size", "3MB", "vocabulary", "50000", "exponent", "0.5", "seed", "2"},
		"tasks":     {"tasks", "500", "metg", "false"},
		"results":   {"tasks", "5", "result-size", "1200001", "seed", "2"},
		"barrier":   {"rounds", "300", "seed", "2"},
	}
	for _, w := range workloads.All() {
		t.Run(w.Name, func(t *testing.T) {
			size, ok := sizes[w.Name]
			if !ok {
				t.Fatal("this test has no size for the workload")
			}
			v := set(t, w.Values(), size...)
			in := input(t, w, workloads.Gen{Cores: 2}, v)
			if again := input(t, w, workloads.Gen{Cores: 1, Memory: 1}, v); again.Checksum != in.Checksum {
				t.Errorf("data checksums %s and %s", in.Checksum, again.Checksum)
			}
			partitions := []string{""}
			if _, has := w.Param("partitions"); has {
				partitions = []string{"1", "7", "64"}
			}
			want := ""
			for _, shape := range []struct {
				cores, executors int
				least            units.Bytes
			}{{1, 1, 48 * units.MiB}, {2, 1, 64 * units.MiB}, {2, 2, 67 * units.MiB}} {
				for _, memory := range []units.Bytes{256 * units.MiB, shape.least} {
					s := openShape(t, engine.Config{Cores: shape.cores, Executors: shape.executors, Memory: memory})
					for _, p := range partitions {
						v := v
						if p != "" {
							v = set(t, v, "partitions", p)
						}
						a := answer(t, s, w, v, in)
						if want == "" {
							want = a.Checksum
						}
						if a.Checksum == "" || a.Checksum != want {
							t.Errorf("%d cores, %d executors, %v, %s partitions: checksum %s, want %s", shape.cores, shape.executors, memory, p, a.Checksum, want)
						}
					}
				}
			}
		})
	}
}

// One session, one built lineage, several iterations, as the harness runs
// them.
func TestRunAgainAndAgain(t *testing.T) {
	s := open(t, 2, 256*units.MiB)
	for _, w := range workloads.All() {
		v := w.Values()
		for name, text := range map[string]string{"size": "200kB", "tasks": "300", "result-size": "20kB", "rounds": "20", "rows": "3000",
			"nodes": "2000", "edges": "20000", "points": "2000"} {
			if _, has := w.Param(name); has {
				v = set(t, v, name, text)
			}
		}
		in := input(t, w, workloads.Gen{}, v)
		built, err := workloads.Build(s, w, v, in)
		if err != nil {
			t.Fatal(err)
		}
		prepare(t, s, w, v, built)
		want := ""
		for i := range 3 {
			a, err := w.Run(t.Context(), s, built, v, filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatalf("%s, run %d: %v", w.Name, i, err)
			}
			verdict, err := w.Verify(t.Context(), workloads.Gen{}, v, in, a)
			if err != nil || !verdict.OK {
				t.Fatalf("%s, run %d: %v %v", w.Name, i, err, verdict)
			}
			if want == "" {
				want = a.Checksum
			}
			if a.Checksum != want {
				t.Errorf("%s, run %d: checksum %s, want %s", w.Name, i, a.Checksum, want)
			}
		}
	}
}

// Real text: hidden files, empty files, files without a last newline, words
// of any bytes, and no word joined over two files.
func TestWordcountOfAFolder(t *testing.T) {
	dir := t.TempDir()
	texts := map[string]string{
		".hidden":  "one two",
		"_under":   "two three",
		"empty":    "",
		"sub/nul":  "\x00\x00 \xff\xfe\tone\vtwo\fthree\r\n",
		"sub/long": strings.Repeat("x", 300000) + " end",
		"sub/lf":   "\n\n \t",
	}
	for name, text := range texts {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	w, err := workloads.Get("wordcount")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, 2, 256*units.MiB)
	a := answer(t, s, w, w.Values(), workloads.Input{Paths: []string{dir}})
	files, err := workloads.OutputFiles(a.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.SplitAfter(string(data), "\n")...)
	}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "" })
	slices.Sort(got)
	want := []string{"one\t2\n", "two\t3\n", "three\t2\n", "\x00\x00\t1\n", "\xff\xfe\t1\n", strings.Repeat("x", 300000) + "\t1\n", "end\t1\n"}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %.200q", got)
	}
}

func TestTerasortRefusesBrokenInput(t *testing.T) {
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, make([]byte, 150), 0o666); err != nil {
		t.Fatal(err)
	}
	w, err := workloads.Get("terasort")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, 1, 128*units.MiB)
	if _, err := workloads.Build(s, w, w.Values(), workloads.Input{Paths: []string{path}}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("half a record: %v", err)
	}
	if _, err := workloads.Build(s, w, set(t, w.Values(), "size", "1MB", "records", "5"), workloads.Input{Paths: []string{path}}); err == nil || !strings.Contains(err.Error(), "size and records") {
		t.Errorf("size and records: %v", err)
	}
}

func TestTasksMeasuresItsFigures(t *testing.T) {
	w, err := workloads.Get("tasks")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, 2, 128*units.MiB)
	for _, mode := range []string{"false", "true"} {
		a := answer(t, s, w, set(t, w.Values(), "tasks", "50", "length", "20us", "sleep", mode), workloads.Input{})
		var names []string
		for _, f := range a.Figures {
			names = append(names, f.Name)
			if f.Name != "cost per task" && f.Value <= 0 {
				t.Errorf("%s is %v", f.Name, f.Value)
			}
		}
		if want := []string{"tasks per second", "wall per task", "cost per task"}; !slices.Equal(names, want) {
			t.Errorf("figures %v, want %v", names, want)
		}
	}
	for _, c := range []struct {
		pairs []string
		want  int
	}{{nil, 1}, {[]string{"metg", "false"}, 0}, {[]string{"sleep", "true"}, 0}} {
		figures, err := w.Measure(t.Context(), s, set(t, w.Values(), c.pairs...))
		if err != nil || len(figures) != c.want {
			t.Errorf("%v: %v (%v), want %d figures", c.pairs, figures, err, c.want)
		}
	}
}

// The texts teach: parameters are described, examples name the workload.
func TestWorkloadsExplainThemselves(t *testing.T) {
	for _, w := range All() {
		if w.Stresses == "" || !strings.Contains(w.Doc, "What it stresses:") || !strings.Contains(w.Doc, "Verified") || !strings.Contains(w.Doc, "execbench run "+w.Name) {
			t.Errorf("%s: the doc text leaves out what it stresses, how it is verified or an example", w.Name)
		}
		for i, line := range strings.Split(w.Doc, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: line %d of the doc text is %d columns wide", w.Name, i+1, len(line))
			}
			for _, word := range strings.Fields(line) {
				if name, ok := strings.CutPrefix(word, "--"); ok && strings.Contains(line, "execbench run") {
					name, _, _ = strings.Cut(name, "=")
					_, has := w.Param(name)
					if !has && !slices.Contains([]string{"cores", "memory", "input", "output", "out", "conf"}, name) {
						t.Errorf("%s: the example %q uses --%s, which there is not", w.Name, line, name)
					}
				}
			}
		}
	}
}
