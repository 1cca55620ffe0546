package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// stepNumbers is what test/steps begins with: 0 to 999 by their remainder of
// ten, cached. A stepRound adds to every value what a broadcast says for its
// key, and sums by key; upon another round, with its sums as further values.
type stepNumbers struct {
	keyed *engine.Dataset[engine.Pair[int64, int64]]
}

type stepRound struct {
	numbers *stepNumbers
	sums    *engine.Dataset[engine.Pair[int64, int64]]
}

// stepsRead counts the numbers that were made.
var stepsRead atomic.Int64

func init() {
	engine.Register(engine.Program{
		Name: "test/steps",
		Build: func(s *engine.Session, params []byte) (any, error) {
			if string(params) == "no pointer" {
				return 1, nil
			}
			keyed := engine.Map(engine.Range(s, 1000, 4), func(v int64) engine.Pair[int64, int64] {
				stepsRead.Add(1)
				return engine.Pair[int64, int64]{Key: v % 10, Value: v}
			})
			return &stepNumbers{keyed.Cache()}, nil
		},
		Step: func(s *engine.Session, base any, params []byte) (any, error) {
			if string(params) == "refuse" {
				return nil, fmt.Errorf("refused")
			}
			if string(params) == "nothing" {
				return base, nil
			}
			n, _ := binary.Varint(params)
			shifts := engine.BroadcastByID[[]int64](s, id.Broadcast(n))
			var r stepRound
			var from *engine.Dataset[engine.Pair[int64, int64]]
			switch b := base.(type) {
			case *stepNumbers:
				r.numbers, from = b, engine.Reuse(s, b.keyed)
			case *stepRound:
				r.numbers, from = b.numbers, engine.Union(engine.Reuse(s, b.numbers.keyed), b.sums)
			}
			if len(params) > 5 && elsewhere() { // another lineage than where it was made
				from = engine.Map(from, func(p engine.Pair[int64, int64]) engine.Pair[int64, int64] { return p })
			}
			moved := engine.MapBatches(from, func(_ *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
				by, err := shifts.Value()
				if err != nil {
					return dst, err
				}
				for _, p := range src {
					dst = append(dst, engine.Pair[int64, int64]{Key: p.Key, Value: p.Value + by[p.Key]})
				}
				return dst, nil
			})
			r.sums = engine.ReduceByKey(moved, add, engine.Partitions(3))
			return &r, nil
		},
	})
}

// stepShifts broadcasts what round i adds, and returns params that name it.
func stepShifts(t *testing.T, s *engine.Session, i int64) (shifts []int64, params []byte) {
	t.Helper()
	for k := range int64(10) {
		shifts = append(shifts, i*100+k)
	}
	b, err := engine.NewBroadcast(s, shifts)
	if err != nil {
		t.Fatal(err)
	}
	return shifts, binary.AppendVarint(nil, int64(b.ID()))
}

// stepOn is Step, which must succeed.
func stepOn(t *testing.T, s *engine.Session, base any, params []byte) *stepRound {
	t.Helper()
	built, err := s.Step(base, params)
	if err != nil {
		t.Fatal(err)
	}
	return built.(*stepRound)
}

// wantRound is what a round must yield; sums is what the round before
// yielded, or nil.
func wantRound(shifts []int64, sums map[int64]int64) map[int64]int64 {
	out := map[int64]int64{}
	for v := range int64(1000) {
		out[v%10] += v + shifts[v%10]
	}
	for k, v := range sums {
		out[k] += v + shifts[k]
	}
	return out
}

func TestStepsIterate(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	stepsRead.Store(0)
	numbers := build[*stepNumbers](t, r.Session, "test/steps", "")
	var want map[int64]int64
	base := any(numbers)
	var scopes []*engine.Session
	for i := range int64(5) {
		shifts, params := stepShifts(t, r.Session, i)
		scopes = append(scopes, r.Scope())
		round := stepOn(t, scopes[i], base, params)
		want = wantRound(shifts, want)
		got, err := round.sums.Collect(t.Context())
		wantPairs(t, err, got, want)
		base = round
		if i > 1 { // the last two stay: the next reads the map outputs of the one before
			scopes[i-2].Release()
		}
	}
	if n := stepsRead.Load(); n != 1000 {
		t.Errorf("the cached numbers were made %d times for 1000", n)
	}
}

