package spill

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/units"
)

func newGrouper[K, V any](t *testing.T, b *bench, pairs []pair[K, V]) *Grouper[K, V] {
	t.Helper()
	g, err := NewGrouper(b.env, "grouper", mustKey[K](t), mustCodec[pair[K, V]](t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := g.Add(pairs); err != nil {
		t.Fatal(err)
	}
	return g
}

func all[V any](t *testing.T, values *Values[V], own func(V) V) (out []V) {
	t.Helper()
	for {
		vals, err := values.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range vals {
			out = append(out, own(v))
		}
	}
}

func textPairs(n, distinct int, seed uint64) []pair[string, string] {
	rng := rand.New(rand.NewPCG(seed, 2))
	out := make([]pair[string, string], n)
	for i := range out {
		k := rng.IntN(distinct)
		out[i] = kv(strings.Repeat("k", k%20)+fmt.Sprint(k), fmt.Sprint("v", i))
	}
	return out
}

func TestGrouperKeepsTheOrderOfValues(t *testing.T) {
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		for _, distinct := range []int{1, 10_000} {
			pairs := textPairs(30_000, distinct, 1)
			want := map[string][]string{}
			for _, p := range pairs {
				want[p.Key] = append(want[p.Key], p.Value)
			}
			b := newBench(t, share)
			g := newGrouper(t, b, pairs)
			got := map[string][]string{}
			skipped := ""
			if err := g.Groups(func(key string, values *Values[string]) error {
				if skipped == "" && distinct > 1 {
					skipped = strings.Clone(key) // unread values are passed over
					return nil
				}
				if _, twice := got[key]; twice {
					t.Errorf("key %s came twice", key)
				}
				got[strings.Clone(key)] = all(t, values, strings.Clone)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			delete(want, skipped)
			if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
				t.Errorf("memory %s, %d keys: the groups differ", share, distinct)
			}
			if (g.Runs() > 0) != (share == units.MiB) {
				t.Errorf("memory %s: %d runs", share, g.Runs())
			}
		}
	}
}

func TestCoGroupAndJoinMatchAModel(t *testing.T) {
	for _, share := range []units.Bytes{3 * units.MiB, 64 * units.MiB} {
		for _, c := range []struct{ left, leftKeys, right, rightKeys int }{
			{0, 1, 100, 10}, {1000, 300, 1000, 400}, {20_000, 10_000, 3000, 10_000}, {3000, 1, 2500, 1}, {3, 1, 20_000, 2}, {20_000, 2, 3, 1},
		} {
			t.Run(fmt.Sprintf("memory=%s/%v", share, c), func(t *testing.T) {
				ls, rs := textPairs(c.left, c.leftKeys, 3), textPairs(c.right, c.rightKeys, 4)
				lm, rm := map[string][]string{}, map[string][]string{}
				for _, p := range ls {
					lm[p.Key] = append(lm[p.Key], p.Value)
				}
				for _, p := range rs {
					rm[p.Key] = append(rm[p.Key], p.Value)
				}
				b := newBench(t, share)
				seen := map[string]bool{}
				if err := CoGroup(newGrouper(t, b, ls), newGrouper(t, b, rs), func(key string, l *Values[string], r *Values[string]) error {
					if seen[key] {
						t.Errorf("key %s came twice", key)
					}
					seen[strings.Clone(key)] = true
					if !slices.Equal(all(t, l, strings.Clone), lm[key]) || !slices.Equal(all(t, r, strings.Clone), rm[key]) {
						t.Errorf("key %s has other values", key)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				want := maps.Clone(lm)
				maps.Copy(want, rm)
				if len(seen) != len(want) {
					t.Errorf("%d keys, want %d", len(seen), len(want))
				}

				b = newBench(t, share)
				matches, sum := 0, map[string]int{}
				if err := Join(b.env, newGrouper(t, b, ls), newGrouper(t, b, rs), func(key string, l, r []string) error {
					matches += len(l) * len(r)
					sum[strings.Clone(key)] += len(strings.Join(l, ""))*len(r) + len(strings.Join(r, ""))*len(l)
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				for key, l := range lm {
					r := rm[key]
					matches -= len(l) * len(r)
					if n := len(strings.Join(l, ""))*len(r) + len(strings.Join(r, ""))*len(l); len(r) > 0 && sum[key] != n {
						t.Errorf("key %s: the matches sum to %d, want %d", key, sum[key], n)
					}
				}
				if matches != 0 {
					t.Errorf("%d matches too many", matches)
				}
			})
		}
	}
}

func TestSpoolRepeatsWhatDoesNotFit(t *testing.T) {
	b := newBench(t, 1*units.MiB)
	s := newSpool(b.env, mustCodec[string](t))
	for round := range 3 {
		var want []string
		for i := range 100 {
			chunk := make([]string, 100)
			for j := range chunk {
				chunk[j] = strings.Repeat("s", (i*j*(round+1))%500)
			}
			want = append(want, chunk...)
			if err := s.add(chunk); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			var got []string
			if err := s.each(func(vals []string) error {
				for _, v := range vals {
					got = append(got, strings.Clone(v))
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("round %d: %d values, not the %d added", round, len(got), len(want))
			}
		}
		if s.run == nil {
			t.Errorf("round %d: everything fit 1 MiB", round)
		}
		if err := s.reset(); err != nil {
			t.Error(err)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
