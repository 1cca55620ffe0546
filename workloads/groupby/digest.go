package groupby

import (
	"fmt"
	"math"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads/internal/table"
)

// digest sums up groups, so that one that is wrong, missing, invented or
// there twice changes it. It is the same in whatever order groups are merged,
// but for Means, which is rounded.
type digest struct {
	Groups int64
	Rows   int64
	V      int64   // total of v, modulo 2^64
	Hash   uint64  // sum of a hash of every group
	Means  float64 // sum of the means, weighted by key
	Scale  float64 // the same of their magnitudes: what Means is rounded by
}

// add digests one more group. exact says that the sum of its fractions does
// not depend on their order, so that the mean is hashed to the bit.
func (d *digest) add(key uint64, g group, exact bool) {
	h := table.Mix(key + table.Mix(uint64(g.Count)+table.Mix(uint64(g.V))))
	mean := g.mean()
	if exact {
		h = table.Mix(h + math.Float64bits(mean))
	}
	weight := 0.5 + float64(int64(key>>11))/(1<<54) // from a half to one
	d.Groups++
	d.Rows += g.Count
	d.V += g.V
	d.Hash += h
	d.Means += weight * mean
	d.Scale += weight * math.Abs(mean)
}

func (d digest) merge(o digest) digest {
	return digest{d.Groups + o.Groups, d.Rows + o.Rows, d.V + o.V, d.Hash + o.Hash, d.Means + o.Means, d.Scale + o.Scale}
}

// String is the part that is the same to the bit everywhere.
func (d digest) String() string {
	return fmt.Sprintf("%016x", table.Mix(d.Hash+table.Mix(uint64(d.Groups)+table.Mix(uint64(d.Rows)+table.Mix(uint64(d.V))))))
}

// pairs are groups as they come out of the query.
type pairs[K any] = []engine.Pair[K, group]

// A hasher hashes the keys of a batch; dst is as long.
type hasher[K any] func(dst []uint64, batch pairs[K])

func hashInts(dst []uint64, batch pairs[int64]) {
	for i := range batch {
		dst[i] = hashInt(batch[i].Key)
	}
}

func hashTexts(dst []uint64, batch pairs[string]) {
	for i := range batch {
		dst[i] = hashText(batch[i].Key)
	}
}

func hashInt(k int64) uint64 { return table.Mix(uint64(k)) }

func hashText(k string) uint64 { return xxh3.HashString(k) }

// digestAll adds a batch of groups.
func digestAll[K any](d digest, batch pairs[K], hash hasher[K], exact bool) digest {
	var hashes [256]uint64
	for len(batch) > 0 {
		n := min(len(batch), len(hashes))
		hash(hashes[:n], batch[:n])
		for i := range batch[:n] {
			d.add(hashes[i], batch[i].Value, exact)
		}
		batch = batch[n:]
	}
	return d
}
