package shuffle

import (
	"errors"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/spill"
)

// CountWriter is the [CombineWriter] of counts: it takes keys alone and writes
// each with how often it came, by the hash of the keys. A reducer may get a key
// several times from one map task.
type CountWriter[K any] struct {
	combined[codec.Pair[K, int64]]
	c *spill.Counter[K]
}

// NewCountWriter returns the writer of one map task's output. Close frees what
// it holds, also after Commit.
func NewCountWriter[K any](m *Manager, env spill.Env, to Target, key codec.Key[K], pairs codec.Codec[codec.Pair[K, int64]]) (*CountWriter[K], error) {
	w, err := NewWriter(m, env, to, ByKey[K, int64](key, to.Reducers), pairs)
	if err != nil {
		return nil, err
	}
	w.sums = nil // what is counted together depends on the memory there is
	c, err := spill.NewCounter(env, "shuffle combine", key, w.Add)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &CountWriter[K]{combined[codec.Pair[K, int64]]{w, c}, c}, nil
}

// Add counts the keys of one batch, which it does not keep.
func (w *CountWriter[K]) Add(keys []K) error { return w.c.Count(keys) }
