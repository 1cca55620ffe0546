package spill

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

type pair[K, V any] = codec.Pair[K, V]

func kv[K, V any](k K, v V) pair[K, V] { return pair[K, V]{Key: k, Value: v} }

// aggregated runs an aggregator over pairs in batches of random length and
// checks that every key comes out once.
func aggregated[K comparable, V, C any](t *testing.T, b *bench, pairs []pair[K, V], a Aggregate[V, C], own func(pair[K, C]) pair[K, C]) (map[K]C, int) {
	t.Helper()
	g, err := NewAggregator(b.env, "aggregator", mustKey[K](t), a)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	rng := rand.New(rand.NewPCG(uint64(len(pairs)), 1))
	for in := pairs; len(in) > 0; {
		k := min(len(in), 1+rng.IntN(3000))
		if err := g.Add(in[:k]); err != nil {
			t.Fatal(err)
		}
		in = in[k:]
	}
	got := map[K]C{}
	if err := g.Emit(func(batch []pair[K, C]) error {
		for _, p := range batch {
			p = own(p)
			if _, twice := got[p.Key]; twice {
				t.Errorf("key %v came out twice", p.Key)
			}
			got[p.Key] = p.Value
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got, g.Runs()
}

func sums[K comparable](pairs []pair[K, int64]) map[K]int64 {
	want := map[K]int64{}
	for _, p := range pairs {
		want[p.Key] += p.Value
	}
	return want
}

func ownText(p pair[string, int64]) pair[string, int64] {
	p.Key = strings.Clone(p.Key)
	return p
}

var sum = Reduce(func(a, b int64) int64 { return a + b })

// The sums are those of a map, whatever the memory and
// the length of the keys.
func TestSORT_001_AggregatorIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		for _, rows := range []int{0, 1, 50_000} {
			for _, distinct := range []int{1, 300, 60_000} {
				t.Run(fmt.Sprintf("memory=%s/rows=%d/distinct=%d", share, rows, distinct), func(t *testing.T) {
					texts := make([]pair[string, int64], rows)
					words := make([]pair[int32, int64], rows)
					direct := make([]pair[int64, int64], rows)
					wide := make([]pair[wideKey, int64], rows)
					twos := make([]pair[twoKey, int64], rows)
					directTwos := make([]pair[[2]int64, int64], rows)
					for i := range texts {
						n := rng.IntN(distinct)
						texts[i] = kv[string, int64](strings.Repeat("k", n%23)+fmt.Sprint(n), int64(i))
						words[i] = kv[int32, int64](int32(n-distinct/2), int64(i))
						direct[i] = kv[int64, int64](int64(n-distinct/2)<<(n%2*32), int64(i))
						twos[i] = kv[twoKey, int64](twoKey{int8(n % 7), float64(n/7) - 3}, int64(i))
						directTwos[i] = kv[[2]int64, int64]([2]int64{int64(n % 7), int64(n / 7)}, int64(i))
						wide[i] = kv[wideKey, int64](wideKey{fmt.Sprint(n % 7), float64(n/7) - 3}, int64(i))
					}
					b := newBench(t, share)
					got, runs := aggregated(t, b, texts, sum, ownText)
					if !maps.Equal(got, sums(texts)) {
						t.Errorf("texts: %d keys, want %d", len(got), len(sums(texts)))
					}
					if (runs > 0) != (b.metrics[task.SpillCount] > 0) || (runs > 0) != (b.metrics[task.MemoryBytesSpilled] > 0) {
						t.Errorf("%d runs, metrics %v", runs, b.metrics)
					}
					if rows == 50_000 && distinct == 60_000 && (runs > 0) != (share < 64*units.MiB) {
						t.Errorf("%d runs in %s", runs, share)
					}
					if got, _ := aggregated(t, newBench(t, share), words, sum, func(p pair[int32, int64]) pair[int32, int64] { return p }); !maps.Equal(got, sums(words)) {
						t.Errorf("words: %d keys, want %d", len(got), len(sums(words)))
					}
					if got, _ := aggregated(t, newBench(t, share), direct, sum, func(p pair[int64, int64]) pair[int64, int64] { return p }); !maps.Equal(got, sums(direct)) {
						t.Errorf("direct words: %d keys, want %d", len(got), len(sums(direct)))
					}
					if got, _ := aggregated(t, newBench(t, share), twos, sum, func(p pair[twoKey, int64]) pair[twoKey, int64] { return p }); !maps.Equal(got, sums(twos)) {
						t.Errorf("two words: %d keys, want %d", len(got), len(sums(twos)))
					}
					if got, _ := aggregated(t, newBench(t, share), directTwos, sum, func(p pair[[2]int64, int64]) pair[[2]int64, int64] { return p }); !maps.Equal(got, sums(directTwos)) {
						t.Errorf("direct two words: %d keys, want %d", len(got), len(sums(directTwos)))
					}
					if got, _ := aggregated(t, newBench(t, share), wide, sum, func(p pair[wideKey, int64]) pair[wideKey, int64] {
						p.Key.Name = strings.Clone(p.Key.Name)
						return p
					}); !maps.Equal(got, sums(wide)) {
						t.Errorf("wide keys: %d keys, want %d", len(got), len(sums(wide)))
					}
				})
			}
		}
	}
}

// Without First a state starts as Zero, also where a table is written out and
// begun anew.
func TestAggregateFromZero(t *testing.T) {
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		pairs := make([]pair[int64, int64], 100_000)
		want := map[int64]int64{}
		for i := range pairs {
			pairs[i] = kv[int64, int64](int64(i%60_000), int64(i))
			if want[pairs[i].Key] == 0 {
				want[pairs[i].Key] = 7
			}
			want[pairs[i].Key] += int64(i)
		}
		// Merging adds the zeros of both: it takes one away again.
		a := Aggregate[int64, int64]{Zero: 7, Add: func(s, v int64) int64 { return s + v }, Merge: func(x, y int64) int64 { return x + y - 7 }}
		got, runs := aggregated(t, newBench(t, share), pairs, a, func(p pair[int64, int64]) pair[int64, int64] { return p })
		if !maps.Equal(got, want) || (runs > 0) != (share < 64*units.MiB) {
			t.Errorf("share %s: %d keys of %d, %d runs", share, len(got), len(want), runs)
		}
	}
}

