package task

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/execbench/execbench/engine/id"
)

// MapStatus says where a map task's output is and roughly how much of it is
// for each reducer. It is a map task's result and what the driver keeps of
// it, so it is small: one byte a reducer, or less than a bit and a few bytes
// for the large ones when there are many reducers.
//
// Sizes are lossy (up to 10 % above the truth, an average when highly
// compressed), but a block that is not empty never has size 0: readers skip
// empty blocks. A MapStatus does not change once made.
type MapStatus struct {
	Location Location
	Map      id.Task // the attempt that wrote the output, part of its blocks' names
	// RowSum is a checksum of the rows, whatever their order within a block;
	// 0: none was asked for.
	RowSum int64
	// Keys are of the rows, where whoever wrote them looked.
	Keys KeySpan

	reducers int
	sizes    []byte // [reducers] encoded sizes; nil in the highly compressed form

	// The highly compressed form.
	empty    []uint64 // bitmap of the reducers without data
	average  int64    // of the blocks neither empty nor huge; at least 1
	huge     []int32  // reducers with huge blocks, ascending
	hugeSize []byte   // [len(huge)] encoded sizes
}

// KeySpan is what a map task saw of keys that are whole numbers: how many
// there were, repeats included, and the least and the most of them. With no
// Rows, nobody looked, or there was none.
type KeySpan struct{ Rows, Least, Most int64 }

// Plus returns the span of what is in either.
func (s KeySpan) Plus(o KeySpan) KeySpan {
	switch {
	case s.Rows == 0:
		return o
	case o.Rows == 0:
		return s
	}
	return KeySpan{s.Rows + o.Rows, min(s.Least, o.Least), max(s.Most, o.Most)}
}

const (
	// MapStatusExact is the largest number of reducers whose sizes are kept
	// one by one. Source: spark-semantics §6.4.
	MapStatusExact = 2000
	// MapStatusHuge is the block size from which the highly compressed form
	// keeps a size of its own (spark.shuffle.accurateBlockThreshold).
	MapStatusHuge = 100 << 20
)

// NewMapStatus returns the status of an output whose block for reducer i has
// sizes[i] bytes. It keeps nothing of sizes.
func NewMapStatus(at Location, m id.Task, sizes []int64) *MapStatus {
	s := &MapStatus{Location: at, Map: m, reducers: len(sizes)}
	if len(sizes) <= MapStatusExact {
		s.sizes = make([]byte, len(sizes))
		for i, n := range sizes {
			s.sizes[i] = encodeSize(n)
		}
		return s
	}
	s.empty = make([]uint64, words(len(sizes)))
	var sum, count int64
	for i, n := range sizes {
		switch {
		case n <= 0:
			s.empty[i/64] |= 1 << (i % 64)
		case n >= MapStatusHuge:
			s.huge = append(s.huge, int32(i))
			s.hugeSize = append(s.hugeSize, encodeSize(n))
		default:
			sum += n
			count++
		}
	}
	s.average = max(1, sum/max(1, count))
	return s
}

// Reducers returns the number of reducers that the output is cut for.
func (s *MapStatus) Reducers() int { return s.reducers }

// Size returns about how many bytes the block for reducer has; 0 means
// exactly none.
func (s *MapStatus) Size(reducer int) int64 {
	if s.sizes != nil {
		return decodedSize[s.sizes[reducer]]
	}
	if reducer >= s.reducers {
		panic("task: reducer out of range") // as a slice would
	}
	if s.empty[reducer/64]&(1<<(reducer%64)) != 0 {
		return 0
	}
	if i, ok := slices.BinarySearch(s.huge, int32(reducer)); ok {
		return decodedSize[s.hugeSize[i]]
	}
	return s.average
}

// Fits reports whether the block for reducer may have n bytes, as far as its
// size is kept.
func (s *MapStatus) Fits(reducer int, n int64) bool {
	if s.sizes != nil {
		return s.sizes[reducer] == encodeSize(n)
	}
	if i, ok := slices.BinarySearch(s.huge, int32(reducer)); ok {
		return s.hugeSize[i] == encodeSize(n)
	}
	return n < MapStatusHuge && (n == 0) == (s.Size(reducer) == 0)
}

// AddTo adds the size of each reducer's block to sums, which has one element
// a reducer.
func (s *MapStatus) AddTo(sums []int64) {
	for i := range sums {
		sums[i] += s.Size(i)
	}
}

// encodeSize returns the logarithm base 1.1 of a size, rounded up, so that
// one byte reaches 35 GB with at most 10 % error. Source: spark-semantics
// §6.4, golden vectors in §13.
func encodeSize(n int64) byte {
	switch {
	case n <= 0:
		return 0
	case n == 1:
		return 1
	}
	return byte(min(255, math.Ceil(math.Log(float64(n))/math.Log(1.1))))
}

