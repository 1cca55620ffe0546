package spill

import (
	"math/bits"

	"github.com/execbench/execbench/engine/codec"
)

// Order says how rows are sorted.
type Order[T any] struct {
	// Prefixes maps rows to words whose unsigned order never contradicts
	// Compare; dst is as long as rows.
	Prefixes func(dst []uint64, rows []T)
	// Compare orders two rows by their keys. It may be nil if Exact is set.
	Compare func(a, b *T) int
	// Exact says that equal prefixes mean equal keys.
	Exact bool
}

// By orders rows by the key that of takes from them.
func By[T, K any](key codec.Key[K], of func(T) K) Order[T] {
	return Order[T]{
		Exact: key.Exact,
		Prefixes: func(dst []uint64, rows []T) {
			for i := range rows {
				dst[i] = key.Prefix(of(rows[i]))
			}
		},
		Compare: func(a, b *T) int { return key.Compare(of(*a), of(*b)) },
	}
}

// Descending turns an order around. Rows of equal keys keep their order.
func (o Order[T]) Descending() Order[T] {
	r := Order[T]{Exact: o.Exact, Prefixes: func(dst []uint64, rows []T) {
		o.Prefixes(dst, rows)
		for i := range dst {
			dst[i] = ^dst[i]
		}
	}}
	if o.Compare != nil {
		r.Compare = func(a, b *T) int { return o.Compare(b, a) }
	}
	return r
}

// ByHash orders pairs by their keys' hashes, and keys of one hash among
// themselves: equal keys come together, whatever collides. It is the order
// of [Grouper].
func ByHash[K, V any](key codec.Key[K]) Order[codec.Pair[K, V]] {
	return Order[codec.Pair[K, V]]{
		Prefixes: func(dst []uint64, rows []codec.Pair[K, V]) {
			for i := range rows {
				dst[i] = spread(key.Hash(rows[i].Key))
			}
		},
		Compare: func(a, b *codec.Pair[K, V]) int { return key.Compare(a.Key, b.Key) },
	}
}

// spread puts the lower half of a hash in front: the upper half chose the
// reducer, so within one reducer it hardly differs.
func spread(hash uint64) uint64 { return bits.RotateLeft64(hash, 32) }
