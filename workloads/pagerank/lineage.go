package pagerank

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// build lays out the links: read, moved to the partition of their source,
// sorted by destination, cached.
func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	parts := uint32(v.Int("partitions"))
	if parts == 0 {
		parts = uint32(2 * s.Cores())
	}
	text, err := engine.Chunks(s, in.Paths, "\n", 0)
	if err != nil {
		return nil, err
	}
	edges := engine.MapPartitions(text, parseEdges)
	sorted := engine.PartitionAndSortBy(edges, int(parts),
		func(l link) int { return int(l.From % parts) },
		func(l link) uint64 { return uint64(l.To)<<32 | uint64(l.From) })
	// The highest source of a partition would be lost with the remainder.
	links := engine.Map(sorted, func(l link) link { return link{l.To, l.From / parts} }).Persist(block.MemoryAndDisk)
	extents := engine.MapPartitions(links, func(_ *engine.Task, part int, each func(func([]link) error) error, emit func([]extent) error) error {
		var e extent
		var from, to uint32
		err := each(func(links []link) error {
			e.Links += int64(len(links))
			for _, l := range links {
				from, to = max(from, l.From), max(to, l.To)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if e.Links > 0 {
			e.Nodes = max(int64(to), int64(from)*int64(parts)+int64(part)) + 1
		}
		return emit([]extent{e})
	})
	return &graph{links, extents, in.Generated}, nil
}

// nodeMax is the highest number of a node.
const nodeMax = math.MaxUint32 - 1

// edgeBatch is how many links are handed on at once.
const edgeBatch = 2048

var errEdge = errors.New("a link is two whole numbers, source,destination, each from 0 to " + strconv.Itoa(nodeMax))

// parseEdges reads lines "source,destination". The first line of a file may
// be a header: it is when it does not begin with a digit.
func parseEdges(t *engine.Task, _ int, each func(func([][]byte) error) error, emit func([]link) error) error {
	batch := make([]link, 0, edgeBatch)
	var at engine.Input
	err := each(func(chunks [][]byte) error {
		for _, text := range chunks {
			if in := t.Input(); in != at {
				at = in
				if in.Offset == 0 && len(text) > 0 && !digit(text[0]) {
					if i := bytes.IndexByte(text, '\n'); i >= 0 {
						text = text[i+1:]
					} else {
						text = nil
					}
				}
			}
			for len(text) > 0 {
				l, rest, ok := parseEdge(text)
				if !ok {
					line, after, _ := bytes.Cut(text, []byte{'\n'})
					if len(bytes.TrimRight(line, "\r")) == 0 {
						text = after
						continue
					}
					return &engine.InputError{Path: at.Path, Cause: fmt.Errorf("%.80q: %w", line, errEdge)}
				}
				text = rest
				if batch = append(batch, l); len(batch) < edgeBatch {
					continue
				}
				if err := emit(batch); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		return nil
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return emit(batch)
}

func digit(c byte) bool { return c-'0' <= 9 }

// parseEdge reads the first line of text. It is ok if the line is a link.
func parseEdge(text []byte) (l link, rest []byte, ok bool) {
	i, n := 0, uint64(0)
	for ; i < len(text) && digit(text[i]); i++ {
		n = n*10 + uint64(text[i]-'0')
	}
	if i == 0 || i > 10 || n > nodeMax || i == len(text) || text[i] != ',' {
		return l, text, false
	}
	l.From = uint32(n)
	i++
	start := i
	n = 0
	for ; i < len(text) && digit(text[i]); i++ {
		n = n*10 + uint64(text[i]-'0')
	}
	if i == start || i-start > 10 || n > nodeMax {
		return l, text, false
	}
	l.To = uint32(n)
	if i < len(text) && text[i] == '\r' {
		i++
	}
	switch {
	case i == len(text):
		return l, nil, true
	case text[i] == '\n':
		return l, text[i+1:], true
	}
	return l, text, false
}

// stepParams say what a step does: begin with equal ranks, or iterate.
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
			at := place{p.nodes, int64(b.links.Partitions())}
			return b.ranked(at, engine.MapPartitions(engine.Reuse(s, b.links), at.begin)), nil
		}
	case *ranks:
		if !p.begin {
			return b.next(s), nil
		}
	}
	return nil, fmt.Errorf("cannot build a step of pagerank upon a %T", base)
}

// ranked lays out what is wanted of vertices.
func (g *graph) ranked(at place, vertices *engine.Dataset[vertex]) *ranks {
	vertices.Persist(block.MemoryAndDisk)
	did := engine.AggregatePartitions(vertices, func() progress { return progress{} }, func(p progress, v vertex) progress {
		change := v.Rank - v.Was
		return progress{p.Rank + v.Rank, p.Change + max(change, -change)}
	})
	return &ranks{g, at.nodes, vertices, did, engine.TextSink(engine.MapPartitions(vertices, at.lines), format)}
}

// next lays out one iteration.
func (r *ranks) next(s *engine.Session) *ranks {
	at := place{r.nodes, int64(r.vertices.Partitions())}
	parts := uint32(at.parts)
	gifts := engine.PartitionBy(engine.ZipPartitions(engine.Reuse(s, r.graph.links), r.vertices, at.give), int(parts),
		func(g given) int { return int(g.To % parts) })
	return r.graph.ranked(at, engine.ZipPartitions(gifts, r.vertices, at.receive))
}

// table reserves and makes a table of a partition's nodes.
func (p place) table(t *engine.Task, part int) ([]int64, *engine.Reservation, error) {
	n := p.count(part)
	r, err := t.Reserve("ranks", units.Bytes(n*8))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot hold the %d nodes of a partition (more partitions make them fewer): %w", n, err)
	}
	return make([]int64, n), r, nil
}

// vertexBatch is how many nodes are handed on at once.
const vertexBatch = 2048

// begin counts the links of each node, and gives all the same rank.
func (p place) begin(t *engine.Task, part int, each func(func([]link) error) error, emit func([]vertex) error) error {
	degrees, held, err := p.table(t, part)
	if err != nil {
		return err
	}
	defer held.Release()
	err = each(func(links []link) error {
		for _, l := range links {
			degrees[l.From]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	first := one / p.nodes
	return emitVertices(degrees, emit, func(_ int, degree int64) vertex { return vertex{first, first, degree} })
}

// emitVertices makes a vertex of every row of a table.
func emitVertices(table []int64, emit func([]vertex) error, of func(i int, n int64) vertex) error {
	batch := make([]vertex, 0, vertexBatch)
	for i, n := range table {
		if batch = append(batch, of(i, n)); len(batch) == vertexBatch {
			if err := emit(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return emit(batch)
}

// give lets nodes give their ranks along their links. Links to one node stand
// together, so what it is given is added up on the way.
func (p place) give(t *engine.Task, part int, links func(func([]link) error) error, vertices func(func([]vertex) error) error, emit func([]given) error) error {
	gifts, held, err := p.table(t, part)
	if err != nil {
		return err
	}
	defer held.Release()
	i := 0
	err = vertices(func(vs []vertex) error {
		for _, v := range vs {
			if v.Degree > 0 {
				gifts[i] = (v.Rank + v.Degree/2) / v.Degree
			}
			i++
		}
		return nil
	})
	if err != nil {
		return err
	}
	batch := make([]given, 0, edgeBatch)
	var sum given
	some := false
	err = links(func(links []link) error {
		for _, l := range links {
			if l.To == sum.To {
				sum.Rank += gifts[l.From]
				some = true
				continue
			}
			if some {
				batch = append(batch, sum)
			}
			sum, some = given{Rank: gifts[l.From], To: l.To}, true
			if len(batch) < edgeBatch {
				continue
			}
			if err := emit(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
		return nil
	})
	if err != nil {
		return err
	}
	if some {
		batch = append(batch, sum)
	}
	if len(batch) == 0 {
		return nil
	}
	return emit(batch)
}

// damping is the part of its rank that a node gives on.
const damping = 0.85

// receive adds up what nodes were given and makes their new ranks.
func (p place) receive(t *engine.Task, part int, gifts func(func([]given) error) error, vertices func(func([]vertex) error) error, emit func([]vertex) error) error {
	sums, held, err := p.table(t, part)
	if err != nil {
		return err
	}
	defer held.Release()
	parts := uint32(p.parts)
	err = gifts(func(gs []given) error {
		for _, g := range gs {
			sums[g.To/parts] += g.Rank
		}
		return nil
	})
	if err != nil {
		return err
	}
	base := int64(math.Round((1 - damping) * one / float64(p.nodes)))
	batch := make([]vertex, 0, vertexBatch)
	i := 0
	return vertices(func(vs []vertex) error {
		for len(vs) > 0 {
			batch = batch[:0]
			for _, v := range vs[:min(len(vs), vertexBatch)] {
				batch = append(batch, vertex{base + int64(math.Round(damping*float64(sums[i]))), v.Rank, v.Degree})
				i++
			}
			vs = vs[len(batch):]
			if err := emit(batch); err != nil {
				return err
			}
		}
		return nil
	})
}

// line is one line of output.
type line struct {
	Node uint32
	Rank float64
}

// lines names the nodes of a partition.
func (p place) lines(_ *engine.Task, part int, each func(func([]vertex) error) error, emit func([]line) error) error {
	batch := make([]line, 0, vertexBatch)
	node := int64(part)
	return each(func(vs []vertex) error {
		batch = batch[:0]
		for _, v := range vs {
			batch = append(batch, line{uint32(node), float64(v.Rank) / one})
			node += p.parts
		}
		return emit(batch)
	})
}

func format(dst []byte, l line) []byte {
	dst = strconv.AppendUint(dst, uint64(l.Node), 10)
	dst = append(dst, ',')
	return strconv.AppendFloat(dst, l.Rank, 'g', -1, 64)
}
