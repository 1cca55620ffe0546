package engine

import (
	"fmt"
	"sync"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
)

// graph is a session's register of operators: what a task binary's node ids
// mean in this process. Operators stay until the session closes; they are
// small and hold no data. Those of a scope go when it is released.
type graph struct {
	mu struct {
		sync.Mutex
		ops         map[id.Node]*operator
		nextNode    id.Node
		nextShuffle id.Shuffle
	}
}

func newGraph() *graph {
	g := &graph{}
	g.mu.ops = map[id.Node]*operator{}
	return g
}

// add gives op its id and makes it known.
func (g *graph) add(s *Session, op *operator) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op.s, op.program = s, s.in.building()
	fresh := func() id.Node {
		g.mu.nextNode++
		return g.mu.nextNode - 1
	}
	if op.program == nil {
		op.node.ID = fresh()
	} else {
		n, err := op.program.takeNode(fresh)
		if err != nil {
			panic(err) // Session.build tells it
		}
		op.node.ID = n
	}
	g.mu.ops[op.node.ID] = op
	if s.scope != nil {
		s.scope.nodes = append(s.scope.nodes, op.node.ID)
	}
}

// drop forgets operators.
func (g *graph) drop(nodes []id.Node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range nodes {
		delete(g.mu.ops, n)
	}
}

// shuffle returns the id of a new shuffle built in s.
func (g *graph) shuffle(s *Session) id.Shuffle {
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := func() id.Shuffle {
		g.mu.nextShuffle++
		return g.mu.nextShuffle - 1
	}
	n, err := id.Shuffle(0), error(nil)
	if in := s.in.building(); in == nil {
		n = fresh()
	} else if n, err = in.takeShuffle(fresh); err != nil {
		panic(err) // Session.build tells it
	}
	if s.scope != nil {
		s.scope.shuffles = append(s.scope.shuffles, n)
	}
	return n
}

// op returns the operator of a node.
func (g *graph) op(n id.Node) (*operator, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	op, ok := g.mu.ops[n]
	return op, ok
}

// mustOp returns the operator of a node that the caller got from the graph.
func (g *graph) mustOp(n id.Node) *operator {
	op, ok := g.op(n)
	if !ok {
		panic(fmt.Sprintf("BUG: no operator for node %d", n))
	}
	return op
}

// ancestors calls visit for node and everything it depends on, parents
// before children, each once, with an explicit stack: a lineage may be
// 100,000 deep. It does not descend below nodes for which descend is false.
func ancestors(node *plan.Node, descend func(*plan.Node) bool, visit func(*plan.Node) error) error {
	type frame struct {
		n    *plan.Node
		done bool
	}
	seen := map[id.Node]bool{}
	stack := []frame{{n: node}}
	for len(stack) > 0 {
		f := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if f.done {
			if err := visit(f.n); err != nil {
				return err
			}
			continue
		}
		if seen[f.n.ID] {
			continue
		}
		seen[f.n.ID] = true
		stack = append(stack, frame{f.n, true})
		if !descend(f.n) {
			continue
		}
		for _, d := range f.n.Deps() {
			if !seen[d.On().ID] {
				stack = append(stack, frame{n: d.On()})
			}
		}
	}
	return nil
}
