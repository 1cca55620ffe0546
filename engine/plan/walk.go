package plan

// Fused visits node and every node that is computed in the same task with
// it, each once: those that are reached without a shuffle.
func Fused(node *Node, visit func(*Node)) {
	seen := map[*Node]bool{node: true}
	for work := []*Node{node}; len(work) > 0; {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		visit(n)
		for _, d := range n.Deps() {
			if _, cut := d.(*ShuffleDep); !cut && !seen[d.On()] {
				seen[d.On()] = true
				work = append(work, d.On())
			}
		}
	}
}
