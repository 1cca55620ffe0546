package spill

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
)

// JoinTable is one side of a join in memory, found by key. Once made it is
// only read, by any number of attempts, each through a [Matcher] of its own.
//
// It has the first of three forms that does:
//
//   - direct: the keys are whole numbers that lie close together, and none has
//     two rows. A row's place is its key less the least one, or, of keys that
//     were dealt out, its key's round; a bit says whether it is there. A
//     look-up reads the bit and the row alone.
//   - unique: no key has two rows. Buckets of four slots, twice as many slots
//     as rows, the row beside its key; from a bucket that is full it goes on in
//     the next. A look-up waits for memory once, and with small rows for one
//     line of it.
//   - grouped: keys repeat. Open addressing from a key to a stretch of rows,
//     in which all of its rows stand side by side, however many they are.
type JoinTable[K, W any] struct {
	c     *memory.Consumer
	pages []*memory.Page
	key   codec.Binary[K]
	whole bool // a whole side, not one reducer's share: see newJoinTable

	keys    tableKeys
	first   uint64   // direct: the word of the least key, unless keys were dealt out
	present []uint64 // direct: a bit a row; nil in other forms
	rows    []W      // direct: by key; grouped: by stretch

	slots []wordSlot[W] // unique; a free slot has the word zero
	zero  []wordSlot[W] // unique: the row of the key zero, if it has one

	groups []wordSlot[stretch] // grouped; a free slot has an empty stretch
}

// tableKeys is what is known of a table's keys.
type tableKeys struct {
	span    task.KeySpan // of all of them; without rows: not known
	deal    *Deal        // how they were dealt out; nil: they are hashed, or this is a whole side
	reducer int          // whose they are
}

// check returns an error for a key of another reducer's. Rows of a batch come
// from one writer, so that one tells for all.
func (k *tableKeys) check(word uint64) error {
	if r, ok := k.deal.Of(word); ok && int(r) != k.reducer {
		return fmt.Errorf("cannot join key %d in reducer %d: it is of reducer %d: %w", int64(word), k.reducer, r, ErrCorrupt)
	}
	return nil
}

// stretch are rows of a grouped table.
type stretch struct{ start, rows uint32 }

// tableSource pushes the rows that a table is to hold, at most tableBatch at
// a time, in the same order each time that it is called.
type tableSource[K, W any] func(each func(rows []codec.Pair[K, W]) error) error

// HasTable reports whether the rows of a side may lie in a JoinTable: keys
// are words, and there are no pointers in them nor in the values.
func HasTable[K, W any](key codec.Key[K], rows codec.Codec[codec.Pair[K, W]]) bool {
	return key.Binary.Word && rows.Fixed() >= 0 && codec.IsPlain[codec.Pair[K, W]]()
}

// tableRowsMax bounds the rows of a table, so that the numbers of their slots
// fit 32 bits.
const tableRowsMax = 1 << 30

// bucket is how many slots of a unique table a look-up compares at once: with
// a value of eight bytes they are a line of the cache. Finding the row of a key
// that is there then costs neither a second miss nor, as it does when slots are
// tried one by one, a wrong guess of the processor every third time. A whole
// join past a table of 32 MiB took 16.9 and 18.8 ns a row with buckets, 18.2
// and 23.1 without (BenchmarkJoin, two interleaved rounds).
const bucket = 4

