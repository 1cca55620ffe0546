package spill

import (
	"errors"
	"io"
	"strings"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// emit hands out the results: from the table, or merged from runs.
func (g *aggregating[K, V, C, S, W]) emit(emit func([]codec.Pair[K, C]) error) error {
	if g.state != adding {
		return errors.New("cannot emit twice or after Close")
	}
	g.state = reading
	if g.spills() == 0 {
		if g.table == nil {
			return nil
		}
		err := g.emitTable(emit)
		if !errors.Is(err, errNoRoom) {
			return err
		}
	}
	g.busy = true
	err := g.spill()
	g.freeTable()
	if err == nil {
		err = g.runs.Sort()
	}
	g.busy = false
	if err != nil {
		return err
	}
	return g.emitMerged(emit)
}

// errNoRoom: there is not even memory to copy a batch of results to.
var errNoRoom = errors.New("no room for a batch")

// emitTable hands out copies, so that the table may be given up meanwhile;
// then it goes on from the run that was written.
func (g *aggregating[K, V, C, S, W]) emitTable(emit func([]codec.Pair[K, C]) error) error {
	g.busy = true
	page, err := g.c.Alloc(textBytes)
	g.busy = false
	if err != nil {
		if errors.Is(err, memory.ErrNoMemory) {
			return errNoRoom
		}
		return err
	}
	k := keeper[W, C]{states: g.statesCodec()}
	pairs := codec.View[codec.Pair[K, C]](page.Data[:len(page.Data)/rowSize[K, C]()*rowSize[K, C]()])
	for g.emitted >= 0 {
		if g.after != nil {
			return g.emitAfter(emit)
		}
		if err := g.env.Check(); err != nil {
			return err
		}
		if g.direct != nil && len(pairs) > 0 {
			var out []codec.Pair[K, C]
			out, g.emitted = g.direct.readPairs(pairs[:0], g.emitted)
			if len(out) > 0 {
				if err := emit(out); err != nil {
					return err
				}
			}
			continue
		}
		if g.emitted, err = g.readRows(g.emitted); err != nil {
			return err
		}
		k.buf = page.Data[:0]
		for i := range g.rows {
			if g.rows[i], err = k.keep(g.rows[i]); err != nil {
				return err
			}
		}
		if len(g.rows) == 0 {
			continue
		}
		if err := emit(g.convert(g.rows)); err != nil {
			return err
		}
	}
	return nil
}

// rowSize returns the bytes of a pair, at least one.
func rowSize[K, C any]() int { return max(int(unsafe.Sizeof(codec.Pair[K, C]{})), 1) }

// statesCodec returns the codec of states that are not plain, else nil.
func (g *aggregating[K, V, C, S, W]) statesCodec() codec.Codec[C] {
	if g.states == nil {
		return nil
	}
	return g.states.codec
}

// convert turns rows into pairs, valid as long as the rows' texts.
func (g *aggregating[K, V, C, S, W]) convert(rows []codec.Pair[W, C]) []codec.Pair[K, C] {
	if len(rows) == 0 {
		return nil
	}
	if cap(g.ws) < len(rows) {
		g.ws = make([]W, max(len(rows), tableBatch))
	}
	out, ws := g.pairs(len(rows)), g.ws[:len(rows)]
	for i := range rows {
		ws[i] = rows[i].Key
		out[i].Value = rows[i].Value
	}
	g.fromW(codec.KeyColumn(out), ws)
	return out
}

// pairs returns the buffer of pairs, n of them.
func (g *aggregating[K, V, C, S, W]) pairs(n int) []codec.Pair[K, C] {
	if cap(g.out) < n {
		g.out = make([]codec.Pair[K, C], max(n, tableBatch))
	}
	return g.out[:n]
}

// giveReading writes what was not yet handed out to a run, in no order.
func (g *aggregating[K, V, C, S, W]) giveReading() error {
	if g.after != nil || g.emitted < 0 {
		return nil
	}
	defer g.env.Timer.Switch(g.env.Timer.Switch(task.PartSpill))
	r, err := g.writeRun(g.emitted)
	if err != nil {
		return err
	}
	g.after = r
	g.runs.written++
	g.env.spilled(r, g.c.Used())
	g.freeTable()
	return nil
}

// emitAfter hands out the run that giveReading wrote.
func (g *aggregating[K, V, C, S, W]) emitAfter(emit func([]codec.Pair[K, C]) error) error {
	reader := &runReader{env: &g.env, run: g.after, c: g.runs.c, page: g.runs.spare}
	if g.after.frameMax > len(g.runs.spare.Data) {
		var err error
		if reader.page, err = g.runs.c.Alloc(g.after.frameMax); err != nil {
			return err
		}
	}
	src := &runSource[codec.Pair[W, C]]{codec: g.runs.store.codec, r: reader}
	for {
		if err := g.env.Check(); err != nil {
			return err
		}
		rows, err := src.next(tableBatch)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = emit(g.convert(rows))
		}
		if err != nil {
			return err
		}
	}
}

// emitMerged merges the states of equal keys, which follow each other. The
// last key of a batch may go on in the next: it is held back.
func (g *aggregating[K, V, C, S, W]) emitMerged(emit func([]codec.Pair[K, C]) error) error {
	var held codec.Pair[W, C]
	holding := false
	k := keeper[W, C]{states: g.statesCodec()} // without a buffer: it keeps one row a batch
	var done []codec.Pair[W, C]
	for {
		rows, err := g.runs.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		done = done[:0]
		if holding {
			done = append(done, held)
		}
		for _, r := range rows {
			if n := len(done); n > 0 && done[n-1].Key == r.Key {
				done[n-1].Value = g.agg.Merge(done[n-1].Value, r.Value)
			} else {
				done = append(done, r)
			}
		}
		last := len(done) - 1
		if last > 0 {
			if err := emit(g.convert(done[:last])); err != nil {
				return err
			}
		}
		if held, err = k.keep(done[last]); err != nil {
			return err
		}
		holding = true
	}
	if !holding {
		return nil
	}
	return emit(g.convert(append(done[:0], held)))
}

// keeper copies rows out of memory that is about to change: texts, and
// states that hold views. What does not fit its buffer goes to the heap.
type keeper[W, C any] struct {
	states codec.Codec[C] // nil: states hold no views
	buf    []byte
	one    []C
}

func (k *keeper[W, C]) keep(r codec.Pair[W, C]) (codec.Pair[W, C], error) {
	if s, ok := any(&r.Key).(*string); ok {
		if at := len(k.buf); at+len(*s) <= cap(k.buf) {
			k.buf = append(k.buf, *s...)
			*s = unsafe.String(unsafe.SliceData(k.buf[at:]), len(k.buf)-at)
		} else {
			*s = strings.Clone(*s)
		}
	}
	if k.states == nil {
		return r, nil
	}
	at := len(k.buf)
	k.one = append(k.one[:0], r.Value)
	encoded := k.states.Append(k.buf[at:], k.one)
	if at+len(encoded) <= cap(k.buf) {
		k.buf = k.buf[:at+len(encoded)]
	}
	out, _, err := k.states.Decode(k.one[:0], encoded, 1)
	if err == nil && len(out) != 1 {
		err = ErrCorrupt
	}
	if err != nil {
		return r, err
	}
	r.Value = out[0]
	return r, nil
}
