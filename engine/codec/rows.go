package codec

import (
	"fmt"
	"reflect"
	"unsafe"
)

// rowCodec encodes structs and slices by the steps of their layout.
type rowCodec[T any] struct{ l *layout }

func (rowCodec[T]) Name() string { return "rows" }
func (rowCodec[T]) Fixed() int   { return -1 }

func (c rowCodec[T]) Size(rows []T) int {
	n := 0
	for i := range rows {
		n += c.l.encodedLen(unsafe.Pointer(&rows[i]))
	}
	return n
}

func (c rowCodec[T]) RowLen(src []byte) int {
	rest, ok := c.l.skip(src)
	if !ok {
		return -1
	}
	return len(src) - len(rest)
}

func (c rowCodec[T]) Append(dst []byte, rows []T) []byte {
	for i := range rows {
		dst = c.l.append(dst, unsafe.Pointer(&rows[i]))
	}
	return dst
}

func (c rowCodec[T]) Decode(dst []T, src []byte, limit int) ([]T, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		var zero T
		dst = append(dst, zero) // decoded in place: a local row would escape
		rest, ok := c.l.decode(unsafe.Pointer(&dst[len(dst)-1]), src)
		if !ok {
			return dst[:len(dst)-1], src, fmt.Errorf("cannot decode a %v in %d bytes: %w", reflect.TypeFor[T](), len(src), ErrCorrupt)
		}
		src = rest
	}
	return dst, src, nil
}

func (l *layout) append(dst []byte, p unsafe.Pointer) []byte {
	for i := range l.steps {
		s := &l.steps[i]
		at := unsafe.Add(p, s.offset)
		switch s.kind {
		case stepFixed:
			dst = append(dst, rawBytes(at, s.size)...)
		case stepText:
			v := *(*string)(at)
			dst = append(appendLen(dst, len(v)), v...)
		case stepBytes:
			v := *(*[]byte)(at)
			dst = append(appendLen(dst, len(v)), v...)
		case stepSlice:
			h := (*header)(at)
			dst = append(appendLen(dst, h.len), rawBytes(h.data, uintptr(h.len)*s.size)...)
		case stepList:
			h := (*header)(at)
			dst = appendLen(dst, h.len)
			for j := range h.len {
				dst = s.elem.append(dst, unsafe.Add(h.data, uintptr(j)*s.elem.size))
			}
		case stepCustom:
			// A custom row has no length of its own that skip could find.
			mark := len(dst)
			dst = append(dst, 0, 0, 0, 0)
			dst = s.custom.append(dst, at)
			putLen32(dst[mark:], len(dst)-mark-4)
		}
	}
	return dst
}

func (l *layout) encodedLen(p unsafe.Pointer) int {
	n := 0
	for i := range l.steps {
		s := &l.steps[i]
		at := unsafe.Add(p, s.offset)
		switch s.kind {
		case stepFixed:
			n += int(s.size)
		case stepText, stepBytes:
			k := *(*int)(unsafe.Add(at, unsafe.Sizeof(uintptr(0)))) // both headers: pointer, length
			n += uvarintLen(uint64(k)) + k
		case stepSlice:
			k := (*header)(at).len
			n += uvarintLen(uint64(k)) + k*int(s.size)
		case stepList:
			h := (*header)(at)
			n += uvarintLen(uint64(h.len))
			for j := range h.len {
				n += s.elem.encodedLen(unsafe.Add(h.data, uintptr(j)*s.elem.size))
			}
		case stepCustom:
			n += 4 + len(s.custom.append(nil, at))
		}
	}
	return n
}

