package pagerank

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/workloads"
)

// graph is what Build lays out: the input.
type graph struct {
	text      *engine.Dataset[[]byte]
	extents   *engine.Dataset[int64] // one more than the highest number of a node, by piece of the input
	parts     int64
	generated bool
}

func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	parts := v.Int("partitions")
	if parts == 0 {
		parts = int64(s.Cores())
	}
	text, err := engine.Chunks(s, in.Paths, "\n", 0)
	if err != nil {
		return nil, err
	}
	extents := engine.AggregatePartitions(engine.MapPartitions(text, edgeReader{}.read), func() int64 { return 0 },
		func(nodes int64, e edge) int64 { return max(nodes, int64(max(e.From, e.To))+1) })
	return &graph{text, extents, parts, in.Generated}, nil
}

// links is the links of the graph as they are held.
type links struct {
	place
	bundles *engine.Dataset[bundle]
	degrees *engine.Dataset[uint32] // of every node: how many links it has
	counts  *engine.Dataset[int64]  // how many links a partition has
}

// ranks is what an iteration leaves: the step that the next one begins from.
type ranks struct {
	*links
	ranks   *engine.Dataset[int64] // of every node, in the order of a partition
	sums    *engine.Dataset[int64] // of the ranks of a partition
	changes *engine.Dataset[int64] // of the ranks of a partition, from the step before; nil: there is none
	lines   *engine.Sink
}

// stepParams says what a step lays out: the beginning, or one more iteration.
type stepParams struct {
	begin bool
	nodes int64
}

func (p stepParams) encode() []byte {
	kind := byte(0)
	if p.begin {
		kind = 1
	}
	return binary.AppendVarint([]byte{kind}, p.nodes)
}

func decodeStep(b []byte) (p stepParams, err error) {
	if len(b) > 1 && b[0] < 2 {
		if n, used := binary.Varint(b[1:]); used == len(b)-1 && n > 0 {
			return stepParams{b[0] == 1, n}, nil
		}
	}
	return p, fmt.Errorf("cannot decode a step of pagerank from %d bytes", len(b))
}

// step lays out the ranks that the iterations begin with, or an iteration.
func step(s *engine.Session, base any, params []byte) (any, error) {
	p, err := decodeStep(params)
	if err != nil {
		return nil, err
	}
	switch b := base.(type) {
	case *graph:
		if p.begin {
			return b.begin(s, newPlace(p.nodes, b.parts)), nil
		}
	case *ranks:
		if !p.begin {
			return b.next(s), nil
		}
	}
	return nil, fmt.Errorf("cannot build a step of pagerank upon a %T", base)
}

// begin lays out the links and the first ranks. Links are read, moved to the
// partition of their source, and there into an order by groups of
// destinations and tiles of sources: all by one shuffle, into a partition for
// each tile, of which those of one source partition are then read as one.
func (g *graph) begin(s *engine.Session, at place) *ranks {
	edges := engine.MapPartitions(engine.Reuse(s, g.text), edgeReader{at.nodes}.read)
	grouped := engine.PartitionBy(edges, at.streams(), at.stream())
	bundles := engine.MapPartitions(engine.Coalesce(grouped, int(at.parts)), at.bundle).Persist(block.MemoryAndDisk)
	degrees := engine.MapPartitions(bundles, at.count).Persist(block.MemoryAndDisk)
	counts := engine.AggregatePartitions(degrees, zero, func(n int64, degree uint32) int64 { return n + int64(degree) })
	n := &links{at, bundles, degrees, counts}
	return n.ranked(engine.Map(degrees, func(uint32) int64 { return one / at.nodes }), nil)
}

func zero() int64 { return 0 }

// ranked lays out what is wanted of ranks. The first ones are made again where
// they are read, the others are kept.
func (n *links) ranked(now, before *engine.Dataset[int64]) *ranks {
	r := &ranks{links: n, ranks: now}
	r.sums = engine.AggregatePartitions(now, zero, func(sum, rank int64) int64 { return sum + rank })
	if before != nil {
		r.changes = engine.ZipPartitions(now, before, n.change)
	}
	r.lines = engine.TextSink(engine.MapPartitions(now, n.lines), format)
	return r
}

// next lays out one iteration.
func (r *ranks) next(s *engine.Session) *ranks {
	shares := engine.ZipPartitions(engine.Reuse(s, r.degrees), engine.Reuse(s, r.ranks), r.share)
	given := engine.PartitionBy(engine.ZipPartitions(engine.Reuse(s, r.bundles), shares, r.give), int(r.parts), r.partition)
	return r.ranked(engine.MapPartitions(given, r.receive).Persist(block.MemoryAndDisk), r.ranks)
}

// line is one line of output.
type line struct {
	Node uint32
	Rank float64
}

// lines names the nodes of a partition.
func (p place) lines(_ *engine.Task, part int, each func(func([]int64) error) error, emit func([]line) error) error {
	batch := make([]line, 0, rankBatch)
	node := int64(part)
	return each(func(ranks []int64) error {
		for len(ranks) > 0 {
			batch = batch[:0]
			for _, rank := range ranks[:min(len(ranks), rankBatch)] {
				batch = append(batch, line{uint32(node), float64(rank) / one})
				node += p.parts
			}
			ranks = ranks[len(batch):]
			if err := emit(batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func format(dst []byte, l line) []byte {
	dst = strconv.AppendUint(dst, uint64(l.Node), 10)
	dst = append(dst, ',')
	return strconv.AppendFloat(dst, l.Rank, 'g', -1, 64)
}
