package storage

import (
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// The span of a dataset's keys is known where the writers of all its cached
// partitions told of all rows, wherever those are.
func TestNodeKeys(t *testing.T) {
	r := newRig(t, 1<<20)
	write := func(node id.Node, part int, level block.Level, spans ...task.KeySpan) {
		t.Helper()
		w, ok := r.store.NewWriter(r.task(1), block.Node(node, part), level)
		if !ok {
			t.Fatal("the block is there")
		}
		for _, s := range spans {
			if err := w.Frame(10, payload(1, 100)); err != nil {
				t.Fatal(err)
			}
			w.Keys(s)
		}
		if stored, err := w.Commit(); !stored || err != nil {
			t.Fatal(stored, err)
		}
	}
	check := func(want task.KeySpan, known bool) {
		t.Helper()
		if got, k := r.store.NodeKeys(3); got != want || k != known {
			t.Errorf("%v (%v), want %v (%v)", got, k, want, known)
		}
	}
	check(task.KeySpan{}, true)
	write(3, 0, block.MemoryOnly, task.KeySpan{Rows: 10, Least: -4, Most: 2}, task.KeySpan{Rows: 10, Least: 0, Most: 7})
	write(3, 1, block.DiskOnly, task.KeySpan{Rows: 10, Least: 100, Most: 100})
	write(3, 2, block.MemoryOnly) // an empty one
	write(4, 0, block.MemoryOnly, task.KeySpan{Rows: 10, Least: 1000, Most: 1000})
	check(task.KeySpan{Rows: 30, Least: -4, Most: 100}, true)
	write(3, 3, block.MemoryOnly, task.KeySpan{Rows: 10, Least: 0, Most: 1}, task.KeySpan{})
	check(task.KeySpan{}, false)
	r.store.Remove(block.Node(3, 3))
	check(task.KeySpan{Rows: 30, Least: -4, Most: 100}, true)
}
