package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// TestBatchesHoldTheProducerBack: one batch is on its way while the consumer
// works, and one is in the producer's hands.
func TestBatchesHoldTheProducerBack(t *testing.T) {
	r := start(t, engine.Config{})
	var emitted atomic.Int64
	d := engine.FromFunc(r.Session, "counting", 1, func(_ *engine.Task, _ int, emit func([]int64) error) error {
		for v := range int64(1000) {
			emitted.Add(1)
			if err := emit([]int64{v}); err != nil {
				return err
			}
		}
		return nil
	})
	next := int64(0)
	for b, err := range d.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for range 100 { // every chance to run ahead
			yieldNow()
		}
		for _, v := range b {
			if v != next {
				t.Fatalf("got %d, want %d", v, next)
			}
			next++
		}
		if ahead := emitted.Load() - next; ahead > 2 {
			t.Fatalf("the producer is %d batches ahead", ahead)
		}
	}
	check(t, nil, next, 1000)
}

func TestBatchesSurviveRetries(t *testing.T) {
	for _, how := range []string{"error", "panic", "kill"} {
		t.Run(how, func(t *testing.T) {
			r := start(t, engine.Config{Cores: 3})
			d := engine.FromFunc(r.Session, "fails midway", 6, func(t *engine.Task, part int, emit func([]int64) error) error {
				for i := range 10 {
					if i == 4+int(t.Number) && t.Number < 3 && part%2 == 0 {
						switch how {
						case "error":
							return errors.New("midway")
						case "panic":
							panic("midway")
						case "kill":
							r.KillTask(t.Task, "midway")
						}
					}
					if err := emit([]int64{int64(part*10 + i)}); err != nil {
						return err
					}
				}
				return nil
			})
			var got []int64
			for b, err := range d.Batches(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b...)
			}
			check(t, nil, got, ints(60))
			if n := r.rec.ended(task.ExceptionFailure) + r.rec.ended(task.TaskKilled); n == 0 {
				t.Error("nothing was retried")
			}
		})
	}
}

// A retry over an input in no fixed order may not be spliced.
func TestBatchesRefuseToSpliceUnordered(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.MapBatches(engine.Repartition(engine.Range(r.Session, 20000, 2), 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Number == 0 && src[len(src)-1] >= 15000 {
			return nil, errors.New("midway")
		}
		return append(dst, src...), nil
	})
	var last error
	n := 0
	for b, err := range d.Batches(t.Context()) {
		n, last = n+len(b), err
	}
	if n > 0 {
		wantError(t, last, "cannot go on streaming")
	} else {
		check(t, last, n, 20000)
	}
}

func TestLeavingBatchesEndsTheJob(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.FromFunc(r.Session, "endless", 4, func(_ *engine.Task, _ int, emit func([]int64) error) error {
		for {
			if err := emit(ints(10)); err != nil {
				return err
			}
		}
	})
	for range 3 {
		for range d.Batches(t.Context()) {
			break
		}
	}
	func() { // and by a panic of the consumer
		defer func() { recover() }()
		for range d.Batches(t.Context()) {
			panic("consumer")
		}
	}()
	n, err := engine.Range(r.Session, 10, 3).Count(t.Context())
	check(t, err, n, 10)
	for _, e := range of[*event.JobEnd](r.rec)[:4] {
		if e.Error == "" {
			t.Error("a job that was left has succeeded")
		}
	}
}

func TestCancelledBatches(t *testing.T) {
	r := start(t, engine.Config{})
	cause := errors.New("cancelled by the consumer")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var last error
	for b, err := range engine.Range(r.Session, 1_000_000, 4).Batches(ctx) {
		if len(b) > 0 {
			cancel(cause)
		}
		last = err
	}
	if !errors.Is(last, cause) {
		t.Errorf("got %v", last)
	}
	// What streams does not count towards the limit of results.
	s := start(t, engine.Config{Conf: conf("driver.maxResultSize", "16KiB")})
	n := 0
	for b, err := range engine.Range(s.Session, 100_000, 4).Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(b)
	}
	check(t, nil, n, 100_000)
}

// Two streams at once on one worker each get their turn, also when one
// consumes what the other gives.
func TestTwoStreams(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	a := engine.Range(r.Session, 10_000, 1)
	b := engine.Map(engine.Range(r.Session, 10_000, 1), func(v int64) int64 { return v }).Persist(block.MemoryOnly)
	n := 0
	for x, err := range a.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			m := 0
			for y, err := range b.Batches(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				m += len(y)
			}
			check(t, nil, m, 10_000)
		}
		n += len(x)
	}
	check(t, nil, n, 10_000)
}

func TestFailingStream(t *testing.T) {
	r := start(t, engine.Config{})
	d := engine.MapBatches(engine.Range(r.Session, 10, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if t.Partition == 1 {
			return nil, errors.New("always")
		}
		return append(dst, src...), nil
	})
	var got []int64
	var last error
	for b, err := range d.Batches(t.Context()) {
		got, last = append(got, b...), err
	}
	wantError(t, last, "always")
	check(t, nil, len(got) <= 5, true)
	if strings.Contains(last.Error(), "BUG") {
		t.Error(last)
	}
}

// A job or stream that is started inside a loop whose stream holds every
// worker would wait for ever: it is refused, and the loop goes on.
func TestJobInsideAStreamThatHoldsEveryWorker(t *testing.T) {
	for _, cores := range []int{1, 2} {
		r := start(t, engine.Config{Cores: cores})
		outer, inner := engine.Range(r.Session, 60_000, 2*cores), engine.Range(r.Session, 10, 1)
		refused := 0
		total := 0
		for b, err := range outer.Batches(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			total += len(b)
			if refused < 4 {
				_, err = inner.Count(t.Context())
				for _, serr := range inner.Batches(t.Context()) {
					if !errors.Is(serr, engine.ErrWorkersHeld) {
						t.Fatalf("a stream on %d cores: %v", cores, serr)
					}
					refused++
				}
				if !errors.Is(err, engine.ErrWorkersHeld) {
					t.Fatalf("a job on %d cores: %v", cores, err)
				}
				refused++
			}
		}
		check(t, nil, total, 60_000)
		check(t, nil, refused, 4)
		n, err := inner.Count(t.Context())
		check(t, err, n, 10)
	}
}

// While a worker is free, or will be, such a job runs; and a job of somebody
// else's waits for its turn.
func TestJobInsideAStreamThatLeavesAWorker(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	inner := engine.Range(r.Session, 10, 3)
	total := 0
	for b, err := range engine.Range(r.Session, 40_000, 1).Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		total += len(b)
		n, err := inner.Count(t.Context())
		check(t, err, n, 10)
	}
	check(t, nil, total, 40_000)

	wait := func() error { return nil }
	for b, err := range engine.Range(r.Session, 40_000, 4).Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if total -= len(b); total == 40_000-len(b) {
			wait = background(func() error {
				n, err := inner.Count(t.Context())
				check(t, err, n, 10)
				return err
			})
		}
	}
	check(t, wait(), total, 0)
}
