package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// lastJob returns the stages that the latest job named and those of them
// that were submitted.
func (r *rig) lastJob() (all, submitted []id.Stage) {
	starts := of[*event.JobStart](r.rec)
	j := starts[len(starts)-1]
	for _, s := range j.Stages {
		all = append(all, s.Stage)
	}
	for _, e := range of[*event.StageSubmitted](r.rec) {
		if e.Job == j.Job {
			submitted = append(submitted, e.Stage.Stage)
		}
	}
	return all, submitted
}

func TestStageReuseAndSkipping(t *testing.T) {
	r := start(t, engine.Config{})
	var maps atomic.Int64
	in := engine.MapBatches(keyed(r.Session, 1000, 10, 4), func(_ *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
		maps.Add(int64(len(src)))
		return append(dst, src...), nil
	})
	sums := engine.ReduceByKey(in, add, engine.Partitions(2))
	got, err := sums.Collect(t.Context())
	wantPairs(t, err, got, wantSums(1000, 10))
	all, ran := r.lastJob()
	check(t, nil, []int{len(all), len(ran)}, []int{2, 2})

	n, err := sums.Count(t.Context()) // the map stage is skipped
	check(t, err, n, 10)
	all, ran = r.lastJob()
	check(t, nil, []int{len(all), len(ran)}, []int{2, 1})
	check(t, nil, maps.Load(), 1000)

	// A further shuffle over it skips the first.
	n, err = engine.Repartition(sums, 3).Count(t.Context())
	check(t, err, n, 10)
	all, ran = r.lastJob()
	check(t, nil, []int{len(all), len(ran)}, []int{3, 2})
	check(t, nil, maps.Load(), 1000)

	// A cached dataset cuts off what lies before it.
	wide := engine.Repartition(in, 3).Cache()
	for want := range 2 {
		n, err = wide.Count(t.Context())
		check(t, err, n, 1000)
		_, ran = r.lastJob()
		check(t, nil, len(ran), 2-want)
	}
	check(t, nil, maps.Load(), 2000)
}

func TestScopeReleasesWhatItBuilt(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
	for range 3 {
		scope := r.Scope()
		got, err := engine.ReduceByKey(keyed(scope, 1000, 10, 4), add).Cache().Collect(t.Context())
		wantPairs(t, err, got, wantSums(1000, 10))
		if len(r.files("shuffle_")) == 0 {
			t.Error("no map outputs: the test proves nothing")
		}
		scope.Release()
		check(t, nil, len(r.files("shuffle_")), 0)
		check(t, nil, r.held("cached"), 0)
	}
}

// A diamond: one shuffle read by two, joined by a third.
func TestDAG_035_Diamond(t *testing.T) {
	r := start(t, engine.Config{Cores: 3})
	base := engine.Repartition(engine.Range(r.Session, 3000, 2), 10)
	left := engine.Repartition(engine.Map(base, func(v int64) int64 { return v }), 20)
	right := engine.Repartition(engine.Map(base, func(v int64) int64 { return -v }), 30)
	both := engine.Union(left, right)
	sum, ok, err := engine.Repartition(both, 7).Reduce(t.Context(), add)
	check(t, err, sum, 0)
	check(t, nil, ok, true)
	n, err := both.Count(t.Context())
	check(t, err, n, 6000)
	if err := engine.Idle(r.Session); err != nil {
		t.Error(err)
	}
}

