package spill

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/units"
)

func numberPairs(n int, distinct int64, seed uint64) []pair[int64, int64] {
	rng := rand.New(rand.NewPCG(seed, 3))
	out := make([]pair[int64, int64], n)
	for i := range out {
		out[i] = kv(rng.Int64N(distinct), int64(i)) // zero among them
	}
	return out
}

// model counts the matches of two sides and sums up their values.
type matches struct{ n, left, right int64 }

func modelJoin(ls, rs []pair[int64, int64]) map[int64]matches {
	rights := map[int64][]int64{}
	for _, p := range rs {
		rights[p.Key] = append(rights[p.Key], p.Value)
	}
	out := map[int64]matches{}
	for _, p := range ls {
		for _, w := range rights[p.Key] {
			m := out[p.Key]
			out[p.Key] = matches{m.n + 1, m.left + p.Value, m.right + w}
		}
	}
	return out
}

func same(a, b map[int64]matches) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d keys, want %d", len(a), len(b))
	}
	for k, m := range a {
		if m != b[k] {
			return fmt.Errorf("key %d: %v, want %v", k, m, b[k])
		}
	}
	return nil
}

// Where a table does it gives the matches of a model; where none does the
// grouper is as it was, and Join gives them.
// The keys of one reducer's table are found where it has put them, whatever
// their form and whatever the rows that stand beside them.
func TestMatcherFindsKeysOfEveryForm(t *testing.T) {
	type padded struct {
		A int32
		B int8
	}
	matchesOf(t, func(i int) int64 { return int64(i) << 33 }, 1.5)
	matchesOf(t, func(i int) int64 { return int64(i) * 7919 }, struct{}{})
	matchesOf(t, func(i int) int64 { return int64(i) }, uint16(3))
	matchesOf(t, func(i int) int64 { return int64(-i) }, [3]int64{1, 2, 3})
	matchesOf(t, func(i int) uint64 { return uint64(i) << 60 / 7 }, int64(1))
	matchesOf(t, func(i int) int32 { return int32(i) - 2000 }, int64(1))
	matchesOf(t, func(i int) uint16 { return uint16(i) }, int8(1))
	matchesOf(t, func(i int) float64 { return float64(i) / 3 }, int64(1))
	matchesOf(t, func(i int) float32 { return float32(i) }, int64(1))
	matchesOf(t, func(i int) [5]byte { return [5]byte{byte(i), 3: byte(i >> 8)} }, int64(1))
	matchesOf(t, func(i int) padded { return padded{int32(i % 100), int8(i / 100)} }, int64(1))
}

