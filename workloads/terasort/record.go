package terasort

import "encoding/binary"

// recordSize and keySize are the sort benchmark's: ten bytes of key, ninety
// of payload.
const (
	recordSize = 100
	keySize    = 10
)

// Record is one record of the sort benchmark.
type Record [recordSize]byte

// Key is the part of a record that it is sorted by, compared as bytes.
type Key [keySize]byte

// Key returns the record's key.
func (r *Record) Key() Key { return Key(r[:keySize]) }

// tail is the mask of one ten-byte part of a binary record's payload.
type tail struct {
	hi uint64
	lo uint16
}

// tails are the masks of payload parts 1 to 9, part of the format since
// gensort 1.3: part i of record n is the top ten bytes of random number n+i,
// xored with mask i, so that the payload has no pattern for compression to
// find.
var tails = [9]tail{
	{0xf0e8e4e2e1d8d4d2, 0xd1cc},
	{0xcac9c6c5c3b8b4b2, 0xb1ac},
	{0xaaa9a6a5a39c9a99, 0x9695},
	{0x938e8d8b87787472, 0x716c},
	{0x6a696665635c5a59, 0x5655},
	{0x534e4d4b473c3a39, 0x3635},
	{0x332e2d2b271e1d1b, 0x170f},
	{0xc8c4c2c198949291, 0x8ce0},
	{0x170f332e2d2b271e, 0x1d1b},
}

// putBinary fills dst, whose length is a multiple of the record size, with
// the binary records from number first on.
//
// A random number is used ten times: as the key of its own record, and as a
// part of the nine records before. So it walks over numbers, not records,
// and writes each number's ten places.
func putBinary(dst []byte, first u128) {
	n := len(dst) / recordSize
	x := numberOf(first)
	for i := range n + len(tails) {
		hi, lo := x.hi, uint16(x.lo>>48)
		if i < n {
			rec := dst[i*recordSize:]
			binary.BigEndian.PutUint64(rec, hi)
			binary.BigEndian.PutUint16(rec[8:], lo)
		}
		for part := range tails {
			j := i - part - 1
			if j < 0 || j >= n {
				continue
			}
			at := dst[j*recordSize+(part+1)*keySize:][:keySize]
			binary.BigEndian.PutUint64(at, hi^tails[part].hi)
			binary.BigEndian.PutUint16(at[8:], lo^tails[part].lo)
		}
		x = oneStep.apply(x)
	}
}

const hexDigits = "0123456789ABCDEF"

// putASCII fills dst with the printable records from number first on:
//
//	10 key │ 2 spaces │ 32 hex digits: record number │ 2 spaces │ 52 filler │ CR LF
//
// The key's first eight characters are the digits to base 95 of the random
// number's upper half, lowest first; the other two those of its lower half.
// The filler repeats 13 hex digits of the lower half four times each.
func putASCII(dst []byte, first u128) {
	x, number := numberOf(first), first
	for ; len(dst) >= recordSize; dst = dst[recordSize:] {
		rec := dst[:recordSize]
		q := x.hi
		for i := range 8 {
			rec[i] = ' ' + byte(q%95)
			q /= 95
		}
		rec[8] = ' ' + byte(x.lo%95)
		rec[9] = ' ' + byte(x.lo/95%95)
		rec[10], rec[11] = ' ', ' '
		putHex(rec[12:28], number.hi)
		putHex(rec[28:44], number.lo)
		rec[44], rec[45] = ' ', ' '
		for i := range 13 {
			digit := uint32(hexDigits[x.lo>>(48-4*i)&0xf])
			binary.LittleEndian.PutUint32(rec[46+4*i:], digit*0x01010101)
		}
		rec[98], rec[99] = '\r', '\n'
		x, number = oneStep.apply(x), number.add(u128{lo: 1})
	}
}

func putHex(dst []byte, v uint64) {
	for i := range dst {
		dst[i] = hexDigits[v>>(60-4*i)&0xf]
	}
}