// A job over nothing begins and ends, with success, and there is nothing in
// between.
//
// NOT APPLICABLE: DAG-021 as to a later cancellation, because who submits a job
// hears of its end, and such a job has ended: nothing is left to cancel.
func TestDAG_021_ZeroPartitions(t *testing.T) {
	r := start(t, engine.Config{})
	nothing := func(ctx context.Context) error {
		return engine.RunJob(ctx, engine.Range(r.Session, 10, 2), []int{},
			func(*engine.Task, func(func([]int64) error) error) (int64, error) { return 0, errors.New("called") },
			func(int, int64) error { return errors.New("called") })
	}
	check(t, nothing(engine.WithProperty(t.Context(), "spark.jobGroup.id", "g")), 0, 0)
	story := func() (kinds []string) {
		for _, e := range r.rec.events() {
			switch e := e.(type) {
			case *event.JobStart:
				kinds = append(kinds, fmt.Sprintf("start %d, %d stages", e.Job, len(e.Stages)))
			case *event.JobEnd:
				kinds = append(kinds, fmt.Sprintf("end %d %q", e.Job, e.Error))
			case *event.StageSubmitted, *event.StageCompleted, *event.TaskStart, *event.TaskEnd:
				kinds = append(kinds, fmt.Sprintf("%T", e))
			}
		}
		return kinds
	}
	want := []string{"start 0, 0 stages", `end 0 ""`}
	check(t, nil, story(), want)
	r.CancelJob(0, "too late")
	r.CancelJobGroup("g", "too late", false)
	if err := engine.Idle(r.Session); err != nil { // both were handled
		t.Error(err)
	}
	check(t, nil, story(), want)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nothing(ctx); !errors.Is(err, context.Canceled) { // one that was cancelled before
		t.Errorf("got %v", err)
	}
	check(t, nothing(t.Context()), 0, 0)
}

// Partitions are enumerated by who builds a dataset, who is told what fails.
func TestDAG_030_PartitionsThatCannotBeFound(t *testing.T) {
	r := start(t, engine.Config{})
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := engine.TextFiles(r.Session, []string{missing}, 2)
	wantError(t, err, missing)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
}