// The number of keys is told from the repetitions among the first rows; what
// cannot be told is 0, or all rows.
func TestExpectKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, distinct := range []int{2_000, 20_000, 200_000} {
		const rows, total = 1500, 80_000
		seen := map[int]bool{}
		early := 0
		for i := range total {
			seen[rng.IntN(distinct)] = true
			if i+1 == rows {
				early = len(seen)
			}
		}
		got := expectKeys(rows, int64(early), total)
		if limit := len(seen) * 3 / 2; int(got) < len(seen)*2/3 || int(got) > limit {
			t.Errorf("of %d keys, %d in %d rows and %d in %d: expected %d", distinct, early, rows, len(seen), total, got)
		}
	}
	for _, c := range []struct{ rows, keys, total, want int64 }{
		{1000, 1000, 5000, 5000}, {1000, 400, 5000, 0}, {1000, 900, 0, 0}, {1000, 900, 1000, 0},
	} {
		if got := expectKeys(c.rows, c.keys, c.total); got != c.want {
			t.Errorf("expectKeys(%d, %d, %d) = %d, want %d", c.rows, c.keys, c.total, got, c.want)
		}
	}
}

type twoKey struct {
	A int8
	X float64
}

type wideKey struct {
	Name string
	X    float64
}

// States that are not plain live encoded in the arena.
func TestAggregatorKeepsTexts(t *testing.T) {
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		var pairs []pair[string, string]
		want := map[string]int{}
		for i := range 40_000 {
			k := fmt.Sprint(i * 7919 % 5003)
			pairs = append(pairs, kv(k, "v"+fmt.Sprint(i)))
			want[k] += len(fmt.Sprint(i)) + 1
		}
		got, runs := aggregated(t, newBench(t, share), pairs, Reduce(func(a, b string) string { return a + b }),
			func(p pair[string, string]) pair[string, string] {
				return kv(strings.Clone(p.Key), strings.Clone(p.Value))
			})
		if len(got) != len(want) {
			t.Fatalf("%d keys, want %d", len(got), len(want))
		}
		for k, n := range want {
			if len(got[k]) != n {
				t.Fatalf("key %s: %q has %d bytes, want %d", k, got[k], len(got[k]), n)
			}
		}
		if (runs > 0) != (share == units.MiB) {
			t.Errorf("%d runs in %s", runs, share)
		}
	}
}

