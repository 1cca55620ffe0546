package spill

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// Aggregate says how the values of a key become one. The functions must not
// keep their arguments.
type Aggregate[V, C any] struct {
	First func(V) C    // of a key's first value; nil: Add to Zero
	Zero  C            // where First is nil: then C must be plain
	Add   func(C, V) C // one more value; may be nil if AddAll is not
	// AddAll is Add for a batch, where states are plain and begin with Zero.
	// It takes the place of Add where a state is found without looking for it.
	AddAll func(Folding[V, C])
	Merge  func(C, C) C // two partial results of one key
}

// Reduce is the aggregate of a function that combines two values, which must
// be associative and commutative.
func Reduce[V any](f func(a, b V) V) Aggregate[V, V] {
	return Aggregate[V, V]{First: func(v V) V { return v }, Add: f, Merge: f}
}

// Aggregator aggregates values by key in as much memory as it gets.
//
//  1. Add folds batches into a hash table, a batch's lookups side by side.
//  2. When the memory manager refuses a larger table, the table is written
//     to a run, sorted by hash, which it nearly is already, and emptied.
//  3. Emit hands out the table; or, after spills, writes it out, too, merges
//     all runs and merges the states of equal keys, which follow each other.
//     Keys of one hash are told apart by themselves.
type Aggregator[K, V, C any] struct {
	impl aggregation[K, V, C]
	env  Env
	name string
	key  codec.Key[K]
	agg  Aggregate[V, C]
	rows codec.Codec[codec.Pair[K, V]] // for AddFrame
	err  error                         // why there is none
	buf  []codec.Pair[K, V]
}

// aggregation hides the form of keys and states.
type aggregation[K, V, C any] interface {
	add(pairs []codec.Pair[K, V]) error
	merge(pairs []codec.Pair[K, C]) error
	expected(rows int64)
	emit(emit func([]codec.Pair[K, C]) error) error
	spills() int
	keys() int
	close() error
}

// NewAggregator returns an aggregator. name is its account in memory
// reports. The error says that C, or K as a key, has no binary form.
func NewAggregator[K, V, C any](env Env, name string, key codec.Key[K], a Aggregate[V, C]) (*Aggregator[K, V, C], error) {
	a = addable(a)
	impl, err := newAggregation[K](env, name, key, a, nil)
	if err != nil {
		return nil, err
	}
	g := &Aggregator[K, V, C]{impl: impl, env: env, name: name, key: key, agg: a}
	g.rows, g.err = codec.For[codec.Pair[K, V]]()
	return g, nil
}

func newAggregation[K, V, C any](env Env, name string, key codec.Key[K], a Aggregate[V, C], drain *drain[K, V, C]) (aggregation[K, V, C], error) {
	states, err := codec.For[C]()
	if err != nil {
		return nil, err
	}
	if codec.IsPlain[C]() {
		return newTable[K, V, C, C](env, name, key, a, drain, nil)
	}
	return newTable[K, V, C, uint64](env, name, key, a, drain, &stateArena[V, C]{codec: states, fold: a, immutable: codec.Immutable[C](), one: make([]C, 1)})
}

func newTable[K, V, C, S any](env Env, name string, key codec.Key[K], a Aggregate[V, C], d *drain[K, V, C], states *stateArena[V, C]) (aggregation[K, V, C], error) {
	switch b := &key.Binary; {
	case b.Word:
		return newWordTable[K, V, C, S](env, name, a, d, states, b.Words, b.FromWords, mixWord, b.Direct)
	case b.Two:
		return newWordTable[K, V, C, S](env, name, a, d, states, b.Twos, b.FromTwos, mixTwo, b.Direct)
	}
	t := &textSlots[K, V, C, S]{textTable: textTable[K, S]{texts: key.Binary.Texts, plain: reflect.TypeFor[K]().Kind() == reflect.String, half: d != nil}}
	g, err := newAggregating[K, V, C, S, string](env, name, a, t, &t.folds, key.Binary.FromTexts, codec.HashText, d, states)
	if err != nil {
		return nil, err
	}
	t.arena = &g.arena
	return g, nil
}

