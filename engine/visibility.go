package engine

import (
	"sync"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
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
	mu struct {
		sync.Mutex
		writers map[place]id.Task
		written map[id.Task][]place
	}
}

// place is a block in one executor's store.
type place struct {
	g *group
	b block.ID
}

func newVisibility() *visibility {
	v := &visibility{}
	v.mu.writers, v.mu.written = map[place]id.Task{}, map[id.Task][]place{}
	return v
}

// writes notes that an attempt is about to have a block kept in g.
func (v *visibility) writes(t id.Task, g *group, b block.ID) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.mu.writers[place{g, b}] = t
	v.mu.written[t] = append(v.mu.written[t], place{g, b})
}

// hidden reports whether a block in g is still that of an attempt other than t.
func (v *visibility) hidden(t id.Task, g *group, b block.ID) bool {
	if v == nil {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	w, ok := v.mu.writers[place{g, b}]
	return ok && w != t
}

// last reports whether t was the last to begin a block: it may have given up,
// and another written it.
func (v *visibility) last(t id.Task, at place) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	w, ok := v.mu.writers[at]
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
	places := v.mu.written[t]
	delete(v.mu.written, t)
	v.mu.Unlock()
	for _, at := range places {
		if end.Reason != task.Success && v.last(t, at) {
			at.g.store.Remove(at.b) // before anybody may see it
		}
		v.mu.Lock()
		if w, ok := v.mu.writers[at]; ok && w == t {
			delete(v.mu.writers, at)
		}
		v.mu.Unlock()
	}
}
