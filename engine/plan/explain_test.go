package plan

import (
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
)

func node(n int, name string, parts int, deps ...Dep) *Node {
	x := &Node{ID: id.Node(n), Name: name, Site: "a.go:1", Partitions: parts}
	x.SetDeps(deps...)
	return x
}

func TestExplain(t *testing.T) {
	src := node(0, "records", 8)
	src.SetLevel(block.MemoryOnly)
	m := node(1, "map", 8, &NarrowDep{Parent: src})
	sorted := node(2, "sortBy", 4, &ShuffleDep{Parent: m, Shuffle: 0, Reducers: 4})
	joined := node(3, "join", 4, &ShuffleDep{Parent: sorted, Shuffle: 1, Reducers: 4}, &ShuffleDep{Parent: m, Shuffle: 2, Reducers: 4})
	want := `(4) join #3 at a.go:1
 +-(4) shuffle 1 in 4 parts
   (4) sortBy #2 at a.go:1
    +-(8) shuffle 0 in 4 parts
      (8) map #1 at a.go:1
      (8) records #0 at a.go:1 [MEMORY_ONLY]
 +-(8) shuffle 2 in 4 parts
   (8) map #1 at a.go:1 (see above)
`
	if got := Explain(joined); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestExplainCutsLongChains(t *testing.T) {
	n := node(0, "range", 2)
	for i := 1; i <= 1000; i++ {
		n = node(i, "map", 2, &NarrowDep{Parent: n})
	}
	got := Explain(n)
	if lines := strings.Count(got, "\n"); lines != 42 || !strings.Contains(got, "… 960 more nodes") || !strings.Contains(got, "range #0") {
		t.Errorf("%d lines:\n%s", lines, got)
	}
}

func TestCheckpointCutsLineage(t *testing.T) {
	src := node(0, "range", 2)
	m := node(1, "map", 2, &NarrowDep{Parent: src})
	if m.Deps()[0].On() != src {
		t.Fatal("a node's dependency is not its parent")
	}
	c := node(2, "checkpoint", 2)
	m.SetCheckpoint(c)
	if m.Deps()[0].On() != c || m.Checkpointed() != c {
		t.Error("a checkpointed node still depends on its parents")
	}
}
