package plan

import (
	"fmt"
	"strings"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
)

// Explain prints the lineage that ends in n, one node a line, parents below
// children. "(7)" is the number of partitions, a "+-" begins what another
// stage computes, and a node printed before is only named.
//
//	(4) sortBy #2 at sort.go:31
//	 +-(8) shuffle 0 in 4 ranges
//	    (8) records #0 at sort.go:30
//
// A lineage is printed to its end, but one chain of narrow nodes longer than
// 40 is cut in the middle, saying by how many.
func Explain(n *Node) string {
	var out strings.Builder
	seen := map[id.Node]bool{}
	type item struct {
		n     *Node
		depth int
		via   *ShuffleDep
	}
	stack := []item{{n: n}}
	chain, skipped := 0, 0
	for len(stack) > 0 {
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		indent := strings.Repeat("   ", it.depth)
		if it.via != nil {
			chain = 0
			fmt.Fprintf(&out, "%s+-(%d) shuffle %d in %d parts\n", strings.TrimSuffix(indent, "  "), it.n.Partitions, it.via.Shuffle, it.via.Reducers)
		}
		deps := it.n.Deps()
		if len(deps) == 1 && it.via == nil {
			chain++
		}
		if chain > 40 && len(deps) == 1 {
			if _, narrow := deps[0].(*NarrowDep); narrow && !seen[it.n.ID] {
				skipped++
				seen[it.n.ID] = true
				stack = append(stack, item{n: deps[0].On(), depth: it.depth})
				continue
			}
		}
		if skipped > 0 {
			fmt.Fprintf(&out, "%s… %d more nodes\n", indent, skipped)
			skipped = 0
		}
		fmt.Fprintf(&out, "%s(%d) %s #%d at %s", indent, it.n.Partitions, it.n.Name, it.n.ID, it.n.Site)
		if l := it.n.Level(); l != block.LevelNone {
			fmt.Fprintf(&out, " [%v]", l)
		}
		if it.n.Checkpointed() != nil {
			out.WriteString(" [checkpointed]")
		}
		if it.n.Barrier {
			out.WriteString(" [barrier]")
		}
		if seen[it.n.ID] {
			out.WriteString(" (see above)\n")
			continue
		}
		out.WriteString("\n")
		seen[it.n.ID] = true
		for i := len(deps) - 1; i >= 0; i-- {
			switch d := deps[i].(type) {
			case *ShuffleDep:
				stack = append(stack, item{d.Parent, it.depth + 1, d})
			default:
				depth := it.depth
				if len(deps) > 1 {
					depth++
				}
				stack = append(stack, item{n: d.On(), depth: depth})
			}
		}
	}
	return out.String()
}
