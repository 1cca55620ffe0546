package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func TestMain(m *testing.M) {
	workloads.Register(counting)
	goleak.VerifyTestMain(m)
}

// seen is what the counting workload was asked to do. One test at a time.
var seen struct {
	built  int
	wrong  int // the execution whose answer is wrong, from 1 on
	cancel context.CancelCauseFunc
}

// counting shuffles some numbers.
var counting = &workloads.Workload{
	Name: "counting", Summary: "count to a number through a shuffle",
	Params: []workloads.Param{{Name: "n", Kind: workloads.Int, Default: "5000", Min: "1", Doc: "how far"}},
	Build: func(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
		pairs := engine.Map(engine.Range(s, v.Int("n"), 3), func(i int64) engine.Pair[int64, int64] { return engine.Pair[int64, int64]{Key: i % 10, Value: 1} })
		return engine.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, engine.Partitions(2)), nil
	},
	Run: func(ctx context.Context, _ *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
		seen.built++
		if seen.cancel != nil && seen.built == 2 {
			seen.cancel(&Signal{os.Interrupt})
		}
		rows, err := built.(*engine.Dataset[engine.Pair[int64, int64]]).Collect(ctx)
		if err != nil {
			return nil, err
		}
		n := int64(0)
		for _, r := range rows {
			n += r.Value
		}
		if seen.built == seen.wrong {
			n++
		}
		return &workloads.Answer{Records: n, Checksum: fmt.Sprint(n)}, nil
	},
	Verify: func(_ context.Context, _ workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
		verdict := &workloads.Verdict{}
		verdict.Expect("sum", fmt.Sprint(v.Int("n")), a.Checksum)
		return verdict, nil
	},
}

// small is a short run of counting in a folder of the test's own.
func small(t *testing.T) Plan {
	t.Helper()
	seen.built, seen.wrong, seen.cancel = 0, 0, nil
	dir := t.TempDir()
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	return Plan{
		Workload: counting, Values: counting.Values(), Iterations: 3, Warmup: 1, Verify: true,
		Cores: 1, Memory: 96 * units.MiB, Temp: temp, Out: filepath.Join(dir, "run"),
	}
}

// mustBeEmpty says that no temporary file is left.
func mustBeEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", dir, left, err)
	}
}