// newJoinTable makes a table of n rows in memory of c. It is nil if that is
// refused. keys is what is known of the keys. whole says that the
// rows are a whole side, not the share of one reducer: only then does the
// upper half of their hashes tell them apart. If rows come in about the order
// of that half, a table that is filled by it is filled from one end to the
// other, in the cache. A reducer's keys are placed by mixWord, which costs half.
func newJoinTable[K, W any](c *memory.Consumer, key codec.Key[K], n int, whole bool, keys tableKeys, source tableSource[K, W]) (*JoinTable[K, W], error) {
	t := &JoinTable[K, W]{c: c, key: key.Binary, whole: whole, keys: keys}
	b := &tableBuilder[K, W]{JoinTable: t, n: n, source: source, keys: newKeyWords(key.Binary)}
	err := errStray
	switch {
	case keys.deal != nil && n > 0 && directDoes[W](uint64(keys.deal.rounds()), int64(n)):
		err = b.dealt()
	case Dense[W](keys.span):
		err = b.direct(keys.span)
	}
	if err == errStray {
		err = b.unique()
	}
	if err == errRepeats {
		err = b.grouped()
	}
	if err == nil {
		return t, nil
	}
	t.Close()
	if errors.Is(err, memory.ErrNoMemory) {
		err = nil
	}
	return nil, err
}

// These say that a form does not do.
var (
	errRepeats = errors.New("a key has several rows")
	errStray   = errors.New("a key was not dealt out")
)

// Dense reports whether a table of rows with these keys takes the direct
// form, if none repeats: where that takes no more memory than the unique one.
func Dense[W any](keys task.KeySpan) bool {
	span := uint64(keys.Most-keys.Least) + 1 // as unsigned it is right however far they are apart; 0: all of 2⁶⁴
	return keys.Rows > 0 && span != 0 && directDoes[W](span, keys.Rows)
}

// directDoes reports whether the direct form with that many places takes no
// more memory than the unique one.
func directDoes[W any](places uint64, rows int64) bool {
	var slot wordSlot[W]
	return rows < tableRowsMax && places <= tableRowsMax &&
		places*uint64(unsafe.Sizeof(slot.state))+places/8 <= uint64(2*rows)*uint64(unsafe.Sizeof(slot))
}

// tableBuilder tries the forms.
type tableBuilder[K, W any] struct {
	*JoinTable[K, W]
	n      int
	source tableSource[K, W]
	keys   *keyWords[K]
}

// direct makes the direct form.
func (b *tableBuilder[K, W]) direct(keys task.KeySpan) (err error) {
	span := keys.Most - keys.Least + 1
	if b.rows, err = tablePage[W](b.JoinTable, int(span)); err != nil {
		return err
	}
	if b.present, err = tablePage[uint64](b.JoinTable, int(span+63)/64); err != nil {
		return err
	}
	clear(b.present)
	b.first = uint64(keys.Least)
	present, place := b.present, b.rows
	err = b.source(func(rows []codec.Pair[K, W]) error {
		for i, w := range wordsOf(b.keys, rows) {
			d := w - b.first
			if d >= uint64(len(place)) {
				return fmt.Errorf("key %d is not from %d to %d: %w", int64(w), keys.Least, keys.Most, ErrCorrupt)
			}
			bit := uint64(1) << (d & 63)
			if present[d>>6]&bit != 0 {
				return errRepeats
			}
			present[d>>6] |= bit
			place[d] = rows[i].Value
		}
		return nil
	})
	if err == errRepeats {
		b.drop()
	}
	return err
}

// dealt makes the direct form of keys that were dealt out.
func (b *tableBuilder[K, W]) dealt() (err error) {
	deal := *b.JoinTable.keys.deal
	rounds := deal.rounds()
	if b.rows, err = tablePage[W](b.JoinTable, rounds); err != nil {
		return err
	}
	if b.present, err = tablePage[uint64](b.JoinTable, (rounds+63)/64); err != nil {
		return err
	}
	clear(b.present)
	present, place := b.present, b.rows
	err = b.source(func(rows []codec.Pair[K, W]) error {
		words := wordsOf(b.keys, rows)
		if err := b.JoinTable.keys.check(words[0]); err != nil {
			return err
		}
		for i, w := range words {
			round, ok := deal.round(w)
			if !ok {
				return errStray
			}
			bit := uint64(1) << (round & 63)
			if present[round>>6]&bit != 0 {
				return errRepeats
			}
			present[round>>6] |= bit
			place[round] = rows[i].Value
		}
		return nil
	})
	if err == errRepeats || err == errStray {
		b.drop()
	}
	return err
}

