package engine

import (
	"sync"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// visibility hides what an attempt cached until the attempt has succeeded
// (rdd.cache.visibilityTracking.enabled): another that read it would not
// compute the partition, and would not add to the accumulators what the first,
// if it fails, adds in vain. What a failed attempt cached is dropped. A nil
// visibility hides nothing.
//
// It is a Sink: how an attempt ended it learns from the events.
type visibility struct {
	store *storage.Store

	mu struct {
		sync.Mutex
		writers map[block.ID]id.Task
		written map[id.Task][]block.ID
	}
}

func newVisibility(store *storage.Store) *visibility {
	v := &visibility{store: store}
	v.mu.writers, v.mu.written = map[block.ID]id.Task{}, map[id.Task][]block.ID{}
	return v
}

// writes notes that an attempt is about to have a block kept.
func (v *visibility) writes(t id.Task, b block.ID) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.writers[b] = t
	v.mu.written[t] = append(v.mu.written[t], b)
}

// hidden reports whether a block is still that of an attempt other than t.
func (v *visibility) hidden(t id.Task, b block.ID) bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	w, ok := v.mu.writers[b]
	return ok && w != t
}

// last reports whether t was the last to begin a block: it may have given up,
// and another written it.
func (v *visibility) last(t id.Task, b block.ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	w, ok := v.mu.writers[b]
	return ok && w == t
}

// Emit implements event.Sink.
func (v *visibility) Emit(e event.Event) {
	end, ok := e.(*event.TaskEnd)
	if !ok {
		return
	}
	t := end.Info.Task
	v.mu.Lock()
	blocks := v.mu.written[t]
	delete(v.mu.written, t)
	v.mu.Unlock()
	for _, b := range blocks {
		if end.Reason != task.Success && v.last(t, b) {
			v.store.Remove(b) // before anybody may see it
		}
		v.mu.Lock()
		if w, ok := v.mu.writers[b]; ok && w == t {
			delete(v.mu.writers, b)
		}
		v.mu.Unlock()
	}
}