// Each attempt of each step is data: it runs in a process that has built
// neither the program nor a step, nor made the broadcasts.
func TestStepsRunInAFreshProcess(t *testing.T) {
	conf := conf("shuffle.storage", "disk")
	s, rec := recorded(t, conf)
	engine.Repartition(engine.Range(s, 10, 2), 2) // shifts the numbers of datasets and shuffles
	base := any(build[*stepNumbers](t, s, "test/steps", ""))
	first := base
	for i := range int64(3) {
		_, params := stepShifts(t, s, i)
		round := stepOn(t, s, base, params)
		if _, err := round.sums.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		base = round
	}
	_, params := stepShifts(t, s, 3) // and one upon the first base again
	if _, err := stepOn(t, s, first, params).sums.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := attempts(t, rec)
	var tasks []engine.Detached
	for _, a := range list {
		tasks = append(tasks, a.Detached)
	}
	// Rounds of 4 or 7 maps and 3 results.
	if len(tasks) != 4+3+7+3+7+3+4+3 {
		t.Errorf("%d attempts", len(tasks))
	}
	for i, o := range runElsewhere(t, conf, tasks...) {
		var a, b task.Result
		err := task.DecodeResult(list[i].Status.Result, &a)
		if err == nil && o.Err == "" {
			err = task.DecodeResult(o.Status.Result, &b)
		}
		desc := describe(t, tasks[i])
		if err != nil || o.Err != "" || len(a.Value) == 0 || !slices.Equal(a.Value, b.Value) {
			t.Errorf("%v: %d bytes here, %d there: %v %s", desc.TaskAttempt, len(a.Value), len(b.Value), err, o.Err)
		}
	}
}

// A step that builds something else elsewhere is refused there.
func TestUnfaithfulStepIsRefused(t *testing.T) {
	s, rec := recorded(t, nil)
	numbers := build[*stepNumbers](t, s, "test/steps", "")
	_, params := stepShifts(t, s, 0)
	round := stepOn(t, s, numbers, append(params, "unfaithful"...))
	if _, err := round.sums.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := runElsewhere(t, nil, attempts(t, rec)[0].Detached)[0]
	if o.Status.State != task.Failed || !strings.Contains(o.Err, `"test/steps"`) || !strings.Contains(o.Err, "more datasets") {
		t.Errorf("%v: %s", o.Status.State, o.Err)
	}
}

func TestStepsNeedABase(t *testing.T) {
	r := start(t, engine.Config{Cores: 1})
	_, params := stepShifts(t, r.Session, 0)
	outer := r.Scope()
	inner := outer.Scope()
	numbers := build[*stepNumbers](t, inner, "test/steps", "")
	if _, err := inner.Step(numbers, []byte("refuse")); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a step that fails: %v", err)
	}
	_, err := inner.Step(numbers, []byte("nothing"))
	wantError(t, err, `"test/steps"`, "built no dataset")
	round := stepOn(t, r.Session, numbers, params) // outside both scopes
	outer.Release()
	for name, base := range map[string]any{
		"nil": nil, "no pointer": 1, "nobody's": new(stepNumbers), "a nil pointer": (*stepNumbers)(nil),
		"released with the outer scope": numbers,
	} {
		_, err := r.Step(base, params)
		wantError(t, err, "cannot build a step upon")
		if err == nil {
			t.Errorf("a base that is %s", name)
		}
	}
	if _, err := r.Step(round, []byte("refuse")); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("what another view built is a base: %v", err)
	}
	one := build[int](t, r.Session, "test/steps", "no pointer")
	_, err = r.Step(one, params)
	wantError(t, err, "cannot build a step upon a int")
	words := build[*wordsBuilt](t, r.Session, "test/words", "10")
	_, err = r.Step(words, params)
	wantError(t, err, `"test/words"`, "it has none")
}

