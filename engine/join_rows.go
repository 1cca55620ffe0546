package engine

import (
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/spill"
)

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

// foundLeft adds matches of a batch of the right with rows of the left.
func (r *joinedRows[K, V, W]) foundLeft(batch []Pair[K, W], held spill.HeldRows[V], list []spill.Found) error {
	return r.fill(list, func(rows []Pair[K, Joined[V, W]], list []spill.Found) {
		for i, f := range list {
			p := &batch[f.At]
			rows[i] = Pair[K, Joined[V, W]]{Key: p.Key, Value: Joined[V, W]{*held.At(f.Row), p.Value}}
		}
	})
}

// foundRight adds matches of a batch of the left with rows of the right.
func (r *joinedRows[K, V, W]) foundRight(batch []Pair[K, V], held spill.HeldRows[W], list []spill.Found) error {
	return r.fill(list, func(rows []Pair[K, Joined[V, W]], list []spill.Found) {
		for i, f := range list {
			p := &batch[f.At]
			rows[i] = Pair[K, Joined[V, W]]{Key: p.Key, Value: Joined[V, W]{p.Value, *held.At(f.Row)}}
		}
	})
}

// fill adds the matches of a list, which put writes into the rows it gets, as
// many as are free at a time.
func (r *joinedRows[K, V, W]) fill(list []spill.Found, put func(rows []Pair[K, Joined[V, W]], list []spill.Found)) error {
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
