package table

import (
	"bytes"
	"unsafe"
)

// entries is a hash table from keys to states. Entries and keys lie in
// chunks, in the order in which keys came, so that nothing moves when the
// table grows but the index.
type entries[S any] struct {
	chunks [][]entry[S]
	n      int
	keys   [][]byte // chunks
	index  []uint32 // open addressing, at most half full: entry number + 1
}

type entry[S any] struct {
	hash  uint64
	chunk uint32 // of the key
	at    uint32
	len   uint32
	state S
}

const (
	entryChunk = 2048
	keyChunk   = 64 << 10
	indexFirst = 4096
)

// reset empties the table and lets its memory go.
func (t *entries[S]) reset() { *t = entries[S]{index: make([]uint32, indexFirst)} }

// bytes returns what the table holds.
func (t *entries[S]) bytes() int64 {
	keys := 0
	for _, k := range t.keys {
		keys += cap(k)
	}
	return int64(len(t.chunks))*entryChunk*int64(unsafe.Sizeof(entry[S]{})) + int64(keys) + int64(len(t.index))*4
}

func (t *entries[S]) entry(i int) *entry[S] { return &t.chunks[i/entryChunk][i%entryChunk] }

func (t *entries[S]) key(e *entry[S]) []byte { return t.keys[e.chunk][e.at : e.at+e.len] }

// find returns the state of a key, zero for a new one.
func (t *entries[S]) find(hash uint64, key []byte) *S {
	mask := len(t.index) - 1
	at := int(hash) & mask
	for ; t.index[at] != 0; at = (at + 1) & mask {
		if e := t.entry(int(t.index[at] - 1)); e.hash == hash && bytes.Equal(t.key(e), key) {
			return &e.state
		}
	}
	if t.n%entryChunk == 0 && t.n/entryChunk == len(t.chunks) {
		t.chunks = append(t.chunks, make([]entry[S], entryChunk))
	}
	last := len(t.keys) - 1
	if last < 0 || cap(t.keys[last])-len(t.keys[last]) < len(key) {
		t.keys = append(t.keys, make([]byte, 0, max(keyChunk, len(key))))
		last++
	}
	e := t.entry(t.n)
	*e = entry[S]{hash: hash, chunk: uint32(last), at: uint32(len(t.keys[last])), len: uint32(len(key))}
	t.keys[last] = append(t.keys[last], key...)
	t.n++
	t.index[at] = uint32(t.n)
	if 2*t.n > len(t.index) {
		t.reindex(2 * len(t.index))
	}
	return &e.state
}

func (t *entries[S]) reindex(size int) {
	t.index = make([]uint32, size)
	for i := range t.n {
		at := int(t.entry(i).hash) & (size - 1)
		for t.index[at] != 0 {
			at = (at + 1) & (size - 1)
		}
		t.index[at] = uint32(i + 1)
	}
}

func (t *entries[S]) each(f func(*entry[S])) {
	for i := range t.n {
		f(t.entry(i))
	}
}

// keep drops the keys of hashes above to, in place: what stays moves down in
// its order, keys as well as entries, and never past what is still to be
// moved.
func (t *entries[S]) keep(to uint64) {
	n, chunk, used := 0, 0, 0
	for i := range t.n {
		e := *t.entry(i)
		if e.hash > to {
			continue
		}
		key := t.key(&e)
		for cap(t.keys[chunk])-used < len(key) {
			t.keys[chunk] = t.keys[chunk][:used]
			chunk, used = chunk+1, 0
		}
		copy(t.keys[chunk][used:cap(t.keys[chunk])], key)
		e.chunk, e.at = uint32(chunk), uint32(used)
		used += len(key)
		*t.entry(n) = e
		n++
	}
	t.n = n
	if len(t.keys) > 0 {
		t.keys[chunk] = t.keys[chunk][:used]
		clear(t.keys[chunk+1:])
		t.keys = t.keys[:chunk+1]
	}
	whole := (n + entryChunk - 1) / entryChunk
	clear(t.chunks[whole:])
	t.chunks = t.chunks[:whole]
	size := indexFirst
	for size < 2*n {
		size *= 2
	}
	t.reindex(size)
}
