package shuffle

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// SORT-006: combining, shuffling and aggregating give the sums of a map,
// also with almost no memory, where all three must give way to each other.
func TestCombineWriterAndAggregatorAreAMap(t *testing.T) {
	for _, budget := range []units.Bytes{2 * units.MiB, 8 * units.MiB, 128 * units.MiB} {
		for _, distinct := range []int{10, 3000, 200_000} {
			t.Run(fmt.Sprintf("memory=%s/distinct=%d", budget, distinct), func(t *testing.T) {
				checkCombine(t, newRig(t, budget, Config{}), distinct)
			})
		}
	}
}

func checkCombine(t *testing.T, r *rig, distinct int) {
	const maps_, reducers, rows = 3, 5, 60_000
	rng := rand.New(rand.NewPCG(uint64(distinct), 1))
	key, err := codec.KeyOf[string]()
	if err != nil {
		t.Fatal(err)
	}
	c := mustCodec[codec.Pair[string, int64]](t)
	sum := spill.Reduce(func(a, b int64) int64 { return a + b })
	want := map[string]int64{}
	var statuses []*task.MapStatus
	for m := range maps_ {
		err := r.attempt(id.Task(m), func(env spill.Env) error {
			w, err := NewCombineWriter(r.m, env, Target{Shuffle: 1, Map: id.Task(m), Reducers: reducers}, key, sum, c, nil)
			if err != nil {
				return err
			}
			defer w.Close()
			batch := make([]codec.Pair[string, int64], 1000)
			for range rows / len(batch) {
				for i := range batch {
					n := rng.IntN(distinct)
					batch[i] = codec.Pair[string, int64]{Key: strings.Repeat("k", n%30) + fmt.Sprint(n), Value: int64(n)}
					want[batch[i].Key] += int64(n)
				}
				if err := w.Add(batch); err != nil {
					return err
				}
			}
			s, err := w.Commit()
			statuses = append(statuses, s)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if written := r.metrics[task.ShuffleRecordsWritten]; distinct == 10 && written != maps_*10 {
		t.Errorf("%d partial results of 10 keys in %d maps", written, maps_)
	}
	got := map[string]int64{}
	for p := range reducers {
		err := r.attempt(id.Task(100+p), func(env spill.Env) error {
			g, err := spill.NewAggregator(env, "aggregate", key, sum)
			if err != nil {
				return err
			}
			defer g.Close()
			if err := r.frames(env, statuses, p, func(f Frame) error { return g.AddFrame(f.Data, f.Rows) }); err != nil {
				return err
			}
			// The result is shuffled again by the same attempt, so that
			// table and writer share its memory.
			w, err := NewWriter(r.m, env, Target{Shuffle: 2, Map: id.Task(100 + p), Reducers: 64}, ByKey[string, int64](key, 64), c)
			if err != nil {
				return err
			}
			defer w.Close()
			if err := g.Emit(func(rows []codec.Pair[string, int64]) error {
				for _, r := range rows {
					got[strings.Clone(r.Key)] += r.Value
				}
				return w.Add(rows)
			}); err != nil {
				return err
			}
			_, err = w.Commit()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d with the same sums", len(got), len(want))
	}
}

// Rows that bypass the table reach the reducer as they came, in frames of
// their own among those of partial results, whatever the memory and the form
// of the output; together they give the sums of a map.
func TestRowsThatAreNotCombinedKeepTheirForm(t *testing.T) {
	for _, budget := range []units.Bytes{2 * units.MiB, 128 * units.MiB} {
		for form, c := range []Config{{}, {Storage: Disk}, {Compression: compression(t, "lz4")}} {
			for _, distinct := range []int64{10, 1 << 40} {
				t.Run(fmt.Sprintf("memory=%s/form=%d/distinct=%d", budget, form, distinct), func(t *testing.T) {
					checkUncombined(t, newRig(t, budget, c), distinct)
				})
			}
		}
	}
}

type mean struct{ n, sum int64 }

func checkUncombined(t *testing.T, r *rig, distinct int64) {
	type value = codec.Pair[int64, int64]
	type partial = codec.Pair[int64, mean]
	const reducers, rows = 3, 100_000
	key, err := codec.KeyOf[int64]()
	if err != nil {
		t.Fatal(err)
	}
	means := spill.Aggregate[int64, mean]{
		Add:   func(m mean, v int64) mean { return mean{m.n + 1, m.sum + v} },
		Merge: func(a, b mean) mean { return mean{a.n + b.n, a.sum + b.sum} },
	}
	rng := rand.New(rand.NewPCG(uint64(distinct), 2))
	want := map[int64]mean{}
	var statuses []*task.MapStatus
	err = r.attempt(0, func(env spill.Env) error {
		w, err := NewCombineWriter(r.m, env, Target{Shuffle: 1, Reducers: reducers}, key, means, mustCodec[partial](t), nil)
		if err != nil {
			return err
		}
		defer w.Close()
		batch := make([]value, 1000)
		for i := range rows / len(batch) {
			for j := range batch {
				k := rng.Int64N(distinct)
				if i > 0 && j%10 == 0 { // now and then one that was there
					k = batch[0].Key
				}
				batch[j] = value{Key: k, Value: int64(j)}
				want[k] = means.Add(want[k], int64(j))
			}
			if err := w.Add(batch); err != nil {
				return err
			}
		}
		s, err := w.Commit()
		statuses = append(statuses, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got, uncombined := map[int64]mean{}, 0
	for p := range reducers {
		err := r.attempt(id.Task(1+p), func(env spill.Env) error {
			g, err := spill.NewAggregator(env, "aggregate", key, means)
			if err != nil {
				return err
			}
			defer g.Close()
			err = r.frames(env, statuses, p, func(f Frame) error {
				if f.Uncombined {
					uncombined += f.Rows
					return g.AddFrame(f.Data, f.Rows)
				}
				rows, rest, err := mustCodec[partial](t).Decode(nil, f.Data, f.Rows)
				if err != nil || len(rest) > 0 {
					return fmt.Errorf("%d bytes left: %w", len(rest), err)
				}
				return g.Merge(rows)
			})
			if err != nil {
				return err
			}
			return g.Emit(func(rows []partial) error {
				for _, r := range rows {
					got[r.Key] = r.Value
				}
				return nil
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d with the same sums", len(got), len(want))
	}
	if (uncombined > rows/2) != (distinct > 10) || distinct == 10 && uncombined > 0 {
		t.Errorf("%d rows of %d were not combined", uncombined, rows)
	}
}
