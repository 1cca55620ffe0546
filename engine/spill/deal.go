package spill

import (
	"encoding/binary"
	"math/bits"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/task"
)

// Deal says how whole numbers that lie close together are dealt out to
// reducers like cards: in rounds, of which each gives every reducer one key.
// Other than a hash it tells, without a search, a key's reducer and its round,
// which is its place in an array of the reducer's keys; and the key of both.
//
// The first reducer of a round is one that a hash of the round chooses, so
// that keys at equal distances do not all go to the same.
type Deal struct {
	least    uint64 // the word of the least key
	keys     uint64 // how many there are from it on
	reducers uint64
	inverse  uint64 // 2⁶⁴ ÷ reducers, rounded up
}

// MaxDealt bounds the reducers of a deal, and dealtMost its keys, so that the
// product with the inverse rounds to the exact quotient (source: Lemire,
// Kaser and Kurz, Faster remainder by direct computation, 2019).
const (
	MaxDealt  = 1 << 24
	dealtMost = 1 << 32
)

// dealRows is how many keys of a deal there may be for each row: an array with
// a place for each of them is then no larger than a hash table of the rows, if
// no two have the same key.
const dealRows = 2

// NewDeal returns the deal of keys of eight bytes, of which span is known, to
// reducers. ok is false where there are too many for the rows there are.
func NewDeal(span task.KeySpan, reducers int) (d Deal, ok bool) {
	keys := uint64(span.Most) - uint64(span.Least) + 1 // right as unsigned however far they are apart; 0: all of 2⁶⁴
	if reducers < 2 || reducers > MaxDealt || span.Rows <= 0 || keys == 0 || keys > dealtMost || keys/dealRows > uint64(span.Rows) {
		return Deal{}, false
	}
	return newDeal(uint64(span.Least), keys, uint64(reducers)), true
}

func newDeal(least, keys, reducers uint64) Deal {
	return Deal{least: least, keys: keys, reducers: reducers, inverse: ^uint64(0)/reducers + 1}
}

// Of returns the reducer of a key. ok is false for a key that is
// not among those dealt.
func (d Deal) Of(word uint64) (reducer int32, ok bool) {
	at := word - d.least
	round, _ := bits.Mul64(at, d.inverse)
	r := at - round*d.reducers + d.first(round)
	if r >= d.reducers {
		r -= d.reducers
	}
	return int32(r), at < d.keys
}

// round returns the round of a key. ok is false for a key that is not among
// those dealt.
func (d Deal) round(word uint64) (round uint64, ok bool) {
	at := word - d.least
	round, _ = bits.Mul64(at, d.inverse)
	return round, at < d.keys
}

// first returns the reducer that a round begins with.
func (d Deal) first(round uint64) uint64 { return round * 0x9e3779b97f4a7c15 >> 32 * d.reducers >> 32 }

// key returns the word of the key that a round gives a reducer. It may be one
// behind the last.
func (d Deal) key(reducer, round uint64) uint64 {
	r := reducer - d.first(round)
	if r >= d.reducers { // below zero
		r += d.reducers
	}
	return d.least + round*d.reducers + r
}

// rounds returns how many rounds there are.
func (d Deal) rounds() int { return int((d.keys + d.reducers - 1) / d.reducers) }

// Append encodes the deal to dst, but for its reducers.
func (d Deal) Append(dst []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, d.least), d.keys)
}

// DecodeDeal decodes a deal to reducers. ok is false of bytes that are none.
func DecodeDeal(src []byte, reducers int) (d Deal, ok bool) {
	least, n := binary.Uvarint(src)
	if n <= 0 {
		return Deal{}, false
	}
	keys, m := binary.Uvarint(src[n:])
	if m <= 0 || n+m != len(src) || reducers < 2 || reducers > MaxDealt || keys == 0 || keys > dealtMost {
		return Deal{}, false
	}
	return newDeal(least, keys, uint64(reducers)), true
}

// SpanOf returns the span of the keys of rows, which are pairs whose key's
// memory is its word: see [codec.KeyLeads].
func SpanOf[T any](rows []T) task.KeySpan {
	if len(rows) == 0 {
		return task.KeySpan{}
	}
	s := task.KeySpan{Rows: int64(len(rows)), Least: codec.Lead(&rows[0]), Most: codec.Lead(&rows[0])}
	for i := range rows {
		k := codec.Lead(&rows[i])
		s.Least, s.Most = min(s.Least, k), max(s.Most, k)
	}
	return s
}
