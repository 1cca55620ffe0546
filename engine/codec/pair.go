package codec

// Pair is a keyed record, the row of aggregations and joins.
type Pair[K, V any] struct {
	Key   K
	Value V
}
