package compare

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// A run folder with one job of two stages in every iteration, whose second
// stage takes the factor longer. Times are invented: nothing is measured.
func runFolder(t *testing.T, dir string, seed uint64, iterations int, factor float64, change func(*folder.Manifest)) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	m := &folder.Manifest{Workload: "lines", Iterations: iterations, Cores: 2, Memory: 512 * units.MiB, Fingerprint: "f00d", Verify: true,
		Params: []folder.Setting{{Name: "records", Value: "10"}, {Name: "seed", Value: "0"}},
		Input:  folder.Input{Files: 1, Checksum: "abc", Generated: true},
		Conf:   []folder.Setting{{Name: "spark.memory.fraction", Value: "1"}, {Name: "spark.app.name", Value: dir}}}
	if change != nil {
		change(m)
	}
	w, err := folder.Create(dir, m)
	if err != nil {
		t.Fatal(err)
	}
	f, err := event.Create(w.EventsPath())
	if err != nil {
		t.Fatal(err)
	}
	now := int64(1e6)
	f.Emit(&event.ApplicationStart{At: 0, Cores: 2, Memory: 512 << 20})
	for i := range iterations {
		begin := now
		job := id.Job(i)
		stages := []event.StageInfo{
			{StageAttempt: id.StageAttempt{Stage: id.Stage(2 * i)}, Name: "map at lines.go:7", NumTasks: 1, Kind: task.ShuffleMapTask},
			{StageAttempt: id.StageAttempt{Stage: id.Stage(2*i + 1)}, Name: "count at lines.go:9", NumTasks: 1, Parents: []id.Stage{id.Stage(2 * i)}}}
		f.Emit(&event.JobStart{At: now, Job: job, Stages: stages})
		for k, s := range stages {
			length := int64(100e6 * (1 + 0.02*r.NormFloat64()))
			if k == 1 {
				length = int64(float64(length) * factor)
			}
			s.Submitted = now + 1
			f.Emit(&event.StageSubmitted{At: now + 1, Job: job, Stage: s})
			e := &event.TaskEnd{Kind: s.Kind, HasMetrics: true, Reason: task.Success}
			e.Info = event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: s.StageAttempt, Task: id.Task(2*i + k)}, Launch: now + 1}
			e.Stamps = task.Stamps{Start: now + 1, RunStart: now + 1, RunEnd: now + 1 + length, EncodeEnd: now + 1 + length, End: now + 1 + length}
			e.Metrics[task.ComputeTime], e.Metrics[task.ExecutorRunTime] = length, length
			now += length + 2
			e.Info.Finish = now
			f.Emit(&event.TaskStart{Info: e.Info})
			f.Emit(e)
			s.Completed = now
			f.Emit(&event.StageCompleted{At: now, Stage: s})
		}
		f.Emit(&event.JobEnd{At: now, Job: job})
		f.Emit(&event.Phase{Begin: begin, End: now, Name: "iteration", Index: int32(i)})
		seconds := float64(now-begin) / 1e9
		if err := w.Add(folder.Sample{Workload: "lines", Phase: folder.Iteration, Index: i, Seconds: seconds, CPU: seconds, Verified: true, Checksum: "42", PeakRSS: units.MiB}); err != nil {
			t.Fatal(err)
		}
	}
	f.Emit(&event.ApplicationEnd{At: now})
	if err := errors.Join(f.Close(), w.Finish(folder.Verdict{Status: folder.Done})); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *Side {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func find(t *testing.T, rows []*Row, stage, part string) *Row {
	t.Helper()
	for _, r := range rows {
		if strings.HasPrefix(r.Stage, stage) && r.Part == part {
			return r
		}
	}
	t.Fatalf("there is no %s of %q", part, stage)
	return nil
}

func TestTheSlowerStageIsNamed(t *testing.T) {
	dir := t.TempDir()
	a, b, c := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")
	runFolder(t, a, 1, 10, 1, nil)
	runFolder(t, b, 2, 10, 1, nil)
	runFolder(t, c, 3, 10, 1.5, nil)

	r, err := Compare(open(t, a), open(t, b), Options{})
	if err != nil || r.Verdict != Same {
		t.Errorf("equal runs: %v, %v", r, err)
	}
	if r, err = Compare(open(t, a), open(t, c), Options{}); err != nil || r.Verdict != Worse {
		t.Fatalf("a slower run: %v, %v", r, err)
	}
	if v := find(t, r.Parts, "1 map", "compute").Verdict; v != Same {
		t.Errorf("the first stage is %s", v)
	}
	if v := find(t, r.Parts, "2 count", "compute").Verdict; v != Worse {
		t.Errorf("the second stage is %s", v)
	}
	find(t, r.Parts, "2 count", "elapsed")
	if r, err = Compare(open(t, c), open(t, a), Options{}); err != nil || r.Verdict != Better || !strings.Contains(r.Sentence, "faster") {
		t.Errorf("a faster run: %v, %v", r, err)
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 count at lines.go", "better", "detectable", "Verdict: better: lines is faster by", "peak RSS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the tables lack %q:\n%s", want, &out)
		}
	}
}

