package codec

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// ErrCorrupt is the cause of every error of Decode and Decompress: the bytes
// are not what was encoded.
var ErrCorrupt = errors.New("encoded data is damaged")

// Codec encodes batches of T. It is used by several goroutines at once and
// keeps no state between calls.
type Codec[T any] interface {
	// Name tells the form, for messages: "plain", "string", "rows".
	Name() string
	// Fixed returns the encoded bytes of every row, or -1 if they differ.
	Fixed() int
	// Append appends the encoded rows to dst. Rows stand one after another
	// with nothing between, so encoded batches may be concatenated. It keeps
	// neither argument.
	Append(dst []byte, rows []T) []byte
	// Decode reads up to max rows from src, appends them to dst, and returns
	// what it did not read. It reads fewer than max only when src ends.
	// Strings and byte slices in the rows are views into src and live as
	// long as src's bytes do. It returns an error wrapping [ErrCorrupt] when
	// src is not what Append wrote; it never panics and allocates no more
	// than a small multiple of len(src).
	Decode(dst []T, src []byte, max int) (out []T, rest []byte, err error)
}

// Rows is what a codec may offer beyond [Codec] so that single encoded rows
// can be handled without decoding them. The codecs of this package do.
type Rows[T any] interface {
	// Size returns how many bytes Append would append.
	Size(rows []T) int
	// RowLen returns the encoded length of the first row in src, or -1 if
	// src does not hold a whole row.
	RowLen(src []byte) int
}

// custom is a codec registered by the user, in the forms the layouts of
// types that contain T need.
type custom struct {
	codec  any // Codec[T]
	append func(dst []byte, p unsafe.Pointer) []byte
	decode func(p unsafe.Pointer, src []byte) (rest []byte, ok bool)
}

var (
	customs sync.Map // reflect.Type → *custom
	found   sync.Map // reflect.Type → Codec[T]
)

// Register makes c the codec of T, also inside structs and slices. Call it
// while the program starts, before a graph is built: a codec found earlier
// stays. Registering a type twice panics.
func Register[T any](c Codec[T]) {
	t := reflect.TypeFor[T]()
	x := &custom{
		codec: c,
		append: func(dst []byte, p unsafe.Pointer) []byte {
			return c.Append(dst, unsafe.Slice((*T)(p), 1))
		},
		decode: func(p unsafe.Pointer, src []byte) ([]byte, bool) {
			out, rest, err := c.Decode(unsafe.Slice((*T)(p), 1)[:0], src, 1)
			if err != nil || len(out) != 1 || len(rest) > len(src) {
				return nil, false
			}
			if unsafe.Pointer(unsafe.SliceData(out)) != p {
				*(*T)(p) = out[0]
			}
			return rest, true
		},
	}
	if _, twice := customs.LoadOrStore(t, x); twice {
		panic(fmt.Sprintf("codec: a codec of %v is registered already", t))
	}
}

// For returns the codec of T. It uses reflection and is meant for graph
// building; the codec itself does not. The error names the part of T that has
// no binary form.
func For[T any]() (Codec[T], error) {
	t := reflect.TypeFor[T]()
	if c, ok := found.Load(t); ok {
		return c.(Codec[T]), nil
	}
	c, err := build[T](t)
	if err != nil {
		return nil, err
	}
	got, _ := found.LoadOrStore(t, c)
	return got.(Codec[T]), nil
}

func build[T any](t reflect.Type) (Codec[T], error) {
	if x, ok := customs.Load(t); ok {
		return x.(*custom).codec.(Codec[T]), nil
	}
	switch {
	case isPlain(t):
		return plainCodec[T]{}, nil
	case t.Kind() == reflect.String:
		return stringCodec[T]{}, nil
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && !isCustom(t.Elem()):
		return bytesCodec[T]{}, nil
	}
	l, err := layoutOf(t)
	if err != nil {
		return nil, err
	}
	return rowCodec[T]{l}, nil
}

// grow makes room for n more rows behind dst and returns the longer slice;
// the new rows hold what was there before.
func grow[T any](dst []T, n int) []T {
	if cap(dst)-len(dst) < n {
		bigger := make([]T, len(dst), max(len(dst)+n, 2*cap(dst)))
		copy(bigger, dst)
		dst = bigger
	}
	return dst[:len(dst)+n]
}
