package engine

import (
	"math"
	"slices"
)

// sample is what one partition tells of its keys: how many records it holds
// and some of their keys, each as likely as any other.
type sample[K any] struct {
	records int64
	keys    []K
}

// chooseBounds picks at most parts-1 keys that cut the sampled keys into
// parts ranges of about equal weight, ascending and distinct. A key of a
// partition stands for records ÷ sampled records of it. Source: the weighted
// quantiles of Spark's RangePartitioner.
func chooseBounds[K any](samples []sample[K], parts int, compare func(a, b K) int) []K {
	type weighted struct {
		key    K
		weight float64
	}
	var all []weighted
	total := 0.0
	for _, s := range samples {
		if len(s.keys) == 0 {
			continue
		}
		w := float64(s.records) / float64(len(s.keys))
		total += w * float64(len(s.keys))
		for _, k := range s.keys {
			all = append(all, weighted{k, w})
		}
	}
	slices.SortStableFunc(all, func(a, b weighted) int { return compare(a.key, b.key) })
	var bounds []K
	step := total / float64(parts)
	target, sum := step, 0.0
	for _, w := range all {
		if len(bounds) == parts-1 {
			break
		}
		sum += w.weight
		if sum < target {
			continue
		}
		if len(bounds) > 0 && compare(bounds[len(bounds)-1], w.key) >= 0 {
			continue // the same key may not cut twice
		}
		bounds = append(bounds, w.key)
		target += step
	}
	return bounds
}

// samplesPerPartition returns how many keys a partition should tell so that
// ranges come out even: 60 a range in all (Spark's 20 × 3), at most a
// million, and never fewer than one.
func samplesPerPartition(ranges, partitions int) int {
	want := min(60*float64(ranges), 3e6)
	return int(max(1, math.Ceil(want/float64(max(1, partitions)))))
}

// ranges tells the range of a key by its prefix first. It is built once an
// attempt and read per record.
type ranges[K any] struct {
	prefixes []uint64 // of the bounds, ascending
	keys     []K
	prefix   func(K) uint64
	compare  func(a, b K) int
}

func newRanges[K any](bounds []K, prefix func(K) uint64, compare func(a, b K) int) *ranges[K] {
	r := &ranges[K]{keys: bounds, prefix: prefix, compare: compare}
	for _, k := range bounds {
		r.prefixes = append(r.prefixes, prefix(k))
	}
	return r
}

// of returns the index of the first bound that is not below key, which is
// the number of the key's range. All equal keys share a range.
func (r *ranges[K]) of(key K) int32 {
	p := r.prefix(key)
	// Halving without a branch that depends on the data: the keys are random,
	// so a branch would be mispredicted every second time.
	lo, n := 0, len(r.prefixes)
	for n > 0 {
		half := (n + 1) / 2
		if r.prefixes[lo+half-1] < p {
			lo += half
		}
		n -= half
	}
	for lo < len(r.keys) && r.prefixes[lo] == p && r.compare(r.keys[lo], key) < 0 {
		lo++
	}
	return int32(lo)
}

// reservoir keeps k of the items it is shown, each with equal chance
// (Vitter's algorithm R: one draw an item beyond k).
type reservoir[K any] struct {
	k    int
	seen int64
	kept []K
	draw func(n int64) int64 // uniform in [0, n)
}

// slot shows it the next item and returns where to keep it, or -1. The place
// is a zero value or holds an item that is to be replaced.
func (r *reservoir[K]) slot() int {
	r.seen++
	if len(r.kept) < r.k {
		r.kept = append(r.kept, *new(K))
		return len(r.kept) - 1
	}
	if i := r.draw(r.seen); i < int64(r.k) {
		return int(i)
	}
	return -1
}
