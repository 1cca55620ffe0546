package pagerank

// place tells where nodes and links lie. Node i is record i/parts of partition
// i%parts. Links lie in the partition of their source, group after group of
// their destinations.
type place struct {
	nodes, parts int64
	span         int // 2^span blocks make a group
}

// groupsMax is how many groups there may be in all partitions: each takes a
// stream of its own when links are moved.
const groupsMax = 1 << 14

func newPlace(nodes, parts int64) place {
	p := place{nodes: nodes, parts: parts}
	for int64(p.groups())*parts > groupsMax && p.groups() > 1 {
		p.span++
	}
	return p
}

// count is how many nodes lie in a partition.
func (p place) nodesOf(part int) int { return int((p.nodes + p.parts - 1 - int64(part)) / p.parts) }

// groups is how many groups there are in a partition.
func (p place) groups() int { return int((p.nodes-1)>>(blockBits+p.span)) + 1 }

// group is the group of a link, those of the partition before counted too.
func (p place) group(e edge) int {
	return int(e.From%uint32(p.parts))*p.groups() + int(e.To>>(blockBits+p.span))
}

// partition is where gifts go.
func (p place) partition(g gifts) int { return int(g.First % uint32(p.parts)) }
