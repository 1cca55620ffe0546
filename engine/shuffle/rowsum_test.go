package shuffle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/units"
)

func TestSHUF_018_RowChecksumsIgnoreTheOrder(t *testing.T) {
	var texts []string
	for i := range 500 {
		texts = append(texts, strings.Repeat("x", i%7)+fmt.Sprint(i%90)) // some several times
	}
	checkRowSums(t, texts, byText(5), "another")
	checkRowSums(t, count(500), byValue(5), 1_000_000)
}

func checkRowSums[T comparable](t *testing.T, rows []T, partition Partitioner[T], other T) {
	t.Helper()
	c := mustCodec[T](t)
	rng := rand.New(rand.NewPCG(1, 8))
	r := newRig(t, 64*units.MiB, Config{RowChecksums: true})
	next := id.Task(0)
	sums := func(rows []T) (total int64, each []rowSum) {
		t.Helper()
		next++
		err := r.attempt(next, func(env spill.Env) error {
			w, err := NewWriter(r.m, env, Target{Shuffle: 1, Map: next, Reducers: 5}, partition, c)
			if err != nil {
				return err
			}
			defer w.Close()
			for in := rows; len(in) > 0; {
				n := min(len(in), 1+rng.IntN(200))
				if err := w.Add(in[:n]); err != nil {
					return err
				}
				in = in[n:]
			}
			s, err := w.Commit()
			if err != nil {
				return err
			}
			total, each = s.RowSum, w.sums
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return total, each
	}
	want, wantEach := sums(rows)
	if want == 0 {
		t.Fatal("no checksum")
	}
	for range 100 {
		mixed := slices.Clone(rows)
		rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if got, each := sums(mixed); got != want || !slices.Equal(each, wantEach) {
			t.Fatalf("in another order: %x, want %x", got, want)
		}
	}
	for name, changed := range map[string][]T{
		"a row less":         rows[1:],
		"a row twice":        append(slices.Clone(rows), rows[0]),
		"a row thrice":       append(slices.Clone(rows), rows[0], rows[0]),
		"another row":        append(slices.Clone(rows[1:]), other),
		"two equal rows new": append(slices.Clone(rows), other, other),
	} {
		if got, _ := sums(changed); got == want {
			t.Errorf("%s: the checksum is the same", name)
		}
	}
}

// There is none unless it is asked for, and none where equal rows may differ
// in their bytes or in how often they are written.
func TestOutputsWithoutRowChecksum(t *testing.T) {
	type gap struct {
		A int32
		B int64
	}
	on, off := newRig(t, 64*units.MiB, Config{RowChecksums: true}), newRig(t, 64*units.MiB, Config{})
	if s, err := write(off, Target{Shuffle: 1, Map: 1, Reducers: 2}, mustCodec[int64](t), byValue(2), count(10)); err != nil || s.RowSum != 0 {
		t.Errorf("not asked for: %x, %v", s.RowSum, err)
	}
	if s, err := write(on, Target{Shuffle: 1, Map: 1, Reducers: 2}, mustCodec[gap](t), func(dst []int32, _ []gap) { clear(dst) }, []gap{{1, 2}}); err != nil || s.RowSum != 0 {
		t.Errorf("rows with padding: %x, %v", s.RowSum, err)
	}
	key, err := codec.KeyOf[int64]()
	if err != nil {
		t.Fatal(err)
	}
	err = on.attempt(2, func(env spill.Env) error {
		w, err := NewCombineWriter(on.m, env, Target{Shuffle: 1, Map: 2, Reducers: 2}, key,
			spill.Reduce(func(a, b int64) int64 { return a + b }), mustCodec[codec.Pair[int64, int64]](t), nil)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := w.Add([]codec.Pair[int64, int64]{{Key: 1, Value: 2}}); err != nil {
			return err
		}
		s, err := w.Commit()
		if err == nil && s.RowSum != 0 {
			t.Errorf("combined: %x", s.RowSum)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkRowChecksums(b *testing.B) {
	const n = 1_000_000
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("rows=int64/checksums=%v", on), func(b *testing.B) {
			benchRowSums(b, on, count(n), byValue(64))
		})
		texts := make([]string, n)
		for i := range texts {
			texts[i] = strings.Repeat("t", 8+i%24)
		}
		b.Run(fmt.Sprintf("rows=string/checksums=%v", on), func(b *testing.B) {
			benchRowSums(b, on, texts, byText(64))
		})
	}
}

func benchRowSums[T any](b *testing.B, on bool, rows []T, partition Partitioner[T]) {
	r := newRig(b, 2*units.GiB, Config{RowChecksums: on})
	c := mustCodec[T](b)
	for b.Loop() {
		if _, err := write(r, Target{Shuffle: 1, Map: 1, Reducers: 64}, c, partition, batches(rows, 4096)...); err != nil {
			b.Fatal(err)
		}
		r.m.RemoveShuffle(1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}
