package spill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

type numbered struct {
	Key string
	N   int64
}

// textOf makes keys that often share their first eight bytes.
func textOf(rng *rand.Rand) string {
	return strings.Repeat("ab", rng.IntN(6)) + fmt.Sprint(rng.IntN(500))
}

func cloned(rows []numbered) []numbered {
	out := slices.Clone(rows)
	for i := range out {
		out[i].Key = strings.Clone(out[i].Key)
	}
	return out
}

// Whatever the memory, the page size, the codec and the
// merge limit, the sorted rows are those of a stable sort in memory.
func TestSORT_001_SorterIsAStableSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, name := range []string{"none", "lz4", "zstd"} {
		comp, err := codec.CompressionByName(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
			for _, n := range []int{0, 1, 30_000} {
				for _, limit := range []int{0, 2} {
					t.Run(fmt.Sprintf("codec=%s/memory=%s/rows=%d/limit=%d", name, share, n, limit), func(t *testing.T) {
						b := newBench(t, share)
						b.env.Compression = comp
						rows := make([]numbered, n)
						for i := range rows {
							rows[i] = numbered{textOf(rng), int64(i)}
						}
						s := NewSorter(b.env, "sorter", mustCodec[numbered](t),
							By(mustKey[string](t), func(r numbered) string { return r.Key }))
						defer s.Close()
						s.Limit(limit)
						for in := rows; len(in) > 0; {
							k := min(len(in), 1+rng.IntN(3000))
							if err := s.Add(in[:k]); err != nil {
								t.Fatal(err)
							}
							in = in[k:]
						}
						var got []numbered
						if err := s.Sorted(func(batch []numbered) error {
							got = append(got, cloned(batch)...)
							return nil
						}); err != nil {
							t.Fatal(err)
						}
						slices.SortStableFunc(rows, func(a, b numbered) int { return strings.Compare(a.Key, b.Key) })
						if !slices.Equal(got, rows) {
							t.Fatalf("%d rows, not the stable order of the %d added", len(got), len(rows))
						}
						runs, _ := s.Runs()
						if (runs > 0) != (b.metrics[task.SpillCount] > 0) || (runs > 0) != (b.metrics[task.DiskBytesSpilled] > 0) ||
							(runs > 0) != (b.metrics[task.MemoryBytesSpilled] > 0) {
							t.Errorf("%d runs, but the metrics say %v", runs, b.metrics)
						}
						if n == 30_000 && share == units.MiB && runs < 2 {
							t.Errorf("%d runs: this test should spill", runs)
						}
						if share == 64*units.MiB && runs > 0 {
							t.Errorf("%d runs with memory to spare", runs)
						}
					})
				}
			}
		}
	}
}

type record [100]byte

func records(n int, seed uint64) []record {
	rng := rand.New(rand.NewPCG(seed, seed))
	rows := make([]record, n)
	for i := range rows {
		for j := 0; j < 10; j++ {
			rows[i][j] = byte(rng.Uint32())
		}
		rows[i][99] = byte(i)
	}
	return rows
}

func recordKey(r record) (k [10]byte) { return [10]byte(r[:10]) }

// countingPin counts its holders.
type countingPin struct{ held, ever int }

func (p *countingPin) Retain()  { p.held++; p.ever++ }
func (p *countingPin) Release() { p.held-- }