// A broadcast is what its id says, or an error.
func TestBroadcastByID(t *testing.T) {
	r := start(t, engine.Config{Cores: 1})
	b, err := engine.NewBroadcast(r.Session, []int64{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	got, err := engine.BroadcastByID[[]int64](r.Session, b.ID()).Value()
	if err != nil || !slices.Equal(got, []int64{1, 2}) {
		t.Errorf("%v %v", got, err)
	}
	if _, err := engine.BroadcastByID[string](r.Session, b.ID()).Value(); err == nil {
		t.Error("a list was read as a string")
	}
	_, err = engine.BroadcastByID[[]int64](r.Session, 99).Value()
	wantError(t, err, "cannot read broadcast 99")
	if err := b.Destroy(); err != nil {
		t.Fatal(err)
	}
	_, err = engine.BroadcastByID[[]int64](r.Session, b.ID()).Value()
	wantError(t, err, "cannot read broadcast")
}

// Releasing a scope drops the map outputs of the steps built through it and
// through scopes inside it, and nothing else.
func TestReleasedStepsLeaveNothing(t *testing.T) {
	r := start(t, engine.Config{Cores: 1, Conf: conf("shuffle.storage", "disk")})
	numbers := build[*stepNumbers](t, r.Session, "test/steps", "")
	_, params := stepShifts(t, r.Session, 0)
	outer := r.Scope()
	run := func(s *engine.Session) {
		t.Helper()
		if _, err := stepOn(t, s, numbers, params).sums.Count(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := len(r.files("shuffle_"))
	run(r.Session)
	own := len(r.files("shuffle_")) - before
	run(outer)
	run(outer.Scope())
	run(outer.Scope().Scope())
	if n := len(r.files("shuffle_")) - before; own == 0 || n != 4*own {
		t.Errorf("%d files of four steps, %d of one", n, own)
	}
	outer.Release()
	if n := len(r.files("shuffle_")) - before; n != own {
		t.Errorf("%d files after the release, want %d", n, own)
	}
	run(r.Session) // the base is there
}

func TestZipPartitions(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	left := engine.PartitionBy(engine.Range(r.Session, 1000, 5), 4, func(v int64) int { return int(v % 4) })
	right := engine.PartitionAndSortBy(engine.Range(r.Session, 500, 3), 4, func(v int64) int { return int(v % 4) }, func(v int64) int64 { return -v })
	type found struct {
		Part, Left, Right int64
		Sorted            bool
	}
	zip := engine.ZipPartitions(left, right, func(_ *engine.Task, part int, a, b func(func([]int64) error) error, emit func([]found) error) error {
		f := found{Part: int64(part), Sorted: true}
		last := int64(1 << 40)
		err := b(func(in []int64) error {
			for _, v := range in {
				f.Sorted = f.Sorted && v < last && v%4 == f.Part
				last = v
				f.Right++
			}
			return nil
		})
		if err == nil {
			err = a(func(in []int64) error {
				for _, v := range in {
					f.Sorted = f.Sorted && v%4 == f.Part
					f.Left++
				}
				return nil
			})
		}
		if err != nil {
			return err
		}
		return emit([]found{f})
	})
	got, err := zip.Collect(t.Context())
	want := []found{{0, 250, 125, true}, {1, 250, 125, true}, {2, 250, 125, true}, {3, 250, 125, true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	// A consumer that has enough ends both sides.
	if got, err := engine.ZipPartitions(left, right, func(_ *engine.Task, _ int, a, b func(func([]int64) error) error, emit func([]int64) error) error {
		if err := a(emit); err != nil {
			return err
		}
		return b(emit)
	}).Take(t.Context(), 3); err != nil || len(got) != 3 {
		t.Errorf("%v, %v", got, err)
	}
	defer func() {
		if e := recover(); e == nil || !strings.Contains(fmt.Sprint(e), "4 and 5 partitions") {
			t.Errorf("datasets of unequal partitions: %v", e)
		}
	}()
	engine.ZipPartitions(left, engine.Range(r.Session, 10, 5), func(_ *engine.Task, _ int, _, _ func(func([]int64) error) error, _ func([]int64) error) error {
		return nil
	})
}

func TestPartitionByRefusesOtherPartitions(t *testing.T) {
	r := start(t, engine.Config{Cores: 1, Conf: conf("task.maxFailures", "1")})
	for _, p := range []int{-1, 4} {
		d := engine.PartitionBy(engine.Range(r.Session, 10, 1), 4, func(int64) int { return p })
		_, err := d.Count(t.Context())
		wantError(t, err, fmt.Sprintf("partition %d of 4", p))
	}
}

func TestMapPartitions(t *testing.T) {
	r := start(t, engine.Config{Cores: 2})
	d := engine.MapPartitions(engine.Range(r.Session, 100, 7), func(_ *engine.Task, part int, each func(func([]int64) error) error, emit func([]int64) error) error {
		if part == 6 {
			return nil // may leave its input unread
		}
		n := int64(0)
		if err := each(func(in []int64) error { n += int64(len(in)); return nil }); err != nil {
			return err
		}
		return emit([]int64{int64(part), n})
	})
	got, err := d.Collect(context.Background())
	if want := []int64{0, 15, 1, 15, 2, 14, 3, 14, 4, 14, 5, 14}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}