// unique makes the unique form. The words of a batch's keys come first, then
// their places, then the rows: nothing of a row waits for another, so that the
// processor waits for several slots at once; and the slots of a bucket in use
// are counted, not tried, which would be a guess. Slots are cleared shortly
// before the first row comes to them, and are in the cache then.
func (b *tableBuilder[K, W]) unique() (err error) {
	buckets := b.n*2/bucket + 1
	if b.slots, err = tablePage[wordSlot[W]](b.JoinTable, (buckets+1)*bucket); err != nil {
		return err
	}
	b.slots, b.zero = b.slots[:buckets*bucket], b.slots[buckets*bucket:][:0]
	slots, cleared := b.slots, 0
	clearTo := func(n int) {
		if n > cleared {
			n = min(n+4<<10, len(slots))
			clear(slots[cleared:n])
			cleared = n
		}
	}
	err = b.source(func(rows []codec.Pair[K, W]) error {
		words := wordsOf(b.keys, rows)
		b.keys.places(words, buckets, b.whole)
		most := uint32(0)
		for _, p := range b.keys.place[:len(words)] {
			most = max(most, p)
		}
		clearTo((int(most) + 1) * bucket)
		for i, w := range words {
			if w == 0 {
				if len(b.zero) > 0 {
					return errRepeats
				}
				b.zero = append(b.zero, wordSlot[W]{0, rows[i].Value})
				continue
			}
			j := int(b.keys.place[i&(tableBatch-1)]) * bucket
			s := (*[bucket]wordSlot[W])(slots[j:])
			if s[0].word == w || s[1].word == w || s[2].word == w || s[3].word == w {
				return errRepeats
			}
			used := isUsed(s[0].word) + isUsed(s[1].word) + isUsed(s[2].word) + isUsed(s[3].word)
			if used < bucket {
				s[used] = wordSlot[W]{w, rows[i].Value}
				continue
			}
			for j += bucket; ; j++ {
				if j == cleared {
					if j == len(slots) {
						j = 0
					} else {
						clearTo(j + 1)
					}
				}
				if slots[j].word == 0 {
					break
				}
				if slots[j].word == w {
					return errRepeats
				}
			}
			slots[j] = wordSlot[W]{w, rows[i].Value}
		}
		return nil
	})
	clearTo(len(slots))
	if err == errRepeats {
		b.drop()
	}
	return err
}

// isUsed is 1 of a slot's word, and 0 of that of a free slot.
func isUsed(word uint64) uint { return uint((word | -word) >> 63) }

// grouped makes the grouped form: it counts the rows of each key, gives each
// its stretch, and fills the stretches from their ends.
func (b *tableBuilder[K, W]) grouped() (err error) {
	if b.rows, err = tablePage[W](b.JoinTable, b.n); err != nil {
		return err
	}
	if b.groups, err = tablePage[wordSlot[stretch]](b.JoinTable, 2*b.n+1); err != nil {
		return err
	}
	clear(b.groups)
	groups := b.groups
	each := func(visit func(g *wordSlot[stretch], row *codec.Pair[K, W])) error {
		return b.source(func(rows []codec.Pair[K, W]) error {
			words := wordsOf(b.keys, rows)
			b.keys.places(words, len(groups), b.whole)
			for i, w := range words {
				j := int(b.keys.place[i&(tableBatch-1)])
				for groups[j].state.rows != 0 && groups[j].word != w {
					if j++; j == len(groups) {
						j = 0
					}
				}
				groups[j].word = w
				visit(&groups[j], &rows[i])
			}
			return nil
		})
	}
	if err := each(func(g *wordSlot[stretch], _ *codec.Pair[K, W]) { g.state.rows++ }); err != nil {
		return err
	}
	end := uint32(0)
	for i := range groups {
		end += groups[i].state.rows
		groups[i].state.start = end
	}
	return each(func(g *wordSlot[stretch], row *codec.Pair[K, W]) {
		g.state.start--
		b.rows[g.state.start] = row.Value
	})
}

