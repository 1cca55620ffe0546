package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// What one part of the engine does while another waits.

// A consumer that runs a job of its own while it streams: the attempt that
// waits for it holds memory, and gives it up when the other job asks.
func TestStreamGivesMemoryUpWhileItWaits(t *testing.T) {
	r := start(t, engine.Config{Memory: 64 << 20, Conf: conf("shuffle.storage", "disk")})
	streamed := noise(r.Session, 240_000, 2) // 24 MB of the 32 MiB managed
	inner := noise(r.Session, 240_000, 3)
	n, sorted := 0, int64(0)
	for b, err := range engine.SortBy(streamed, key10, engine.Partitions(1)).Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if sorted, err = engine.SortBy(inner, key10, engine.Partitions(1)).Count(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n += len(b)
	}
	check(t, nil, []int64{int64(n), sorted}, []int64{240_000, 240_000})
}

// A sort that still samples its input does not keep other jobs from starting,
// and a second job over the same sort can be cancelled while it waits. It is
// the one thing that is found out between an action and its job's submission.
//
// NOT APPLICABLE: DAG-029 as to enumerating partitions, because that is done
// when a dataset is built, by who builds it: no job is there yet.
func TestDAG_029_SamplingHoldsNobodyUp(t *testing.T) {
	r := start(t, engine.Config{})
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	var once sync.Once
	slow := engine.MapBatches(engine.Range(r.Session, 1000, 1), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		once.Do(func() { inside <- struct{}{}; <-gate })
		return append(dst, src...), nil
	})
	sorted := engine.SortBy(slow, func(v int64) int64 { return v }, engine.Partitions(2))
	var got []int64
	first := background(func() (err error) { got, err = sorted.Collect(context.Background()); return err })
	<-inside
	n, err := engine.Range(r.Session, 10, 2).Count(t.Context())
	check(t, err, n, 10)
	other, err := engine.SortBy(engine.Range(r.Session, 10, 2), func(v int64) int64 { return -v }, engine.Partitions(2)).Collect(t.Context())
	check(t, err, other, []int64{9, 8, 7, 6, 5, 4, 3, 2, 1, 0})
	ctx, cancel := context.WithCancel(t.Context())
	second := background(func() error { _, err := sorted.Count(ctx); return err })
	cancel()
	if err := second(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(gate)
	check(t, first(), got, ints(1000))
	samples := 0
	for _, j := range of[*event.JobStart](r.rec) {
		if strings.HasPrefix(j.Name, "sample") {
			samples++
		}
	}
	check(t, nil, samples, 2) // of each sort one
}

// A sampling job that is cancelled is done again by the next job.
func TestCancelledSamplingIsRepeated(t *testing.T) {
	r := start(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	in := engine.MapBatches(engine.Range(r.Session, 1000, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		once.Do(cancel)
		return append(dst, src...), nil
	})
	sorted := engine.SortBy(in, func(v int64) int64 { return v }, engine.Partitions(3))
	if _, err := sorted.Count(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	got, err := sorted.Collect(t.Context())
	check(t, err, got, ints(1000))
}

// Jobs that Close ends say so.
func TestJobsThatCloseEnds(t *testing.T) {
	r := start(t, engine.Config{})
	d, started := blocking(r.Session, 2)
	wait := background(func() error { _, err := d.Count(context.Background()); return err })
	<-started
	r.finish()
	if err := wait(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// A dataset is unpersisted while an attempt writes a partition of it.
func TestBLK_025_UnpersistWhileCached(t *testing.T) {
	r := start(t, engine.Config{})
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	d := engine.FromFunc(r.Session, "slow", 2, func(t *engine.Task, _ int, emit func([]int64) error) error {
		if err := emit(ints(100)); err != nil {
			return err
		}
		inside <- struct{}{}
		<-gate
		return emit(ints(100))
	}).Persist(block.MemoryAndDisk)
	var n int64
	wait := background(func() (err error) { n, err = d.Count(t.Context()); return err })
	<-inside
	<-inside
	d.Unpersist()
	close(gate)
	check(t, wait(), n, 400)
	for p := range 2 {
		if engine.HasBlock(r.Session, block.Node(d.Node().ID, p)) {
			t.Errorf("partition %d is kept although the dataset is not persisted", p)
		}
	}
	check(t, nil, r.held("cached"), 0)
}

// A write is cancelled while an attempt, deaf to it, is about to write.
func TestCancelledWriteLeavesNothing(t *testing.T) {
	r := start(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	d := engine.MapBatches(engine.Range(r.Session, 100_000, 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if src[0] == 0 || src[0] == 50_000 {
			inside <- struct{}{}
			<-gate
		}
		return append(dst, src...), nil
	})
	parent := t.TempDir()
	wait := background(func() error { _, err := lines(d).Write(ctx, filepath.Join(parent, "out")); return err })
	<-inside
	<-inside
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(gate)
	r.finish() // the attempts have ended
	var left []string
	filepath.WalkDir(parent, func(path string, _ os.DirEntry, _ error) error {
		if path != parent {
			left = append(left, path)
		}
		return nil
	})
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// What an accumulator was given is its own: lines of a file are views.
func TestAccumulatorKeepsNoViews(t *testing.T) {
	r := start(t, engine.Config{Cores: 1})
	path := filepath.Join(t.TempDir(), "lines")
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&text, "%07d %s\n", i, "some text that fills the blocks of the reader")
	}
	text.WriteString("z\n")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := engine.TextFiles(r.Session, []string{path}, 1)
	if err != nil {
		t.Fatal(err)
	}
	first := engine.NewAccumulator(r.Session, "first", "", func(a, b string) string {
		if a == "" || b != "" && b < a {
			return b
		}
		return a
	})
	err = d.Foreach(t.Context(), func(t *engine.Task, b []string) error {
		for _, l := range b {
			first.Add(t, l)
		}
		return nil
	})
	check(t, err, first.Value(), "0000000 some text that fills the blocks of the reader")
}

// Grouping and joining survive lost map outputs and failing tasks.
func TestSHUF_002_GroupsAndJoins(t *testing.T) {
	var r *rig
	losses := 0
	r = start(t, engine.Config{Conf: conf("shuffle.storage", "disk")}, func(e event.Event) {
		if c, ok := e.(*event.StageCompleted); ok && c.Stage.Kind == task.ShuffleMapTask && losses < 3 {
			losses++
			if f := r.files(".data"); len(f) > 0 {
				os.Remove(f[len(f)-1])
			}
		}
	})
	left, right := keyed(r.Session, 3000, 100, 4), keyed(r.Session, 2000, 50, 3)
	joined, err := engine.Join(left, right, engine.Partitions(3)).Count(t.Context())
	check(t, err, joined, 50*30*40)
	groups, err := engine.Map(engine.GroupByKey(left, engine.Partitions(2)), func(g engine.Pair[int64, []int64]) int64 { return int64(len(g.Value)) }).Collect(t.Context())
	check(t, err, len(groups), 100)
	for _, n := range groups {
		check(t, nil, n, 30)
	}
	if r.rec.ended(task.FetchFailed) == 0 {
		t.Error("nothing failed to be fetched")
	}
}
