package event

import (
	"encoding/binary"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Limits of a file's string table. They are part of the format: a reader
// refuses a table that outgrows them, so a hostile file cannot make it large.
const (
	tableStrings   = 1024 // entries
	tableStringMax = 256  // bytes of one entry; longer strings are written in full each time
)

// codec moves the fields of events between structs and bytes. Each event
// lists its fields once, in form.go, and the codec reads or writes them
// according to its direction, so that the two can never disagree.
//
// State runs from event to event and across blocks: the last time, the last
// attempt of each kind of event, and the table of strings met so far.
type codec struct {
	buf     []byte // writing: appended to; reading: what is left of the event
	reading bool
	bad     bool // reading: the bytes make no sense; everything after is zero
	depth   int  // > 0 inside a list element, where no field may be missing

	last  int64       // the last time coded
	prev  [3]lastTask // by slot: start, getting result, end
	refs  map[string]uint64
	table []string // reading: the strings in order of their definition
}

// lastTask is what the next attempt's identity is told relative to.
type lastTask struct {
	attempt        id.TaskAttempt
	executor, host shared
}

// shared remembers a string and how it was coded, for the common case that
// it repeats.
type shared struct {
	text string
	code uint64
}

// unsigned codes a variable-length unsigned integer.
func (c *codec) unsigned(v *uint64) {
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	*v = 0
	if len(c.buf) == 0 {
		c.bad = c.bad || c.depth > 0
		return
	}
	if c.buf[0] < 0x80 { // the common case
		*v, c.buf = uint64(c.buf[0]), c.buf[1:]
		return
	}
	x, n := binary.Uvarint(c.buf)
	if n <= 0 {
		c.fail()
		return
	}
	*v, c.buf = x, c.buf[n:]
}

func (c *codec) fail() { c.bad, c.buf = true, nil }

// put and get code a value in one direction, for fields that need a branch.
func (c *codec) put(v uint64) {
	if v < 0x80 { // the common case
		c.buf = append(c.buf, byte(v))
		return
	}
	c.buf = binary.AppendUvarint(c.buf, v)
}

func (c *codec) get() (v uint64) {
	c.unsigned(&v)
	return v
}

func zigzag(v int64) uint64   { return uint64(v)<<1 ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// integer is any integer type that a field may have.
type integer interface {
	~int32 | ~int64 | ~uint8
}

// number codes an integer by its distance from what was expected. Values
// that do not fit T are refused.
func number[T integer](c *codec, v *T, expected T) {
	if !c.reading {
		c.put(zigzag(int64(*v) - int64(expected)))
		return
	}
	if len(c.buf) == 0 {
		c.bad = c.bad || c.depth > 0
		*v = 0
		return
	}
	x := int64(expected) + unzigzag(c.get())
	*v = T(x)
	if int64(*v) != x {
		c.fail()
	}
}

// time codes a moment relative to the moment coded before it.
func (c *codec) time(v *int64) {
	number(c, v, c.last)
	c.last = *v
}

// flags codes up to eight bits in one byte.
func (c *codec) flags(bits *uint8) {
	if !c.reading {
		c.buf = append(c.buf, *bits)
		return
	}
	*bits = 0
	if len(c.buf) == 0 {
		c.bad = c.bad || c.depth > 0
		return
	}
	*bits, c.buf = c.buf[0], c.buf[1:]
}

func bit(set bool, n uint) uint8 {
	if set {
		return 1 << n
	}
	return 0
}

// Kinds of string codes: the low two bits of the number before the bytes.
const (
	stringEmpty   = 0 // the whole number is 0
	stringLiteral = 1 // length follows in the upper bits, then the bytes
	stringDefine  = 2 // as literal, and the string joins the table
	stringRef     = 3 // index in the table
)

// text codes a string that rarely repeats.
func (c *codec) text(s *string) {
	if c.reading {
		*s = c.readString()
		return
	}
	c.writeString(*s, false)
}

// name codes a string that is likely to repeat: it joins the table while
// there is room.
func (c *codec) name(s *string) {
	if c.reading {
		*s = c.readString()
		return
	}
	c.writeString(*s, true)
}

// repeated codes a name that nearly always equals the one before it.
func (c *codec) repeated(s *string, same *shared) {
	if c.reading {
		*s = c.readString()
		return
	}
	if same.code != 0 && *s == same.text {
		c.put(same.code)
		return
	}
	code := c.writeString(*s, true)
	*same = shared{*s, code}
}

// writeString appends s and returns the code that refers to it from now on,
// 0 when there is none.
func (c *codec) writeString(s string, join bool) uint64 {
	if s == "" {
		c.put(stringEmpty)
		return 0
	}
	if join && len(s) <= tableStringMax {
		if at, ok := c.refs[s]; ok {
			c.put(at<<2 | stringRef)
			return at<<2 | stringRef
		}
		if len(c.refs) < tableStrings {
			if c.refs == nil {
				c.refs = make(map[string]uint64)
			}
			at := uint64(len(c.refs))
			s = cloned(s) // the caller reuses what s points to
			c.refs[s] = at
			c.put(uint64(len(s))<<2 | stringDefine)
			c.buf = append(c.buf, s...)
			return at<<2 | stringRef
		}
	}
	c.put(uint64(len(s))<<2 | stringLiteral)
	c.buf = append(c.buf, s...)
	return 0
}

func cloned(s string) string { return string([]byte(s)) }

func (c *codec) readString() string {
	v := c.get()
	switch v & 3 {
	case stringEmpty:
		if v != 0 {
			c.fail()
		}
		return ""
	case stringRef:
		if v>>2 >= uint64(len(c.table)) {
			c.fail()
			return ""
		}
		return c.table[v>>2]
	}
	n := v >> 2
	if n > uint64(len(c.buf)) {
		c.fail()
		return ""
	}
	s := string(c.buf[:n])
	c.buf = c.buf[n:]
	if v&3 == stringDefine {
		if len(c.table) >= tableStrings || n > tableStringMax {
			c.fail()
			return ""
		}
		c.table = append(c.table, s)
	}
	return s
}

// bytes codes a byte string; an empty one reads back as nil.
func (c *codec) bytes(b *[]byte) {
	if !c.reading {
		c.put(uint64(len(*b)))
		c.buf = append(c.buf, *b...)
		return
	}
	*b = nil
	n := c.get()
	if n > uint64(len(c.buf)) {
		c.fail()
		return
	}
	if n > 0 {
		*b = append([]byte(nil), c.buf[:n]...)
		c.buf = c.buf[n:]
	}
}

// list codes a slice, element by element; an empty one reads back as nil. An
// element takes at least one byte, and memory grows only as elements are
// read, so a false count costs nothing.
func list[T any](c *codec, s *[]T, element func(*codec, *T)) {
	if !c.reading {
		c.put(uint64(len(*s)))
		for i := range *s {
			element(c, &(*s)[i])
		}
		return
	}
	*s = nil
	n := c.get()
	if n > uint64(len(c.buf)) {
		c.fail()
		return
	}
	c.depth++
	for ; n > 0 && !c.bad; n-- {
		var v T
		element(c, &v)
		*s = append(*s, v)
	}
	c.depth--
}

// pairs codes a map of names, sorted by key so that equal maps give equal
// bytes; an empty one reads back as nil.
func (c *codec) pairs(m *map[string]string) {
	if !c.reading {
		c.put(uint64(len(*m)))
		for _, k := range sortedKeys(*m) {
			c.writeString(k, true)
			c.writeString((*m)[k], true)
		}
		return
	}
	*m = nil
	n := c.get()
	if n > uint64(len(c.buf)) {
		c.fail()
		return
	}
	c.depth++
	for ; n > 0 && !c.bad; n-- {
		k := c.readString()
		v := c.readString()
		if *m == nil {
			*m = make(map[string]string)
		}
		(*m)[k] = v
	}
	c.depth--
}

// metrics codes the figures that are not zero, after a bit set that says
// which they are. Figures that this build does not know are skipped.
func (c *codec) metrics(m *task.Metrics) {
	if !c.reading {
		var set uint64
		for i, v := range m {
			if v != 0 {
				set |= 1 << i
			}
		}
		c.put(set)
		for _, v := range m {
			if v != 0 {
				c.put(zigzag(v))
			}
		}
		return
	}
	*m = task.Metrics{}
	set := c.get()
	for i := 0; set != 0; i, set = i+1, set>>1 {
		if set&1 == 0 {
			continue
		}
		v := unzigzag(c.get())
		if i < len(m) {
			m[i] = v
		}
	}
}
