package codec

import (
	"cmp"
	"reflect"
	"unsafe"
)

// leaf is one scalar part of a composite key.
type leaf struct {
	kind   reflect.Kind // Int64, Uint64, Float64 or String, whatever the width
	slice  bool         // String: the memory is a []byte
	offset uintptr
	size   uintptr // bytes; 0 for texts
}

// maxLeaves bounds what is compared part by part.
const maxLeaves = 1024

// compositeKey is the key of structs and arrays, part by part.
func compositeKey[K any](t reflect.Type) (Key[K], error) {
	var c composite
	if err := c.add(t, t, 0, t.String()); err != nil {
		return Key[K]{}, err
	}
	c.seal()
	k := Key[K]{
		Exact:   c.fixed && c.width <= 8 && (!c.floats || len(c.leaves) == 1),
		Prefix:  func(k K) uint64 { return c.prefix(unsafe.Pointer(&k)) },
		Compare: func(a, b K) int { return c.compare(unsafe.Pointer(&a), unsafe.Pointer(&b)) },
		Prefixes: func(dst []uint64, keys []K) {
			for i := range keys {
				dst[i] = c.prefix(unsafe.Pointer(&keys[i]))
			}
		},
	}
	if m := c.memory(t); m != nil {
		return memoryKey(k, m), nil
	}
	if c.fixed && !c.floats && c.width == t.Size() {
		return rawKey(k, int(c.width)), nil
	}
	f := c.textForm()
	k.Hash = func(k K) uint64 { return f.hash(unsafe.Pointer(&k)) }
	k.Hashes = f.hashes
	k.Binary = Binary[K]{Texts: f.toTexts, FromTexts: f.fromTexts}
	return k, nil
}

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

type composite struct {
	leaves []leaf
	width  uintptr // bytes of the numbers before the first text
	fixed  bool    // no text
	floats bool
}

func (c *composite) add(root, t reflect.Type, offset uintptr, path string) error {
	l := leaf{offset: offset, size: t.Size()}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		l.kind = reflect.Int64
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr, reflect.Bool:
		l.kind = reflect.Uint64
	case reflect.Float32, reflect.Float64:
		l.kind = reflect.Float64
	case reflect.String:
		l.kind, l.size = reflect.String, 0
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return noOrder(root, path, t.Kind())
		}
		l.kind, l.size, l.slice = reflect.String, 0, true
	case reflect.Array:
		for i := range t.Len() {
			if err := c.add(root, t.Elem(), offset+uintptr(i)*t.Elem().Size(), path+"[i]"); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Name == "_" { // as with ==
				continue
			}
			if err := c.add(root, f.Type, offset+f.Offset, path+"."+f.Name); err != nil {
				return err
			}
		}
		return nil
	default:
		return noOrder(root, path, t.Kind())
	}
	if len(c.leaves) == maxLeaves {
		return noOrder(root, path+", beyond 1024 parts,", t.Kind())
	}
	c.leaves = append(c.leaves, l)
	return nil
}

// seal works out what the leaves amount to.
func (c *composite) seal() {
	c.fixed = true
	for _, l := range c.leaves {
		if l.kind == reflect.String {
			c.fixed = false
			break
		}
		c.width += l.size
		c.floats = c.floats || l.kind == reflect.Float64
	}
}

// load returns a number's canonical bits: sign-extended, zero-extended, or a
// float's.
func (l *leaf) load(p unsafe.Pointer) uint64 {
	at := unsafe.Add(p, l.offset)
	if l.kind == reflect.Float64 {
		if l.size == 4 {
			return canonical(float64(*(*float32)(at)))
		}
		return canonical(*(*float64)(at))
	}
	var v uint64
	switch l.size {
	case 1:
		v = uint64(*(*uint8)(at))
	case 2:
		v = uint64(*(*uint16)(at))
	case 4:
		v = uint64(*(*uint32)(at))
	default:
		return *(*uint64)(at)
	}
	if l.kind == reflect.Int64 {
		shift := 64 - 8*l.size
		v = uint64(int64(v<<shift) >> shift)
	}
	return v
}

func (l *leaf) text(p unsafe.Pointer) string { return textAt(unsafe.Add(p, l.offset), l.slice) }

// ordered maps a number's canonical bits to a word in its order, the
// significant bits at the top.
func (l *leaf) ordered(v uint64) uint64 {
	switch l.kind {
	case reflect.Int64:
		return v<<(64-8*l.size) ^ 1<<63
	case reflect.Float64:
		return orderFloat(v)
	}
	return v << (64 - 8*l.size)
}

func (c *composite) prefix(p unsafe.Pointer) uint64 {
	var out uint64
	used := uintptr(0)
	for i := range c.leaves {
		l := &c.leaves[i]
		if l.kind == reflect.String {
			return out | textPrefix(l.text(p))>>used
		}
		out |= l.ordered(l.load(p)) >> used
		if l.kind == reflect.Float64 {
			return out // a float32 fills the word too, being widened
		}
		if used += 8 * l.size; used >= 64 {
			return out
		}
	}
	return out
}

func (c *composite) compare(a, b unsafe.Pointer) int {
	for i := range c.leaves {
		l := &c.leaves[i]
		var d int
		if l.kind == reflect.String {
			d = cmp.Compare(l.text(a), l.text(b))
		} else {
			d = cmp.Compare(l.ordered(l.load(a)), l.ordered(l.load(b)))
		}
		if d != 0 {
			return d
		}
	}
	return 0
}