func newWordTable[K, V, C, S any, W comparable](env Env, name string, a Aggregate[V, C], d *drain[K, V, C], states *stateArena[V, C],
	words func([]W, codec.Column), fromWords func(codec.Column, []W), mix func(W) uint64, direct bool) (aggregation[K, V, C], error) {
	t := &wordSlots[K, V, C, S, W]{wordTable: wordTable[K, S, W]{words: words, direct: direct}}
	g, err := newAggregating[K, V, C, S, W](env, name, a, t, &t.folds, fromWords, mix, d, states)
	if err == nil && direct {
		g.direct, _ = any(t).(pairReader[K, C]) // not if S is not C
	}
	return g, err
}

// aggregating is an aggregation whose keys have the form W and whose table
// has states S: C itself if it is plain, else the place of the encoded state.
type aggregating[K, V, C, S any, W comparable] struct {
	env    Env
	agg    Aggregate[V, C]
	slots  slots[K, V, C, S, W]
	direct pairReader[K, C] // slots, where its keys and states are read as they are; else nil
	fromW  func(dst codec.Column, ws []W)
	c      *memory.Consumer
	busy   bool
	table  *memory.Page
	arena  bytesArena
	states *stateArena[V, C] // nil: S is C
	rowsIn int64             // since the table was last empty
	expect int64             // rows, as far as is known

	runs  *Sorter[codec.Pair[W, C]] // what was written out
	drain *drain[K, V, C]           // where partial results go instead; nil: to runs

	out     []codec.Pair[K, C]
	part    []codec.Pair[W, S]
	rows    []codec.Pair[W, C]
	ws      []W
	emitted int // slot to go on from; -1 behind the last
	state   sorterState
	after   *Run // what was left of the table when it had to be given up
}

func newAggregating[K, V, C, S any, W comparable](env Env, name string, a Aggregate[V, C], t slots[K, V, C, S, W], f *folds[V, C, S],
	fromW func(codec.Column, []W), hash func(W) uint64, d *drain[K, V, C], states *stateArena[V, C]) (*aggregating[K, V, C, S, W], error) {
	rows, err := codec.For[codec.Pair[W, C]]()
	if err != nil {
		return nil, err
	}
	key, err := codec.KeyOf[W]()
	if err != nil {
		return nil, err
	}
	g := &aggregating[K, V, C, S, W]{env: env.complete(), agg: a, slots: t, fromW: fromW, states: states, drain: d}
	g.c = g.env.Memory.Consumer(name, g.give)
	g.arena = bytesArena{env: &g.env, alloc: g.c.Alloc}
	g.runs = NewSorter(g.env, name, rows, Order[codec.Pair[W, C]]{
		Prefixes: func(dst []uint64, rows []codec.Pair[W, C]) {
			for i := range rows {
				dst[i] = spread(hash(rows[i].Key))
			}
		},
		Compare: func(x, y *codec.Pair[W, C]) int { return key.Compare(x.Key, y.Key) },
	})
	if states == nil { // S is C
		*f = any(folds[V, C, C]{
			fold[V, C]{a.First, a.Zero, a.Add},
			fold[C, C]{first: func(c C) C { return c }, add: a.Merge},
		}).(folds[V, C, S])
	} else { // S is uint64
		states.arena = &g.arena
		*f = any(folds[V, C, uint64]{
			fold[V, uint64]{first: states.first, add: states.add},
			fold[C, uint64]{first: states.store, add: states.merge},
		}).(folds[V, C, S])
	}
	return g, nil
}

// tableFirst is the size of the first table: room for a batch of new keys.
const tableFirst = 64 << 10

// add folds pairs in.
func (g *aggregating[K, V, C, S, W]) add(pairs []codec.Pair[K, V]) error {
	if g.drain != nil && g.drain.bypass > 0 && g.state == adding {
		g.busy = true
		defer func() { g.busy = false }()
		return g.pass(pairs)
	}
	return foldIn(g, pairs, g.slots.add)
}

// merge folds partial results in.
func (g *aggregating[K, V, C, S, W]) merge(pairs []codec.Pair[K, C]) error {
	return foldIn(g, pairs, g.slots.merge)
}