// Held returns the rows of the table. They are valid as long as it is.
func (t *JoinTable[K, W]) Held() HeldRows[W] {
	switch {
	case len(t.rows) > 0:
		return HeldRows[W]{unsafe.Pointer(&t.rows[0]), unsafe.Sizeof(t.rows[0])}
	case len(t.slots) > 0:
		return HeldRows[W]{unsafe.Pointer(&t.slots[0].state), unsafe.Sizeof(t.slots[0])}
	}
	return HeldRows[W]{}
}

// tablePage returns n elements of memory whose content is left over.
func tablePage[T, K, W any](t *JoinTable[K, W], n int) ([]T, error) {
	size := int(unsafe.Sizeof(*new(T)))
	p, err := t.c.Alloc(max(n*size, firstPage))
	if err != nil {
		return nil, err
	}
	t.pages = append(t.pages, p)
	if size == 0 {
		return make([]T, n), nil
	}
	return sliceOf[T](p.Data)[:n], nil
}

// drop frees what a form took.
func (t *JoinTable[K, W]) drop() {
	for _, p := range t.pages {
		t.c.Free(p)
	}
	*t = JoinTable[K, W]{c: t.c, key: t.key, whole: t.whole}
}

// Close frees the table, unless its pages were handed over. It is safe to
// call twice.
func (t *JoinTable[K, W]) Close() {
	if t.c != nil {
		t.c.Close()
	}
	*t = JoinTable[K, W]{}
}

// HandOver makes the table's memory the holder's, which frees the pages when
// nobody looks anything up any more.
func (t *JoinTable[K, W]) HandOver(h *memory.Holder) []*memory.Page {
	h.Adopt(t.c, t.pages...)
	t.c.Close()
	pages := t.pages
	t.c, t.pages = nil, nil
	return pages
}

// keyWords turns the keys of a batch into words, and those into places.
type keyWords[K any] struct {
	key   codec.Binary[K]
	words [tableBatch]uint64
	place [tableBatch]uint32
}

func newKeyWords[K any](key codec.Binary[K]) *keyWords[K] {
	return &keyWords[K]{key: key}
}

// wordsOf returns the words of the keys of rows, of which there are at most
// tableBatch, valid until the next call.
func wordsOf[K, V any](k *keyWords[K], rows []codec.Pair[K, V]) []uint64 {
	words := k.words[:len(rows)]
	if k.key.Direct {
		for i := range words {
			words[i] = *(*uint64)(unsafe.Pointer(&rows[i].Key))
		}
		return words
	}
	if len(rows) > 0 {
		k.key.Words(words, codec.KeyColumn(rows))
	}
	return words
}

// places finds where words belong in a table of n slots.
func (k *keyWords[K]) places(words []uint64, n int, whole bool) {
	if whole {
		for i, w := range words {
			k.place[i&(tableBatch-1)] = uint32(place(codec.HashWord(w)>>32, n))
		}
		return
	}
	for i, w := range words {
		k.place[i&(tableBatch-1)] = uint32(place(mixWord(w), n))
	}
}

// KeySpan looks at the keys of rows, which are words that stand for whole
// numbers, on their way to somebody who may make a table of them.
type KeySpan[K any] struct {
	task.KeySpan
	words *keyWords[K]
}

// NewKeySpan returns a KeySpan that has seen nothing.
func NewKeySpan[K any](key codec.Key[K]) *KeySpan[K] {
	return &KeySpan[K]{words: newKeyWords(key.Binary)}
}

