package wordcount

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// A ledger holds the words that an output claims, or those of one hash range
// when they are too many for the memory at hand, each with the count that is
// claimed. Once filled it is only read, so that several tallies can be kept
// against it at once.
type ledger struct {
	words   []byte // one after the other
	entries []entry
	index   []slot // open addressing, at most half full
}

// entry is one word of the ledger.
type entry struct {
	end     int64 // in words; the word begins where the one before ends
	claimed int64
}

// slot is a place of the index. It holds so much of a word that looking up a
// short one touches no other memory: a word is looked up for every few bytes
// of input, mostly in vain for the caches.
type slot struct {
	head   [2]uint64 // the first 16 bytes, zeros behind a shorter word
	length uint32
	entry  int32 // -1: free
}

// entryBytes is what a word takes beside its letters: the entry, its share
// of an index that is at least a quarter full, and a count in each tally.
func entryBytes(tallies int) int64 { return 16 + 4*24 + 8*int64(tallies) }

// key is a word ready for looking up.
type key struct {
	word []byte
	head [2]uint64
	hash uint64
}

// keyOf prepares a word. Where the word's array goes on behind it, reading it
// takes two loads.
func keyOf(word []byte) key {
	n := len(word)
	if n > 16 {
		return key{word, [2]uint64{binary.LittleEndian.Uint64(word), binary.LittleEndian.Uint64(word[8:])}, xxh3.Hash(word)}
	}
	var padded [16]byte
	head := padded[:]
	if cap(word) >= 16 {
		head = word[:16]
	} else {
		copy(head, word)
	}
	a, b := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[8:])
	if n < 8 {
		a, b = a&(1<<(8*n)-1), 0
	} else {
		b &= 1<<(8*(n-8)) - 1
	}
	// Wang Yi's multiply-and-fold, twice.
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db^uint64(n)<<56)
	hi, lo = bits.Mul64(hi^lo^0x8ebc6af09c88c6e3, 0x589965cc75374cc3)
	return key{word, [2]uint64{a, b}, hi ^ lo}
}

// reset empties the ledger and makes room for n words of size bytes
// altogether.
func (l *ledger) reset(n, size int64) {
	places := 16
	for int64(places) < 2*n {
		places *= 2
	}
	l.words, l.entries = room(l.words, int(size)), room(l.entries, int(n))
	l.index = room(l.index, places)[:places]
	l.free()
}

func (l *ledger) free() {
	for i := range l.index {
		l.index[i] = slot{entry: -1}
	}
}

// room returns an empty slice with a capacity of at least n, s if it will do.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	return s[:0]
}

// word returns the word of entry i. It is valid until the next reset.
func (l *ledger) word(i int) []byte {
	start := int64(0)
	if i > 0 {
		start = l.entries[i-1].end
	}
	return l.words[start:l.entries[i].end]
}

// find returns the entry of a word, or -1, and the place where it belongs.
func (l *ledger) find(k key) (i int, place *slot) {
	mask := uint64(len(l.index) - 1)
	for at := k.hash & mask; ; at = (at + 1) & mask {
		s := &l.index[at]
		if s.entry < 0 {
			return -1, s
		}
		if s.head == k.head && int(s.length) == len(k.word) && (s.length <= 16 || bytes.Equal(l.word(int(s.entry)), k.word)) {
			return int(s.entry), s
		}
	}
}

// claim enters a word with its claimed count and reports whether it is new.
func (l *ledger) claim(k key, count int64) bool {
	i, place := l.find(k)
	if i >= 0 {
		return false
	}
	if 2*(len(l.entries)+1) > len(l.index) {
		l.grow()
		_, place = l.find(k)
	}
	*place = slot{k.head, uint32(len(k.word)), int32(len(l.entries))}
	l.words = append(l.words, k.word...)
	l.entries = append(l.entries, entry{int64(len(l.words)), count})
	return true
}

// grow doubles the index: a hash range may hold somewhat more words than its
// share.
func (l *ledger) grow() {
	l.index = make([]slot, 2*len(l.index))
	l.free()
	for i := range l.entries {
		k := keyOf(l.word(i))
		_, place := l.find(k)
		*place = slot{k.head, uint32(len(k.word)), int32(i)}
	}
}

// tally is what one worker counted against a ledger. Tallies of different
// workers share no cache line.
type tally struct {
	found   []int64 // by entry
	words   int64
	missing finding // words that the ledger does not hold
	touched uint32  // of no meaning; it keeps the fetching loop alive
	_       [64]byte
}

// open makes the tally ready for counting against l.
func (t *tally) open(l *ledger) {
	t.found = room(t.found, len(l.entries))[:len(l.entries)]
	clear(t.found)
	t.words, t.missing = 0, finding{}
}

// add counts those of the words, batchWords at most, that lie in hash range
// r. It first touches the places of all in the index: loads that do not
// depend on each other wait for memory at the same time.
func (t *tally) add(l *ledger, words [][]byte, r, ranges uint64) {
	var keys [batchWords]key
	n := 0
	for _, w := range words {
		if k := keyOf(w); rangeOf(k.hash, ranges) == r {
			keys[n] = k
			n++
		}
	}
	mask, touched := uint64(len(l.index)-1), uint32(0)
	for i := range keys[:n] {
		touched += l.index[keys[i].hash&mask].length
	}
	t.words, t.touched = t.words+int64(n), touched
	for i := range keys[:n] {
		if e, _ := l.find(keys[i]); e >= 0 {
			t.found[e]++
		} else {
			t.missing.add(keys[i].word, 1, "")
		}
	}
}
