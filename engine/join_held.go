package engine

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// pastHeld joins by the table of the whole side held, which the tasks of an
// executor share, past which the other side's own partitions stream. done is
// false where there is no memory for the table.
func pastHeld[K, H, P any](t *Task, part int, op *operator, held *joinSide[K, H], other *joinSide[K, P], settle func() error, found foundFunc[K, H, P]) (done bool, err error) {
	table, leave, err := sharedTable(t, op.node.ID, held)
	if table == nil || err != nil {
		return false, err
	}
	defer leave()
	return true, other.stream(t, part, past(t, table, settle, found))
}

// stream pushes the records of those of the side's own partitions that
// partition part of the join reads.
func (s *joinSide[K, V]) stream(t *Task, part int, emit func([]Pair[K, V]) error) error {
	for p, to := stretchOf(part, s.dep.Reducers, s.data.Partitions()); p < to; p++ {
		if err := s.data.each(t, p, emit); err != nil {
			return err
		}
	}
	return nil
}

// stretchOf spreads old partitions over new ones: part gets those from and up
// to to, which is excluded; it may be none.
func stretchOf(part, parts, old int) (from, to int) {
	return part * old / parts, (part + 1) * old / parts
}

// sharedTable returns the table of the side held, made by the first attempt
// that asks; the others wait for it. leave is to be called when nothing is
// looked up any more. The table is nil where there is no memory for it.
func sharedTable[K, H any](t *Task, node id.Node, held *joinSide[K, H]) (table *spill.JoinTable[K, H], leave func(), err error) {
	statuses, err := t.MapOutputs(held.dep.Shuffle)
	if err != nil {
		return nil, nil, t.failure(fetchFailed(held.dep.Shuffle, 0, err))
	}
	of := make([]id.Task, len(statuses))
	for i, s := range statuses {
		if s != nil { // else fetching fails
			of[i] = s.Map
		}
	}
	tables := &t.g.tables
	for {
		e, mine := tables.enter(node, of)
		if mine {
			return makeTable(t, e, held, spanOf(statuses))
		}
		if err := e.await(t); err != nil {
			tables.leave(e)
			return nil, nil, err
		}
		if table, ok := e.table.(*spill.JoinTable[K, H]); ok {
			return table, func() { tables.leave(e) }, nil
		}
		tables.leave(e)
		if e.refused {
			return nil, nil, nil
		} // else whoever was to make it failed
	}
}

// makeTable makes the table of e.
func makeTable[K, H any](t *Task, e *heldTable, held *joinSide[K, H], keys task.KeySpan) (table *spill.JoinTable[K, H], leave func(), err error) {
	tables := &t.g.tables
	refused := false
	defer func() {
		if table == nil {
			e.refused = refused // not by a panic
			tables.forget(e)
			tables.leave(e)
		}
		close(e.made)
	}()
	b := spill.NewTableBuilder[K, H](t.kernelEnv(), "join table", held.key, keys)
	defer b.Close()
	err = t.fetchRange(held.dep, 0, held.dep.Reducers, func(f *shuffle.Frame) error { return b.AddFrame(f.Data, f.Rows, f.Pin) })
	if err == nil {
		table, err = b.Table()
	}
	if errors.Is(err, memory.ErrNoMemory) {
		err = nil
	}
	if table == nil || err != nil {
		refused = err == nil
		return nil, nil, err
	}
	e.pages = table.HandOver(tables.used)
	e.table = table
	return table, func() { tables.leave(e) }, nil
}

// heldTables are the tables that the attempts of an executor share. Those that
// no attempt looks into stay for the next job, as copies of what can be made
// again: they go first when anybody needs memory.
type heldTables struct {
	used, idle *memory.Holder
	mu         struct {
		sync.Mutex
		byNode map[id.Node]*heldTable
	}
}

// heldTable is the table of one join's held side.
type heldTable struct {
	node id.Node
	of   []id.Task     // the map attempts whose outputs are in it
	made chan struct{} // closed when it is made or given up

	// Set before made is closed:
	table   any  // a *spill.JoinTable; nil: given up,
	refused bool // for want of memory
	pages   []*memory.Page

	users int // guarded by heldTables.mu
}

func (h *heldTables) start(m *memory.Manager) {
	h.used = m.Holder("join tables", nil)
	h.idle = m.CopyHolder("idle join tables", h.evict)
	h.mu.byNode = map[id.Node]*heldTable{}
}

// enter returns the table of a join, to be left again, and whether the caller
// is to make it. One that was made of other outputs gives way.
func (h *heldTables) enter(node id.Node, of []id.Task) (e *heldTable, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e = h.mu.byNode[node]; e != nil && slices.Equal(e.of, of) {
		if e.users++; e.users == 1 {
			h.used.Take(h.idle, e.pages...)
		}
		return e, false
	}
	if e != nil {
		h.dropLocked(e)
	}
	e = &heldTable{node: node, of: of, made: make(chan struct{}), users: 1}
	h.mu.byNode[node] = e
	return e, true
}

// leave ends what enter began. Who leaves last frees a table that nobody can
// find any more.
func (h *heldTables) leave(e *heldTable) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	if h.mu.byNode[e.node] == e {
		h.idle.Take(h.used, e.pages...)
		return
	}
	e.free(h.used)
}

func (e *heldTable) free(h *memory.Holder) {
	for _, p := range e.pages {
		h.Free(p)
	}
	e.pages, e.table = nil, nil
}

// forget makes sure that nobody finds e any more.
func (h *heldTables) forget(e *heldTable) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.byNode[e.node] == e {
		h.dropLocked(e)
	}
}

func (h *heldTables) dropLocked(e *heldTable) {
	delete(h.mu.byNode, e.node)
	if e.users == 0 {
		e.free(h.idle)
	}
}

// drop drops the tables of joins that are no more.
func (h *heldTables) drop(nodes ...id.Node) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range nodes {
		if e := h.mu.byNode[n]; e != nil {
			h.dropLocked(e)
		}
	}
}

// evict frees tables that nobody uses.
func (h *heldTables) evict(need int64) (freed int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.mu.byNode {
		if freed >= need {
			break
		}
		if e.users == 0 {
			for _, p := range e.pages {
				freed += p.Size()
			}
			h.dropLocked(e)
		}
	}
	return freed
}

// close frees all tables. No attempt may run.
func (h *heldTables) close() { h.evict(1 << 62) }

// await waits until the table is made or given up. The attempt serves others
// meanwhile, of whom one may be who makes it.
func (e *heldTable) await(t *Task) error {
	defer t.Timer.Switch(t.Timer.Switch(task.PartShuffleFetchWait))
	for {
		select {
		case <-e.made:
			return nil
		case <-t.Memory().Requested():
			t.Memory().Serve()
		case <-t.Context().Done():
			return context.Cause(t.Context())
		}
	}
}
