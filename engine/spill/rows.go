package spill

import (
	"errors"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// Pin keeps bytes that belong to somebody else where they are: a shuffle
// block in memory, or the page a frame was read into. Retain and Release are
// called on the attempt's goroutine; every Retain is followed by one Release.
type Pin interface {
	Retain()
	Release()
}

// block is a piece of memory that holds encoded rows: a page of the store's
// own, or bytes pinned elsewhere.
type block struct {
	data []byte
	page *memory.Page // own, or
	pin  Pin
}

// rowStore holds rows as bytes and finds them by reference:
//
//	ref = block number << 32 | row number (plain rows) or offset (others)
type rowStore[T any] struct {
	codec  codec.Codec[T]
	lens   codec.Rows[T] // nil: the codec is the user's own and tells no lengths
	plain  bool
	size   uintptr // of a plain row
	blocks []block
	bases  []unsafe.Pointer // of blocks: one load less per row gathered
	used   int              // bytes of the last own block in use
	room   bool             // the last block is own and may take more
	held   int64            // bytes of own blocks
	one    []T              // decoding one row
}

func newRowStore[T any](c codec.Codec[T]) rowStore[T] {
	s := rowStore[T]{codec: c, plain: c.Fixed() >= 0 && codec.IsPlain[T]()}
	s.lens, _ = c.(codec.Rows[T])
	var zero T
	s.size = unsafe.Sizeof(zero)
	return s
}

func (s *rowStore[T]) addBlock(b block) {
	s.blocks = append(s.blocks, b)
	s.bases = append(s.bases, unsafe.Pointer(unsafe.SliceData(b.data)))
}

// addPage makes p the block that rows are appended to.
func (s *rowStore[T]) addPage(p *memory.Page) {
	s.addBlock(block{data: p.Data, page: p})
	s.used, s.room = 0, true
	s.held += p.Size()
}

// free lets go of all blocks.
func (s *rowStore[T]) free(c *memory.Consumer) {
	for i := range s.blocks {
		b := &s.blocks[i]
		if b.page != nil {
			c.Free(b.page)
		} else if b.pin != nil {
			b.pin.Release()
		}
	}
	clear(s.blocks)
	clear(s.bases)
	s.blocks, s.bases = s.blocks[:0], s.bases[:0]
	s.used, s.room, s.held = 0, false, 0
}

// fits returns how many of rows the last block can take, and if none, how
// many bytes a new page must have for the first of them.
func (s *rowStore[T]) fits(rows []T) (n int, need int) {
	free := 0
	if s.room {
		free = len(s.blocks[len(s.blocks)-1].data) - s.used
	}
	if s.plain {
		if s.size == 0 {
			if s.room {
				return len(rows), 0
			}
			return 0, 1
		}
		return min(len(rows), free/int(s.size)), int(s.size)
	}
	for n < len(rows) {
		k := s.encodedLen(rows[n : n+1])
		if k > free || int64(s.used) > maxOffset {
			return n, k
		}
		free -= k
		n++
	}
	return n, 0
}

// maxOffset keeps offsets within their 32 bits.
const maxOffset = 1<<32 - 1<<30

func (s *rowStore[T]) encodedLen(rows []T) int {
	if s.lens != nil {
		return s.lens.Size(rows)
	}
	return len(s.codec.Append(nil, rows))
}

// put appends rows, which fit the last block, and their references.
func (s *rowStore[T]) put(dst []entry, keys []uint64, rows []T) {
	b := len(s.blocks) - 1
	data := s.blocks[b].data
	ref := uint64(b) << 32
	if s.plain {
		first := uint64(0)
		if s.size > 0 {
			first = uint64(s.used / int(s.size))
		}
		copy(data[s.used:], codec.RawBytes(rows))
		s.used += len(rows) * int(s.size)
		for i := range rows {
			dst[i] = entry{keys[i], ref | (first + uint64(i))}
		}
		return
	}
	for i := range rows {
		dst[i] = entry{keys[i], ref | uint64(s.used)}
		out := s.codec.Append(data[:s.used], rows[i:i+1])
		s.used = len(out)
	}
}

// row returns the place of a plain row.
func (s *rowStore[T]) row(ref uint64) *T {
	return (*T)(unsafe.Add(s.bases[ref>>32], uintptr(uint32(ref))*s.size))
}

// bytes returns the encoded row and what follows it in its block.
func (s *rowStore[T]) bytes(ref uint64) []byte {
	if s.plain {
		at := uintptr(uint32(ref)) * s.size
		return s.blocks[ref>>32].data[at:]
	}
	return s.blocks[ref>>32].data[uint32(ref):]
}

// rowLen returns the encoded length of the first row in src.
func (s *rowStore[T]) rowLen(src []byte) (int, error) {
	if s.lens != nil {
		if n := s.lens.RowLen(src); n >= 0 {
			return n, nil
		}
		return 0, errRow
	}
	_, rest, err := s.codec.Decode(s.one[:0], src, 1)
	if err == nil && len(rest) >= len(src) {
		err = errRow
	}
	return len(src) - len(rest), err
}

var errRow = errors.Join(errors.New("cannot find the end of a row"), ErrCorrupt)

// load decodes the row at ref into dst; strings are views into its block.
func (s *rowStore[T]) load(dst []T, ref uint64) ([]T, error) {
	if s.plain {
		return append(dst, *s.row(ref)), nil
	}
	out, _, err := s.codec.Decode(dst, s.bytes(ref), 1)
	if err == nil && len(out) != len(dst)+1 {
		err = errRow
	}
	return out, err
}
