package engine

import (
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/spill"
)

// Join pairs every value of a key on the left with every value of it on the
// right. Neither side's values of one key need fit memory.
//
// A task holds the smaller side of its share and streams the other by. Where
// keys are numbers, values hold no pointers and memory allows, the side that
// is held becomes a hash table; else both are sorted by hash and merged.
func Join[K, V, W any](left *Dataset[Pair[K, V]], right *Dataset[Pair[K, W]], opts ...Option) *Dataset[Pair[K, Joined[V, W]]] {
	o := options(left.op.s, opts)
	l, r := newGroupSide(left, "join", o.partitions), newGroupSide(right, "join", o.partitions)
	return newWide(left.op.s, "join", []*plan.ShuffleDep{l.dep, r.dep}, plan.Unordered, []mapWriter{l.write, r.write},
		func(t *Task, part int, emit func([]Pair[K, Joined[V, W]]) error) error {
			out := newJoinedRows[K, V, W](emit)
			defer out.buf.put()
			err := joinPart(t, part, l, r, out)
			if err != nil {
				return err
			}
			return out.flush()
		})
}

func joinPart[K, V, W any](t *Task, part int, l *groupSide[K, V], r *groupSide[K, W], out *joinedRows[K, V, W]) error {
	lefts, err := l.size(t, part)
	if err != nil {
		return err
	}
	rights, err := r.size(t, part)
	if err != nil {
		return err
	}
	var lg *spill.Grouper[K, V]
	var rg *spill.Grouper[K, W]
	matched := false
	if lefts < rights {
		lg, matched, err = matchPart(t, part, l, r, out.settle, func(rights []Pair[K, W], list []spill.Found[V]) error {
			return fill(out, list, func(rows []Pair[K, Joined[V, W]], list []spill.Found[V]) {
				for i, f := range list {
					p := &rights[f.At]
					rows[i] = Pair[K, Joined[V, W]]{Key: p.Key, Value: Joined[V, W]{*f.Row, p.Value}}
				}
			})
		})
	} else {
		rg, matched, err = matchPart(t, part, r, l, out.settle, func(lefts []Pair[K, V], list []spill.Found[W]) error {
			return fill(out, list, func(rows []Pair[K, Joined[V, W]], list []spill.Found[W]) {
				for i, f := range list {
					p := &lefts[f.At]
					rows[i] = Pair[K, Joined[V, W]]{Key: p.Key, Value: Joined[V, W]{p.Value, *f.Row}}
				}
			})
		})
	}
	if lg != nil {
		defer lg.Close()
	}
	if rg != nil {
		defer rg.Close()
	}
	if matched || err != nil {
		return err
	}
	if lg == nil {
		if lg, err = l.read(t, part, "join left"); err != nil {
			return err
		}
		defer lg.Close()
	}
	if rg == nil {
		if rg, err = r.read(t, part, "join right"); err != nil {
			return err
		}
		defer rg.Close()
	}
	return spill.Join(t.kernelEnv(), lg, rg, func(key K, left []V, right []W) error {
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

// matchPart joins by a hash table of the side held, past which the other
// streams; settle is called after each batch of that, found with matches. matched is false where
// a table does not do; the grouper is then what was read of the side held.
func matchPart[K, H, P any](t *Task, part int, held *groupSide[K, H], other *groupSide[K, P], settle func() error, found func(batch []Pair[K, P], list []spill.Found[H]) error) (g *spill.Grouper[K, H], matched bool, err error) {
	if g, err = held.read(t, part, "join held"); err != nil {
		return nil, false, err
	}
	m, err := g.Matcher()
	if m == nil || err != nil {
		return g, false, err
	}
	defer m.Close()
	return g, true, fetchRows(t, other.dep, other.rows, part, func(pairs []Pair[K, P]) error {
		if err := t.Check(); err != nil {
			return err
		}
		if err := spill.Match(m, pairs, found); err != nil {
			return err
		}
		return settle()
	})
}

// joinedMax is how many matches are handed on at a time: so few that a batch
// of small ones is still in the first-level cache when it is read.
const joinedMax = 1024

// joinedRows collects matches into batches.
type joinedRows[K, V, W any] struct {
	buf   *batch[Pair[K, Joined[V, W]]]
	emit  func([]Pair[K, Joined[V, W]]) error
	plain bool // the rows hold no views
}

func newJoinedRows[K, V, W any](emit func([]Pair[K, Joined[V, W]]) error) *joinedRows[K, V, W] {
	r := &joinedRows[K, V, W]{buf: takeBatch[Pair[K, Joined[V, W]]](), emit: emit}
	if cap(r.buf.rows) < joinedMax {
		r.buf.rows = make([]Pair[K, Joined[V, W]], 0, joinedMax)
	}
	r.buf.rows = r.buf.rows[:0:joinedMax]
	r.plain = codec.IsPlain[Pair[K, Joined[V, W]]]()
	return r
}

func (r *joinedRows[K, V, W]) add(key K, v V, w W) error {
	r.buf.rows = append(r.buf.rows, Pair[K, Joined[V, W]]{Key: key, Value: Joined[V, W]{v, w}})
	if len(r.buf.rows) < joinedMax {
		return nil
	}
	return r.flush()
}

// fill adds the matches of a list, which put writes into the rows it gets, as
// many as are free at a time.
func fill[K, V, W, H any](r *joinedRows[K, V, W], list []spill.Found[H], put func(rows []Pair[K, Joined[V, W]], list []spill.Found[H])) error {
	for len(list) > 0 {
		from := len(r.buf.rows)
		n := min(len(list), joinedMax-from)
		r.buf.rows = r.buf.rows[:from+n]
		put(r.buf.rows[from:], list[:n])
		list = list[n:]
		if from+n == joinedMax {
			if err := r.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// settle ends the batch where what comes next ends the views in it.
func (r *joinedRows[K, V, W]) settle() error {
	if r.plain {
		return nil
	}
	return r.flush()
}

func (r *joinedRows[K, V, W]) flush() error {
	rows := r.buf.rows
	r.buf.rows = rows[:0]
	if len(rows) == 0 {
		return nil
	}
	return r.emit(rows)
}

// size returns about how many bytes the map outputs hold for a reducer.
func (g *groupSide[K, V]) size(t *Task, part int) (int64, error) {
	statuses, err := t.MapOutputs(g.dep.Shuffle)
	if err != nil {
		return 0, t.failure(fetchFailed(g.dep.Shuffle, part, err))
	}
	n := int64(0)
	for _, s := range statuses {
		n += s.Size(part)
	}
	return n, nil
}
