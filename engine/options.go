package engine

import (
	"fmt"

	"github.com/execbench/execbench/engine/codec"
)

// Option sets a choice of one wide operation.
type Option func(*wideOptions)

type wideOptions struct {
	partitions int
	descending bool
}

// Partitions sets the number of partitions of the result; below 1 means the
// session's default parallelism, which is also the default.
func Partitions(n int) Option { return func(o *wideOptions) { o.partitions = n } }

// Descending turns SortBy's order around.
func Descending() Option { return func(o *wideOptions) { o.descending = true } }

func options(s *Session, opts []Option) wideOptions {
	var o wideOptions
	for _, f := range opts {
		f(&o)
	}
	o.partitions = s.parts(o.partitions)
	return o
}

// mustKey returns the order and hash of K, for graph building.
func mustKey[K any](operation string) codec.Key[K] {
	k, err := codec.KeyOf[K]()
	if err != nil {
		panic(fmt.Sprintf("engine: %s at %s: %v", operation, callSite(), err))
	}
	return k
}