// decodedSize is 1.1 to the power of the byte, cut to an integer.
var decodedSize = func() (table [256]int64) {
	for i := 1; i < len(table); i++ {
		table[i] = int64(math.Pow(1.1, float64(i)))
	}
	return table
}()

func words(n int) int { return (n + 63) / 64 }

// A map status in bytes:
//
//	tag │ form │ row checksum, if any │ key span, if any │ map │ host │ executor │ reducers │ sizes … │ crc32c (form 0)
//	tag │ form │ row checksum, if any │ key span, if any │ map │ host │ executor │ reducers │ average │
//	     empty bitmap │ huge blocks │ (index, size byte) … │ crc32c                                            (form 1)

const (
	tagMapStatus byte = 0xA1

	formExact  byte = 0
	formHighly byte = 1
	formRowSum byte = 0x80 // added to either: a row checksum of 8 bytes follows
	formKeys   byte = 0x40 // added to either: rows, least and most key follow
)

// AppendMapStatus appends s.
func AppendMapStatus(dst []byte, s *MapStatus) []byte {
	start := len(dst)
	form := formExact
	if s.sizes == nil && s.reducers > 0 {
		form = formHighly
	}
	what := form
	if s.RowSum != 0 {
		what |= formRowSum
	}
	if s.Keys.Rows != 0 {
		what |= formKeys
	}
	dst = append(dst, tagMapStatus, what)
	if s.RowSum != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(s.RowSum))
	}
	if k := s.Keys; k.Rows != 0 {
		dst = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(dst, k.Rows), k.Least), k.Most)
	}
	dst = binary.AppendVarint(dst, int64(s.Map))
	dst = appendString(dst, s.Location.Host)
	dst = appendString(dst, string(s.Location.Executor))
	dst = binary.AppendUvarint(dst, uint64(s.reducers))
	if form == formExact {
		return appendSum(append(dst, s.sizes...), start)
	}
	dst = binary.AppendUvarint(dst, uint64(s.average))
	for _, w := range s.empty {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.huge)))
	for i, r := range s.huge {
		dst = append(binary.AppendUvarint(dst, uint64(r)), s.hugeSize[i])
	}
	return appendSum(dst, start)
}

// DecodeMapStatus decodes b into s, whose former content is lost; s keeps
// nothing of b, and its host and executor are kept from before when they are
// the same. Errors wrap ErrCorrupt and leave s undefined.
func DecodeMapStatus(b []byte, s *MapStatus) error {
	body, err := open("map status", tagMapStatus, b)
	if err != nil {
		return err
	}
	r := wireReader{b: body}
	form, rows := r.u8(), int64(0)
	if form&formRowSum != 0 {
		form &^= formRowSum
		if rows = r.i64(); rows == 0 {
			return corrupt("map status", len(b), "malformed")
		}
	}
	var keys KeySpan
	if form&formKeys != 0 {
		form &^= formKeys
		if keys = (KeySpan{r.varint(), r.varint(), r.varint()}); keys.Rows < 1 || keys.Least > keys.Most {
			return corrupt("map status", len(b), "malformed")
		}
	}
	*s = MapStatus{RowSum: rows, Keys: keys, Map: id.Task(r.varint()), Location: Location{
		Host:     r.keep(s.Location.Host),
		Executor: id.Executor(r.keep(string(s.Location.Executor))),
	}}
	n := r.uvarint()
	switch {
	case r.bad:
	case form == formExact && n == uint64(len(r.b)):
		s.reducers, s.sizes = int(n), slices.Clone(r.b)
		return nil
	case form == formHighly && n/8 <= uint64(len(r.b)):
		s.reducers = int(n)
		if r.highly(s) {
			return nil
		}
	}
	return corrupt("map status", len(b), "malformed")
}

func (r *wireReader) highly(s *MapStatus) bool {
	s.average = int64(r.uvarint())
	if len(r.b) < 8*words(s.reducers) {
		return false
	}
	s.empty = make([]uint64, words(s.reducers))
	for i := range s.empty {
		s.empty[i] = uint64(r.i64())
	}
	if tail := s.reducers % 64; tail != 0 && bits.LeadingZeros64(s.empty[len(s.empty)-1]) < 64-tail {
		return false
	}
	count := r.count(2)
	s.huge, s.hugeSize = make([]int32, count), make([]byte, count)
	last := int64(-1)
	for i := range count {
		at := r.uvarint()
		size := r.u8()
		if at >= uint64(s.reducers) || int64(at) <= last || size == 0 || s.empty[at/64]&(1<<(at%64)) != 0 {
			return false
		}
		last = int64(at)
		s.huge[i], s.hugeSize[i] = int32(at), size
	}
	return r.done() && s.average > 0 && s.reducers > 0
}
