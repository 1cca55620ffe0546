package engine_test

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// quickly makes speculation look often and find slow what is so in a test.
var quickly = conf("speculation", "true", "speculation.interval", "5ms", "speculation.quantile", "0.5",
	"speculation.multiplier", "1.5", "speculation.minTaskRuntime", "20ms")

// straggling passes the integers [0, parts) through, one a partition, of
// which the first attempt of the last one ends only when it is told to.
func straggling(s *engine.Session, parts int) *engine.Dataset[int64] {
	return engine.MapBatches(engine.Range(s, int64(parts), parts), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		if int(t.Partition) == parts-1 && t.Number == 0 {
			<-t.Context().Done()
			return nil, context.Cause(t.Context())
		}
		return append(dst, src...), nil
	})
}

// copied checks that of the last task a copy was made, which won. Another task
// that a busy machine held up may have one, too.
func copied(t *testing.T, r *rig, parts int) {
	t.Helper()
	announced := 0
	for _, e := range of[*event.SpeculativeTaskSubmitted](r.rec) {
		if e.Index != e.Partition {
			t.Errorf("a copy of task %d was announced, partition %d", e.Index, e.Partition)
		}
		if int(e.Index) == parts-1 {
			announced++
		}
	}
	if announced != 1 {
		t.Errorf("%d copies were announced", announced)
	}
	var first, second int
	for _, e := range of[*event.TaskEnd](r.rec) {
		i := &e.Info
		switch {
		case int(i.Index) != parts-1:
		case i.Speculative:
			second++
			if e.Reason != task.Success || i.Number != 1 {
				t.Errorf("the copy ended with %v: %+v", e.Reason, i)
			}
		case e.Reason != task.Success:
			first++
			if e.Reason != task.TaskKilled || !i.Killed || i.Number != 0 || e.Failure.Message != "another attempt succeeded" {
				t.Errorf("the first attempt ended with %v: %+v, %v", e.Reason, i, e.Failure)
			}
		}
	}
	if first != 1 || second != 1 {
		t.Errorf("%d first attempts ended without success, %d copies", first, second)
	}
}

func TestSPC_002_CopyOfAStragglerWins(t *testing.T) {
	const parts = 6
	r := start(t, engine.Config{Conf: quickly})
	seen := engine.NewLongAccumulator(r.Session, "seen")
	d := engine.Map(straggling(r.Session, parts), func(v int64) int64 { return v })
	d = engine.MapBatches(d, func(t *engine.Task, dst, src []int64) ([]int64, error) {
		seen.Add(t, int64(len(src)))
		return append(dst, src...), nil
	})
	got, err := d.Collect(t.Context())
	check(t, err, got, ints(parts))
	check(t, nil, seen.Value(), parts)
	r.finish() // the killed attempt has ended
	copied(t, r, parts)
}

// What the driver is told of an attempt that runs: its records and its time.
func TestSPC_005_ProgressOfAttempts(t *testing.T) {
	r := start(t, engine.Config{})
	step, stepped := make(chan bool), make(chan bool)
	d := engine.FromFunc(r.Session, "steps", 1, func(t *engine.Task, part int, emit func([]int64) error) error {
		for range step {
			if err := emit(ints(100)); err != nil {
				return err
			}
			if err := t.Check(); err != nil {
				return err
			}
			stepped <- true
		}
		return nil
	})
	wait := background(func() error { _, err := d.Count(context.Background()); return err })
	next := func() { step <- true; <-stepped }
	next()
	if list := engine.Progress(r.Session); len(list) != 0 {
		t.Errorf("before it was asked: %+v", list)
	}
	next()
	next()
	list := engine.Progress(r.Session) // as of its second step, when it was asked
	if len(list) != 1 || list[0].Records != 100 || list[0].RunTime <= 0 || list[0].Task != of[*event.TaskStart](r.rec)[0].Info.Task {
		t.Errorf("progress %+v", list)
	}
	close(step)
	check(t, wait(), 0, 0)
}

func TestSPC_002_CopyOfAMapTask(t *testing.T) {
	const parts = 6
	r := start(t, engine.Config{Conf: quickly})
	d := engine.ReduceByKey(engine.Map(straggling(r.Session, parts), func(v int64) engine.Pair[int64, int64] {
		return engine.Pair[int64, int64]{Key: v % 2, Value: v}
	}), func(a, b int64) int64 { return a + b }, engine.Partitions(2))
	got, err := d.Collect(t.Context())
	slices.SortFunc(got, func(a, b engine.Pair[int64, int64]) int { return int(a.Key - b.Key) })
	check(t, err, got, []engine.Pair[int64, int64]{{Key: 0, Value: 6}, {Key: 1, Value: 9}})
	r.finish()
	copied(t, r, parts)
}

// Both attempts write; one file is there, whole, and nothing else.
func TestSPC_002_CopyCommitsOnce(t *testing.T) {
	const parts = 6
	r := start(t, engine.Config{Conf: quickly})
	dir := filepath.Join(t.TempDir(), "out")
	_, err := lines(straggling(r.Session, parts)).Write(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r.finish()
	values, names := readBack(t, r, dir)
	slices.Sort(values)
	check(t, nil, values, ints(parts))
	for _, n := range names {
		if !strings.HasPrefix(n, "part-") && n != "_SUCCESS" {
			t.Errorf("%s is left", n)
		}
	}
	copied(t, r, parts)
}