func TestNoRecords(t *testing.T) {
	r := start(t, engine.Config{})
	d := noRecords(t, r)
	ctx := t.Context()
	n, err := d.Count(ctx)
	check(t, err, n, 0)
	rows, err := d.Collect(ctx)
	check(t, err, len(rows), 0)
	rows, err = d.Take(ctx, 3)
	check(t, err, len(rows), 0)
	_, ok, err := d.Reduce(ctx, func(a, b string) string { return a + b })
	check(t, err, ok, false)
	check(t, d.Foreach(ctx, func(*engine.Task, []string) error { return errors.New("called") }), 0, 0)
	for b, err := range d.Batches(ctx) {
		t.Errorf("a batch %v, %v", b, err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	w, err := engine.TextSink(d, func(dst []byte, v string) []byte { return append(dst, v...) }).Write(ctx, dir)
	check(t, err, w, engine.Written{Files: d.Partitions()})
	if _, err := os.Stat(filepath.Join(dir, "_SUCCESS")); err != nil {
		t.Error(err)
	}

	// Wide operations over nothing.
	pairs := engine.Map(d, func(v string) engine.Pair[string, int64] { return engine.Pair[string, int64]{Key: v} })
	sums, err := engine.ReduceByKey(pairs, add, engine.Partitions(3)).Collect(ctx)
	check(t, err, len(sums), 0)
	sorted, err := engine.SortBy(d, func(v string) string { return v }, engine.Partitions(3)).Collect(ctx)
	check(t, err, len(sorted), 0)
	n, err = engine.Repartition(d, 4).Count(ctx)
	check(t, err, n, 0)
	n, err = engine.Union(d, d, engine.Parallelize(r.Session, []string{"a"}, 1)).Count(ctx)
	check(t, err, n, 1)
	n, err = engine.Coalesce(d, 1).Count(ctx)
	check(t, err, n, 0)
}

// TestCTX_003: two jobs of two tasks each overlap on four workers.
func TestCTX_003_JobsOverlap(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	var here sync.WaitGroup
	here.Add(4)
	d := engine.Range(r.Session, 2, 2)
	var jobs sync.WaitGroup
	for range 2 {
		jobs.Go(func() {
			err := d.Foreach(t.Context(), func(*engine.Task, []int64) error {
				here.Done()
				here.Wait() // for ever, unless all four run at once
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	jobs.Wait()
}

func TestCTX_003_ManyGoroutinesOneDataset(t *testing.T) {
	r := start(t, engine.Config{Cores: 4})
	sums := engine.ReduceByKey(keyed(r.Session, 5000, 50, 4), add, engine.Partitions(3))
	sorted := engine.SortBy(sums, func(p engine.Pair[int64, int64]) int64 { return p.Key }, engine.Partitions(3))
	var jobs sync.WaitGroup
	for range 10 {
		jobs.Go(func() {
			for range 5 {
				got, err := sorted.Collect(t.Context())
				if err != nil || len(got) != 50 || got[49].Key != 49 || got[0].Value != wantSums(5000, 50)[0] {
					t.Errorf("%d rows, %v", len(got), err)
				}
				if n, err := sums.Count(t.Context()); err != nil || n != 50 {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
	}
	jobs.Wait()
}

// Two jobs in pools. Both workers are busy with the first job's attempts when
// the second is submitted; the one that ends first makes room for the second
// job under FAIR, and for the first job's next task under FIFO.
func TestFairPoolsShareWorkers(t *testing.T) {
	allocation := filepath.Join(t.TempDir(), "pools.xml")
	err := os.WriteFile(allocation, []byte(`<allocations>
  <pool name="a"><schedulingMode>FIFO</schedulingMode><weight>1</weight></pool>
  <pool name="b"><schedulingMode>FIFO</schedulingMode><weight>1</weight></pool>
</allocations>`), 0o644)
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]string{"FAIR": "b", "FIFO": "a"} {
		t.Run(mode, func(t *testing.T) {
			second := make(chan struct{})
			r := start(t, engine.Config{Conf: conf("scheduler.mode", mode, "scheduler.allocation.file", allocation)}, func(e event.Event) {
				if j, ok := e.(*event.JobStart); ok && j.Properties[engine.PropertyPool] == "b" {
					close(second)
				}
			})
			var next atomic.Int64
			order := make(chan string, 10)
			inside := make(chan struct{}, 10)
			gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
			body := func(t *engine.Task, _ []int64) error {
				n := next.Add(1)
				if n > 2 {
					order <- t.Property(engine.PropertyPool)
				} else {
					inside <- struct{}{}
					<-gates[n-1]
				}
				return nil
			}
			a := background(func() error {
				return engine.Range(r.Session, 4, 4).Foreach(engine.WithPool(context.Background(), "a"), body)
			})
			<-inside
			<-inside
			b := background(func() error {
				return engine.Range(r.Session, 2, 2).Foreach(engine.WithPool(context.Background(), "b"), body)
			})
			<-second
			close(gates[0])
			check(t, nil, <-order, want)
			close(gates[1])
			check(t, errors.Join(a(), b()), 0, 0)
		})
	}
}

// What the allocation file says of pools decides whose tasks are launched. Four
// slots fall free one after the other, and both pools have tasks for all.
func TestPOOL_003_SharesOfTheAllocationFile(t *testing.T) {
	for pool, want := range map[string][]string{
		"":                       {"a", "b", "a", "b"}, // the first by name, if nothing else tells
		"<weight>3</weight>":     {"a", "b", "b", "b"},
		"<minShare>2</minShare>": {"b", "b", "a", "a"},
	} {
		t.Run(pool, func(t *testing.T) {
			allocation := filepath.Join(t.TempDir(), "pools.xml")
			text := `<allocations><pool name="a"></pool><pool name="b">` + pool + `</pool></allocations>`
			if err := os.WriteFile(allocation, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			submitted := make(chan struct{}, 3)
			r := start(t, engine.Config{Cores: 4, Conf: conf("scheduler.mode", "FAIR", "scheduler.allocation.file", allocation)}, func(e event.Event) {
				if _, ok := e.(*event.StageSubmitted); ok {
					submitted <- struct{}{}
				}
			})
			inside, leave := make(chan struct{}, 4), make(chan struct{})
			waits := []func() error{background(func() error {
				return engine.Range(r.Session, 4, 4).Foreach(context.Background(), func(*engine.Task, []int64) error {
					inside <- struct{}{}
					<-leave
					return nil
				})
			})}
			for range 4 {
				<-inside
			}
			<-submitted
			order, end := make(chan string, 8), make(chan struct{})
			for _, name := range []string{"a", "b"} {
				waits = append(waits, background(func() error {
					return engine.Range(r.Session, 4, 4).Foreach(engine.WithPool(context.Background(), name), func(*engine.Task, []int64) error {
						order <- name
						<-end
						return nil
					})
				}))
				<-submitted
			}
			var got []string
			for range 4 {
				leave <- struct{}{}
				got = append(got, <-order)
			}
			close(end)
			check(t, nil, got, want)
			for _, wait := range waits {
				check(t, wait(), 0, 0)
			}
		})
	}
}

// A task whose description is above rpc.message.maxSize is not launched; its
// properties are a part of that.
func TestTSM_018_DescriptionAboveMessageSize(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("rpc.message.maxSize", "1")})
	count := func(size int) (int64, error) {
		ctx := engine.WithProperty(t.Context(), "filler", strings.Repeat("x", size))
		return engine.Range(r.Session, 10, 2).Count(ctx)
	}
	n, err := count(1000 << 10)
	check(t, err, n, 10)
	before := len(of[*event.TaskStart](r.rec))
	_, err = count(3 << 20)
	wantError(t, err, "3.00 MiB", "above spark.rpc.message.maxSize of 1.00 MiB (1048576 bytes)")
	var je *engine.JobError
	if !errors.As(err, &je) || je.Job != 1 {
		t.Errorf("no JobError of job 1: %v", err)
	}
	check(t, nil, len(of[*event.TaskStart](r.rec)), before)
	n, err = count(0)
	check(t, err, n, 10)
}

// A sample depends on the order of what it is taken from.
func TestDAG_034_SampleOfUnorderedInput(t *testing.T) {
	r := start(t, engine.Config{})
	in := engine.Range(r.Session, 100, 4)
	shuffled := engine.ReduceByKey(keyed(r.Session, 100, 10, 4), add)
	check(t, nil, shuffled.Node().Determinism, plan.Unordered)
	check(t, nil, engine.Sample(shuffled, 0.5, 1).Node().Determinism, plan.Indeterminate)
	check(t, nil, engine.Map(shuffled, func(p engine.Pair[int64, int64]) int64 { return p.Key }).Node().Determinism, plan.Unordered)
	check(t, nil, engine.Sample(in, 0.5, 1).Node().Determinism, plan.Determinate)
}

// What cannot be scheduled by is refused when the session opens.
func TestPOOL_006_UnusableConfiguration(t *testing.T) {
	for text, cfg := range map[string]map[string]string{
		"no-such-file.xml":     conf("scheduler.mode", "FAIR", "scheduler.allocation.file", filepath.Join(t.TempDir(), "no-such-file.xml")),
		"spark.scheduler.mode": conf("spark.scheduler.mode", "LIFO"),
		"no-such-folder/p.xml": conf("scheduler.allocation.file", "no-such-folder/p.xml"),
	} {
		s, err := engine.Open(engine.Config{Cores: 1, Memory: 128 << 20, Temp: t.TempDir(), Conf: cfg})
		wantError(t, err, text)
		if s != nil {
			t.Errorf("%s: a session", text)
		}
	}
}

func TestCTX_004_Properties(t *testing.T) {
	r := start(t, engine.Config{})
	root := engine.WithProperty(t.Context(), "color", "red")
	child := engine.WithProperty(root, "shape", "round")
	sibling := engine.WithProperty(root, "shape", "square")
	changed := engine.WithProperty(root, "color", "blue")
	without := engine.WithProperty(child, "color", "")
	look := func(ctx context.Context) string {
		t.Helper()
		rows, err := engine.MapBatches(engine.Range(r.Session, 1, 1), func(t *engine.Task, dst []string, _ []int64) ([]string, error) {
			return append(dst, t.Property("color")+" "+t.Property("shape")), nil
		}).Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return rows[0]
	}
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{{t.Context(), " "}, {root, "red "}, {child, "red round"}, {sibling, "red square"}, {changed, "blue "}, {without, " round"}, {root, "red "}} {
		check(t, nil, look(c.ctx), c.want)
		starts := of[*event.JobStart](r.rec)
		props := starts[len(starts)-1].Properties
		check(t, nil, props["color"]+" "+props["shape"], c.want)
	}
}

// TestEXE_018: properties and the stage's width, as the task sees them.
func TestEXE_018_PropertiesAndPartitionsInTheTask(t *testing.T) {
	r := start(t, engine.Config{})
	type seen struct {
		Prop       string
		Partitions int32
	}
	for n := 1; n <= 10; n++ {
		for _, wide := range []bool{false, true} {
			ctx := engine.WithProperty(t.Context(), "round", fmt.Sprint(n))
			d := engine.Range(r.Session, 100, n)
			if wide {
				d = engine.Repartition(engine.Range(r.Session, 100, 3), n)
			}
			err := engine.RunJob(ctx, d, nil, func(t *engine.Task, next func(func([]int64) error) error) (seen, error) {
				return seen{t.Property("round"), t.NumPartitions}, next(func([]int64) error { return nil })
			}, func(_ int, s seen) error {
				if s != (seen{fmt.Sprint(n), int32(n)}) {
					return fmt.Errorf("saw %+v", s)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%d partitions, wide %v: %v", n, wide, err)
			}
		}
	}
}

// RunJob over chosen partitions, in any order, with repetitions of a number.
func TestRunJobOverChosenPartitions(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Range(r.Session, 100, 10)
	got := make([]int64, 3)
	err := engine.RunJob(t.Context(), d, []int{7, 0, 3}, func(_ *engine.Task, next func(func([]int64) error) error) (first int64, err error) {
		first = -1
		err = next(func(b []int64) error {
			if first < 0 {
				first = b[0]
			}
			return nil
		})
		return first, err
	}, func(i int, v int64) error { got[i] = v; return nil })
	check(t, err, got, []int64{70, 0, 30})
	none := func(*engine.Task, func(func([]int64) error) error) (int64, error) { return 0, nil }
	for _, parts := range [][]int{{10}, {-1}} {
		if err := engine.RunJob(t.Context(), d, parts, none, func(int, int64) error { return nil }); err == nil {
			t.Errorf("a job over partition %v ran", parts)
		}
	}
	if err := engine.RunJob(t.Context(), d, []int{}, none, func(int, int64) error { return errors.New("called") }); err != nil {
		t.Error(err)
	}
}

func TestTakeLooksAtFewPartitions(t *testing.T) {
	r := start(t, engine.Config{})
	var computed atomic.Int64
	d := counted(r.Session, 1000, 100, &computed)
	for _, n := range []int{0, 1, 10, 11, 60, 1000, 2000} {
		got, err := d.Take(t.Context(), n)
		check(t, err, got, ints(min(n, 1000)))
	}
	computed.Store(0)
	if _, err := d.Take(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	check(t, nil, computed.Load(), 10)
	got, err := d.Take(t.Context(), -1)
	check(t, err, len(got), 0)
}

// Lower partitions launch first.
func TestTSM_019_LowerIndicesFirst(t *testing.T) {
	r := start(t, engine.Config{Cores: 1})
	n, err := engine.Range(r.Session, 200, 200).Count(t.Context())
	check(t, err, n, 200)
	var order []int32
	for _, e := range of[*event.TaskStart](r.rec) {
		order = append(order, e.Info.Index)
	}
	if !slices.IsSorted(order) {
		t.Error("launched out of order")
	}
	check(t, nil, r.rec.ended(task.Success), 200)
}
