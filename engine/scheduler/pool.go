package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/conf"
)

// pool orders what competes for slots: task sets, or pools of them
// (spark-semantics §2.2).
type pool struct {
	poolNode
	mode     conf.SchedulingMode
	children []*poolNode
	sorted   []*poolNode // of this round; empty between two
}

// poolNode is a pool or a task set in its parent's eyes.
type poolNode struct {
	name     string
	weight   int
	minShare int
	running  int // live attempts below
	parent   *pool
	pool     *pool    // nil: a task set
	set      *taskSet // nil: a pool
}

const defaultPool = "default"

func newPool(name string, mode conf.SchedulingMode, weight, minShare int) *pool {
	p := &pool{mode: mode, poolNode: poolNode{name: name, weight: max(1, weight), minShare: minShare}}
	p.poolNode.pool = p
	return p
}

// newRoot builds the pools. Under FIFO there is one. Under FAIR task sets are
// in pools below the root: those given, and one named default, which takes
// the root's mode if none was given.
func newRoot(mode conf.SchedulingMode, pools []conf.Pool) *pool {
	root := newPool("root", mode, 1, 0)
	if mode != conf.FAIR {
		return root
	}
	for _, p := range pools {
		root.add(&newPool(p.Name, p.Mode, p.Weight, p.MinShare).poolNode)
	}
	if root.find(defaultPool) == nil {
		inside := conf.FIFO
		if len(pools) == 0 {
			inside = mode
		}
		root.add(&newPool(defaultPool, inside, 1, 0).poolNode)
	}
	return root
}

func (p *pool) find(name string) *pool {
	for _, n := range p.children {
		if n.pool != nil && n.name == name {
			return n.pool
		}
	}
	return nil
}

// add keeps FIFO children in order, so that they need no sorting.
func (p *pool) add(n *poolNode) {
	n.parent = p
	at := len(p.children)
	if p.mode == conf.FIFO {
		at, _ = slices.BinarySearchFunc(p.children, n, fifo)
	}
	p.children = slices.Insert(p.children, at, n)
}

func (n *poolNode) remove() {
	n.parent.children = slices.DeleteFunc(n.parent.children, func(o *poolNode) bool { return o == n })
}

// count adds to the live attempts of the node and of the pools it is in.
func (n *poolNode) count(by int) {
	for ; n != nil; n = n.up() {
		n.running += by
	}
}

func (n *poolNode) up() *poolNode {
	if n.parent == nil {
		return nil
	}
	return &n.parent.poolNode
}

// addLeaf puts a task set into its job's pool, which is made if need be.
func (c *Core) addLeaf(ts *taskSet) *poolNode {
	p := c.root
	if p.mode == conf.FAIR {
		name := ts.job.spec.Properties[propPool]
		if name == "" {
			name = defaultPool
		}
		if p = c.root.find(name); p == nil {
			p = newPool(name, conf.FIFO, 1, 0)
			c.root.add(&p.poolNode)
			c.warn(fmt.Sprintf("pool %q is not configured: it is FIFO inside, with weight 1 and no minimum share", name))
		}
	}
	leaf := &poolNode{name: "TaskSet_" + ts.id.String(), weight: 1, set: ts}
	p.add(leaf)
	return leaf
}

// append adds the task sets that could launch to dst, in the order in which
// slots are offered to them.
func (p *pool) append(dst []*taskSet) []*taskSet {
	nodes := p.children
	if p.mode == conf.FAIR && len(nodes) > 1 {
		p.sorted = append(p.sorted[:0], nodes...)
		slices.SortStableFunc(p.sorted, fair)
		nodes = p.sorted
	}
	for _, n := range nodes {
		if n.pool != nil {
			dst = n.pool.append(dst)
		} else if !n.set.draining && (n.set.idle > 0 || n.set.wantsCopies()) {
			dst = append(dst, n.set)
		}
	}
	clear(p.sorted) // a task set that ends is not kept
	p.sorted = p.sorted[:0]
	return dst
}

// fifo puts earlier jobs first, and of one job lower stages.
func fifo(a, b *poolNode) int {
	if a.set == nil || b.set == nil {
		return 0
	}
	return cmp.Or(cmp.Compare(a.set.job.id, b.set.job.id), cmp.Compare(a.set.id.Stage, b.set.id.Stage),
		cmp.Compare(a.set.id.Attempt, b.set.id.Attempt))
}

// fair puts those below their minimum share first, the furthest below it
// before others; then the one with least for its weight; then by name.
func fair(a, b *poolNode) int {
	needyA, needyB := a.running < a.minShare, b.running < b.minShare
	switch {
	case needyA && !needyB:
		return -1
	case needyB && !needyA:
		return 1
	case needyA:
		if x := cmp.Compare(ratio(a.running, max(a.minShare, 1)), ratio(b.running, max(b.minShare, 1))); x != 0 {
			return x
		}
	default:
		if x := cmp.Compare(ratio(a.running, a.weight), ratio(b.running, b.weight)); x != 0 {
			return x
		}
	}
	return cmp.Compare(a.name, b.name)
}

func ratio(a, b int) float64 { return float64(a) / float64(b) }
