package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

func TestACC_001_FailuresCountOnlyWhereAsked(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("task.maxFailures", "4")})
	all := engine.NewLongAccumulator(r.Session, "all").CountFailed()
	good := engine.NewLongAccumulator(r.Session, "good")
	d := engine.MapBatches(engine.Range(r.Session, 10, 10), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		all.Add(t, 1)
		good.Add(t, 1)
		if t.Number < 3 {
			return nil, errors.New("not yet")
		}
		return append(dst, src...), nil
	})
	n, err := d.Count(t.Context())
	check(t, err, n, 10)
	check(t, nil, []int64{all.Value(), good.Value()}, []int64{40, 10})
	check(t, nil, r.rec.ended(task.ExceptionFailure), 30)
}

func TestACC_001_PanicsAndKills(t *testing.T) {
	r := start(t, engine.Config{})
	all := engine.NewLongAccumulator(r.Session, "").CountFailed()
	d := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		all.Add(t, 1)
		switch t.Number {
		case 0:
			panic("first")
		case 1:
			r.KillTask(t.Task, "second")
		}
		return append(dst, src...), nil
	})
	n, err := d.Count(t.Context())
	check(t, err, n, 4)
	check(t, nil, all.Value(), 12)
	check(t, nil, []int{r.rec.ended(task.ExceptionFailure), r.rec.ended(task.TaskKilled)}, []int{4, 4})
}

func TestACC_002_FailingMergeHarmsNobody(t *testing.T) {
	r := start(t, engine.Config{})
	good := engine.NewLongAccumulator(r.Session, "good")
	// An attempt adds one at a time; only the driver adds more than one.
	bad := engine.NewAccumulator(r.Session, "bad", int64(0), func(a, b int64) int64 {
		if b > 1 {
			panic("cannot merge")
		}
		return a + b
	})
	d := engine.MapBatches(engine.Range(r.Session, 10, 10), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		bad.Add(t, 1)
		good.Add(t, 1)
		bad.Add(t, 1)
		return append(dst, src...), nil
	})
	for i := range 2 {
		n, err := d.Count(t.Context())
		check(t, err, n, 10)
		check(t, nil, []int64{good.Value(), bad.Value()}, []int64{10 * int64(i+1), 0})
	}
}

func TestACC_004_NamedAccumulatorsInEvents(t *testing.T) {
	r := start(t, engine.Config{})
	named := engine.NewLongAccumulator(r.Session, "named")
	unnamed := engine.NewLongAccumulator(r.Session, "")
	d := engine.MapBatches(engine.Range(r.Session, 10, 10), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		named.Add(t, 1)
		unnamed.Add(t, 5)
		return append(dst, src...), nil
	})
	n, err := d.Count(t.Context())
	check(t, err, n, 10)
	var totals []string
	for _, e := range of[*event.TaskEnd](r.rec) {
		if len(e.Accums) != 1 || e.Accums[0].Name != "named" || e.Accums[0].Update != "1" {
			t.Fatalf("the end of %v carries %+v", e.Info.TaskAttempt, e.Accums)
		}
		totals = append(totals, fmt.Sprintf("%2s", e.Accums[0].Value))
	}
	slices.Sort(totals)
	check(t, nil, totals, []string{" 1", " 2", " 3", " 4", " 5", " 6", " 7", " 8", " 9", "10"})
	check(t, nil, unnamed.Value(), 50)
}

// What travels to an attempt is the zero, whatever the value is so far; what
// travels back is what the attempt added.
func TestACC_003_AttemptsBeginAtZero(t *testing.T) {
	r := start(t, engine.Config{})
	a := engine.NewLongAccumulator(r.Session, "sum")
	d := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		a.Add(t, 3)
		return append(dst, src...), nil
	})
	for round := range int64(2) {
		_, err := d.Count(t.Context())
		check(t, err, a.Value(), 12*(round+1))
	}
	for _, e := range of[*event.TaskEnd](r.rec) {
		check(t, nil, e.Accums[0].Update, "3")
	}
}

