package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"

	"github.com/execbench/execbench/engine/id"
)

// ErrCorrupt is the cause of every error of a decoder: the bytes are not what
// the encoder wrote. Decoders return it, never panic, and allocate no more
// than a small multiple of the length of what they are given.
var ErrCorrupt = errors.New("message is damaged")

func corrupt(what string, size int, why string) error {
	return fmt.Errorf("cannot decode a %s of %d bytes: %s: %w", what, size, why, ErrCorrupt)
}

// First byte of each kind of message, so that one is never read as another.
const (
	tagDescription byte = 0xD1
	tagStatus      byte = 0x51
	tagResult      byte = 0xE1
	tagFailure     byte = 0xF1
)

const sumBytes = 4 // CRC-32C at the end of a message

// castagnoli has hardware support on the machines we run on, which the IEEE
// polynomial lacks on some: 1 KiB takes about 50 ns.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendSum(dst []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// open checks a message's tag and checksum and returns what lies between.
func open(what string, tag byte, b []byte) ([]byte, error) {
	end := len(b) - sumBytes
	if end < 1 {
		return nil, corrupt(what, len(b), "too short")
	}
	if b[0] != tag {
		return nil, corrupt(what, len(b), "starts like another kind of message")
	}
	if crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return nil, corrupt(what, len(b), "checksum differs")
	}
	return b[1:end], nil
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// wireReader takes a message apart. After the first item that is not there,
// bad is set and everything reads as zero.
type wireReader struct {
	b   []byte
	bad bool
}

func (r *wireReader) fail() {
	r.b, r.bad = nil, true
}

func (r *wireReader) u8() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *wireReader) i32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.LittleEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

func (r *wireReader) i64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

func (r *wireReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *wireReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes returns a view into the message.
func (r *wireReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *wireReader) string() string { return string(r.bytes()) }

// keep returns old if the message says the same, so that decoding into a
// value that is used again costs no allocation for names that seldom change.
func (r *wireReader) keep(old string) string {
	b := r.bytes()
	if old == string(b) {
		return old
	}
	return string(b)
}

// count reads the length of a list whose items take at least size bytes each.
func (r *wireReader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *wireReader) done() bool { return !r.bad && len(r.b) == 0 }

// The bitmap of metrics is one word.
var _ [64 - MetricCount]struct{}

// AppendMetrics appends a bitmap of the figures that are not zero, as a
// uvarint, and then those figures as uvarints, in order.
func AppendMetrics(dst []byte, m *Metrics) []byte {
	var set uint64
	for i, v := range m {
		if v != 0 {
			set |= 1 << i
		}
	}
	dst = binary.AppendUvarint(dst, set)
	for ; set != 0; set &= set - 1 {
		dst = binary.AppendUvarint(dst, uint64(m[bits.TrailingZeros64(set)]))
	}
	return dst
}

func (r *wireReader) metrics(m *Metrics) {
	*m = Metrics{}
	set := r.uvarint()
	if set>>MetricCount != 0 {
		r.fail()
		return
	}
	for ; set != 0; set &= set - 1 {
		m[bits.TrailingZeros64(set)] = int64(r.uvarint())
	}
}

const flagCountFailed = 1 << 0

func appendAccums(dst []byte, accums []AccumUpdate) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(accums)))
	for i := range accums {
		a := &accums[i]
		var flags byte
		if a.CountFailed {
			flags |= flagCountFailed
		}
		dst = binary.AppendUvarint(dst, uint64(a.ID))
		dst = append(dst, flags)
		dst = appendString(dst, a.Name)
		dst = appendBytes(dst, a.Value)
	}
	return dst
}

// accums returns a fresh list whose Values are views into the message.
func (r *wireReader) accums() []AccumUpdate {
	n := r.count(4)
	if n == 0 {
		return nil
	}
	list := make([]AccumUpdate, n)
	for i := range list {
		a := &list[i]
		a.ID = id.Accumulator(r.uvarint())
		a.CountFailed = r.u8()&flagCountFailed != 0
		a.Name = r.string()
		a.Value = r.bytes()
	}
	return list
}