func TestWhatDiffersIsNamed(t *testing.T) {
	dir := t.TempDir()
	a := filepath.Join(dir, "a")
	runFolder(t, a, 1, 6, 1, nil)
	old := open(t, a)
	for i, c := range []struct {
		what   string
		change func(*folder.Manifest)
	}{
		{"machine (fingerprint)", func(m *folder.Manifest) { m.Fingerprint = "beef" }},
		{"workload", func(m *folder.Manifest) { m.Workload = "words" }},
		{"parameter records", func(m *folder.Manifest) { m.Params[0].Value = "11" }},
		{"parameter seed", func(m *folder.Manifest) { m.Params[1].Value = "7" }},
		{"data checksum", func(m *folder.Manifest) { m.Input.Checksum = "abd" }},
		{"cores", func(m *folder.Manifest) { m.Cores = 1 }},
		{"executors", func(m *folder.Manifest) { m.Executors = 2 }},
		{"memory", func(m *folder.Manifest) { m.Memory = units.GiB }},
		{"configuration spark.memory.fraction", func(m *folder.Manifest) { m.Conf[0].Value = "0.6" }},
		{"configuration spark.new", func(m *folder.Manifest) { m.Conf = append(m.Conf, folder.Setting{Name: "spark.new", Value: "1"}) }},
		{"GOGC", func(m *folder.Manifest) { m.Versions.GOGC = "off" }},
		{"warm-up iterations", func(m *folder.Manifest) { m.Warmup = 4 }},
		{"verification", func(m *folder.Manifest) { m.Verify = false }},
	} {
		b := filepath.Join(dir, "b", string(rune('a'+i)))
		runFolder(t, b, 2, 6, 1, c.change)
		r, err := Compare(old, open(t, b), Options{})
		var differ *Differ
		if !errors.As(err, &differ) || !errors.Is(err, ErrDiffer) || len(differ.Differences) != 1 || differ.Differences[0].What != c.what {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if r == nil || len(r.Runs) != 2 || !strings.Contains(err.Error(), c.what+": ") {
			t.Errorf("%s: %v, %v", c.what, r, err)
		}
	}
	// The program is what a comparison is about.
	b := filepath.Join(dir, "commit")
	runFolder(t, b, 2, 6, 1, func(m *folder.Manifest) { m.Versions.Commit, m.Versions.Go = "123", "go9" })
	if r, err := Compare(old, open(t, b), Options{}); err != nil || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "go9") }) {
		t.Errorf("another commit: %v, %v", r, err)
	}
}

// On a machine that was not quiet a change counts only if all of its interval
// does.
func TestNoiseAsksForMore(t *testing.T) {
	for _, c := range []struct {
		change      float64
		quiet, loud Verdict
	}{{1.1, Worse, Unsure}, {0.9, Better, Unsure}, {1.3, Worse, Worse}, {0.7, Better, Better}, {1, Same, Same}} {
		for noisy, want := range map[bool]Verdict{false: c.quiet, true: c.loud} {
			row := &Row{}
			for i := range 20 {
				v := 1 + 0.01*float64(i%10) // half of it is the minimum effect
				row.Old, row.New = append(row.Old, v), append(row.New, v*c.change)
			}
			judge([]*Row{row}, Options{MinEffect: 0.08, noisy: noisy}.withDefaults())
			if row.Verdict != want || (want == Unsure) != strings.Contains(row.Why, "it was not quiet") {
				t.Errorf("× %v, noisy %v: %s, %q; want %s (interval %v)", c.change, noisy, row.Verdict, row.Why, want, *row.Interval)
			}
		}
	}
}