// The metrics of a stage are those of its own attempts: nothing of another
// stage, and nothing of an attempt before.
//
// NOT APPLICABLE: ACC-005 as to accumulator ids, because a task's metrics are
// fields of its end event, added up by stage and attempt, and no accumulators.
func TestACC_005_FiguresOfStagesDoNotMix(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
	repeat := func(n int) func([]int64, int64) []int64 {
		return func(dst []int64, v int64) []int64 {
			for range n {
				dst = append(dst, v)
			}
			return dst
		}
	}
	first := engine.Repartition(engine.Range(r.Session, 10, 10), 10)
	second := engine.Repartition(engine.FlatMap(first, repeat(10)), 20)
	third := engine.Repartition(engine.FlatMap(second, repeat(20)), 2)
	written := func() map[id.StageAttempt]int64 {
		m := map[id.StageAttempt]int64{}
		for _, e := range of[*event.TaskEnd](r.rec) {
			m[e.Info.StageAttempt] += e.Metrics[task.ShuffleRecordsWritten]
		}
		return m
	}
	at := func(s, attempt int32) id.StageAttempt { return id.StageAttempt{Stage: id.Stage(s), Attempt: attempt} }
	n, err := third.Count(t.Context())
	check(t, err, n, 2000)
	check(t, nil, written(), map[id.StageAttempt]int64{at(0, 0): 10, at(1, 0): 100, at(2, 0): 2000, at(3, 0): 0})

	// A map output of the last shuffle is lost. Rows are dealt out in turn, so
	// all of it is written again: by an attempt with figures of its own.
	lost := slices.DeleteFunc(r.shuffleFiles(t, ".data"), func(path string) bool { return !strings.HasPrefix(filepath.Base(path), "shuffle_2_") })
	remove(t, lost[0])
	n, err = third.Count(t.Context())
	check(t, err, n, 2000)
	w := written()
	check(t, nil, []int64{w[at(2, 0)], w[at(6, 0)], w[at(6, 1)]}, []int64{2000, 0, 2000})
}

// What a failed attempt cached is not seen by the retry, if accumulators are
// to count every partition; by default it is, and they do not.
func TestACC_009_BlocksOfFailedAttempts(t *testing.T) {
	for tracking, want := range map[string]int64{"true": 100, "false": 0} {
		r := start(t, engine.Config{Conf: conf("rdd.cache.visibilityTracking.enabled", tracking)})
		rows := engine.NewLongAccumulator(r.Session, "rows")
		d := engine.MapBatches(engine.Range(r.Session, 100, 10), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			rows.Add(t, int64(len(src)))
			return append(dst, src...), nil
		}).Cache()
		fails := engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if t.Number == 0 {
				t.OnComplete(func(*engine.Task) error { return errors.New("after it was cached") })
			}
			return append(dst, src...), nil
		})
		n, err := fails.Count(t.Context())
		check(t, err, n, 100)
		check(t, nil, rows.Value(), want)
		check(t, nil, r.rec.ended(task.ExceptionFailure), 10)
		n, err = d.Count(t.Context()) // from the cache
		check(t, err, n, 100)
		check(t, nil, rows.Value(), want)
	}
}

// Nor is it seen by another job while the attempt that cached it may yet fail.
func TestACC_009_BlocksOfRunningAttempts(t *testing.T) {
	for tracking, want := range map[string][]int64{"true": {10, 20}, "false": {0, 0}} {
		r := start(t, engine.Config{Conf: conf("rdd.cache.visibilityTracking.enabled", tracking)})
		rows := engine.NewLongAccumulator(r.Session, "rows")
		d := engine.MapBatches(engine.Range(r.Session, 10, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			rows.Add(t, int64(len(src)))
			return append(dst, src...), nil
		}).Cache()
		cached, looked := make(chan struct{}), make(chan struct{})
		var once sync.Once
		fails := engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
			if t.Number == 0 {
				once.Do(func() {
					t.OnComplete(func(*engine.Task) error {
						close(cached)
						<-looked
						return errors.New("after it was cached")
					})
				})
			}
			return append(dst, src...), nil
		})
		wait := background(func() error { _, err := fails.Count(t.Context()); return err })
		<-cached
		n, err := d.Count(t.Context())
		seen := rows.Value()
		close(looked)
		check(t, wait(), rows.Value(), want[1])
		check(t, err, n, 10)
		check(t, nil, seen, want[0])
	}
}