func TestEveryIterationRunsTheWholeJobAndIsRecorded(t *testing.T) {
	p := small(t)
	var phases []string
	var told []folder.Sample
	dir, err := Run(t.Context(), p, Observer{
		Phase:  func(name string, index, of int) { phases = append(phases, fmt.Sprintf("%s %d/%d", name, index, of)) },
		Sample: func(s folder.Sample) { told = append(told, s) },
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 || r.Manifest.Status != folder.Done || r.Verdict.ExitCode != 0 || len(r.Samples) != 4 || len(told) != 4 {
		t.Errorf("problems %q, status %s, %d samples, %d told", r.Problems, r.Manifest.Status, len(r.Samples), len(told))
	}
	for _, s := range r.Samples {
		// Three map tasks and two reduce tasks each time: no stage was skipped.
		if s.Totals.Tasks != 5 || s.Totals.Stages != 2 || s.Totals.Jobs != 1 || s.Totals.Failed != 0 || !s.Verified || s.Seconds <= 0 || s.Checksum != "5000" {
			t.Errorf("sample %+v", s)
		}
	}
	want := "warmup 0/1, verify 0/1, iteration 0/3, verify 0/3, iteration 1/3, verify 1/3, iteration 2/3, verify 2/3"
	if got := strings.Join(phases, ", "); got != want {
		t.Errorf("phases %s, want %s", got, want)
	}
	if e := r.Manifest.End; e == nil || e.PeakRSS == 0 || e.Wall <= 0 || e.CPU <= 0 {
		t.Errorf("end %+v", e)
	}
	mustBeEmpty(t, p.Temp)
}

func TestAWrongAnswerEndsTheRunWithoutANumber(t *testing.T) {
	p := small(t)
	seen.wrong = 3 // the second iteration
	dir, err := Run(t.Context(), p, Observer{})
	var wrong *WrongAnswer
	if !errors.As(err, &wrong) || wrong.Index != 1 || ExitCode(err) != ExitBroken {
		t.Fatalf("error %v", err)
	}
	r, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := folder.Seconds(r.Samples); len(got) != 1 || len(r.Samples) != 3 {
		t.Errorf("%d numbers of %d samples", len(got), len(r.Samples))
	}
	if r.Manifest.Status != folder.Wrong || r.Verdict.Checks[0].Got != "5001" {
		t.Errorf("verdict %+v", r.Verdict)
	}
	mustBeEmpty(t, p.Temp)
}

func TestACancelledRunKeepsWhatWasDone(t *testing.T) {
	p := small(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	seen.cancel = cancel // in the first iteration
	dir, err := Run(ctx, p, Observer{})
	var sig *Signal
	if !errors.As(err, &sig) || ExitCode(err) != ExitInterrupt {
		t.Fatalf("error %v", err)
	}
	r, err := folder.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Problems) > 0 || r.Manifest.Status != folder.Interrupted || len(r.Samples) != 2 || r.Samples[0].Error != "" || r.Samples[1].Error == "" {
		t.Errorf("problems %q, status %s, samples %+v", r.Problems, r.Manifest.Status, r.Samples)
	}
	mustBeEmpty(t, p.Temp)
}

func TestUsageErrorsLeaveNoRunFolder(t *testing.T) {
	f := func(name string, change func(*Plan), want string) {
		t.Helper()
		p := small(t)
		temp := p.Temp
		change(&p)
		dir, err := Run(t.Context(), p, Observer{})
		if ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), want) || dir != "" {
			t.Errorf("%s: folder %q, error %v, want %q", name, dir, err, want)
		}
		if _, err := os.Stat(p.Out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the run folder is there", name)
		}
		mustBeEmpty(t, temp)
	}
	f("memory", func(p *Plan) { p.Memory = 33 * units.MiB; p.Cores = 64 }, "64")
	f("key", func(p *Plan) {
		p.Conf = []conf.Layer{{Source: "--conf", Values: map[string]string{"memory.fractoin": "1"}}}
	}, "did you mean memory.fraction?")
	f("input", func(p *Plan) { p.Input = []string{p.Temp} }, "workload counting reads no input: leave --input out")
	f("no such input", func(p *Plan) {
		w := *p.Workload
		w.Generate = func(context.Context, workloads.Gen, workloads.Values, string) error { return nil }
		p.Workload, p.Input = &w, []string{filepath.Join(p.Temp, "no")}
	}, "cannot read input")
	f("temp", func(p *Plan) { p.Temp = p.Temp + "/a\x00b" }, "invalid argument")
}

func TestResolveSaysWhoDecided(t *testing.T) {
	f := func(name string, change func(*Plan), cores int, memory units.Bytes, coresBy, memoryBy string) {
		t.Helper()
		p := small(t)
		p.Cores, p.Memory = 0, 0
		p.Settings = []folder.Setting{{Name: "cores", Source: "default"}}
		change(&p)
		r, err := p.resolve()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		by := map[string]string{}
		for _, s := range r.Settings {
			by[s.Name] = s.Source
		}
		if cores != 0 && r.Cores != cores || memory != 0 && r.Memory != memory || r.Cores < 1 || r.Memory < 1 ||
			coresBy != "" && by["cores"] != coresBy || memoryBy != "" && by["memory"] != memoryBy {
			t.Errorf("%s: %d cores by %q, memory %s by %q", name, r.Cores, by["cores"], r.Memory, by["memory"])
		}
	}
	with := func(values map[string]string) func(*Plan) {
		return func(p *Plan) { p.Conf = []conf.Layer{{Source: "x", Values: values}} }
	}
	f("nothing said", func(*Plan) {}, 0, 0, "", "")
	f("flags", func(p *Plan) { p.Cores, p.Memory = 1, units.GiB }, 1, units.GiB, "flag", "flag")
	f("master", with(map[string]string{"spark.master": "local[3]"}), 3, 0, "master", "")
	f("driver.memory", with(map[string]string{"driver.memory": "300m"}), 0, 300*units.MiB, "", "driver.memory")
	f("a flag before the master", func(p *Plan) {
		with(map[string]string{"master": "local[3]"})(p)
		p.Cores = 2
	}, 2, 0, "flag", "")
}

