package codec

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// A layout is the list of steps that encode one value: what to copy from
// which offset. Adjacent fixed parts are one step.
type layout struct {
	size  uintptr
	steps []step
}

type step struct {
	kind   stepKind
	offset uintptr
	size   uintptr      // fixed: bytes; slice: bytes of an element
	slice  reflect.Type // list, slice: the slice's type
	elem   *layout      // list: the element's
	custom *custom
}

type stepKind uint8

const (
	stepFixed  stepKind = iota // size bytes as they are
	stepText                   // string: length, bytes
	stepBytes                  // []byte: length, bytes
	stepSlice                  // slice of plain elements: count, bytes
	stepList                   // slice of other elements: count, elements
	stepCustom                 // the user's codec
)

// IsPlain reports whether T holds no pointer, so that its rows may be moved
// as bytes.
func IsPlain[T any]() bool {
	t := reflect.TypeFor[T]()
	if p, ok := plains.Load(t); ok {
		return p.(bool)
	}
	p := isPlain(t)
	plains.Store(t, p)
	return p
}

var plains sync.Map // reflect.Type → bool

func isCustom(t reflect.Type) bool {
	_, ok := customs.Load(t)
	return ok
}

func isPlain(t reflect.Type) bool {
	if isCustom(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return t.Len() == 0 || isPlain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}

// Immutable reports whether T is made of plain parts and strings alone: nothing
// of a T can be written to through a copy of it, so that two with the same
// memory are, and stay, the same.
func Immutable[T any]() bool { return isImmutable(reflect.TypeFor[T]()) }

func isImmutable(t reflect.Type) bool {
	if isCustom(t) {
		return false
	}
	switch t.Kind() {
	case reflect.String:
		return true
	case reflect.Array:
		return isImmutable(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isImmutable(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return isPlain(t)
}

func layoutOf(t reflect.Type) (*layout, error) {
	b := layoutBuilder{root: t}
	return b.layout(t, t.String())
}

type layoutBuilder struct {
	root reflect.Type
	open []reflect.Type // slices being descended into, to find recursion
}

func (b *layoutBuilder) layout(t reflect.Type, path string) (*layout, error) {
	l := &layout{size: t.Size()}
	return l, b.add(l, t, 0, path)
}

func (b *layoutBuilder) add(l *layout, t reflect.Type, offset uintptr, path string) error {
	if x, ok := customs.Load(t); ok {
		l.steps = append(l.steps, step{kind: stepCustom, offset: offset, custom: x.(*custom)})
		return nil
	}
	if isPlain(t) {
		if n := len(l.steps); n > 0 && l.steps[n-1].kind == stepFixed && l.steps[n-1].offset+l.steps[n-1].size == offset {
			l.steps[n-1].size += t.Size()
		} else if t.Size() > 0 {
			l.steps = append(l.steps, step{kind: stepFixed, offset: offset, size: t.Size()})
		}
		return nil
	}
	switch t.Kind() {
	case reflect.String:
		l.steps = append(l.steps, step{kind: stepText, offset: offset})
		return nil
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if err := b.add(l, f.Type, offset+f.Offset, path+"."+f.Name); err != nil {
				return err
			}
		}
		return nil
	case reflect.Array:
		for i := range t.Len() {
			if err := b.add(l, t.Elem(), offset+uintptr(i)*t.Elem().Size(), path+"[i]"); err != nil {
				return err
			}
		}
		return nil
	case reflect.Slice:
		return b.addSlice(l, t, offset, path)
	}
	return fmt.Errorf("%v has no binary form: %s is a %s (use plain types, strings and slices, or register a codec)", b.root, path, t.Kind())
}

func (b *layoutBuilder) addSlice(l *layout, t reflect.Type, offset uintptr, path string) error {
	e := t.Elem()
	switch {
	case isPlain(e) && e.Kind() == reflect.Uint8:
		l.steps = append(l.steps, step{kind: stepBytes, offset: offset})
		return nil
	case isPlain(e):
		l.steps = append(l.steps, step{kind: stepSlice, offset: offset, size: e.Size(), slice: t})
		return nil
	}
	for _, o := range b.open {
		if o == t {
			return fmt.Errorf("%v has no binary form: %s contains itself (register a codec)", b.root, path)
		}
	}
	b.open = append(b.open, t)
	elem, err := b.layout(e, path+"[i]")
	b.open = b.open[:len(b.open)-1]
	if err != nil {
		return err
	}
	l.steps = append(l.steps, step{kind: stepList, offset: offset, slice: t, elem: elem})
	return nil
}

// header is how Go lays out a slice.
type header struct {
	data     unsafe.Pointer
	len, cap int
}

func rawBytes(p unsafe.Pointer, n uintptr) []byte { return unsafe.Slice((*byte)(p), n) }
