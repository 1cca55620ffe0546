package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unsafe"
)

// stringCodec is the codec of types whose kind is string: uvarint length,
// then the bytes.
type stringCodec[T any] struct{}

func (stringCodec[T]) Name() string { return "string" }
func (stringCodec[T]) Fixed() int   { return -1 }

// asStrings sees rows, whose kind is string, as strings.
func asStrings[T any](rows []T) []string {
	return unsafe.Slice((*string)(unsafe.Pointer(unsafe.SliceData(rows))), len(rows))
}

func (stringCodec[T]) Size(rows []T) int {
	n := 0
	for _, s := range asStrings(rows) {
		n += uvarintLen(uint64(len(s))) + len(s)
	}
	return n
}

func (stringCodec[T]) RowLen(src []byte) int { return textLen(src) }

func (stringCodec[T]) Append(dst []byte, rows []T) []byte {
	for _, s := range asStrings(rows) {
		dst = append(appendLen(dst, len(s)), s...)
	}
	return dst
}

func (stringCodec[T]) Decode(dst []T, src []byte, limit int) ([]T, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		text, rest, ok := takeText(src)
		if !ok {
			return dst, src, corruptText(len(src))
		}
		s := unsafe.String(unsafe.SliceData(text), len(text))
		dst = append(dst, *(*T)(unsafe.Pointer(&s)))
		src = rest
	}
	return dst, src, nil
}

// bytesCodec is the codec of types whose kind is []byte. An empty slice
// comes back nil.
type bytesCodec[T any] struct{}

func (bytesCodec[T]) Name() string { return "bytes" }
func (bytesCodec[T]) Fixed() int   { return -1 }

func asByteSlices[T any](rows []T) [][]byte {
	return unsafe.Slice((*[]byte)(unsafe.Pointer(unsafe.SliceData(rows))), len(rows))
}

func (bytesCodec[T]) Size(rows []T) int {
	n := 0
	for _, b := range asByteSlices(rows) {
		n += uvarintLen(uint64(len(b))) + len(b)
	}
	return n
}

func (bytesCodec[T]) RowLen(src []byte) int { return textLen(src) }

func (bytesCodec[T]) Append(dst []byte, rows []T) []byte {
	for _, b := range asByteSlices(rows) {
		dst = append(appendLen(dst, len(b)), b...)
	}
	return dst
}

func (bytesCodec[T]) Decode(dst []T, src []byte, limit int) ([]T, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		text, rest, ok := takeText(src)
		if !ok {
			return dst, src, corruptText(len(src))
		}
		if len(text) == 0 {
			text = nil
		}
		dst = append(dst, *(*T)(unsafe.Pointer(&text)))
		src = rest
	}
	return dst, src, nil
}

// appendLen appends n as a uvarint; nearly all lengths take one byte.
func appendLen(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, uint64(n))
}

// takeLen reads a length that what follows it must cover.
func takeLen(src []byte) (n int, rest []byte, ok bool) {
	if len(src) > 0 && src[0] < 0x80 {
		return int(src[0]), src[1:], true
	}
	v, k := binary.Uvarint(src)
	if k <= 0 || v > uint64(maxLen) {
		return 0, nil, false
	}
	return int(v), src[k:], true
}

const maxLen = int(^uint(0) >> 1)

// takeText reads a length and as many bytes. The capacity of text ends with
// it, so that appending to it cannot overwrite what follows.
func takeText(src []byte) (text, rest []byte, ok bool) {
	n, rest, ok := takeLen(src)
	if !ok || n > len(rest) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:], true
}

func textLen(src []byte) int {
	n, rest, ok := takeLen(src)
	if !ok || n > len(rest) {
		return -1
	}
	return len(src) - len(rest) + n
}

func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func corruptText(n int) error {
	return fmt.Errorf("cannot decode a length and its bytes in %d bytes: %w", n, ErrCorrupt)
}
