package engine

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
)

// SortBy sorts by a key, across partitions: every key of a partition is at
// or before every key of the next. Equal keys stay together, in no promised
// order.
//
//  1. Before its first job, a sampling job over d chooses range bounds
//     (bounds.go); a source that can read records at random is sampled by
//     reading just those.
//  2. Map tasks write each record to the range of its key.
//  3. Each reducer sorts its range in memory, or by runs on disk.
//
// K must have an order (numbers, strings, byte arrays, and arrays and structs
// of those).
func SortBy[T, K any](d *Dataset[T], key func(T) K, opts ...Option) *Dataset[T] {
	o := options(d.op.s, opts)
	k := mustKey[K]("SortBy")
	rows := mustCodec[T]("SortBy")
	keys := mustCodec[K]("SortBy")
	order := spill.By(k, key)
	compare, prefix := k.Compare, k.Prefix
	if o.descending {
		order = order.Descending()
		compare = func(a, b K) int { return k.Compare(b, a) }
		prefix = func(v K) uint64 { return ^k.Prefix(v) }
	}
	dep := shuffleOf(d, o.partitions)
	dep.Ordered = true
	w := partitioned(d, dep, rows, func(t *Task, _ int) (shuffle.Partitioner[T], error) {
		bounds, err := stageBounds(t.stage, keys)
		if err != nil {
			return nil, err
		}
		r := newRanges(bounds, prefix, compare)
		return func(dst []int32, rows []T) {
			for i := range rows {
				dst[i] = r.of(key(rows[i]))
			}
		}, nil
	})
	out := newWide(d.op.s, "sortBy", []*plan.ShuffleDep{dep}, plan.Unordered, []mapWriter{w},
		func(t *Task, part int, emit func([]T) error) error {
			s := spill.NewSorter(t.kernelEnv(), "sort", rows, order)
			defer s.Close()
			if err := t.fetch(dep, part, func(f *shuffle.Frame) error { return s.AddFrame(f.Data, f.Rows, f.Pin) }); err != nil {
				return err
			}
			return s.Sorted(emit)
		})
	op := &sortOp[T, K]{Dataset: out, in: d, key: key, keys: keys}
	out.op.self = op
	out.op.learning = make(chan struct{}, 1)
	out.op.learn = func(l *learning) error {
		bounds, err := op.sampleBounds(l, o.partitions, compare)
		if err != nil {
			return fmt.Errorf("cannot choose the ranges of sortBy at %s: %w", out.op.node.Site, err)
		}
		l.s.learn(out.op.node.ID, keys.Append(binary.AppendUvarint(nil, uint64(len(bounds))), bounds))
		return nil
	}
	return out
}

// stageBounds decodes the range bounds that the stage's binary carries.
func stageBounds[K any](st *stage, keys codec.Codec[K]) ([]K, error) {
	data := st.bin.learnt(st.bin.node)
	if data == nil {
		return nil, fmt.Errorf("cannot write a range shuffle: its task binary carries no bounds")
	}
	n, used := binary.Uvarint(data)
	if used <= 0 {
		return nil, errBinary
	}
	bounds, rest, err := keys.Decode(nil, data[used:], int(n))
	if err != nil || len(rest) != 0 || uint64(len(bounds)) != n {
		return nil, fmt.Errorf("cannot decode %d range bounds: %w", n, errBinary)
	}
	return bounds, nil
}

// sortOp adds sampling to the dataset that SortBy returns.
type sortOp[T, K any] struct {
	*Dataset[T]
	in   *Dataset[T]
	key  func(T) K
	keys codec.Codec[K]
}

// sampleSeed makes samples the same in every run.
const sampleSeed = 0x5eed

// sampleBounds runs the sampling job and chooses the bounds.
func (o *sortOp[T, K]) sampleBounds(l *learning, parts int, compare func(a, b K) int) ([]K, error) {
	if parts < 2 {
		return nil, nil
	}
	samples := make([]sample[K], o.in.Partitions())
	k := samplesPerPartition(parts, len(samples))
	err := l.s.runJob(l.ctx, job{
		op: o.in.op, name: "sample", inner: true,
		action: action{kind: actionSample, n: int64(k), seed: sampleSeed, node: o.op.node.ID},
	}, func(i int, value []byte) error {
		records, used := binary.Varint(value)
		if used <= 0 {
			return fmt.Errorf("cannot decode a sample of %d bytes", len(value))
		}
		value = value[used:]
		n, used := binary.Uvarint(value)
		if used <= 0 {
			return fmt.Errorf("cannot decode a sample")
		}
		keys, _, err := o.keys.Decode(nil, value[used:], int(n))
		samples[i] = sample[K]{records, keys}
		return err
	})
	if err != nil {
		return nil, err
	}
	return chooseBounds(samples, parts, compare), nil
}

// result implements resulter: it samples the input's keys.
func (o *sortOp[T, K]) result(t *Task, part int, a action) (encodeFunc, error) {
	if a.kind != actionSample {
		return o.Dataset.result(t, part, a)
	}
	var records int64
	var kept []byte // encoded keys: batches are valid only during their call
	var n int
	seed := a.seed
	if o.in.sampler != nil {
		total, rows, err := o.in.sampler(t, part, int(a.n), seed)
		if err != nil {
			return nil, err
		}
		keys := make([]K, len(rows))
		for i := range rows {
			keys[i] = o.key(rows[i])
		}
		records, kept, n = total, o.keys.Append(nil, keys), len(keys)
	} else {
		rng := rand.New(rand.NewPCG(seed, uint64(part)))
		r := reservoir[[]byte]{k: int(a.n), draw: rng.Int64N}
		one := make([]K, 1)
		err := o.in.each(t, part, func(b []T) error {
			for i := range b {
				if slot := r.slot(); slot >= 0 {
					one[0] = o.key(b[i])
					r.kept[slot] = o.keys.Append(r.kept[slot][:0], one)
				}
			}
			return nil
		})
		if err != nil && !stopped(err) {
			return nil, err
		}
		for _, k := range r.kept {
			kept = append(kept, k...)
		}
		records, n = r.seen, len(r.kept)
	}
	return func(dst []byte) ([]byte, error) {
		dst = binary.AppendUvarint(binary.AppendVarint(dst, records), uint64(n))
		return append(dst, kept...), nil
	}, nil
}
