package shuffle

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Pairs are shuffled to three reducers, aggregated or not, ordered or not,
// forced to disk at every step or never: the partitions are those made in
// memory, and nothing spills of itself.
//
// NOT APPLICABLE: SORT-001 as to forcing a map task that aggregates, because a
// thousand pairs stay in its table, which gives none away: it empties itself
// into the output, and the output is what spills.
func TestSORT_001_AggregationOrderingAndSpilling(t *testing.T) {
	for _, aggregated := range []bool{false, true} {
		for _, ordered := range []bool{false, true} {
			for _, spills := range []bool{false, true} {
				t.Run(fmt.Sprintf("aggregated=%v/ordered=%v/spills=%v", aggregated, ordered, spills), func(t *testing.T) {
					checkCase(t, newRig(t, 16*units.MiB, Config{Storage: Disk}), aggregated, ordered, spills)
				})
			}
		}
	}
}

type number = codec.Pair[int64, int64]

func byKeyThenValue(a, b number) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value))
}

func checkCase(t *testing.T, r *rig, aggregated, ordered, spills bool) {
	const reducers = 3
	key, err := codec.KeyOf[int64]()
	if err != nil {
		t.Fatal(err)
	}
	pairs := make([]number, 1000)
	for i := range pairs {
		pairs[i] = number{Key: int64(i * 7919 % 100), Value: int64(i)}
	}
	to := make([]int32, len(pairs))
	ByKey[int64, int64](key, reducers)(to, pairs)
	want := make([][]number, reducers)
	for i, p := range pairs {
		rows := &want[to[i]]
		at := slices.IndexFunc(*rows, func(o number) bool { return aggregated && o.Key == p.Key })
		if at < 0 {
			*rows = append(*rows, p)
		} else {
			(*rows)[at].Value += p.Value
		}
	}
	// What this one asks for is what others give.
	force := func(env spill.Env) {
		if spills {
			greedy := env.Memory.Consumer("greedy", nil)
			greedy.Acquire(int64(16 * units.MiB))
			greedy.Close()
		}
	}
	sum := spill.Reduce(func(a, b int64) int64 { return a + b })
	c := mustCodec[number](t)
	var statuses []*task.MapStatus
	for m, mine := range slices.Collect(slices.Chunk(pairs, 250)) {
		if err := r.attempt(id.Task(m), func(env spill.Env) (err error) {
			var w interface {
				Add([]number) error
				Commit() (*task.MapStatus, error)
				Close() error
			}
			target := Target{Shuffle: 1, Map: id.Task(m), Reducers: reducers}
			if aggregated {
				w, err = NewCombineWriter(r.m, env, target, key, sum, c, nil)
			} else {
				w, err = NewWriter(r.m, env, target, ByKey[int64, int64](key, reducers), c)
			}
			if err != nil {
				return err
			}
			defer w.Close()
			for rows := range slices.Chunk(mine, 100) {
				if err := w.Add(rows); err != nil {
					return err
				}
				force(env)
			}
			s, err := w.Commit()
			statuses = append(statuses, s)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	spilled := func(what string, want bool) {
		t.Helper()
		if n := r.metrics[task.SpillCount]; (n > 0) != want {
			t.Errorf("%s: %d spills", what, n)
		}
		r.metrics[task.SpillCount] = 0
	}
	spilled("map", spills && !aggregated)
	for p := range reducers {
		got, err := read(r, Source{Shuffle: 1, Statuses: statuses, From: p, To: p + 1}, c, same)
		if err != nil {
			t.Fatal(err)
		}
		if aggregated {
			got = through(t, r, got, func(env spill.Env, rows []number, emit func([]number) error) error {
				g, err := spill.NewAggregator(env, "aggregate", key, sum)
				if err != nil {
					return err
				}
				defer g.Close()
				for batch := range slices.Chunk(rows, 20) {
					if err := g.Add(batch); err != nil {
						return err
					}
					force(env)
				}
				return g.Emit(emit)
			})
			spilled("aggregation", spills)
		}
		if ordered {
			got = through(t, r, got, func(env spill.Env, rows []number, emit func([]number) error) error {
				s := spill.NewSorter(env, "sort", c, spill.By(key, func(n number) int64 { return n.Key }))
				defer s.Close()
				for batch := range slices.Chunk(rows, 20) {
					if err := s.Add(batch); err != nil {
						return err
					}
					force(env)
				}
				return s.Sorted(emit)
			})
			spilled("ordering", spills)
			if !slices.IsSortedFunc(got, func(a, b number) int { return cmp.Compare(a.Key, b.Key) }) {
				t.Errorf("reducer %d is not in order", p)
			}
		}
		slices.SortFunc(got, byKeyThenValue)
		slices.SortFunc(want[p], byKeyThenValue)
		if len(got) == 0 || !slices.Equal(got, want[p]) {
			t.Errorf("reducer %d: %d rows, want %d", p, len(got), len(want[p]))
		}
	}
}

// through runs an attempt over rows and returns what it emits.
func through(t *testing.T, r *rig, rows []number, body func(env spill.Env, rows []number, emit func([]number) error) error) (out []number) {
	t.Helper()
	if err := r.attempt(10, func(env spill.Env) error {
		return body(env, rows, func(batch []number) error {
			out = append(out, batch...)
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
