package pagerank

import (
	"encoding/binary"
	"fmt"

	"github.com/execbench/execbench/engine/codec"
)

// gifts is what the nodes of one partition give to some of another: to nodes
// that follow each other there.
type gifts struct {
	First uint32  // the first of these nodes; the next ones are as many higher as there are partitions
	Ranks []int64 // at least one
}

func init() { codec.Register[gifts](giftsCodec{}) }

// giftsCodec stores gifts as the first node and the number of ranks, four
// bytes each, and the ranks, so that decoded gifts are views.
type giftsCodec struct{}

const giftsHead = 8

// Name implements codec.Codec.
func (giftsCodec) Name() string { return "gifts" }

// Fixed implements codec.Codec.
func (giftsCodec) Fixed() int { return -1 }

// Size implements codec.Rows.
func (giftsCodec) Size(rows []gifts) (n int) {
	for i := range rows {
		n += giftsHead + 8*len(rows[i].Ranks)
	}
	return n
}

// RowLen implements codec.Rows.
func (giftsCodec) RowLen(src []byte) int {
	if len(src) < giftsHead {
		return -1
	}
	n := binary.LittleEndian.Uint32(src[4:])
	if uint64(n) > uint64(len(src)-giftsHead)/8 {
		return -1
	}
	return giftsHead + 8*int(n)
}

// Append implements codec.Codec.
func (giftsCodec) Append(dst []byte, rows []gifts) []byte {
	for i := range rows {
		g := &rows[i]
		dst = binary.LittleEndian.AppendUint32(dst, g.First)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(g.Ranks)))
		dst = append(dst, codec.RawBytes(g.Ranks)...)
	}
	return dst
}

// Decode implements codec.Codec.
func (c giftsCodec) Decode(dst []gifts, src []byte, limit int) ([]gifts, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		end := c.RowLen(src)
		if end <= giftsHead {
			return dst, src, fmt.Errorf("cannot decode gifts in %d bytes: %w", len(src), codec.ErrCorrupt)
		}
		dst = append(dst, gifts{First: binary.LittleEndian.Uint32(src), Ranks: viewOrCopy[int64](src[giftsHead:end])})
		src = src[end:]
	}
	return dst, src, nil
}
