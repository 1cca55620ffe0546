package engine

import "github.com/execbench/execbench/engine/codec"

// Pair is a keyed record: what the wide operations work on.
type Pair[K, V any] = codec.Pair[K, V]

// Joined holds the two values of one match of Join.
type Joined[V, W any] struct {
	Left  V
	Right W
}

// Grouped holds what CoGroup found under one key. The slices are valid until
// the function they were handed to returns.
type Grouped[V, W any] struct {
	Left  []V
	Right []W
}
