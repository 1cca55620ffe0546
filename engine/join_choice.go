package engine

import (
	"fmt"
	"maps"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// joinChoice is how the tasks of a join go about it, as their task binary
// says in one byte, behind which the deal of the keys may stand; none means
// that both sides are shuffled.
type joinChoice byte

const (
	undecided joinChoice = '?'
	holdLeft  joinChoice = 'L'
	holdRight joinChoice = 'R'
	holdNone  joinChoice = '-'
)

// learntJoin decodes what a join learned; deal is nil if keys are hashed.
func learntJoin(data []byte, dep *plan.ShuffleDep) (how joinChoice, deal *spill.Deal) {
	if len(data) == 0 {
		return undecided, nil
	}
	return joinChoice(data[0]), dealOf(data[1:], dep)
}

// choose decides, once, how the join is computed:
//
//  1. A side may be held if its rows may lie in a table, and if the other can
//     be computed where it is: by as many tasks as there are workers, outside
//     of barriers, and with the same records each time.
//  2. Of two such sides the one of fewer bytes is tried: bytes of partitions
//     that are cached, or of the files behind them. Where that is not known,
//     the right one is tried. A side whose cached partitions are too large is
//     not.
//  3. Its map stage runs: that is needed in any case. Its outputs tell how many
//     bytes and which keys it has.
//  4. Where keys are whole numbers close together, the table is an array, and
//     it is held if its outputs have no more bytes than the threshold. Another
//     table is held up to an eighth of that: a look-up in a large one waits
//     for memory that the caches do not have, and costs what shuffling the
//     row would (with 1,000,000 sparse keys 34 to 38 ns of a core for each
//     row, and 28 to 32 shuffled; with dense ones 18 to 20). An eighth is a
//     guess between that size, where it loses, and the caches, where it wins.
//
// Spark decides by estimates, before it runs anything, or, adaptively, when
// both map stages have run (spark-semantics has no SQL; the names are those
// of its spark.sql.autoBroadcastJoinThreshold).
func (j *joining[K, V, W]) choose(l *learning) error {
	s, node := l.s, j.op.node
	if j.dealt == nil {
		// Once: outputs of a map stage that failed, in an earlier try, stay.
		j.dealt = j.deal(s)
	}
	if j.dealt[0] == dealt {
		// For the map stage that tells. It stays if that fails: what a later
		// job finds written must be what it reads, and so it shuffles both.
		s.learn(node.ID, append([]byte{byte(undecided)}, j.dealt...))
	}
	how := holdNone
	limit := s.joinLimit()
	left, right := s.sizeOf(j.left.data.op.node), s.sizeOf(j.right.data.op.node)
	holdsLeft := limit > 0 && holdable(j.left, j.right.data.op.node, s.cores) && left.within(limit)
	holdsRight := limit > 0 && holdable(j.right, j.left.data.op.node, s.cores) && right.within(limit)
	if holdsLeft && holdsRight {
		holdsLeft = left.known && (!right.known || left.bytes < right.bytes)
		holdsRight = !holdsLeft
	}
	dep, stays := j.left.dep, j.right.data.op.node
	if holdsRight {
		dep, stays = j.right.dep, j.left.data.op.node
	}
	if holdsLeft || holdsRight {
		bytes, keys, err := s.mapStage(l, dep)
		if err != nil {
			return fmt.Errorf("cannot choose how to join at %s: %w", node.Site, err)
		}
		dense := holdsLeft && spill.Dense[V](keys) || holdsRight && spill.Dense[W](keys)
		if bytes <= limit/sparseShare || dense && bytes <= limit {
			how = holdLeft
			if holdsRight {
				how = holdRight
			}
			node.Adapt(&plan.NarrowDep{Parent: stays, Parts: func(part int) []int {
				var parts []int
				for p, to := stretchOf(part, node.Partitions, stays.Partitions); p < to; p++ {
					parts = append(parts, p)
				}
				return parts
			}}, dep)
		}
	}
	s.learn(node.ID, append([]byte{byte(how)}, j.dealt...))
	return nil
}

// deal says how the keys are dealt out to the reducers, encoded, where they
// are known to be whole numbers close together: those of the side of fewer
// rows, of which tables are made.
func (j *joining[K, V, W]) deal(s *Session) []byte {
	left, right := j.left.data.op.node, j.right.data.op.node
	if !codec.KeyLeads[Pair[K, V]]() || !codec.KeyLeads[Pair[K, W]]() || !s.cachedWhole(left) || !s.cachedWhole(right) {
		return []byte{hashed}
	}
	span, known := s.nodeKeys(right.ID)
	other, also := s.nodeKeys(left.ID)
	if !known || !also {
		return []byte{hashed}
	}
	if other.Rows < span.Rows {
		span = other
	}
	return encodeDeal(span, j.left.dep)
}

// holdable reports whether a side may be held while the other is computed
// where it is, without a shuffle.
func holdable[K, V any](held *joinSide[K, V], other *plan.Node, cores int) bool {
	return spill.HasTable[K, V](held.key, held.rows) && held.dep.Parent.Partitions > 0 &&
		other.Partitions >= min(held.dep.Reducers, cores) && !other.Barrier && other.Determinism != plan.Indeterminate
}

// joinLimit is the most bytes of map outputs that are made a table. The table
// takes about twice as much, and an attempt that makes it may hold a core's
// share of memory at most; half of that is left to what else it does.
func (s *Session) joinLimit() int64 {
	for g := range s.groups.live() {
		return min(int64(s.set.BroadcastJoin), g.memory.Total()/int64(4*g.slots))
	}
	return 0
}

// sparseShare is the part of the limit that holds for keys that lie far apart.
const sparseShare = 8

// mapStage runs the map stage of a shuffle, as far as its outputs are not
// there, and returns about how many bytes they have, and what is known of
// their keys.
func (s *Session) mapStage(l *learning, dep *plan.ShuffleDep) (bytes int64, keys task.KeySpan, err error) {
	tasks := int64(dep.Parent.Partitions) * taskTable
	if err := s.tables.add(tasks); err != nil {
		return 0, keys, err
	}
	defer s.tables.add(-tasks) // giving back does not fail
	const action = "join side"
	sizes, err := s.driver.RunMapStage(l.ctx, scheduler.JobSpec{
		Final: dep.Parent, Shuffle: dep, Action: action, Site: callSite(),
		Properties: maps.Clone(properties(l.ctx)), Files: s.taskFiles(),
	})
	if err != nil {
		return 0, keys, s.jobError(action, err)
	}
	for _, n := range sizes {
		bytes += n
	}
	statuses, _, err := s.driver.MapOutputs(dep.Shuffle, 0)
	if err != nil {
		return 0, keys, err
	}
	return bytes, spanOf(statuses), nil
}

// spanOf returns the span of the keys of map outputs; it has no rows if one
// of them does not tell.
func spanOf(statuses []*task.MapStatus) (keys task.KeySpan) {
	for _, s := range statuses {
		if s == nil {
			return task.KeySpan{}
		}
		empty := true
		for r := range s.Reducers() {
			empty = empty && s.Size(r) == 0
		}
		if s.Keys.Rows == 0 && !empty {
			return task.KeySpan{}
		}
		keys = keys.Plus(s.Keys)
	}
	return keys
}

// size is how many bytes a dataset has, as far as one can tell.
type size struct {
	bytes int64
	known bool
	exact bool
}

// within reports whether it may turn out to be no more than limit.
func (s size) within(limit int64) bool { return !s.exact || s.bytes <= limit }

// sizeOf tells the size of a dataset without computing it: of cached
// partitions what they hold, of sources the size of their files, of what is
// made of those without a shuffle the same.
func (s *Session) sizeOf(n *plan.Node) size {
	if s.cachedWhole(n) {
		return size{s.nodeBytes(n.ID), true, true}
	}
	sum := size{known: true}
	_ = ancestors(n, func(n *plan.Node) bool { return !s.cachedWhole(n) }, func(n *plan.Node) error {
		op, ok := s.graph.op(n.ID)
		switch {
		case s.cachedWhole(n):
			sum.bytes += s.nodeBytes(n.ID)
		case ok && op.bytes > 0:
			sum.bytes += op.bytes
		case len(n.Deps()) == 0 || shuffles(n):
			sum.known = false
			return errStop
		}
		return nil
	})
	return sum
}

// shuffles reports whether a node reads a shuffle.
func shuffles(n *plan.Node) bool {
	for _, d := range n.Deps() {
		if _, ok := d.(*plan.ShuffleDep); ok {
			return true
		}
	}
	return false
}