// Look adds the keys of rows.
func Look[K, V any](s *KeySpan[K], rows []codec.Pair[K, V]) {
	for len(rows) > 0 {
		n := min(len(rows), tableBatch)
		words := wordsOf(s.words, rows[:n])
		more := task.KeySpan{Rows: int64(n), Least: int64(words[0]), Most: int64(words[0])}
		for _, w := range words[1:] {
			more.Least, more.Most = min(more.Least, int64(w)), max(more.Most, int64(w))
		}
		s.KeySpan = s.Plus(more)
		rows = rows[n:]
	}
}

// TableBuilder gathers the frames of a whole side for a JoinTable.
type TableBuilder[K, W any] struct {
	env    Env
	key    codec.Key[K]
	span   task.KeySpan
	c      *memory.Consumer
	frames []tableFrame[K, W]
	rows   int
}

// tableFrame is a frame of plain rows: where it was, or copied.
type tableFrame[K, W any] struct {
	rows  []codec.Pair[K, W]
	pin   Pin    // nil: copied
	first uint64 // hash of the first key, whose upper half tells the reducer
}

// NewTableBuilder returns a builder of a table for which HasTable holds; name
// is its account in memory reports, and span is of all keys, if it is known.
func NewTableBuilder[K, W any](env Env, name string, key codec.Key[K], span task.KeySpan) *TableBuilder[K, W] {
	env = env.complete()
	return &TableBuilder[K, W]{env: env, key: key, span: span, c: env.Memory.Consumer(name, nil)}
}

// AddFrame adds the encoded rows in data, which stay pinned until Close.
func (b *TableBuilder[K, W]) AddFrame(data []byte, rows int, pin Pin) error {
	f := tableFrame[K, W]{rows: codec.View[codec.Pair[K, W]](data), pin: pin}
	if f.rows == nil { // not where a row may lie
		p, err := b.c.Alloc(max(len(data), firstPage))
		if err != nil {
			return err
		}
		f = tableFrame[K, W]{rows: codec.View[codec.Pair[K, W]](p.Data[:copy(p.Data, data)])}
	} else {
		pin.Retain()
	}
	if len(f.rows) > 0 {
		f.first = b.key.Hash(f.rows[0].Key)
	}
	b.frames = append(b.frames, f)
	b.rows += len(f.rows)
	if len(f.rows) != rows {
		return fmt.Errorf("cannot add %d rows: the frame holds %d: %w", rows, len(f.rows), ErrCorrupt)
	}
	return nil
}

// Table makes the table of what was added. It is nil where memory is refused
// or there are too many rows. The frames of one reducer follow each other then:
// they fill one part of the table, which stays in the cache meanwhile.
func (b *TableBuilder[K, W]) Table() (*JoinTable[K, W], error) {
	if int64(b.rows) >= tableRowsMax {
		return nil, nil
	}
	slices.SortFunc(b.frames, func(x, y tableFrame[K, W]) int { return cmp.Compare(x.first, y.first) })
	t, err := newJoinTable(b.c, b.key, b.rows, true, tableKeys{span: b.span}, b.each)
	if t != nil {
		b.c = nil
	}
	return t, err
}

func (b *TableBuilder[K, W]) each(each func(rows []codec.Pair[K, W]) error) error {
	for _, f := range b.frames {
		if err := b.env.Check(); err != nil {
			return err
		}
		for rows := f.rows; len(rows) > 0; {
			n := min(len(rows), tableBatch)
			if err := each(rows[:n]); err != nil {
				return err
			}
			rows = rows[n:]
		}
	}
	return nil
}

// Close lets go of the frames; a table stays. It is safe to call twice.
func (b *TableBuilder[K, W]) Close() {
	for _, f := range b.frames {
		if f.pin != nil {
			f.pin.Release()
		}
	}
	b.frames = nil
	if b.c != nil {
		b.c.Close()
		b.c = nil
	}
}
