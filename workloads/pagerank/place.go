package pagerank

// place tells where nodes and links lie. Node i is record i/parts of partition
// i%parts. Links lie in the partition of their source, group after group of
// their destinations, and within a group tile after tile of their sources.
type place struct {
	nodes, parts int64
	span         int // 2^span blocks make a group
	tile         int // 2^tile sources of a partition make a tile
}

const (
	// tileBits makes a tile of 64 KiB of ranks: links of one block then follow
	// ranks that are near, one tile after the other, and the sums of a block
	// stay in the second-level cache beside them.
	tileBits = 13
	// streamsMax is how many tiles of groups there may be in all partitions:
	// each takes a stream of its own when links are moved.
	streamsMax = 1 << 12
)

func newPlace(nodes, parts int64) place {
	p := place{nodes: nodes, parts: parts, tile: tileBits}
	for p.streams() > streamsMax && p.tiles() > 1 {
		p.tile++
	}
	for p.streams() > streamsMax && p.groups() > 1 {
		p.span++
	}
	return p
}

// nodesOf is how many nodes lie in a partition.
func (p place) nodesOf(part int) int { return int((p.nodes + p.parts - 1 - int64(part)) / p.parts) }

// groups is how many groups there are in a partition.
func (p place) groups() int { return int((p.nodes-1)>>(blockBits+p.span)) + 1 }

// tiles is how many tiles there are in a group.
func (p place) tiles() int { return int(((p.nodes-1)/p.parts)>>p.tile) + 1 }

// streams is how many tiles of groups there are in all partitions.
func (p place) streams() int { return int(p.parts) * p.groups() * p.tiles() }

// stream returns a function that tells the tile of a link, those of the groups
// and partitions before it counted too.
func (p place) stream() func(edge) int {
	parts, groups, tiles := uint32(p.parts), p.groups(), p.tiles()
	toGroup, toTile := blockBits+p.span, p.tile
	return func(e edge) int {
		at := e.From / parts
		return (int(e.From-at*parts)*groups+int(e.To>>toGroup))*tiles + int(at>>toTile)
	}
}

// partition is where gifts go.
func (p place) partition(g gifts) int { return int(g.First % uint32(p.parts)) }
