package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"
)

// memoryForm is the form of keys of at most sixteen bytes without texts: their
// memory, little end first, as one word or two. Padding becomes zero, and equal
// floats the same bits. So a struct of two small numbers costs what a number
// does: a load and a mask.
type memoryForm struct {
	size   uintptr // 0…16; more than 8 are two words
	mask   Two     // what is no padding
	floats []floatPart
}

// floatPart is a float of a key: where it is in the key's memory or form.
type floatPart struct {
	offset uintptr
	single bool // four bytes instead of eight
}

// memory returns the form of t's keys if they have that of their memory.
func (c *composite) memory(t reflect.Type) *memoryForm {
	if !c.fixed || t.Size() > 16 {
		return nil
	}
	m := &memoryForm{size: t.Size()}
	var mask [16]byte
	for _, l := range c.leaves {
		for i := range l.size {
			mask[l.offset+i] = 0xff
		}
		if l.kind == reflect.Float64 {
			if bigEndian || l.offset%8+l.size > 8 {
				return nil // turned around in the words, or across them: on machines that align to four bytes
			}
			m.floats = append(m.floats, floatPart{l.offset, l.size == 4})
		}
	}
	m.mask = Two{binary.LittleEndian.Uint64(mask[:]), binary.LittleEndian.Uint64(mask[8:])}
	return m
}

// memoryKey completes a key with a memory form.
func memoryKey[K any](k Key[K], m *memoryForm) Key[K] {
	if m.size <= 8 {
		k.Hash = func(k K) uint64 { return HashWord(m.load(unsafe.Pointer(&k)).A) }
		k = wordKey(k, m.words, m.fromWords)
	} else {
		k.Hash = func(k K) uint64 {
			w := m.load(unsafe.Pointer(&k))
			return HashWords(w.A, w.B)
		}
		k.Hashes = m.hashes
		k.Binary = Binary[K]{Two: true, Twos: m.twos, FromTwos: m.fromTwos}
	}
	k.Binary.Direct = m.direct()
	return k
}

// direct reports whether the form is the memory as the machine loads it.
func (m *memoryForm) direct() bool {
	full := m.mask.A == math.MaxUint64 && (m.size == 8 || m.size == 16 && m.mask.B == math.MaxUint64)
	return full && m.floats == nil && unalignedViews && !bigEndian
}

// load returns the form of the key at p.
func (m *memoryForm) load(p unsafe.Pointer) Two {
	var w Two
	if m.size <= 8 {
		w.A = loadMemory(p, m.size)
	} else {
		w = Two{loadMemory(p, 8), loadMemory(unsafe.Add(p, 8), m.size-8)}
	}
	w.A &= m.mask.A
	w.B &= m.mask.B
	for _, f := range m.floats {
		if f.offset < 8 {
			w.A = f.settle(w.A, 8*uint(f.offset))
		} else {
			w.B = f.settle(w.B, 8*uint(f.offset-8))
		}
	}
	return w
}

// settle makes the float at a shift in a word the one of its equals.
func (f *floatPart) settle(w uint64, shift uint) uint64 {
	if !f.single {
		return canonical(math.Float64frombits(w))
	}
	v := uint64(canonicalSingle(math.Float32frombits(uint32(w >> shift))))
	return w&^(math.MaxUint32<<shift) | v<<shift
}

// canonicalSingle is canonical for a float32.
func canonicalSingle(v float32) uint32 {
	switch {
	case v == 0:
		return 0
	case v != v:
		return math.Float32bits(float32(math.NaN())) &^ (1 << 31)
	}
	return math.Float32bits(v)
}

// loadMemory returns n bytes at p, at most eight, little end first, by loads
// that may overlap.
func loadMemory(p unsafe.Pointer, n uintptr) uint64 {
	switch {
	case n == 8:
		return loadWord(p)
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(rawBytes(p, 4))) |
			uint64(binary.LittleEndian.Uint32(rawBytes(unsafe.Add(p, n-4), 4)))<<(8*(n-4))
	case n >= 2:
		return uint64(binary.LittleEndian.Uint16(rawBytes(p, 2))) |
			uint64(binary.LittleEndian.Uint16(rawBytes(unsafe.Add(p, n-2), 2)))<<(8*(n-2))
	case n == 1:
		return uint64(*(*byte)(p))
	}
	return 0
}

// loadWord is loadMemory for eight bytes, small enough to be inlined.
func loadWord(p unsafe.Pointer) uint64 { return binary.LittleEndian.Uint64((*[8]byte)(p)[:]) }

// store is the inverse of load.
func (m *memoryForm) store(p unsafe.Pointer, w Two) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], w.A)
	binary.LittleEndian.PutUint64(b[8:], w.B)
	copy(rawBytes(p, m.size), b[:])
}

func (m *memoryForm) words(dst []uint64, keys Column) {
	if m.size == 8 && m.floats == nil {
		mask := m.mask.A
		for i := range dst {
			dst[i] = loadWord(keys.at(i)) & mask
		}
		return
	}
	for i := range dst {
		dst[i] = m.load(keys.at(i)).A
	}
}

func (m *memoryForm) fromWords(dst Column, words []uint64) {
	for i, w := range words {
		m.store(dst.at(i), Two{A: w})
	}
}

func (m *memoryForm) twos(dst []Two, keys Column) {
	if m.size == 16 && m.floats == nil {
		mask := m.mask
		for i := range dst {
			p := keys.at(i)
			dst[i] = Two{loadWord(p) & mask.A, loadWord(unsafe.Add(p, 8)) & mask.B}
		}
		return
	}
	for i := range dst {
		dst[i] = m.load(keys.at(i))
	}
}

func (m *memoryForm) fromTwos(dst Column, twos []Two) {
	for i, w := range twos {
		m.store(dst.at(i), w)
	}
}

func (m *memoryForm) hashes(dst []uint64, keys Column) {
	var twos [256]Two
	for len(dst) > 0 {
		n := min(len(dst), len(twos))
		m.twos(twos[:n], keys)
		for i, w := range twos[:n] {
			dst[i] = HashWords(w.A, w.B)
		}
		if dst = dst[n:]; len(dst) > 0 {
			keys.First = keys.at(n)
		}
	}
}