func TestACC_007_Tally(t *testing.T) {
	var a engine.Tally[int64]
	if a != (engine.Tally[int64]{}) || !math.IsNaN(a.Average()) || !math.IsNaN(engine.Tally[float64]{}.Average()) {
		t.Errorf("empty: %+v, average %v", a, a.Average())
	}
	for i, c := range []struct {
		add, count, sum int64
		average         float64
	}{{0, 1, 0, 0}, {1, 2, 1, 0.5}, {2, 3, 3, 1}} {
		a = a.Plus(engine.TallyOf(c.add))
		if a.Count != c.count || a.Sum != c.sum || a.Average() != c.average {
			t.Errorf("after %d: %+v, average %v", i, a, a.Average())
		}
	}
	if a = a.Plus(engine.TallyOf[int64](2)); a.Count != 4 || a.Sum != 5 || a.Average() != 1.25 {
		t.Errorf("merged: %+v, average %v", a, a.Average())
	}

	r := start(t, engine.Config{})
	acc := engine.NewTally[float64](r.Session, "lengths")
	d := engine.MapBatches(engine.Range(r.Session, 4, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		for _, v := range src {
			acc.Add(t, engine.TallyOf(float64(v)))
		}
		return append(dst, src...), nil
	})
	_, err := d.Count(t.Context())
	check(t, err, acc.Value(), engine.Tally[float64]{Count: 4, Sum: 6})
}

// Map stages that run again count again; result stages never do.
func TestAccumulatorsOfMapAndResultTasks(t *testing.T) {
	r := start(t, engine.Config{Conf: conf("shuffle.storage", "disk")})
	maps := engine.NewLongAccumulator(r.Session, "maps")
	results := engine.NewLongAccumulator(r.Session, "results")
	in := engine.MapBatches(engine.Range(r.Session, 4, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		maps.Add(t, 1)
		return append(dst, src...), nil
	})
	out := engine.Repartition(in, 2)
	run := func() {
		t.Helper()
		err := out.Foreach(t.Context(), func(t *engine.Task, b []int64) error { results.Add(t, int64(len(b))); return nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	run()
	check(t, nil, []int64{maps.Value(), results.Value()}, []int64{4, 4})
	run() // the map stage is skipped
	check(t, nil, []int64{maps.Value(), results.Value()}, []int64{4, 8})
	remove(t, r.shuffleFiles(t, ".data")[0])
	run() // one map task runs again
	if maps.Value() <= 4 {
		t.Errorf("the map stage ran again, and its accumulator says %d", maps.Value())
	}
	check(t, nil, results.Value(), 12)
}

func TestAccumulatorOfStrings(t *testing.T) {
	r := start(t, engine.Config{})
	// The longest string seen: what the driver keeps must outlive the message.
	a := engine.NewAccumulator(r.Session, "longest", "", func(a, b string) string {
		if len(b) > len(a) {
			return b
		}
		return a
	})
	d := engine.MapBatches(engine.Range(r.Session, 50, 50), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		for _, v := range src {
			a.Add(t, fmt.Sprintf("%0*d", v+1, v))
		}
		return append(dst, src...), nil
	})
	for range 3 {
		if _, err := d.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	check(t, nil, a.Value(), fmt.Sprintf("%050d", 49))
}

func TestACC_008_InputAndShuffleRecords(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.Map(engine.Range(r.Session, 1000, 4), func(v int64) int64 { return v }).Cache()
	sum := func(m task.Metric, from int) (n int64) {
		for _, e := range of[*event.TaskEnd](r.rec)[from:] {
			n += e.Metrics[m]
		}
		return n
	}
	for range 2 {
		from := len(of[*event.TaskEnd](r.rec))
		n, err := d.Count(t.Context())
		check(t, err, n, 1000)
		check(t, nil, sum(task.InputRecordsRead, from), 1000)
	}
	from := len(of[*event.TaskEnd](r.rec))
	n, err := engine.Repartition(d, 3).Count(t.Context())
	check(t, err, n, 1000)
	check(t, nil, []int64{sum(task.ShuffleRecordsWritten, from), sum(task.ShuffleRecordsRead, from)}, []int64{1000, 1000})
	if w, rd := sum(task.ShuffleBytesWritten, from), sum(task.ShuffleLocalBytesRead, from); w == 0 || w != rd {
		t.Errorf("%d bytes written to the shuffle, %d read", w, rd)
	}
}
