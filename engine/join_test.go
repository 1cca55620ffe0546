package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// joinModel joins by two loops.
func joinModel[V, W any](left []engine.Pair[int32, V], right []engine.Pair[int32, W]) (out []string) {
	rights := map[int32][]W{}
	for _, r := range right {
		rights[r.Key] = append(rights[r.Key], r.Value)
	}
	for _, l := range left {
		for _, w := range rights[l.Key] {
			out = append(out, fmt.Sprint(l.Key, l.Value, w))
		}
	}
	slices.Sort(out)
	return out
}

func checkJoin[V, W any](t *testing.T, s *engine.Session, left []engine.Pair[int32, V], right []engine.Pair[int32, W]) {
	t.Helper()
	want := joinModel(left, right)
	for _, parts := range []int{1, 5} {
		d := engine.Join(engine.Parallelize(s, left, 3), engine.Parallelize(s, right, 2), engine.Partitions(parts))
		rows, err := d.Collect(t.Context())
		var got []string
		for _, r := range rows {
			got = append(got, fmt.Sprint(r.Key, r.Value.Left, r.Value.Right))
		}
		slices.Sort(got)
		check(t, err, len(got), len(want))
		if !slices.Equal(got, want) {
			t.Errorf("%d matches over %d partitions differ", len(got), parts)
		}
	}
}

// Either side may be the smaller one, either may have values with pointers,
// keys may repeat on both, and one may have most of the rows.
func TestJoin(t *testing.T) {
	numbers := func(n, keys int) (out []engine.Pair[int32, int64]) {
		for i := range n {
			out = append(out, engine.Pair[int32, int64]{Key: int32(i*7919%keys - keys/2), Value: int64(i)})
		}
		return out
	}
	texts := func(n, keys int) (out []engine.Pair[int32, string]) {
		for i := range n {
			out = append(out, engine.Pair[int32, string]{Key: int32(i*104729%keys - keys/2), Value: fmt.Sprint("text ", i)})
		}
		return out
	}
	for _, c := range []engine.Config{
		{Cores: 2, Memory: 64 * units.MiB},
		{Cores: 2, Memory: 256 * units.MiB},
		{Cores: 2, Memory: 64 * units.MiB, Conf: conf("sql.autoBroadcastJoinThreshold", "0")}, // both are shuffled
	} {
		s := open(t, c)
		checkJoin(t, s, numbers(20000, 3000), numbers(1000, 4000))
		checkJoin(t, s, numbers(1000, 4000), numbers(20000, 3000))
		checkJoin(t, s, texts(20000, 3000), numbers(1000, 4000))
		checkJoin(t, s, numbers(1000, 4000), texts(20000, 3000))
		checkJoin(t, s, texts(1000, 900), numbers(20000, 3000))
		checkJoin(t, s, texts(1000, 900), texts(2000, 900))
		checkJoin(t, s, numbers(3000, 3000), numbers(9000, 1))
		checkJoin(t, s, numbers(0, 1), texts(5, 1))
	}
}
