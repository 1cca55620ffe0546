package spill

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/codec"
)

// Grouper brings the values of each key together in as much memory as it
// gets: it sorts pairs by the hash of their keys, and keys of one hash among
// themselves. The values of a key are a stream, which may exceed memory.
type Grouper[K, V any] struct {
	s     *Sorter[codec.Pair[K, V]]
	key   codec.Key[K]
	keys  codec.Codec[K]
	plain bool // keys hold no views

	batch []codec.Pair[K, V]
	at    int // of the next pair in batch
	end   bool
	group int // number of the present group, to end old Values
	cur   K   // its key, kept
	hash  uint64
	buf   []byte
	one   []K
	vals  []V
}

// groupChunk is how many values of a key are handed out at a time.
const groupChunk = 1024

// NewGrouper returns a grouper. name is its account in memory reports. The
// error says that K alone has no binary form.
func NewGrouper[K, V any](env Env, name string, key codec.Key[K], pairs codec.Codec[codec.Pair[K, V]]) (*Grouper[K, V], error) {
	keys, err := codec.For[K]()
	if err != nil {
		return nil, err
	}
	return &Grouper[K, V]{
		s: NewSorter(env, name, pairs, ByHash[K, V](key)), key: key, keys: keys, plain: codec.IsPlain[K](),
	}, nil
}

// Add copies pairs.
func (g *Grouper[K, V]) Add(pairs []codec.Pair[K, V]) error { return g.s.Add(pairs) }

// AddFrame adds encoded pairs; see [Sorter.AddFrame].
func (g *Grouper[K, V]) AddFrame(data []byte, rows int, pin Pin) error {
	return g.s.AddFrame(data, rows, pin)
}

// Runs returns how many runs were written.
func (g *Grouper[K, V]) Runs() int {
	n, _ := g.s.Runs()
	return n
}

// Groups ends adding and calls each for every key, once, in the order of
// hashes. The key is valid until each returns, and so are the values, of
// which each need not read all.
func (g *Grouper[K, V]) Groups(each func(key K, values *Values[V]) error) error {
	if err := g.s.Sort(); err != nil {
		return err
	}
	for {
		ok, err := g.begin()
		if !ok || err != nil {
			return err
		}
		if err := each(g.cur, g.values()); err != nil {
			return err
		}
	}
}

// Close frees all memory and files.
func (g *Grouper[K, V]) Close() error { return g.s.Close() }

// Values are the values of one key.
type Values[V any] struct {
	next func() ([]V, error)
}

// Next returns at least one more value, valid until the next call, or io.EOF.
func (v *Values[V]) Next() ([]V, error) { return v.next() }

// noValues is the side of a key that has none.
func noValues[V any]() *Values[V] {
	return &Values[V]{func() ([]V, error) { return nil, io.EOF }}
}

func (g *Grouper[K, V]) values() *Values[V] {
	group := g.group
	return &Values[V]{func() ([]V, error) {
		if group != g.group {
			return nil, errors.New("cannot read the values of a key after its turn")
		}
		return g.nextValues()
	}}
}

// load makes sure that there is a next pair, unless all are read.
func (g *Grouper[K, V]) load() (err error) {
	if g.at < len(g.batch) || g.end {
		return nil
	}
	g.at = 0
	if g.batch, err = g.s.Next(); err == io.EOF {
		g.batch, g.end, err = nil, true, nil
	}
	return err
}

// more reports whether the present group has more values.
func (g *Grouper[K, V]) more() (bool, error) {
	if err := g.load(); err != nil || g.end {
		return false, err
	}
	return g.key.Compare(g.batch[g.at].Key, g.cur) == 0, nil
}

// begin skips what is left of the present group and goes to the next.
func (g *Grouper[K, V]) begin() (bool, error) {
	if g.group > 0 {
		for {
			more, err := g.more()
			if err != nil {
				return false, err
			}
			if !more {
				break
			}
			g.at++
		}
	}
	if err := g.load(); err != nil || g.end {
		return false, err
	}
	g.group++
	return true, g.keep(g.batch[g.at].Key)
}

// keep makes a key of its own that outlives the batch.
func (g *Grouper[K, V]) keep(k K) error {
	g.cur = k
	if !g.plain {
		g.one = append(g.one[:0], k)
		g.buf = g.keys.Append(g.buf[:0], g.one)
		out, _, err := g.keys.Decode(g.one[:0], g.buf, 1)
		if err != nil || len(out) != 1 {
			return fmt.Errorf("cannot decode a key with codec %s: %w", g.keys.Name(), errors.Join(err, ErrCorrupt))
		}
		g.cur = out[0]
	}
	g.hash = spread(g.key.Hash(g.cur))
	return nil
}

func (g *Grouper[K, V]) nextValues() ([]V, error) {
	more, err := g.more()
	if err != nil {
		return nil, err
	}
	if !more {
		return nil, io.EOF
	}
	g.vals = g.vals[:0]
	for g.at < len(g.batch) && len(g.vals) < groupChunk {
		p := &g.batch[g.at]
		if len(g.vals) > 0 && g.key.Compare(p.Key, g.cur) != 0 {
			break
		}
		g.vals = append(g.vals, p.Value)
		g.at++
	}
	return g.vals, nil
}

// CoGroup ends adding to both groupers, which must be by the same key, and
// calls each for every key of either, once, in the order of hashes, with the
// values of both sides.
func CoGroup[K, V, W any](left *Grouper[K, V], right *Grouper[K, W], each func(key K, l *Values[V], r *Values[W]) error) error {
	return merged(left, right, func(side int) error {
		switch {
		case side < 0:
			return each(left.cur, left.values(), noValues[W]())
		case side > 0:
			return each(right.cur, noValues[V](), right.values())
		}
		return each(left.cur, left.values(), right.values())
	})
}

// merged walks the groups of both sides in order. side is negative or
// positive where only the left or the right has the key.
func merged[K, V, W any](left *Grouper[K, V], right *Grouper[K, W], each func(side int) error) error {
	if err := left.s.Sort(); err != nil {
		return err
	}
	if err := right.s.Sort(); err != nil {
		return err
	}
	l, err := left.begin()
	if err != nil {
		return err
	}
	r, err := right.begin()
	if err != nil {
		return err
	}
	for l || r {
		side := 0
		switch {
		case !r:
			side = -1
		case !l:
			side = 1
		case left.hash != right.hash:
			side = 1
			if left.hash < right.hash {
				side = -1
			}
		default:
			side = left.key.Compare(left.cur, right.cur)
		}
		if err := each(side); err != nil {
			return err
		}
		if side <= 0 {
			if l, err = left.begin(); err != nil {
				return err
			}
		}
		if side >= 0 {
			if r, err = right.begin(); err != nil {
				return err
			}
		}
	}
	return nil
}
