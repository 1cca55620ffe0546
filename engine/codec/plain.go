package codec

import (
	"fmt"
	"unsafe"
)

// plainCodec moves rows as they lie in memory. Cost: that of memmove.
type plainCodec[T any] struct{}

func (plainCodec[T]) Name() string { return "plain" }

func (plainCodec[T]) Fixed() int {
	var zero T
	return int(unsafe.Sizeof(zero))
}

func (c plainCodec[T]) Size(rows []T) int { return len(rows) * c.Fixed() }

func (c plainCodec[T]) RowLen(src []byte) int {
	if n := c.Fixed(); len(src) >= n {
		return n
	}
	return -1
}

func (plainCodec[T]) Append(dst []byte, rows []T) []byte { return append(dst, RawBytes(rows)...) }

func (c plainCodec[T]) Decode(dst []T, src []byte, limit int) ([]T, []byte, error) {
	size := c.Fixed()
	n := max(limit, 0)
	if size > 0 {
		n = min(n, len(src)/size)
		if n < limit && len(src) != n*size {
			return dst, src, fmt.Errorf("cannot decode rows of %d bytes: %d bytes left over: %w", size, len(src)-n*size, ErrCorrupt)
		}
	}
	at := len(dst)
	dst = grow(dst, n)
	copy(RawBytes(dst[at:]), src)
	return dst, src[n*size:], nil
}

// RawBytes returns the memory of rows as bytes, without a copy. T must be
// plain: [IsPlain].
func RawBytes[T any](rows []T) []byte {
	var zero T
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(rows))), uintptr(len(rows))*unsafe.Sizeof(zero))
}

// View returns the rows that src holds as a slice over src's own memory: no
// copy, valid as long as src's bytes are. It returns nil when T is not plain
// or empty, when src does not start at an address that T may have, or is not
// a whole number of rows; then Decode must copy.
func View[T any](src []byte) []T {
	var zero T
	size := unsafe.Sizeof(zero)
	if len(src) == 0 || size == 0 || uintptr(len(src))%size != 0 || !IsPlain[T]() {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(src))
	if uintptr(p)%unsafe.Alignof(zero) != 0 {
		return nil
	}
	return unsafe.Slice((*T)(p), uintptr(len(src))/size)
}