// The prefixed and the bare form of a key are one key, and the later layer
// wins whichever form it uses.
func TestLayersMerge(t *testing.T) {
	p := small(t)
	p.Conf = []conf.Layer{
		{Source: "file", Values: map[string]string{"spark.memory.fraction": "0.5", "task.maxFailures": "2"}},
		{Source: "--conf", Values: map[string]string{"memory.fraction": "0.6", "spark.task.maxFailures": "3"}},
	}
	r, err := p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.conf) != 2 || r.conf["memory.fraction"] != "0.6" || r.conf["spark.task.maxFailures"] != "3" {
		t.Errorf("merged to %v", r.conf)
	}
	if r.set.MemoryFraction != 0.6 || r.set.MaxFailures != 3 {
		t.Errorf("settings %v, %v", r.set.MemoryFraction, r.set.MaxFailures)
	}
}

func TestMoreCoresThanThereAreIsAWarning(t *testing.T) {
	p := small(t)
	p.Cores = 1000
	r, err := p.resolve()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.warnings) != 1 || !strings.HasPrefix(r.warnings[0], "1000 cores are more than the ") {
		t.Errorf("warnings %q", r.warnings)
	}
}

func TestExitCodes(t *testing.T) {
	f := func(err error, code int) {
		t.Helper()
		if got := ExitCode(err); got != code {
			t.Errorf("ExitCode(%v) = %d, want %d", err, got, code)
		}
	}
	f(nil, 0)
	f(Usagef("x"), 2)
	f(fmt.Errorf("y: %w", Usagef("x")), 2)
	f(errors.New("x"), 3)
	f(&WrongAnswer{}, 3)
	f(ErrTimeout, 3)
	f(&Signal{os.Interrupt}, 130)
	f(fmt.Errorf("x: %w", &Signal{syscall.SIGTERM}), 143)
	f(errors.Join(Usagef("x"), &Signal{os.Interrupt}), 130)
}

func TestCauseSaysWhyTheJobEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	job := errors.New("job 3 was cancelled")
	if got := cause(ctx, job); got != job {
		t.Errorf("with a living context: %v", got)
	}
	cancel(ErrTimeout)
	if got := cause(ctx, job); !errors.Is(got, ErrTimeout) || !errors.Is(got, job) {
		t.Errorf("cause %v", got)
	}
	if got := cause(ctx, ErrTimeout); got != ErrTimeout {
		t.Errorf("said twice: %v", got)
	}
	if cause(ctx, nil) != nil {
		t.Error("a run that was done when its time ended is done")
	}
}

func TestTotalsAddUpAndBeginAnew(t *testing.T) {
	var s totals
	s.Emit(&event.JobStart{})
	s.Emit(&event.StageSubmitted{})
	end := &event.TaskEnd{Reason: task.Success, HasMetrics: true}
	end.Metrics[task.DiskBytesSpilled], end.Metrics[task.PeakExecutionMemory] = 10, 7
	s.Emit(end)
	end.Metrics[task.PeakExecutionMemory] = 5
	s.Emit(end)
	s.Emit(&event.TaskEnd{Reason: task.TaskKilled})
	s.Emit(&event.TaskEnd{Reason: task.Resubmitted}) // no attempt of its own
	want := folder.Totals{Jobs: 1, Stages: 1, Tasks: 3, Failed: 2, DiskSpilled: 20, PeakExecution: 7}
	if got := s.take(); got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
	if got := s.take(); got != (folder.Totals{}) {
		t.Errorf("after take: %+v", got)
	}
}