// matchesOf matches 5000 keys with those of a table of 4000 of them and 4000
// others.
func matchesOf[K comparable, W any](t *testing.T, key func(i int) K, value W) {
	t.Helper()
	b := newBench(t, 64*units.MiB)
	g, err := NewGrouper(b.env, "grouper", mustKey[K](t), mustCodec[pair[K, W]](t))
	if err != nil {
		t.Fatal(err)
	}
	held := map[K]bool{}
	for i := range 8000 {
		k := key(1000 + i)
		if held[k] { // it would take the table to the grouped form
			continue
		}
		held[k] = true
		if err := g.Add([]pair[K, W]{{Key: k, Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	table, err := g.Table(nil, 0)
	if table == nil || err != nil {
		t.Fatal("no table", err)
	}
	defer table.Close()
	if table.slots == nil {
		t.Errorf("keys of %T: not in the unique form", *new(K))
	}
	var past []pair[K, int64]
	want := 0
	for i := range 5000 {
		past = append(past, kv(key(i), int64(i)))
		if held[key(i)] {
			want++
		}
	}
	got := 0
	if err := Match(NewMatcher(table), past, func(batch []pair[K, int64], rows HeldRows[W], list []Found) error {
		for _, f := range list {
			if !held[batch[f.At].Key] {
				t.Errorf("a match of %v", batch[f.At].Key)
			}
			if any(*rows.At(f.Row)) != any(value) {
				t.Errorf("key %v has %v", batch[f.At].Key, *rows.At(f.Row))
			}
			got++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got != want || want < 128 {
		t.Errorf("%d matches of keys of %T, want %d", got, *new(K), want)
	}
}

func TestMatcherMatchesAModel(t *testing.T) {
	for _, c := range []struct {
		left      int
		leftKeys  int64
		right     int
		rightKeys int64
		share     units.Bytes
		table     bool
	}{
		{0, 1, 100, 10, 64 * units.MiB, true},
		{100, 10, 0, 1, 64 * units.MiB, true},
		{1000, 300, 1000, 400, 64 * units.MiB, true},
		{50_000, 30_000, 40_000, 30_000, 64 * units.MiB, true},
		{1000, 100, 2000, 100, 64 * units.MiB, true},           // twenty rows a key
		{100, 2, 20_000, 3, 64 * units.MiB, true},              // thousands of rows a key
		{3, 1, 3000, 1, 64 * units.MiB, true},                  // all of the key zero
		{50_000, 30_000, 90_000, 30_000, 3 * units.MiB, false}, // spilled
		{20_000, 9000, 40_000, 9000, 4 * units.MiB, false},     // no room for the table
		{20_000, 9000, 20_000, 1 << 40, 8 * units.MiB, true},   // sparse
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			ls, rs := numberPairs(c.left, c.leftKeys, 5), numberPairs(c.right, c.rightKeys, 6)
			b := newBench(t, c.share)
			g := newGrouper(t, b, rs)
			table, err := g.Table(nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if (table != nil) != c.table {
				t.Fatalf("a table: %v, want %v", table != nil, c.table)
			}
			got := map[int64]matches{}
			if table == nil {
				err = Join(b.env, newGrouper(t, b, ls), g, func(key int64, l, r []int64) error {
					for _, v := range l {
						for _, w := range r {
							s := got[key]
							got[key] = matches{s.n + 1, s.left + v, s.right + w}
						}
					}
					return nil
				})
			} else {
				defer table.Close()
				err = Match(NewMatcher(table), ls, func(batch []pair[int64, int64], held HeldRows[int64], list []Found) error {
					for _, f := range list {
						l := batch[f.At]
						s := got[l.Key]
						got[l.Key] = matches{s.n + 1, s.left + l.Value, s.right + *held.At(f.Row)}
					}
					return nil
				})
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := same(got, modelJoin(ls, rs)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Rows that lie in pinned frames are matched, and are grouped where no table
// does, as copied ones are, and between both; nothing stays pinned.
func TestMatcherOfFrames(t *testing.T) {
	ls := numberPairs(3000, 2000, 5)
	for _, c := range []struct {
		copied, framed int
		keys           int64
		share          units.Bytes
	}{
		{0, 40_000, 3000, 64 * units.MiB},
		{7000, 40_000, 3000, 64 * units.MiB},
		{0, 40_000, 3, 64 * units.MiB},          // few keys
		{3000, 90_000, 3000, 3 * units.MiB},     // no table: spilled
		{3000, 90_000, 90_000, 5 * units.MiB},   // no room for the table
		{3000, 90_000, 1 << 40, 64 * units.MiB}, // no matches
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			rs := numberPairs(c.copied+c.framed, c.keys, 6)
			b := newBench(t, c.share)
			g := newGrouper(t, b, rs[:c.copied])
			pin := &countingPin{}
			for in := rs[c.copied:]; len(in) > 0; {
				k := min(len(in), 4095)
				if err := g.AddFrame(codec.RawBytes(in[:k]), k, pin); err != nil {
					t.Fatal(err)
				}
				in = in[k:]
			}
			got := map[int64]matches{}
			add := func(key, l, r int64) {
				s := got[key]
				got[key] = matches{s.n + 1, s.left + l, s.right + r}
			}
			table, err := g.Table(nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if table == nil {
				err = Join(b.env, newGrouper(t, b, ls), g, func(key int64, l, r []int64) error {
					for _, v := range l {
						for _, w := range r {
							add(key, v, w)
						}
					}
					return nil
				})
			} else {
				defer table.Close()
				err = Match(NewMatcher(table), ls, func(batch []pair[int64, int64], held HeldRows[int64], list []Found) error {
					for _, f := range list {
						add(batch[f.At].Key, batch[f.At].Value, *held.At(f.Row))
					}
					return nil
				})
			}
			if err := errors.Join(err, g.Close()); err != nil {
				t.Fatal(err)
			}
			if err := same(got, modelJoin(ls, rs)); err != nil {
				t.Error(err)
			}
			if pin.held != 0 || pin.ever == 0 {
				t.Errorf("%d of %d pins were not let go", pin.held, pin.ever)
			}
		})
	}
}

func TestMatcherLeavesOthersAlone(t *testing.T) {
	b := newBench(t, 64*units.MiB)
	texts := newGrouper(t, b, textPairs(100, 10, 1))
	if table, err := texts.Table(nil, 0); table != nil || err != nil {
		t.Errorf("a table of texts: %v", err)
	}
	stop := errors.New("stop")
	g := newGrouper(t, b, numberPairs(100, 10, 1))
	table, err := g.Table(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if err := Match(NewMatcher(table), numberPairs(1, 10, 1), func([]pair[int64, int64], HeldRows[int64], []Found) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
	b.env.Check = func() error { return stop }
	g, err = NewGrouper(b.env, "grouper", mustKey[int64](t), mustCodec[pair[int64, int64]](t))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Add(numberPairs(10, 10, 1)); err != stop {
		t.Errorf("got %v", err)
	}
	if _, err := g.Table(nil, 0); err != stop {
		t.Errorf("an attempt that is to end built a table: %v", err)
	}
}

func BenchmarkMatch(b *testing.B) {
	const n = 1 << 20
	ls, rs := numberPairs(n, n, 1), numberPairs(n, n, 2)
	e := newBench(b, 512*units.MiB)
	key, pairs := mustKey[int64](b), mustCodec[pair[int64, int64]](b)
	b.ReportAllocs()
	for b.Loop() {
		g, err := NewGrouper(e.env, "grouper", key, pairs)
		if err == nil {
			err = g.Add(rs)
		}
		if err != nil {
			b.Fatal(err)
		}
		table, err := g.Table(nil, 0)
		if err != nil || table == nil {
			b.Fatal("no table: ", err)
		}
		sum := int64(0)
		if err := Match(NewMatcher(table), ls, func(_ []pair[int64, int64], held HeldRows[int64], list []Found) error {
			for _, f := range list {
				sum += *held.At(f.Row)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
		table.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/row")
}