// foldIn has rows folded into the table, in pieces that it has room for.
func foldIn[K, V, C, S any, W comparable, R any](g *aggregating[K, V, C, S, W], rows []R, fold func([]R)) error {
	if g.state != adding {
		return errors.New("cannot add to an aggregator that is being read or closed")
	}
	g.busy = true
	defer func() { g.busy = false }()
	for len(rows) > 0 {
		n := min(len(rows), tableBatch)
		if err := g.ensure(n); err != nil {
			return err
		}
		fold(rows[:n])
		g.rowsIn += int64(n)
		rows = rows[n:]
		if g.states != nil && g.states.err != nil {
			return g.states.err
		}
		if g.arena.over {
			if err := g.empty(); err != nil {
				return err
			}
		}
	}
	return g.env.Check()
}

// ensure makes room for n new keys.
func (g *aggregating[K, V, C, S, W]) ensure(n int) error {
	if g.table != nil && g.slots.room() >= n {
		return nil
	}
	if g.table == nil {
		if g.drain == nil {
			if err := g.runs.book(); err != nil {
				return err
			}
		}
		p, err := g.c.Alloc(tableFirst)
		for size := 2 * tableFirst; err == nil; size *= 2 {
			g.slots.reset(p.Data)
			g.table = p
			if g.slots.room() >= n {
				return nil
			}
			g.c.Free(p) // states so large that a batch takes more
			g.table = nil
			p, err = g.c.Alloc(size)
		}
		return err
	}
	if g.drain != nil && g.drain.full(int64(len(g.table.Data)), g.rowsIn, int64(g.slots.used())) {
		return g.empty()
	}
	size := len(g.table.Data)
	p, err := g.c.Alloc(g.grown(size))
	if errors.Is(err, memory.ErrNoMemory) {
		p, err = g.c.Alloc(2 * size)
	}
	if err == nil && g.drain != nil { // those it drains to must find memory, too
		var probe *memory.Page
		if probe, err = g.c.Alloc(2 * size); err == nil {
			g.c.Free(probe)
		} else {
			g.c.Free(p)
		}
	}
	if err != nil && errors.Is(err, memory.ErrNoMemory) && size >= 4<<20 && g.drain == nil { // a little more puts off the spill
		p, err = g.c.Alloc(size + size/4)
	}
	if err != nil {
		if !errors.Is(err, memory.ErrNoMemory) {
			return err
		}
		if err := g.empty(); err != nil {
			return err
		}
		if g.slots.room() >= n {
			return nil
		}
		return err
	}
	g.slots.moveTo(p.Data)
	g.c.Free(g.table)
	g.table = p
	return nil
}

// grown returns the size of the table that follows one of size bytes, which
// is full: twice as many, or as many as the rows that are expected will take
// if the share of new keys among those that came tells.
func (g *aggregating[K, V, C, S, W]) grown(size int) int {
	keys := int64(g.slots.used())
	all := expectKeys(g.rowsIn, keys, g.expect)
	if all <= keys {
		return 2 * size
	}
	return max(2*size, tableSize(int(min(all/keys+1, growMost)*int64(size))))
}

// growMost bounds how much a table grows at once: a guess from the thousand
// keys of the first table may be wrong by half, and the second table, which
// still fits the caches, has keys enough for a good one.
const growMost = 16

// expectKeys estimates how many keys there will be in total rows, given how
// many there were in the first of them and that keys are equally frequent:
// of d keys, n rows show d·(1−e^(−n/d)). Where they are not, there will be
// more. It is 0 where half of the rows had no new key: then doubling does.
func expectKeys(rows, keys, total int64) int64 {
	if total <= rows || keys < rows/2 {
		return 0
	}
	const certain = 16 // repetitions, of which fewer may be chance
	if rows-keys < certain {
		return total
	}
	shown := func(d, n float64) float64 { return d * -math.Expm1(-n/d) }
	low, high := float64(keys), float64(rows)*float64(rows)
	for range 64 {
		d := math.Sqrt(low * high)
		if shown(d, float64(rows)) < float64(keys) {
			low = d
		} else {
			high = d
		}
	}
	return int64(shown(high, float64(total)))
}

// empty writes the table out and begins anew in the same memory.
func (g *aggregating[K, V, C, S, W]) empty() error {
	var err error
	if g.drain != nil {
		err = g.drainTable()
	} else {
		err = g.spill()
	}
	if err != nil {
		return err
	}
	g.arena.free(g.c)
	g.slots.reset(g.table.Data)
	g.rowsIn = 0
	return nil
}