// Keys of equal hash stay apart, in the table and in the merge.
func TestSORT_003_AggregatorTellsCollidingKeysApart(t *testing.T) {
	key := mustKey[string](t)
	b := newBench(t, 64*units.MiB)
	impl, err := newAggregation(b.env, "aggregator", key, sum, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer impl.close()
	g := impl.(*aggregating[string, int64, int64, int64, string])
	// Runs made by hand, of 1000 keys under two hashes, ten copies each.
	g.runs.order.Prefixes = func(dst []uint64, rows []pair[string, int64]) {
		for i, r := range rows {
			dst[i] = uint64(len(r.Key) % 2)
		}
	}
	for range 10 {
		if err := g.runs.Add(nil); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if err := g.runs.Add([]pair[string, int64]{kv(strings.Repeat("x", i%2)+fmt.Sprintf("%04d", i), int64(1))}); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.runs.spill(); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[string]int64{}
	if err := g.emit(func(batch []pair[string, int64]) error {
		for _, p := range batch {
			counts[strings.Clone(p.Key)] += p.Value
			if p.Value != 10 {
				t.Errorf("key %s counts %d", p.Key, p.Value)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(counts) != 1000 {
		t.Errorf("%d keys, want 1000", len(counts))
	}
}

// Nor does the table take one long text for another of the same hash and
// length: not while it fills, nor moved, nor arranged.
func TestSORT_003_TableTellsCollidingTextsApart(t *testing.T) {
	b := newBench(t, 64*units.MiB)
	g, _ := filled(t, b, 0)
	defer g.close()
	table := textTable[string, int64]{arena: &g.arena}
	const slot = unsafe.Sizeof(textSlot[int64]{})
	table.reset(make([]byte, 2048*slot))
	// Tokens made by hand: 1000 texts under two hashes, ten copies each.
	for round := range 10 {
		if round == 5 {
			table.moveTo(make([]byte, 4096*slot))
		}
		for i := range 1000 {
			hash := uint64(i%2) << 31
			k := codec.TextToken{A: hash, B: codec.LongToken, Hash: hash}
			at := table.search(&k, place(k.Hash, len(table.slots)), fmt.Sprintf("a text too long for two words, %04d", i))
			if (at&isNew != 0) != (round == 0) {
				t.Fatalf("round %d, text %d: slot %#x", round, i, at)
			}
			table.slots[at&^isNew].state++
		}
	}
	table.arrange()
	rows, next := table.read(make([]pair[string, int64], 0, 2000), 0)
	counts := map[string]int64{}
	for _, r := range rows {
		counts[r.Key] += r.Value
		if r.Value != 10 {
			t.Errorf("text %q counts %d", r.Key, r.Value)
		}
	}
	if len(counts) != 1000 || len(rows) != 1000 || next != -1 {
		t.Errorf("%d texts in %d rows, want 1000", len(counts), len(rows))
	}
}

// A table that is read goes to disk, once, and what was not yet handed out
// comes from there.
func TestSORT_002_AggregatorGivesMemoryWhileItIsRead(t *testing.T) {
	b := newBench(t, 64*units.MiB)
	g, pairs := filled(t, b, 50_000)
	defer g.close()
	got := map[string]int64{}
	calls := 0
	if err := g.emit(func(batch []pair[string, int64]) error {
		calls++
		if calls == 2 {
			held := b.env.Memory.Held()
			freed, err := g.give(1)
			if now := b.env.Memory.Held(); freed <= 0 || freed != held-now || err != nil {
				t.Errorf("the first request freed %d of %d bytes, of which %d are left, %v", freed, held, now, err)
			}
			if freed, err := g.give(1); freed != 0 || err != nil {
				t.Errorf("the second request freed %d, %v", freed, err)
			}
		}
		for _, p := range batch {
			if _, twice := got[p.Key]; twice {
				t.Errorf("key %q came out twice", p.Key)
			}
			got[strings.Clone(p.Key)] += p.Value
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, sums(pairs)) {
		t.Errorf("%d keys, want %d", len(got), len(pairs))
	}
}

// filled returns an aggregator with n keys.
func filled(t *testing.T, b *bench, n int) (*aggregating[string, int64, int64, int64, string], []pair[string, int64]) {
	t.Helper()
	impl, err := newAggregation(b.env, "aggregator", mustKey[string](t), sum, nil)
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pair[string, int64]
	for i := range n {
		pairs = append(pairs, kv(strings.Repeat("z", i%20)+fmt.Sprint(i), int64(i)))
	}
	if err := impl.add(pairs); err != nil {
		t.Fatal(err)
	}
	return impl.(*aggregating[string, int64, int64, int64, string]), pairs
}

// Another consumer wants memory before anybody has read the table: what
// cannot give any says 0 and goes on.
//
// NOT APPLICABLE: SORT-004 as to a table that could go to disk, because one
// that is not read yet goes there as one that is read does.
func TestSORT_004_AskedBeforeItIsRead(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		b := newBench(t, 64*units.MiB)
		g, _ := filled(t, b, 0)
		defer g.close()
		if freed, err := g.give(1); freed != 0 || err != nil {
			t.Errorf("an empty table gave %d, %v", freed, err)
		}
	})
	t.Run("in the middle of adding", func(t *testing.T) {
		b := newBench(t, 64*units.MiB)
		var impl aggregation[string, int64, int64]
		asked := 0
		asking := sum
		asking.Add = func(c, v int64) int64 {
			if asked++; asked%100 == 1 {
				freed, err := impl.(*aggregating[string, int64, int64, int64, string]).give(1)
				if freed != 0 || err != nil {
					t.Errorf("a table that is being changed gave %d, %v", freed, err)
				}
			}
			return c + v
		}
		var err error
		if impl, err = newAggregation(b.env, "aggregator", mustKey[string](t), asking, nil); err != nil {
			t.Fatal(err)
		}
		defer impl.close()
		var pairs []pair[string, int64]
		for i := range 5000 {
			pairs = append(pairs, kv(fmt.Sprint(i%500), int64(i)))
		}
		if err := impl.add(pairs); err != nil || asked == 0 {
			t.Fatal(err, asked)
		}
		sameSums(t, impl, pairs)
	})
	t.Run("a combiner", func(t *testing.T) { // whose rows go on to who may be asking
		b := newBench(t, 4*units.MiB)
		got := map[string]int64{}
		c, err := NewCombiner(b.env, "combiner", mustKey[string](t), sum, nil, func(batch []pair[string, int64]) error {
			for _, p := range batch {
				got[strings.Clone(p.Key)] += p.Value
			}
			return nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var pairs []pair[string, int64]
		for i := range 5000 {
			pairs = append(pairs, kv(fmt.Sprint(i%500), int64(i)))
		}
		if err := c.Add(pairs); err != nil {
			t.Fatal(err)
		}
		held := b.env.Memory.Held()
		other := b.env.Memory.Consumer("other", nil)
		if n := other.Acquire(1 << 30); n != b.manager.Total()-held || b.env.Memory.Err() != nil {
			t.Errorf("another got %d bytes beside the table's %d of %d, %v", n, held, b.manager.Total(), b.env.Memory.Err())
		}
		other.Close()
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if want := sums(pairs); !maps.Equal(got, want) {
			t.Errorf("%d keys, want %d", len(got), len(want))
		}
	})
	t.Run("between batches", func(t *testing.T) { // it gives all of its table
		b := newBench(t, 8*units.MiB)
		g, pairs := filled(t, b, 20_000)
		defer g.close()
		other := b.env.Memory.Consumer("other", nil)
		if err := other.Need(b.manager.Total() / 2); err != nil {
			t.Fatal(err)
		}
		for b.env.Memory.Held() < b.manager.Total() {
			other.Acquire(1 << 20)
		}
		if g.spills() == 0 || g.keys() != 0 {
			t.Errorf("%d keys are in memory after %d spills", g.keys(), g.spills())
		}
		other.Close()
		more := []pair[string, int64]{kv("0", int64(1)), kv("new", int64(2))}
		if err := g.add(more); err != nil {
			t.Fatal(err)
		}
		sameSums(t, g, append(pairs, more...))
	})
}

// sameSums reads an aggregation of sums.
func sameSums(t *testing.T, g aggregation[string, int64, int64], pairs []pair[string, int64]) {
	t.Helper()
	got := map[string]int64{}
	if err := g.emit(func(batch []pair[string, int64]) error {
		for _, p := range batch {
			got[strings.Clone(p.Key)] += p.Value
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := sums(pairs); !maps.Equal(got, want) {
		t.Errorf("%d keys, want the %d of the model, or other sums", len(got), len(want))
	}
}

// Without an order, what was spilled comes out by hash, each key once.
func TestSORT_009_MergedKeysComeByHash(t *testing.T) {
	b := newBench(t, 2*units.MiB)
	g, err := NewAggregator(b.env, "aggregator", mustKey[int64](t), sum)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	want := map[int64]int64{}
	for round := range int64(3) {
		var pairs []pair[int64, int64]
		for i := range int64(100_000) {
			pairs = append(pairs, kv(i*7919, round))
			want[i*7919] += round
		}
		if err := g.Add(pairs); err != nil {
			t.Fatal(err)
		}
	}
	if g.Runs() < 2 {
		t.Fatalf("%d runs: nothing is merged", g.Runs())
	}
	got, last := map[int64]int64{}, uint64(0)
	if err := g.Emit(func(batch []pair[int64, int64]) error {
		for _, p := range batch {
			if h := spread(mixWord(uint64(p.Key))); h < last {
				t.Fatalf("key %d of hash %x comes after hash %x", p.Key, h, last)
			} else {
				last = h
			}
			if _, twice := got[p.Key]; twice {
				t.Fatalf("key %d comes twice", p.Key)
			}
			got[p.Key] = p.Value
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
}

func TestCombinerPassesOnWhatDoesNotRepeat(t *testing.T) {
	for _, c := range []struct {
		distinct int
		asIs     bool // what bypasses the table comes out as it went in
	}{{100, true}, {1 << 30, false}, {1 << 30, true}} {
		distinct, passed := c.distinct, 0
		b := newBench(t, 64*units.MiB)
		rng := rand.New(rand.NewPCG(1, 9))
		got, want := map[int64]int64{}, map[int64]int64{}
		out := 0
		take := func(batch []pair[int64, int64]) error {
			out += len(batch)
			for _, p := range batch {
				got[p.Key] += p.Value
			}
			return nil
		}
		var pass func(batch []pair[int64, int64]) error
		if c.asIs {
			pass = func(batch []pair[int64, int64]) error {
				passed += len(batch)
				return take(batch)
			}
		}
		c, err := NewCombiner(b.env, "combiner", mustKey[int64](t), sum, nil, take, pass)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 200_000
		batch := make([]pair[int64, int64], 1000)
		for range rows / len(batch) {
			for i := range batch {
				batch[i] = kv[int64, int64](rng.Int64N(int64(distinct)), 1)
				want[batch[i].Key]++
			}
			if err := c.Add(batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%d keys, want %d", len(got), len(want))
		}
		if distinct == 100 && out != 100 {
			t.Errorf("%d rows came out of 100 keys", out)
		}
		if asIs := pass != nil && distinct > 100; (passed > rows/2) != asIs {
			t.Errorf("%d rows of %d passed by the table, of %d keys", passed, rows, distinct)
		}
		if held := b.env.Memory.Held(); distinct > 100 && held > 1<<20 {
			t.Errorf("%d bytes are held though keys do not repeat", held)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// counted counts keys with a counter, in batches of random length, and adds up
// what it passes on.
func counted[K comparable](t *testing.T, share units.Bytes, keys []K, own func(K) K) (got map[K]int64, passed int) {
	t.Helper()
	b := newBench(t, share)
	got = map[K]int64{}
	c, err := NewCounter(b.env, "counter", mustKey[K](t), func(batch []pair[K, int64]) error {
		passed += len(batch)
		for _, p := range batch {
			got[own(p.Key)] += p.Value
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rng := rand.New(rand.NewPCG(uint64(len(keys)), 2))
	for in := keys; len(in) > 0; {
		k := min(len(in), 1+rng.IntN(3000))
		if err := c.Count(in[:k]); err != nil {
			t.Fatal(err)
		}
		in = in[k:]
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	return got, passed
}

func checkCounts[K comparable](t *testing.T, name string, share units.Bytes, keys []K, own func(K) K) {
	t.Helper()
	want := map[K]int64{}
	for _, k := range keys {
		want[k]++
	}
	got, passed := counted(t, share, keys, own)
	if !maps.Equal(got, want) {
		t.Errorf("%s: %d keys, want %d", name, len(got), len(want))
	}
	if repeat := len(keys) >= 8*len(want); repeat && share > 8*units.MiB && passed != len(want) {
		t.Errorf("%s: %d keys came out of %d that repeat", name, passed, len(want))
	}
}

// Counts are those of a map, for every form of keys, whether they repeat or
// pass by the table, and where memory makes it be emptied again and again.
func TestCounterIsAMap(t *testing.T) {
	same := func(s string) string { return strings.Clone(s) }
	rng := rand.New(rand.NewPCG(4, 4))
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		for _, distinct := range []int{1, 700, 1 << 30} {
			const rows = 30_000
			texts, words, twos := make([]string, rows), make([]int32, rows), make([]twoKey, rows)
			direct, wide := make([]int64, rows), make([]wideKey, rows)
			for i := range texts {
				n := rng.IntN(distinct)
				texts[i] = strings.Repeat("k", n%23) + fmt.Sprint(n)
				wide[i] = wideKey{fmt.Sprint(n % 7), float64(n/7) - 3}
				words[i] = int32(n - distinct/2)
				direct[i] = int64(n) << (n % 2 * 32)
				twos[i] = twoKey{int8(n % 7), float64(n/7) - 3}
			}
			name := fmt.Sprintf("memory=%s/distinct=%d/", share, distinct)
			checkCounts(t, name+"texts", share, texts, same)
			checkCounts(t, name+"wide keys", share, wide, func(k wideKey) wideKey {
				k.Name = strings.Clone(k.Name)
				return k
			})
			checkCounts(t, name+"words", share, words, func(k int32) int32 { return k })
			checkCounts(t, name+"direct words", share, direct, func(k int64) int64 { return k })
			checkCounts(t, name+"two words", share, twos, func(k twoKey) twoKey { return k })
		}
	}
}

// Texts of all lengths about where their form changes, which differ in one byte
// or in their length alone, are keys of their own; NUL is a byte as any other.
func TestTextsThatDifferLittleAreTold(t *testing.T) {
	var texts []string
	for n := range 41 {
		for at := range n {
			for _, c := range []byte{0, 1, 0x80, 0xff} {
				b := []byte(strings.Repeat("\x00", n))
				b[at] = c
				texts = append(texts, string(b))
			}
		}
		texts = append(texts, strings.Repeat("\x00", n), strings.Repeat("p", n))
	}
	var pairs []pair[string, int64]
	for range 9 {
		for _, s := range texts {
			pairs = append(pairs, kv[string, int64](s, 1))
		}
	}
	want := sums(pairs)
	keys := make([]string, len(pairs))
	for i := range pairs {
		keys[i] = pairs[i].Key
	}
	checkCounts(t, "counts", 64*units.MiB, keys, func(s string) string { return strings.Clone(s) })
	if got, _ := aggregated(t, newBench(t, 64*units.MiB), pairs, sum, ownText); !maps.Equal(got, want) {
		t.Errorf("sums of %d keys, want %d", len(got), len(want))
	}
}

func BenchmarkAggregator(b *testing.B) {
	const batch = 4096
	for _, distinct := range []int{1000, 100_000} {
		rng := rand.New(rand.NewPCG(1, 1))
		zipf := rand.NewZipf(rng, 1.1, 8, uint64(distinct-1))
		dictionary := make([]string, distinct)
		for i := range dictionary {
			dictionary[i] = fmt.Sprintf("w%0*d", 1+rng.IntN(9), i)
		}
		const rows = 1 << 20
		texts := make([]pair[string, int64], rows)
		words := make([]pair[int64, int64], rows)
		var page []byte // words as they stand in a text
		for range texts {
			page = append(append(page, dictionary[zipf.Uint64()]...), ' ')
		}
		for i, w := range strings.Fields(string(page)) {
			texts[i] = kv[string, int64](w, 1)
			words[i] = kv[int64, int64](int64(rng.IntN(distinct)), 1)
		}
		b.Run(fmt.Sprintf("key=string/distinct=%d", distinct), func(b *testing.B) { benchAggregator(b, texts, batch) })
		b.Run(fmt.Sprintf("key=int64/distinct=%d", distinct), func(b *testing.B) { benchAggregator(b, words, batch) })
	}
}

func benchAggregator[K any](b *testing.B, pairs []pair[K, int64], batch int) {
	x := newBench(b, 1*units.GiB)
	g, err := NewAggregator(x.env, "aggregator", mustKey[K](b), sum)
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	b.ReportAllocs()
	for b.Loop() {
		for in := pairs; len(in) > 0; in = in[min(batch, len(in)):] {
			if err := g.Add(in[:min(batch, len(in))]); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(pairs)), "ns/row")
}
