package suite_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/bench/suite"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads/standard"
)

// Every size gives every workload values that it takes, and names none that
// is not there.
func TestSizesAreOfTheWorkloads(t *testing.T) {
	if names := suite.SizeNames(); !reflect.DeepEqual(names, []string{"small", "standard"}) {
		t.Errorf("sizes %v", names)
	}
	for _, s := range suite.Sizes() {
		known := 0
		for _, w := range standard.All() {
			if _, err := s.Values(w); err != nil {
				t.Error(err)
			}
			if _, ok := s.Params[w.Name]; ok {
				known++
			}
		}
		if known != len(s.Params) {
			t.Errorf("size %s has %d workloads, of which %d are there", s.Name, len(s.Params), known)
		}
		if s.Doc == "" {
			t.Errorf("size %s says nothing of itself", s.Name)
		}
	}
	if s := suite.Sizes()[0]; len(s.Params) != len(standard.All()) || s.Iterations < report.MinSamples {
		t.Errorf("small names %d of %d workloads, and has %d iterations of the %d for an interval", len(s.Params), len(standard.All()), s.Iterations, report.MinSamples)
	}
	wrong := suite.Size{Name: "wrong", Params: map[string]map[string]string{"terasort": {"size": "much"}}}
	for _, w := range standard.All() {
		if _, err := wrong.Values(w); (err != nil) != (w.Name == "terasort") {
			t.Errorf("%s: %v", w.Name, err)
		}
	}
}

// leave makes a run folder, as a run would.
func leave(t *testing.T, dir string, status folder.Status, samples ...folder.Sample) {
	t.Helper()
	w, err := folder.Create(dir, &folder.Manifest{Workload: filepath.Base(dir), Iterations: len(samples)})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		s.Phase = folder.Iteration
		if err := w.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(w.EventsPath(), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	w.Manifest.End = &folder.End{PeakRSS: 5 * units.MiB}
	if err := w.Finish(folder.Verdict{Status: status}); err != nil {
		t.Fatal(err)
	}
}

// runner ends every workload as its name says.
func runner(t *testing.T) suite.Runner {
	return func(_ context.Context, w string, params []suite.Param, dir string) child.Outcome {
		switch w {
		case "good":
			var samples []folder.Sample
			for i := range 7 {
				samples = append(samples, folder.Sample{Seconds: 2 + float64(i-3)/8, Records: 10, Bytes: 7,
					Totals: folder.Totals{InputBytes: 2 << 20, InputRecords: 4e6, DiskSpilled: 3 << 20}})
			}
			leave(t, dir, folder.Done, samples...)
			return child.Outcome{Kind: child.Done, Folder: dir, Wall: 9}
		case "unchecked":
			leave(t, dir, folder.Unverified, folder.Sample{Seconds: 1, Records: 10})
			return child.Outcome{Kind: child.Done, Folder: dir}
		case "wrong":
			leave(t, dir, folder.Wrong)
			return child.Outcome{Kind: child.Wrong, Why: "lines are missing", Folder: dir, Code: 3}
		}
		return child.Outcome{Kind: child.Refused, Why: "too little memory", Code: 2}
	}
}

func run(t *testing.T, ctx context.Context, names ...string) (string, *suite.Result, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "suite")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(0, 0)
	r, err := suite.Run(ctx, suite.Plan{
		Size:      &suite.Size{Name: "tiny", Params: map[string]map[string]string{"good": {"rows": "5", "b": "x"}}},
		Workloads: names, Dir: dir, Now: func() time.Time { now = now.Add(time.Second); return now },
	}, runner(t))
	return dir, r, err
}

// What fails is a row and stops nothing; the table comes from the folder
// again, wherever it is.
func TestOneTable(t *testing.T) {
	dir, r, err := run(t, t.Context(), "wrong", "good", "refused", "unchecked")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := r.Write(&text, report.Terminal); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"wrong – – – – – – wrong answer",
		"good b=x rows=5 2.00 s 1.62 s … 2.38 s 2.00 M/s 1.00 MiB/s 5.00 MiB 3.00 MiB verified",
		"refused – – – – – – refused",
		"unchecked 1.00 s – 10.00 /s – 5.00 MiB 0 B unverified",
		"wrong: wrong answer: lines are missing.",
		"refused: refused: too little memory.",
		"A 95 % interval for the median exists from 6 iterations on.",
		"Suite of size tiny: 2 of 4 workloads done, 1 verified, in 4.00 s.",
	} {
		if !slices.ContainsFunc(strings.Split(text.String(), "\n"), func(line string) bool { return strings.Join(strings.Fields(line), " ") == want }) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if kept, err := os.ReadFile(filepath.Join(dir, suite.TableFile)); err != nil || string(kept) != text.String() {
		t.Errorf("%s holds %s, %v", suite.TableFile, kept, err)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	again, err := suite.Open(moved)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asJSON(t, r), asJSON(t, again); a != b {
		t.Errorf("read again: %s, want %s", b, a)
	}
	var md bytes.Buffer
	if err := again.Write(&md, report.Markdown); err != nil || !strings.HasPrefix(md.String(), "| workload") {
		t.Errorf("%v\n%s", err, &md)
	}

	// A run folder that is gone is said, and takes its figures with it.
	if err := os.RemoveAll(filepath.Join(moved, "good")); err != nil {
		t.Fatal(err)
	}
	again, err = suite.Open(moved)
	if err != nil {
		t.Fatal(err)
	}
	text.Reset()
	if err := again.Write(&text, report.Terminal); err != nil || again.Rows[1].Median != 0 || !strings.Contains(text.String(), "Note: good: cannot open run folder") {
		t.Errorf("%v %+v\n%s", err, again.Rows[1], &text)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An end from outside keeps what was run and says what was not.
func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by a test")
	dir := t.TempDir()
	r, err := suite.Run(ctx, suite.Plan{Size: &suite.Size{Name: "tiny"}, Workloads: []string{"a", "b"}, Dir: dir, Now: time.Now},
		func(ctx context.Context, w string, _ []suite.Param, _ string) child.Outcome {
			cancel(stop)
			return child.Outcome{Kind: child.Stopped, Why: stop.Error(), Code: 130}
		})
	if !errors.Is(err, stop) || r.Ended != stop.Error() || r.Rows[0].Outcome != child.Stopped || r.Rows[1].Outcome != "" {
		t.Errorf("%v %+v", err, r)
	}
	kept, err := suite.Open(dir)
	if err != nil || kept.Ended != stop.Error() {
		t.Errorf("%v %+v", err, kept)
	}
	var text bytes.Buffer
	if err := kept.Write(&text, report.Terminal); err != nil || !strings.Contains(text.String(), "not run") || !strings.Contains(text.String(), "Ended early: stopped by a test.") {
		t.Errorf("%v\n%s", err, &text)
	}
}

func TestWhatIsNoSuite(t *testing.T) {
	dir := t.TempDir()
	f := func(text, want string) {
		t.Helper()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, suite.File), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := suite.Open(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	f("", "there is no suite.json in it")
	f(`{"schema_version": 9}`, "its schema is version 9")
	f(`{"schema_version": 1, "workloads": [`, "unexpected end")
	f(`{"schema_version": 1, "workloads": [null]}`, "has no folder of the suite")
	f(`{"schema_version": 1, "workloads": [{"workload": "x", "folder": "../../etc"}]}`, "has no folder of the suite")
}