// spill writes the table to a sorted run.
func (g *aggregating[K, V, C, S, W]) spill() error {
	if g.slots.used() == 0 {
		return nil
	}
	defer g.env.Timer.Switch(g.env.Timer.Switch(task.PartSpill))
	g.slots.arrange()
	r, err := g.writeRun(0)
	if err != nil {
		return err
	}
	g.runs.adopt(r)
	g.env.spilled(r, g.c.Used())
	return nil
}

// writeRun writes the table from slot at on.
func (g *aggregating[K, V, C, S, W]) writeRun(at int) (*Run, error) {
	w, err := newRun(&g.env, g.runs.spare.Data[FrameTarget:FrameTarget+writeSize])
	if err != nil {
		return nil, err
	}
	f := framer[codec.Pair[W, C]]{store: &g.runs.store, w: w, buf: g.runs.spare.Data[:0:FrameTarget]}
	for at >= 0 {
		at, err = g.readRows(at)
		if err == nil {
			err = f.add(g.rows)
		}
		if err != nil {
			w.abort()
			return nil, err
		}
	}
	if err := f.flush(); err != nil {
		w.abort()
		return nil, err
	}
	return w.finish()
}

// readRows fills g.rows from the table, from slot at on. Texts and encoded
// states become views into the table's memory.
func (g *aggregating[K, V, C, S, W]) readRows(at int) (next int, err error) {
	if g.part == nil {
		g.part = make([]codec.Pair[W, S], 0, tableBatch)
	}
	g.part, next = g.slots.read(g.part[:0], at)
	g.rows = g.rows[:0]
	for i := range g.part {
		r := codec.Pair[W, C]{Key: g.part[i].Key}
		if g.states == nil {
			r.Value = *(*C)(unsafe.Pointer(&g.part[i].Value)) // S is C
		} else if r.Value, err = g.states.load(*(*uint64)(unsafe.Pointer(&g.part[i].Value))); err != nil {
			return 0, err
		}
		g.rows = append(g.rows, r)
	}
	return next, nil
}

func (g *aggregating[K, V, C, S, W]) give(int64) (freed int64, err error) {
	if g.busy || g.state == closed || g.table == nil || g.slots.used() == 0 {
		return 0, nil
	}
	g.busy = true
	defer func() { g.busy = false }()
	before := g.c.Used()
	if g.drain != nil {
		return 0, nil // what it drains to may be the one who asks
	}
	if g.state == reading {
		err = g.giveReading()
		return before - g.c.Used(), err
	}
	if err := g.spill(); err != nil {
		return 0, err
	}
	g.freeTable()
	return before - g.c.Used(), nil
}

func (g *aggregating[K, V, C, S, W]) freeTable() {
	g.arena.free(g.c)
	if g.table != nil {
		g.c.Free(g.table)
		g.table = nil
	}
	g.slots.reset(nil)
	g.rowsIn = 0
}

func (g *aggregating[K, V, C, S, W]) spills() int {
	n, _ := g.runs.Runs()
	return n
}

func (g *aggregating[K, V, C, S, W]) keys() int { return g.slots.used() }

func (g *aggregating[K, V, C, S, W]) expected(rows int64) { g.expect = rows }

func (g *aggregating[K, V, C, S, W]) close() error {
	if g.state == closed {
		return nil
	}
	g.state = closed
	err := g.runs.Close()
	if g.after != nil {
		err = errors.Join(err, g.after.close())
	}
	g.c.Close()
	return err
}

// Expect tells about how many rows will be added: the table then grows in
// fewer steps.
func (a *Aggregator[K, V, C]) Expect(rows int64) { a.impl.expected(rows) }

// Merge folds partial results in; it keeps none of them.
func (a *Aggregator[K, V, C]) Merge(pairs []codec.Pair[K, C]) error { return a.impl.merge(pairs) }

// Add folds pairs in; it keeps none of them.
func (a *Aggregator[K, V, C]) Add(pairs []codec.Pair[K, V]) error { return a.impl.add(pairs) }

