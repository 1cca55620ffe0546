// Package plan owns the lineage: nodes, their narrow and shuffle
// dependencies, and how a lineage prints. It is pure: no I/O, no clock, no
// data. The scheduler cuts stages from it; the engine hangs functions on it.
package plan

import (
	"sync/atomic"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Determinism says what a second computation of a node's partition may
// return (Spark's DeterministicLevel).
type Determinism uint8

// Levels of determinism.
const (
	Determinate   Determinism = iota // same records, same order
	Unordered                        // same records, any order
	Indeterminate                    // other records
)

// String returns Spark's name of the level.
func (d Determinism) String() string {
	return [...]string{"DETERMINATE", "UNORDERED", "INDETERMINATE"}[min(d, Indeterminate)]
}

// Node is one dataset of the lineage. It does not change after it is built,
// but for its storage level, its dependencies once adapted, and a checkpoint,
// which are set atomically.
type Node struct {
	ID          id.Node
	Name        string // the operation: "map", "reduceByKey"
	Site        string // file:line of the user's call
	Partitions  int
	Barrier     bool
	Determinism Determinism
	// Preferred returns where partition part would best run; nil: anywhere.
	Preferred func(part int) []task.Location

	deps       []Dep
	adapted    atomic.Pointer[[]Dep]
	level      atomic.Uint32
	checkpoint atomic.Pointer[Node]
}

// Dep is an edge of the lineage: *NarrowDep or *ShuffleDep.
type Dep interface {
	// On returns the node depended on.
	On() *Node
}

// NarrowDep is a dependency inside a stage: a partition reads few partitions
// of its parent, in the same task.
type NarrowDep struct {
	Parent *Node
	// Parts returns the parent partitions that partition part reads; nil
	// means partition part itself.
	Parts func(part int) []int
}

// On returns the parent.
func (d *NarrowDep) On() *Node { return d.Parent }

// ShuffleDep cuts a stage: every partition may read every map output.
type ShuffleDep struct {
	Parent   *Node
	Shuffle  id.Shuffle
	Reducers int // partitions on the reading side
	Combine  bool
	Ordered  bool
}

// On returns the parent, the last node of the map stage.
func (d *ShuffleDep) On() *Node { return d.Parent }

// SetDeps sets the dependencies; it is called once, while the node is built.
func (n *Node) SetDeps(deps ...Dep) { n.deps = deps }

// Deps returns the dependencies as they stand: of a checkpointed node, the
// one on its checkpoint; of an adapted one, those it was adapted to. The slice
// must not be changed.
func (n *Node) Deps() []Dep {
	if c := n.checkpoint.Load(); c != nil {
		return []Dep{&NarrowDep{Parent: c}}
	}
	if deps := n.adapted.Load(); deps != nil {
		return *deps
	}
	return n.deps
}

// Adapt replaces the dependencies of a node that no job has computed yet, by
// what is known at run time of the data: the records stay the same, but may
// lie in other partitions.
func (n *Node) Adapt(deps ...Dep) { n.adapted.Store(&deps) }

// SetCheckpoint cuts the lineage: from now on n reads c in place of its
// parents.
func (n *Node) SetCheckpoint(c *Node) { n.checkpoint.Store(c) }

// Checkpointed returns the node that replaced the parents, or nil.
func (n *Node) Checkpointed() *Node { return n.checkpoint.Load() }

// Level returns the node's storage level.
func (n *Node) Level() block.Level { return block.Level(n.level.Load()) }

// SetLevel sets the node's storage level.
func (n *Node) SetLevel(l block.Level) { n.level.Store(uint32(l)) }