// decode writes the value at p, which must be zero. Pointers into src go
// through typed stores, so that the collector sees them.
func (l *layout) decode(p unsafe.Pointer, src []byte) (rest []byte, ok bool) {
	for i := range l.steps {
		s := &l.steps[i]
		at := unsafe.Add(p, s.offset)
		switch s.kind {
		case stepFixed:
			if uintptr(len(src)) < s.size {
				return nil, false
			}
			copy(rawBytes(at, s.size), src)
			src = src[s.size:]
		case stepText:
			text, rest, ok := takeText(src)
			if !ok {
				return nil, false
			}
			*(*string)(at) = unsafe.String(unsafe.SliceData(text), len(text))
			src = rest
		case stepBytes:
			text, rest, ok := takeText(src)
			if !ok {
				return nil, false
			}
			if len(text) > 0 {
				*(*[]byte)(at) = text
			}
			src = rest
		case stepSlice:
			if src, ok = s.decodeSlice(at, src); !ok {
				return nil, false
			}
		case stepList:
			n, rest, ok := takeLen(src)
			if !ok || n > len(rest) { // an element takes at least a byte
				return nil, false
			}
			src = rest
			if n == 0 {
				continue
			}
			made := reflect.MakeSlice(s.slice, n, n)
			data := made.UnsafePointer()
			for j := range n {
				if src, ok = s.elem.decode(unsafe.Add(data, uintptr(j)*s.elem.size), src); !ok {
					return nil, false
				}
			}
			reflect.NewAt(s.slice, at).Elem().Set(made)
		case stepCustom:
			body, rest, ok := takeBody(src)
			if !ok {
				return nil, false
			}
			if left, ok := s.custom.decode(at, body); !ok || len(left) != 0 {
				return nil, false
			}
			src = rest
		}
	}
	return src, true
}

// decodeSlice makes a slice of plain elements a view into src where the
// machine can read elements at any address, and a copy elsewhere.
func (s *step) decodeSlice(at unsafe.Pointer, src []byte) ([]byte, bool) {
	n, rest, ok := takeLen(src)
	if !ok || s.size > 0 && uintptr(n) > uintptr(len(rest))/s.size {
		return nil, false
	}
	size := uintptr(n) * s.size
	switch {
	case n == 0:
	case s.size > 0 && (unalignedViews || uintptr(unsafe.Pointer(unsafe.SliceData(rest)))%uintptr(s.slice.Elem().Align()) == 0):
		*(*header)(at) = header{unsafe.Pointer(unsafe.SliceData(rest)), n, n}
	default:
		made := reflect.MakeSlice(s.slice, n, n)
		copy(rawBytes(made.UnsafePointer(), size), rest)
		reflect.NewAt(s.slice, at).Elem().Set(made)
	}
	return rest[size:], true
}

// skip returns what follows the first value in src.
func (l *layout) skip(src []byte) (rest []byte, ok bool) {
	for i := range l.steps {
		s := &l.steps[i]
		size := uintptr(1)
		switch s.kind {
		case stepFixed:
			if uintptr(len(src)) < s.size {
				return nil, false
			}
			src = src[s.size:]
			continue
		case stepCustom:
			if _, src, ok = takeBody(src); !ok {
				return nil, false
			}
			continue
		case stepSlice:
			size = s.size
		}
		n, after, ok := takeLen(src)
		if !ok {
			return nil, false
		}
		src = after
		if s.kind == stepList {
			if n > len(src) {
				return nil, false
			}
			for range n {
				if src, ok = s.elem.skip(src); !ok {
					return nil, false
				}
			}
			continue
		}
		if size > 0 && uintptr(n) > uintptr(len(src))/size {
			return nil, false
		}
		src = src[uintptr(n)*size:]
	}
	return src, true
}

func putLen32(b []byte, n int) {
	b[0], b[1], b[2], b[3] = byte(n), byte(n>>8), byte(n>>16), byte(n>>24)
}

// takeBody reads a four-byte length and as many bytes.
func takeBody(src []byte) (body, rest []byte, ok bool) {
	if len(src) < 4 {
		return nil, nil, false
	}
	n := int(src[0]) | int(src[1])<<8 | int(src[2])<<16 | int(src[3])<<24
	if n > len(src)-4 {
		return nil, nil, false
	}
	return src[4 : 4+n : 4+n], src[4+n:], true
}