// What else the machine did is said with a change, and with nothing else.
func TestNoiseIsSaid(t *testing.T) {
	dir := t.TempDir()
	noisy := func(m *folder.Manifest) { m.End = &folder.End{Warnings: []string{"steal"}} }
	runFolder(t, filepath.Join(dir, "a"), 1, 8, 1, nil)
	runFolder(t, filepath.Join(dir, "b"), 2, 8, 1.5, noisy)
	runFolder(t, filepath.Join(dir, "c"), 3, 8, 1, noisy)
	for name, want := range map[string]bool{"b": true, "c": false} {
		r, err := Compare(open(t, filepath.Join(dir, "a")), open(t, filepath.Join(dir, name)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(r.Sentence, "the machine was not quiet"); got != want || !slices.Contains(r.Notes, "noise of the new run: steal") {
			t.Errorf("%q, notes %q", r.Sentence, r.Notes)
		}
	}
}

func TestWholeSuites(t *testing.T) {
	dir := t.TempDir()
	words := func(m *folder.Manifest) { m.Workload = "words" }
	for i, side := range []string{"a", "b"} {
		runFolder(t, filepath.Join(dir, side, "one"), uint64(i), 8, 1, nil)
		runFolder(t, filepath.Join(dir, side, "two"), uint64(10+i), 8, 1+float64(i), words)
	}
	runFolder(t, filepath.Join(dir, "a", "three"), 5, 8, 1, func(m *folder.Manifest) { m.Workload = "gone" })
	r, err := Compare(open(t, filepath.Join(dir, "a")), open(t, filepath.Join(dir, "b")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if times := r.Times(); len(times) != 2 || times[0].Verdict != Same || times[1].Verdict != Worse || r.Verdict != Worse {
		t.Errorf("%v", r)
	}
	if !strings.Contains(r.Sentence, "words is slower") || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "no run of gone") }) {
		t.Errorf("%q, notes %q", r.Sentence, r.Notes)
	}
}

// A side of several runs of a workload has one value for each: one process
// that fared badly decides nothing, and noise holds no verdict back.
func TestRunsInTurns(t *testing.T) {
	dir := t.TempDir()
	const runs = 9
	for i := range runs {
		for k, factor := range map[string]float64{"old": 1, "equal": 1, "slower": 1.4} {
			if i == 4 {
				factor *= 3
			}
			runFolder(t, filepath.Join(dir, k, strconv.Itoa(runs-i)), uint64(i)<<8|uint64(k[0]), 5, factor, func(m *folder.Manifest) {
				m.Started = time.Unix(int64(i), 0)
				m.End = &folder.End{Warnings: []string{"steal"}}
			})
		}
	}
	old := open(t, filepath.Join(dir, "old"))
	r, err := Compare(old, open(t, filepath.Join(dir, "equal")), Options{})
	if err != nil || r.Verdict != Same || !r.OfRuns {
		t.Errorf("equal: %v, %v", r, err)
	}
	if r, err = Compare(old, open(t, filepath.Join(dir, "slower")), Options{}); err != nil || r.Verdict != Worse {
		t.Fatalf("slower: %v, %v", r, err)
	}
	row := r.Times()[0]
	if len(row.Old) != runs || len(row.New) != runs {
		t.Errorf("%d and %d values of %d runs", len(row.Old), len(row.New), runs)
	}
	if slowest := slices.Index(row.Old, slices.Max(row.Old)); slowest != 4 {
		t.Errorf("run 4 is at place %d: they are not in the order in which they began", slowest)
	}
	if v := find(t, r.Parts, "2 count", "compute"); v.Verdict != Worse || len(v.Old) != runs {
		t.Errorf("the second stage: %+v", v)
	}
	if v := find(t, r.Parts, "1 map", "compute").Verdict; v != Same {
		t.Errorf("the first stage is %s", v)
	}
	if n := strings.Count(strings.Join(r.Notes, "\n"), "steal"); n != 2 || strings.Contains(r.Sentence, "quiet") {
		t.Errorf("noise is told %d times: %q, %q", n, r.Notes, r.Sentence)
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil || !strings.Contains(out.String(), "Runs, by their median iteration") {
		t.Errorf("%v\n%s", err, &out)
	}
	// One that differs is found among the others.
	runFolder(t, filepath.Join(dir, "equal", "more"), 1, 5, 1, func(m *folder.Manifest) { m.Memory = units.GiB })
	var differ *Differ
	if _, err := Compare(old, open(t, filepath.Join(dir, "equal")), Options{}); !errors.As(err, &differ) || len(differ.Differences) != 1 {
		t.Errorf("a run with more memory: %v", err)
	}
}

// A stage that only some of the runs have takes no time in the others.
func TestPartsOfRuns(t *testing.T) {
	var s partSeries
	a, b := partKey{"1", "compute"}, partKey{"2", "spill"}
	s.addMedians(partSeries{[]partKey{a}, map[partKey][]float64{a: {1, 2, 9}}}, 0)
	s.addMedians(partSeries{[]partKey{b}, map[partKey][]float64{b: {4}}}, 1)
	s.addMedians(partSeries{}, 2)
	s.pad(3)
	if !slices.Equal(s.values[a], []float64{2, 0, 0}) || !slices.Equal(s.values[b], []float64{0, 4, 0}) {
		t.Errorf("%v", s.values)
	}
}

func TestRunsWithoutTimesAreRefused(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	runFolder(t, a, 1, 6, 1, nil)
	runFolder(t, b, 1, 0, 1, nil)
	if _, err := Compare(open(t, a), open(t, b), Options{}); err == nil || !strings.Contains(err.Error(), "no timed iteration") {
		t.Errorf("no samples: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "nothing")); err == nil || !strings.Contains(err.Error(), "there is no such folder") {
		t.Errorf("no folder: %v", err)
	}
	// Without events the times still compare.
	if err := os.Remove(filepath.Join(a, folder.EventsFile)); err != nil {
		t.Fatal(err)
	}
	if r, err := Compare(open(t, a), open(t, a), Options{}); err != nil || len(r.Parts) != 0 || r.Verdict != Same {
		t.Errorf("no events: %v, %v", r, err)
	}
}