func TestSorterLeavesFramesWhereTheyLie(t *testing.T) {
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		b := newBench(t, share)
		rows := records(30_000, 9)
		s := NewSorter(b.env, "sorter", mustCodec[record](t), By(mustKey[[10]byte](t), recordKey))
		pin := &countingPin{}
		for in := rows; len(in) > 0; {
			k := min(len(in), 650)
			if err := s.AddFrame(codec.RawBytes(in[:k]), k, pin); err != nil {
				t.Fatal(err)
			}
			in = in[k:]
		}
		if runs, _ := s.Runs(); pin.held == 0 || (runs > 0) != (share == units.MiB) {
			t.Errorf("memory %s: %d frames pinned, %d runs", share, pin.held, runs)
		}
		var got []record
		if err := s.Sorted(func(batch []record) error {
			got = append(got, batch...)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(rows)
		slices.SortStableFunc(want, func(a, b record) int { return slices.Compare(a[:10], b[:10]) })
		if !slices.Equal(got, want) {
			t.Errorf("memory %s: not the stable order", share)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if pin.held != 0 || pin.ever < 30_000/650 {
			t.Errorf("%d of %d pins still held", pin.held, pin.ever)
		}
	}
}

func TestSORT_010_SorterMergesInRounds(t *testing.T) {
	for _, c := range []struct{ runs, factor, rounds int }{{6, 3, 1}, {8, 2, 2}, {3, 3, 0}, {8, 0, 0}} {
		b := newBench(t, 64*units.MiB)
		s := NewSorter(b.env, "sorter", mustCodec[int64](t), By(mustKey[int64](t), func(v int64) int64 { return v }))
		s.Limit(c.factor)
		for r := range c.runs {
			for i := range 1000 {
				if err := s.Add([]int64{int64(i*7919%1000)*10 + int64(r)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.spill(); err != nil {
				t.Fatal(err)
			}
		}
		var got []int64
		if err := s.Sorted(func(batch []int64) error { got = append(got, batch...); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(got) != 1000*c.runs || !slices.IsSorted(got) {
			t.Errorf("%+v: %d rows, sorted: %v", c, len(got), slices.IsSorted(got))
		}
		if _, rounds := s.Runs(); rounds != c.rounds {
			t.Errorf("%+v: %d rounds", c, rounds)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Rows not yet read go to disk when others need memory, once.
func TestSORT_002_SorterGivesMemoryWhileItIsRead(t *testing.T) {
	for _, runs := range []int{0, 2} {
		b := newBench(t, 64*units.MiB)
		s := NewSorter(b.env, "sorter", mustCodec[numbered](t), By(mustKey[string](t), func(r numbered) string { return r.Key }))
		rng := rand.New(rand.NewPCG(1, 1))
		var rows []numbered
		for i := range 20_000 {
			rows = append(rows, numbered{textOf(rng), int64(i)})
		}
		if err := s.Add(rows[:10_000]); err != nil {
			t.Fatal(err)
		}
		for range runs {
			if err := s.spill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Add(rows[:0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Add(rows[10_000:]); err != nil {
			t.Fatal(err)
		}
		if err := s.Sort(); err != nil {
			t.Fatal(err)
		}
		var got []numbered
		for i := 0; ; i++ {
			batch, err := s.Next()
			if err != nil {
				break
			}
			if i == 1 {
				freed, err := s.give(1)
				if err != nil || freed <= 0 {
					t.Fatalf("the first request freed %d, %v", freed, err)
				}
				if again, err := s.give(1); again != 0 || err != nil {
					t.Errorf("the second request freed %d, %v", again, err)
				}
			}
			got = append(got, cloned(batch)...)
		}
		slices.SortStableFunc(rows, func(a, b numbered) int { return strings.Compare(a.Key, b.Key) })
		if !slices.Equal(got, rows) {
			t.Errorf("%d rows after the forced spill, want the %d added in order", len(got), len(rows))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Rows larger than a page and than the write buffer.
func TestSHUF_017_SorterTakesHugeRows(t *testing.T) {
	for _, share := range []units.Bytes{4 * units.MiB, 32 * units.MiB} {
		b := newBench(t, share)
		s := NewSorter(b.env, "sorter", mustCodec[string](t), By(mustKey[string](t), func(v string) string { return v }))
		var want []string
		for i, n := range []int{10, 700_000, 0, 70_000, 3, 66_000, 500_000, 300_000} {
			v := strings.Repeat(string(rune('z'-i)), n)
			want = append(want, v)
			if err := s.Add([]string{v}); err != nil {
				t.Fatal(err)
			}
			if n == 70_000 {
				if err := s.spill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		slices.Sort(want)
		var got []string
		if err := s.Sorted(func(batch []string) error {
			for _, v := range batch {
				got = append(got, strings.Clone(v))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("memory %s: the rows came back changed", share)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A comparison that breaks its contract: no row is lost, in memory and merged
// from runs.
func TestSORT_009_SorterSurvivesABrokenComparison(t *testing.T) {
	for share, spills := range map[units.Bytes]bool{64 * units.MiB: false, 1 * units.MiB: true} {
		rng := rand.New(rand.NewPCG(8, 8))
		b := newBench(t, share)
		s := NewSorter(b.env, "sorter", mustCodec[int64](t), Order[int64]{
			Prefixes: func(dst []uint64, rows []int64) { clear(dst) },
			Compare:  func(x, y *int64) int { return rng.IntN(3) - 1 },
		})
		defer s.Close()
		want := make([]int64, 100_000)
		for i := range want {
			want[i] = int64(i)
		}
		if err := s.Add(want); err != nil {
			t.Fatal(err)
		}
		var got []int64
		if err := s.Sorted(func(batch []int64) error { got = append(got, batch...); return nil }); err != nil {
			t.Fatal(err)
		}
		if runs, _ := s.Runs(); (runs > 0) != spills {
			t.Errorf("%d runs of %s", runs, share)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%d rows, not a permutation of the %d added", len(got), len(want))
		}
	}
}

func BenchmarkSorter(b *testing.B) {
	const n = 5_000_000
	rows := records(n, 1)
	x := newBench(b, 4*units.GiB)
	pin := &countingPin{}
	order := By(mustKey[[10]byte](b), recordKey)
	b.SetBytes(100 * n)
	b.ReportAllocs()
	for b.Loop() {
		s := NewSorter(x.env, "sorter", mustCodec[record](b), order)
		s.Expect(n)
		for in := rows; len(in) > 0; {
			k := min(len(in), 655)
			if err := s.AddFrame(codec.RawBytes(in[:k]), k, pin); err != nil {
				b.Fatal(err)
			}
			in = in[k:]
		}
		if err := s.Sorted(func(batch []record) error { return nil }); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}
