package executor

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// outputs is the executor's cache of map-output statuses. Statuses are true
// of an epoch, which the driver raises when outputs are lost; a description
// made at a newer epoch drops the cache.
type outputs struct {
	epoch atomic.Int64 // read without the lock; changed under it
	mu    struct {
		sync.Mutex
		statuses map[id.Shuffle][]*task.MapStatus
	}
}

// advance drops what is older than epoch.
func (o *outputs) advance(epoch int64) {
	if epoch <= o.epoch.Load() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch > o.epoch.Load() {
		o.epoch.Store(epoch)
		o.mu.statuses = nil
	}
}

// get returns the statuses of s, asking the driver where the cache has none.
// Workers that miss at once each ask; in one process that is a short call.
func (o *outputs) get(s id.Shuffle, ask func(id.Shuffle, int64) ([]*task.MapStatus, int64, error)) ([]*task.MapStatus, error) {
	o.mu.Lock()
	statuses, ok := o.mu.statuses[s]
	o.mu.Unlock()
	if ok {
		return statuses, nil
	}
	statuses, epoch, err := ask(s, o.epoch.Load())
	if err != nil {
		return nil, fmt.Errorf("cannot get the map outputs of shuffle %d: %w", s, err)
	}
	o.advance(epoch)
	o.mu.Lock()
	defer o.mu.Unlock()
	if epoch == o.epoch.Load() { // else dropped while it was on its way
		if o.mu.statuses == nil {
			o.mu.statuses = map[id.Shuffle][]*task.MapStatus{}
		}
		o.mu.statuses[s] = statuses
	}
	return statuses, nil
}

func (o *outputs) forget(s id.Shuffle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.mu.statuses, s)
}

// RemoveShuffle drops what the executor knows of a shuffle's map outputs.
func (e *Executor) RemoveShuffle(s id.Shuffle) { e.outputs.forget(s) }
