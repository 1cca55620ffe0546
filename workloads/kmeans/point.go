package kmeans

import (
	"encoding/binary"
	"fmt"

	"github.com/execbench/execbench/engine/codec"
)

// point is one point, of as many coordinates as the run has dimensions.
type point []float64

func init() { codec.Register[point](pointCodec{}) }

// pointCodec stores a point as the number of its coordinates, in eight bytes,
// and the coordinates. Where frames begin at a multiple of eight bytes, as
// those of the cache do, decoded points are views, and nothing is copied.
type pointCodec struct{}

// Name implements codec.Codec.
func (pointCodec) Name() string { return "points" }

// Fixed implements codec.Codec.
func (pointCodec) Fixed() int { return -1 }

// Append implements codec.Codec.
func (pointCodec) Append(dst []byte, rows []point) []byte {
	for _, p := range rows {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(p)))
		dst = append(dst, codec.RawBytes(p)...)
	}
	return dst
}

// Decode implements codec.Codec.
func (pointCodec) Decode(dst []point, src []byte, limit int) ([]point, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		if len(src) < 8 {
			return dst, src, fmt.Errorf("cannot decode a point in %d bytes: %w", len(src), codec.ErrCorrupt)
		}
		size := binary.LittleEndian.Uint64(src)
		if size > uint64(len(src)-8)/8 {
			return dst, src, fmt.Errorf("cannot decode a point of %d coordinates in %d bytes: %w", size, len(src), codec.ErrCorrupt)
		}
		end := 8 + 8*int(size)
		p := point(codec.View[float64](src[8:end:end]))
		if p == nil && size > 0 { // it begins at an odd address
			p = make(point, size)
			copy(codec.RawBytes(p), src[8:end])
		}
		dst, src = append(dst, p), src[end:]
	}
	return dst, src, nil
}
