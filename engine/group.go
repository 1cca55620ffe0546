package engine

import (
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
)

// GroupByKey gathers the values of each key. The values of one key must fit
// the attempt's memory together; where they only are to be combined,
// ReduceByKey and AggregateByKey need not hold them. The slices are valid for
// their batch.
func GroupByKey[K, V any](d *Dataset[Pair[K, V]], opts ...Option) *Dataset[Pair[K, []V]] {
	o := options(d.op.s, opts)
	side := newGroupSide(d, "groupByKey", o.partitions)
	return newWide(d.op.s, "groupByKey", []*plan.ShuffleDep{side.dep}, plan.Unordered, []mapWriter{side.write},
		func(t *Task, part int, emit func([]Pair[K, []V]) error) error {
			g, err := side.read(t, part, "group")
			if err != nil {
				return err
			}
			defer g.Close()
			values := newGathered[V](t, side.values)
			defer values.close()
			one := make([]Pair[K, []V], 1)
			return g.Groups(func(key K, v *spill.Values[V]) error {
				all, err := values.gather(v)
				if err != nil {
					return err
				}
				one[0] = Pair[K, []V]{Key: key, Value: all}
				return emit(one)
			})
		})
}

// CoGroup gathers the values that two datasets have under each key that
// either has.
func CoGroup[K, V, W any](left *Dataset[Pair[K, V]], right *Dataset[Pair[K, W]], opts ...Option) *Dataset[Pair[K, Grouped[V, W]]] {
	o := options(left.op.s, opts)
	l, r := newGroupSide(left, "cogroup", o.partitions), newGroupSide(right, "cogroup", o.partitions)
	return newWide(left.op.s, "cogroup", []*plan.ShuffleDep{l.dep, r.dep}, plan.Unordered, []mapWriter{l.write, r.write},
		func(t *Task, part int, emit func([]Pair[K, Grouped[V, W]]) error) error {
			lg, err := l.read(t, part, "cogroup left")
			if err != nil {
				return err
			}
			defer lg.Close()
			rg, err := r.read(t, part, "cogroup right")
			if err != nil {
				return err
			}
			defer rg.Close()
			lv, rv := newGathered[V](t, l.values), newGathered[W](t, r.values)
			defer lv.close()
			defer rv.close()
			one := make([]Pair[K, Grouped[V, W]], 1)
			return spill.CoGroup(lg, rg, func(key K, a *spill.Values[V], b *spill.Values[W]) error {
				one[0].Key = key
				if one[0].Value.Left, err = lv.gather(a); err != nil {
					return err
				}
				if one[0].Value.Right, err = rv.gather(b); err != nil {
					return err
				}
				return emit(one)
			})
		})
}

// groupSide is one input of a grouping operation.
type groupSide[K, V any] struct {
	dep    *plan.ShuffleDep
	write  mapWriter
	key    codec.Key[K]
	rows   codec.Codec[Pair[K, V]]
	values codec.Codec[V]
}

func newGroupSide[K, V any](d *Dataset[Pair[K, V]], name string, reducers int) *groupSide[K, V] {
	g := &groupSide[K, V]{
		dep: shuffleOf(d, reducers), key: mustKey[K](name), rows: mustCodec[Pair[K, V]](name), values: mustCodec[V](name),
	}
	g.write = partitioned(d, g.dep, g.rows, byHash[K, V](g.key, reducers))
	return g
}

// read puts what the map outputs hold for reducer part into a grouper.
func (g *groupSide[K, V]) read(t *Task, part int, name string) (*spill.Grouper[K, V], error) {
	return g.readRange(t, part, part+1, name)
}

// readRange is read for the reducers from and up to to, which is excluded.
func (g *groupSide[K, V]) readRange(t *Task, from, to int, name string) (*spill.Grouper[K, V], error) {
	out, err := spill.NewGrouper(t.kernelEnv(), name, g.key, g.rows)
	if err != nil {
		return nil, err
	}
	err = t.fetchRange(g.dep, from, to, func(f *shuffle.Frame) error { return out.AddFrame(f.Data, f.Rows, f.Pin) })
	if err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// gathered collects the values of one key at a time, in memory of its own
// and reserved: batches of a stream of values end with the next.
type gathered[V any] struct {
	codec codec.Codec[V]
	buf   *taskBuffer
	rows  []V
}

func newGathered[V any](t *Task, c codec.Codec[V]) *gathered[V] {
	return &gathered[V]{codec: c, buf: newTaskBuffer(t, "values of a key")}
}

func (g *gathered[V]) close() { g.buf.close() }

func (g *gathered[V]) gather(v *spill.Values[V]) ([]V, error) {
	g.buf.b, g.rows = g.buf.b[:0], g.rows[:0]
	n := 0
	for {
		batch, err := v.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		n += len(batch)
		if err := appendRows(g.buf, g.codec, batch); err != nil {
			return nil, err
		}
	}
	if view := codec.View[V](g.buf.b); len(view) == n && codec.IsPlain[V]() {
		return view, nil
	}
	var err error
	g.rows, _, err = g.codec.Decode(g.rows, g.buf.b, n)
	return g.rows, err
}
