package engine

import (
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// Join pairs every value of a key on the left with every value of it on the
// right. Neither side's values of one key need fit memory.
//
// A small side is not worth the other one's shuffle, and how small it is shows
// when it is there:
//
//  1. Before the first job over the join, the side that seems to be smaller is
//     shuffled (join_choice.go).
//  2. If its map outputs are no larger than sql.autoBroadcastJoinThreshold
//     (an eighth of it, unless keys are dense whole numbers) it is held: each
//     executor makes a table of all of it, which its tasks
//     share, and the other side streams past without a shuffle
//     (join_held.go).
//  3. Else the other side is shuffled, too. Each task makes a table of its
//     share of the smaller side, and the other's streams past. Keys of two
//     cached sides that lie close together are dealt to the tasks, not hashed,
//     and the table is an array: see [spill.Deal].
//  4. Where a table does not do, a task sorts both sides by hash, on disk if
//     it must, and merges them.
//
// A table does where keys are words (numbers, booleans, byte arrays of up to
// eight bytes), values hold no pointers, and memory allows. Keys may repeat on
// both sides.
//
// Measured on two cores, rows of 16 bytes in memory, 1e7 × 1e6 sparse keys,
// three rounds in turn (execbench run join --cached=true --partitions 64
// --iterations 5), medians: 0.068 s; a hand-written program for just these
// tables, which shuffles both by radix, takes 0.050, and reading the rows alone
// 0.01. Of the processor's time two fifths go to looking rows up, somewhat less
// to sending them to their tasks, a seventh to the matches and a tenth to making
// the tables.
//
// The partitions of the result are as many as the options say. How the matches
// are spread over them is not promised.
func Join[K, V, W any](left *Dataset[Pair[K, V]], right *Dataset[Pair[K, W]], opts ...Option) *Dataset[Pair[K, Joined[V, W]]] {
	o := options(left.op.s, opts)
	j := &joining[K, V, W]{left: newJoinSide(left, o.partitions), right: newJoinSide(right, o.partitions)}
	d := newWide(left.op.s, "join", []*plan.ShuffleDep{j.left.dep, j.right.dep}, plan.Unordered,
		[]mapWriter{j.left.write, j.right.write}, j.compute)
	j.op = d.op
	d.op.learning = make(chan struct{}, 1)
	d.op.learn = j.choose
	return d
}

// joining is a join.
type joining[K, V, W any] struct {
	op    *operator
	left  *joinSide[K, V]
	right *joinSide[K, W]
	dealt []byte // what deal said, for whoever learns; nil: it was not asked
}

// joinSide is one input of a join.
type joinSide[K, V any] struct {
	*groupSide[K, V]
	data *Dataset[Pair[K, V]]
}

func newJoinSide[K, V any](d *Dataset[Pair[K, V]], reducers int) *joinSide[K, V] {
	s := &joinSide[K, V]{newGroupSide(d, "join", reducers), d}
	if spill.HasTable[K, V](s.key, s.rows) {
		s.write = s.writeForTable
	}
	return s
}

// writeForTable writes the map side and, where the choice depends on it, tells
// of its keys.
func (s *joinSide[K, V]) writeForTable(t *Task, part int) (*task.MapStatus, error) {
	how, deal := learntJoin(t.stage.bin.learnt(t.stage.bin.node), s.dep)
	toReducers := shuffle.ByKeyOrDeal[K, V](s.key, s.dep.Reducers, deal)
	span := spill.NewKeySpan(s.key)
	write := partitioned(s.data, s.dep, s.rows, func(*Task, int) (shuffle.Partitioner[Pair[K, V]], error) {
		if how != undecided {
			return toReducers, nil
		}
		return func(dst []int32, rows []Pair[K, V]) {
			toReducers(dst, rows)
			spill.Look(span, rows)
		}, nil
	})
	status, err := write(t, part)
	if err == nil {
		status.Keys = span.KeySpan
	}
	return status, err
}

// compute pushes the matches of one partition.
func (j *joining[K, V, W]) compute(t *Task, part int, emit func([]Pair[K, Joined[V, W]]) error) error {
	out := newJoinedRows[K, V, W](emit)
	defer out.buf.put()
	how, deal := learntJoin(t.stage.bin.learnt(j.op.node.ID), j.left.dep)
	var l *spill.Grouper[K, V]
	var r *spill.Grouper[K, W]
	defer func() {
		if l != nil {
			l.Close()
		}
		if r != nil {
			r.Close()
		}
	}()
	done, err := false, error(nil)
	switch how {
	case holdLeft:
		done, err = pastHeld(t, part, j.op, j.left, j.right, out.settle, out.foundLeft)
	case holdRight:
		done, err = pastHeld(t, part, j.op, j.right, j.left, out.settle, out.foundRight)
	default:
		var lefts, rights int64
		if lefts, err = t.fetchBytes(j.left.dep, part); err != nil {
			return err
		}
		if rights, err = t.fetchBytes(j.right.dep, part); err != nil {
			return err
		}
		if lefts < rights {
			l, done, err = pastOwn(t, part, deal, j.left, j.right, out.settle, out.foundLeft)
		} else {
			r, done, err = pastOwn(t, part, deal, j.right, j.left, out.settle, out.foundRight)
		}
	}
	if err != nil {
		return err
	}
	if !done {
		if l == nil {
			if l, err = j.left.group(t, part, "join left", how, holdLeft, holdRight); err != nil {
				return err
			}
		}
		if r == nil {
			if r, err = j.right.group(t, part, "join right", how, holdRight, holdLeft); err != nil {
				return err
			}
		}
		if err := merge(t, l, r, out); err != nil {
			return err
		}
	}
	return out.flush()
}

// pastOwn joins by a table of the task's share of the side held, past which
// the other's share streams. done is false where a table does not do; the
// grouper is then what was read of the side held.
func pastOwn[K, H, P any](t *Task, part int, deal *spill.Deal, held *joinSide[K, H], other *joinSide[K, P], settle func() error, found foundFunc[K, H, P]) (g *spill.Grouper[K, H], done bool, err error) {
	if g, err = held.read(t, part, "join held"); err != nil {
		return nil, false, err
	}
	table, err := g.Table(deal, part)
	if table == nil || err != nil {
		return g, false, err
	}
	defer table.Close()
	return g, true, fetchRows(t, other.dep, other.rows, part, past(t, table, settle, found))
}

// foundFunc takes matches: rows of a batch of the side that streams, and rows
// of the side held.
type foundFunc[K, H, P any] func(batch []Pair[K, P], held spill.HeldRows[H], list []spill.Found) error

// past returns what matches the batches of a side against a table; settle is
// called behind each of them.
func past[K, H, P any](t *Task, table *spill.JoinTable[K, H], settle func() error, found foundFunc[K, H, P]) func([]Pair[K, P]) error {
	m := spill.NewMatcher(table)
	return func(pairs []Pair[K, P]) error {
		if err := t.Check(); err != nil {
			return err
		}
		if err := spill.Match(m, pairs, found); err != nil {
			return err
		}
		return settle()
	}
}

// group reads what partition part is to join of the side into a grouper: of a
// side that is shuffled its share, of one that is held all of it, of one that
// streams past a held one its own partitions.
func (s *joinSide[K, V]) group(t *Task, part int, name string, how, held, streams joinChoice) (*spill.Grouper[K, V], error) {
	switch how {
	case held:
		return s.readRange(t, 0, s.dep.Reducers, name)
	case streams:
		g, err := spill.NewGrouper(t.kernelEnv(), name, s.key, s.rows)
		if err == nil {
			if err = s.stream(t, part, g.Add); err != nil {
				g.Close()
			}
		}
		return g, err
	}
	return s.read(t, part, name)
}

// merge joins two sides that are sorted by hash.
func merge[K, V, W any](t *Task, l *spill.Grouper[K, V], r *spill.Grouper[K, W], out *joinedRows[K, V, W]) error {
	return spill.Join(t.kernelEnv(), l, r, func(key K, left []V, right []W) error {
		for i := range left {
			for j := range right {
				if err := out.add(key, left[i], right[j]); err != nil {
					return err
				}
			}
		}
		return out.settle()
	})
}
