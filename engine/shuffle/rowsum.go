package shuffle

import (
	"math/bits"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/engine/codec"
)

// rowSum is a checksum of rows that does not depend on their order: the sum
// and the exclusive or of their hashes. Either alone misses what the other
// finds: an even number of copies, hashes that swap a carry.
type rowSum struct{ sum, xor uint64 }

func (s *rowSum) add(row []byte) {
	h := xxh3.Hash(row)
	s.sum += h
	s.xor ^= h
}

// value is never 0 for a sum of rows, which stands for "not asked for".
func (s rowSum) value() uint64 {
	if s == (rowSum{}) {
		return 0
	}
	return max(1, bits.RotateLeft64(s.sum, 27)^s.xor)
}

// aggregate folds the sums of all reducers into one; their order counts.
func aggregate(sums []rowSum) int64 {
	total := uint64(1)
	for _, s := range sums {
		total = total*0x9e3779b97f4a7c15 + s.value()
	}
	return int64(max(1, total))
}

// sumRows adds rows to the sums of the reducers they go to.
func (w *Writer[T]) sumRows(rows []T, parts []int32) {
	for i := range rows {
		row := rows[i : i+1]
		if w.plain {
			w.sums[parts[i]].add(codec.RawBytes(row))
			continue
		}
		w.pack = w.codec.Append(w.pack[:0], row)
		w.sums[parts[i]].add(w.pack)
	}
}
