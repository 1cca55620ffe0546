package codec

import (
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"
)

// textForm is the form of keys that a text stands for: first the bytes of
// their numbers, without padding, then their texts, each but the last with its
// length in front. Keys with one text of some bytes so stay below [ShortText].
type textForm struct {
	numbers []piece     // their memory, in order
	fixed   uintptr     // bytes of all numbers
	floats  []floatPart // offset: in the form
	texts   []textPart
}

// piece is a stretch of a key's memory without padding or texts.
type piece struct{ offset, size uintptr }

type textPart struct {
	offset uintptr
	slice  bool // a []byte
}

// textForm returns the form of keys that have none of memory.
func (c *composite) textForm() *textForm {
	f := &textForm{}
	for _, l := range c.leaves {
		if l.kind == reflect.String {
			f.texts = append(f.texts, textPart{l.offset, l.slice})
			continue
		}
		if l.kind == reflect.Float64 {
			f.floats = append(f.floats, floatPart{f.fixed, l.size == 4})
		}
		if n := len(f.numbers); n > 0 && f.numbers[n-1].offset+f.numbers[n-1].size == l.offset {
			f.numbers[n-1].size += l.size
		} else {
			f.numbers = append(f.numbers, piece{l.offset, l.size})
		}
		f.fixed += l.size
	}
	return f
}

// size returns the bytes of the form of the key at p.
func (f *textForm) size(p unsafe.Pointer) int {
	n := int(f.fixed)
	for i, t := range f.texts {
		k := len(textAt(unsafe.Add(p, t.offset), t.slice))
		if n += k; i < len(f.texts)-1 {
			n += uvarintLen(uint64(k))
		}
	}
	return n
}

// put writes the form of the key at p to dst, which is as long as size says.
func (f *textForm) put(dst []byte, p unsafe.Pointer) {
	at := 0
	for _, n := range f.numbers {
		move(dst[at:], rawBytes(unsafe.Add(p, n.offset), n.size))
		at += int(n.size)
	}
	for _, part := range f.floats {
		b := dst[part.offset:]
		if part.single {
			v := canonicalSingle(math.Float32frombits(binary.NativeEndian.Uint32(b)))
			binary.NativeEndian.PutUint32(b, v)
		} else {
			v := canonical(math.Float64frombits(binary.NativeEndian.Uint64(b)))
			binary.NativeEndian.PutUint64(b, v)
		}
	}
	for i, t := range f.texts {
		s := textAt(unsafe.Add(p, t.offset), t.slice)
		if i < len(f.texts)-1 {
			at += binary.PutUvarint(dst[at:], uint64(len(s)))
		}
		at += copy(dst[at:], s)
	}
}

// move copies src to the front of dst: the lengths that numbers have without
// the call that copy is.
func move(dst, src []byte) {
	switch len(src) {
	case 8:
		*(*[8]byte)(dst) = [8]byte(src)
	case 4:
		*(*[4]byte)(dst) = [4]byte(src)
	case 2:
		*(*[2]byte)(dst) = [2]byte(src)
	default:
		copy(dst, src)
	}
}

// restore is the inverse of put; texts become views. Padding is left as it is.
func (f *textForm) restore(p unsafe.Pointer, form string) {
	src := unsafe.Slice(unsafe.StringData(form), len(form))
	for _, n := range f.numbers {
		copy(rawBytes(unsafe.Add(p, n.offset), n.size), src)
		src = src[n.size:]
	}
	for i, t := range f.texts {
		s, rest := src, src[len(src):]
		if i < len(f.texts)-1 {
			var ok bool
			if s, rest, ok = takeText(src); !ok {
				panic("BUG: the form of a key is damaged")
			}
		}
		putTextAt(unsafe.Add(p, t.offset), text(s), t.slice)
		src = rest
	}
}

func (f *textForm) hash(p unsafe.Pointer) uint64 {
	var room [64]byte
	b, n := room[:], f.size(p)
	if n > len(b) {
		b = make([]byte, n)
	}
	f.put(b[:n], p)
	return HashText(text(b[:n]))
}

func (f *textForm) hashes(dst []uint64, keys Column) {
	for i := range dst {
		dst[i] = f.hash(keys.at(i))
	}
}

func (f *textForm) toTexts(dst []string, keys Column, scratch []byte) []byte {
	scratch = scratch[:cap(scratch)]
	at := 0
	for i := 0; i < len(dst); i++ {
		p := keys.at(i)
		end := at + f.size(p)
		if end > len(scratch) { // views must not move: once more, with room for all
			for j := i + 1; j < len(dst); j++ {
				end += f.size(keys.at(j))
			}
			scratch = make([]byte, end+end/4)
			i, at = -1, 0
			continue
		}
		f.put(scratch[at:end], p)
		dst[i] = text(scratch[at:end])
		at = end
	}
	return scratch
}

func (f *textForm) fromTexts(dst Column, texts []string) {
	for i, s := range texts {
		f.restore(dst.at(i), s)
	}
}
