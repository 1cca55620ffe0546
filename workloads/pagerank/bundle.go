package pagerank

import (
	"encoding/binary"
	"fmt"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/units"
)

// A block is 2^16 nodes that follow each other.
const blockBits = 16

// bundle is links from one partition into one block, six bytes a link.
type bundle struct {
	Block uint32
	From  []uint32 // places of the sources in their partition
	To    []uint16 // places of the destinations in the block; as many
}

const (
	bundleLinks = 2048
	bundleBytes = bundleLinks * (4 + 2)
)

// bundler bundles the links of a partition.
type bundler struct {
	place
	open []bundle // those being filled, of the blocks of one group
}

// bundle bundles the links of a partition, which come group by group.
func (p place) bundle(t *engine.Task, _ int, each func(func([]edge) error) error, emit func([]bundle) error) error {
	held, err := t.Reserve("bundles of links", units.Bytes(bundleBytes<<p.span))
	if err != nil {
		return err
	}
	defer held.Release()
	b := bundler{p, make([]bundle, 1<<p.span)}
	for i := range b.open {
		b.open[i] = bundle{From: make([]uint32, 0, bundleLinks), To: make([]uint16, 0, bundleLinks)}
	}
	group := uint32(0)
	err = each(func(edges []edge) error {
		for len(edges) > 0 {
			if g := edges[0].To >> (blockBits + p.span); g != group {
				if err := b.close(emit); err != nil {
					return err
				}
				group = g
			}
			n, full := b.add(edges, group)
			if full != nil {
				if err := b.emit(full, emit); err != nil {
					return err
				}
			}
			edges = edges[n:]
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.close(emit)
}

// add adds edges until a bundle is full or one belongs to another group, and
// returns how many.
func (b *bundler) add(edges []edge, group uint32) (n int, full *bundle) {
	parts, span, last := uint32(b.parts), b.span, len(b.open)-1
	for i, e := range edges {
		block := e.To >> blockBits
		if block>>span != group {
			return i, nil
		}
		o := &b.open[int(block)&last]
		o.Block = block
		o.From = append(o.From, e.From/parts)
		o.To = append(o.To, uint16(e.To))
		if len(o.To) == bundleLinks {
			return i + 1, o
		}
	}
	return len(edges), nil
}

func (b *bundler) emit(o *bundle, emit func([]bundle) error) error {
	err := emit([]bundle{*o})
	o.From, o.To = o.From[:0], o.To[:0]
	return err
}

// close emits all bundles begun.
func (b *bundler) close(emit func([]bundle) error) error {
	for i := range b.open {
		if len(b.open[i].To) > 0 {
			if err := b.emit(&b.open[i], emit); err != nil {
				return err
			}
		}
	}
	return nil
}

func init() { codec.Register[bundle](bundleCodec{}) }

// bundleCodec stores a bundle as its block and the number of its links, four
// bytes each, the sources, the destinations, and zeros up to a multiple of
// eight. Where frames begin at such a multiple, as those of the cache do,
// decoded bundles are views, and nothing is copied.
type bundleCodec struct{}

const bundleHead = 8

// Name implements codec.Codec.
func (bundleCodec) Name() string { return "bundles" }

// Fixed implements codec.Codec.
func (bundleCodec) Fixed() int { return -1 }

// Append implements codec.Codec.
func (bundleCodec) Append(dst []byte, rows []bundle) []byte {
	for i := range rows {
		b := &rows[i]
		dst = binary.LittleEndian.AppendUint32(dst, b.Block)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.To)))
		dst = append(dst, codec.RawBytes(b.From)...)
		dst = append(dst, codec.RawBytes(b.To)...)
		dst = append(dst, make([]byte, -len(b.To)*6&7)...)
	}
	return dst
}

// Decode implements codec.Codec.
func (bundleCodec) Decode(dst []bundle, src []byte, limit int) ([]bundle, []byte, error) {
	for n := 0; n < limit && len(src) > 0; n++ {
		links := 0
		if len(src) >= bundleHead {
			links = int(min(binary.LittleEndian.Uint32(src[4:]), bundleLinks+1))
		}
		from := bundleHead + 4*links
		to := from + 2*links
		end := (to + 7) &^ 7
		if links == 0 || links > bundleLinks || end > len(src) {
			return dst, src, fmt.Errorf("cannot decode a bundle in %d bytes: %w", len(src), codec.ErrCorrupt)
		}
		dst = append(dst, bundle{
			Block: binary.LittleEndian.Uint32(src),
			From:  viewOrCopy[uint32](src[bundleHead:from]),
			To:    viewOrCopy[uint16](src[from:to]),
		})
		src = src[end:]
	}
	return dst, src, nil
}

// viewOrCopy returns the numbers in src, a whole number of them: as a view,
// or copied where src begins at an odd address.
func viewOrCopy[T int64 | uint32 | uint16](src []byte) []T {
	if rows := codec.View[T](src); rows != nil {
		return rows
	}
	var zero T
	rows := make([]T, len(src)/binary.Size(zero))
	copy(codec.RawBytes(rows), src)
	return rows
}
