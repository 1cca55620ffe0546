package source

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Fields cuts texts into fields: the longest runs of bytes that are not
// delimiters.
//
// It marks the delimiters of 64 bytes in one word and goes from mark to mark,
// so that the lengths of fields, which nothing foretells, are no branches to
// guess: 5 ns a word of a text instead of 16 with a look at each byte.
type Fields struct {
	table [256]uint8 // 1: a delimiter
	// ranges are the delimiters if they are ASCII in one range of bytes or
	// two; swar says so.
	ranges [2]byteRange
	swar   bool
}

// byteRange is a range of bytes below 0x80, for eight bytes at a time: added
// to one of them, from carries into the top bit if it is at or above the
// range's start, and beyond if it is above its end.
type byteRange struct{ from, beyond uint64 }

const (
	bytes01 = 0x0101010101010101
	bytes80 = 0x8080808080808080
	// gatherBits multiplied with the lowest bits of eight bytes brings them
	// together in the highest byte.
	gatherBits = 0x0102040810204080
)

// FieldsOf returns a cutter at the bytes of s.
func FieldsOf(s string) *Fields {
	f := &Fields{}
	for i := range len(s) {
		f.table[s[i]] = 1
	}
	n := 0
	for c := 0; c < 256; c++ {
		if f.table[c] == 0 {
			continue
		}
		from := c
		for c < 255 && f.table[c+1] == 1 {
			c++
		}
		if n == len(f.ranges) || c >= 0x80 {
			return f
		}
		f.ranges[n] = byteRange{uint64(0x80-from) * bytes01, uint64(0x7f-c) * bytes01}
		n++
	}
	f.swar = true
	return f
}

// view is a string, without the checks of unsafe.String.
type view struct {
	data unsafe.Pointer
	len  int
}

// fieldsRoom is how many fields may end in 64 bytes.
const fieldsRoom = 64/2 + 1

// Append appends the fields of text to dst, as views, until dst has room for
// fewer than 33 more, and returns what follows the last of them: nothing when
// all is done.
func (f *Fields) Append(dst []string, text []byte) (fields []string, rest []byte) {
	out, n := dst[:cap(dst)], len(dst)
	views := unsafe.Slice((*view)(unsafe.Pointer(unsafe.SliceData(out))), len(out))
	p := unsafe.Pointer(unsafe.SliceData(text))
	start := 0 // of the field that has not ended
	for at := 0; at < len(text); at += 64 {
		if len(out)-n < fieldsRoom {
			return out[:n], text[start:]
		}
		var marks uint64
		if left := text[at:]; len(left) >= 64 {
			marks = f.marks((*[64]byte)(left))
		} else {
			var last [64]byte
			copy(last[:], left)
			marks = f.marks(&last) & (1<<len(left) - 1)
		}
		for ; marks != 0; marks &= marks - 1 {
			stop := at + bits.TrailingZeros64(marks)
			views[n] = view{unsafe.Add(p, start), stop - start}
			if stop > start {
				n++
			}
			start = stop + 1
		}
	}
	if start < len(text) {
		views[n] = view{unsafe.Add(p, start), len(text) - start}
		n++
	}
	return out[:n], nil
}

// marks returns a bit for each of 64 bytes that is a delimiter.
func (f *Fields) marks(b *[64]byte) (marks uint64) {
	if !f.swar {
		for i := len(b) - 1; i >= 0; i-- {
			marks = marks<<1 | uint64(f.table[b[i]])
		}
		return marks
	}
	r, s := f.ranges[0], f.ranges[1]
	for i := 0; i < 64; i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		y := x &^ bytes80
		in := (y+r.from)&^(y+r.beyond) | (y+s.from)&^(y+s.beyond)
		marks = marks>>8 | (in&^x&bytes80>>7)*gatherBits&(0xff<<56)
	}
	return marks
}