// AddFrame folds in a frame of encoded pairs.
func (a *Aggregator[K, V, C]) AddFrame(data []byte, rows int) error {
	if a.err != nil {
		return a.err
	}
	for rows > 0 {
		var err error
		a.buf, data, err = a.rows.Decode(a.buf[:0], data, min(rows, chunk))
		if err == nil && len(a.buf) == 0 {
			err = fmt.Errorf("cannot aggregate %d rows: the frame lacks them: %w", rows, ErrCorrupt)
		}
		if err != nil {
			return err
		}
		rows -= len(a.buf)
		if err := a.impl.add(a.buf); err != nil {
			return err
		}
	}
	return nil
}

// Emit ends adding and pushes every key with its result, once, in an order
// that depends on the keys' hashes, or, where keys were dealt out, first those
// in the order of their rounds.
func (a *Aggregator[K, V, C]) Emit(emit func([]codec.Pair[K, C]) error) error {
	return a.impl.emit(emit)
}

// Runs returns how many runs were written.
func (a *Aggregator[K, V, C]) Runs() int { return a.impl.spills() }

// Close frees all memory and files.
func (a *Aggregator[K, V, C]) Close() error { return a.impl.close() }

// stateArena keeps states that are not plain, encoded, in the table's arena:
//
//	capacity u32 │ length u32 │ encoded state
//
// A state that outgrows its capacity moves, and leaves a hole until the
// table is next emptied.
type stateArena[V, C any] struct {
	codec codec.Codec[C]
	fold  Aggregate[V, C]
	arena *bytesArena
	// immutable says that states with the same memory are the same.
	immutable bool
	buf       []byte
	one       []C   // of length 1
	err       error // of decoding what was encoded: the user's codec is wrong
}

func (s *stateArena[V, C]) first(v V) uint64 { return s.store(s.fold.First(v)) }

func (s *stateArena[V, C]) add(ref uint64, v V) uint64 {
	return s.change(ref, func(c C) C { return s.fold.Add(c, v) })
}

func (s *stateArena[V, C]) merge(ref uint64, other C) uint64 {
	return s.change(ref, func(c C) C { return s.fold.Merge(c, other) })
}

func (s *stateArena[V, C]) change(ref uint64, f func(C) C) uint64 {
	c, err := s.load(ref)
	if err != nil {
		s.err = err
		return ref
	}
	changed := f(c)
	if s.immutable && sameMemory(&c, &changed) { // the larger of two, the first: mostly the state stays
		return ref
	}
	s.buf = s.codec.Append(s.buf[:0], append(s.one[:0], changed))
	b := s.arena.at(ref)
	if capacity := int(binary.LittleEndian.Uint32(b)); len(s.buf) <= capacity {
		binary.LittleEndian.PutUint32(b[4:], uint32(len(s.buf)))
		copy(b[8:], s.buf)
		return ref
	}
	return s.write(len(s.buf) / 2)
}

// sameMemory reports whether x and y, which are immutable, have the same bits.
func sameMemory[C any](x, y *C) bool {
	n := unsafe.Sizeof(*x)
	return unsafe.String((*byte)(unsafe.Pointer(x)), n) == unsafe.String((*byte)(unsafe.Pointer(y)), n)
}

func (s *stateArena[V, C]) store(c C) uint64 {
	s.buf = s.codec.Append(s.buf[:0], append(s.one[:0], c))
	return s.write(0)
}

// write puts the encoded state in buf at a new place, with spare bytes to
// grow into.
func (s *stateArena[V, C]) write(spare int) uint64 {
	capacity := len(s.buf) + spare
	b := s.arena.take(8 + capacity)
	binary.LittleEndian.PutUint32(b, uint32(capacity))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(s.buf)))
	copy(b[8:], s.buf)
	return uint64(len(s.arena.data)-1)<<32 | uint64(s.arena.used-len(b))
}

// encoded returns the state's bytes, in place.
func (s *stateArena[V, C]) encoded(ref uint64) []byte {
	b := s.arena.at(ref)
	n := binary.LittleEndian.Uint32(b[4:])
	return b[8 : 8+n : 8+n]
}

// load decodes a state; strings are views into the arena.
func (s *stateArena[V, C]) load(ref uint64) (C, error) {
	var zero C
	out, _, err := s.codec.Decode(s.one[:0], s.encoded(ref), 1)
	if err != nil || len(out) != 1 {
		return zero, fmt.Errorf("cannot decode a partial result with codec %s: %w", s.codec.Name(), errors.Join(err, ErrCorrupt))
	}
	return out[0], nil
}
