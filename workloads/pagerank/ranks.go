package pagerank

import (
	"fmt"

	"github.com/execbench/execbench/engine"
)

// Ranks and what nodes give are whole multiples of 2^-62, in the order of the
// nodes of a partition.

const (
	one       = 1 << 62 // the rank 1
	damping   = 0.85    // the part of its rank that a node gives on
	rankBatch = 2048    // how many ranks are handed on at once
	giftMax   = 512     // how many ranks are given as one record
)

// tableOf makes a table of what a partition's nodes have.
func tableOf[T any](p place, t *engine.Task, part int) (*engine.Table[T], error) {
	n := p.nodesOf(part)
	rows, err := engine.NewTable[T](t, "ranks", n)
	if err != nil {
		return nil, fmt.Errorf("cannot hold the %d nodes of a partition (more partitions make them fewer): %w", n, err)
	}
	return rows, nil
}

// emitAll hands on rows in batches.
func emitAll[T any](rows []T, emit func([]T) error) error {
	for len(rows) > 0 {
		n := min(len(rows), rankBatch)
		if err := emit(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// count counts the links of each node.
func (p place) count(t *engine.Task, part int, each func(func([]bundle) error) error, emit func([]uint32) error) error {
	degrees, err := tableOf[uint32](p, t, part)
	if err != nil {
		return err
	}
	defer degrees.Release()
	err = each(func(bundles []bundle) error {
		for i := range bundles {
			for _, from := range bundles[i].From {
				degrees.Rows[from]++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return emitAll(degrees.Rows, emit)
}

// share divides the ranks of nodes by the numbers of their links.
func (p place) share(t *engine.Task, part int, degrees func(func([]uint32) error) error, ranks func(func([]int64) error) error, emit func([]int64) error) error {
	table, err := tableOf[uint32](p, t, part)
	if err != nil {
		return err
	}
	defer table.Release()
	rest := table.Rows
	err = degrees(func(batch []uint32) error {
		rest = rest[copy(rest, batch):]
		return nil
	})
	if err != nil {
		return err
	}
	rest = table.Rows
	shares := make([]int64, 0, rankBatch)
	return ranks(func(batch []int64) error {
		for len(batch) > 0 {
			shares = shares[:min(len(batch), rankBatch)]
			degrees := rest[:len(shares)]
			for i, rank := range batch[:len(shares)] {
				shares[i] = nearest(float64(rank) / float64(max(degrees[i], 1)))
			}
			rest, batch = rest[len(shares):], batch[len(shares):]
			if err := emit(shares); err != nil {
				return err
			}
		}
		return nil
	})
}

// nearest rounds a number that is not negative.
func nearest(f float64) int64 { return int64(f + 0.5) }

// sums is what nodes of one group are given, by nodes of one partition.
type sums struct {
	place
	group uint32
	table []int64 // by node, all zero between groups
	links int     // added up in it
	batch []gifts
	ranks []int64 // of the batch; they do not move while there is room
	emit  func([]gifts) error
}

// give lets nodes give their shares along their links.
func (p place) give(t *engine.Task, part int, links func(func([]bundle) error) error, shares func(func([]int64) error) error, emit func([]gifts) error) error {
	table, err := tableOf[int64](p, t, part)
	if err != nil {
		return err
	}
	defer table.Release()
	rest := table.Rows
	err = shares(func(batch []int64) error {
		rest = rest[copy(rest, batch):]
		return nil
	})
	if err != nil {
		return err
	}
	group, err := engine.NewTable[int64](t, "ranks given", 1<<(blockBits+p.span))
	if err != nil {
		return err
	}
	defer group.Release()
	s := sums{place: p, table: group.Rows, ranks: make([]int64, 0, rankBatch), emit: emit}
	err = links(func(bundles []bundle) error {
		for i := range bundles {
			b := &bundles[i]
			if g := b.Block >> p.span; g != s.group {
				if err := s.flush(); err != nil {
					return err
				}
				s.group = g
			}
			block := int(b.Block) & (1<<p.span - 1)
			follow((*[1 << blockBits]int64)(s.table[block<<blockBits:]), table.Rows, b.From, b.To)
			s.links += len(b.To)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.flush()
}

// follow adds to what the nodes of a block are given.
func follow(sums *[1 << blockBits]int64, shares []int64, from []uint32, to []uint16) {
	from = from[:len(to)]
	for i, t := range to {
		sums[t] += shares[from[i]]
	}
}

// flush hands on what the nodes of a group are given, partition by partition:
// all of them, or, where links are few, those that are given something.
func (s *sums) flush() error {
	if s.links == 0 {
		return nil
	}
	first := int64(s.group) << (blockBits + s.span)
	nodes := s.table[:min(int64(len(s.table)), s.nodes-first)]
	few := s.links < len(nodes)/2
	s.links = 0
	parts := int(s.parts)
	for q := range min(parts, len(nodes)) {
		for at := q; at < len(nodes); {
			if few && nodes[at] == 0 {
				at += parts
				continue
			}
			g := gifts{First: uint32(first + int64(at))}
			from := len(s.ranks)
			for room := min(cap(s.ranks), from+giftMax); at < len(nodes) && len(s.ranks) < room && !(few && nodes[at] == 0); at += parts {
				s.ranks = append(s.ranks, nodes[at])
			}
			g.Ranks = s.ranks[from:]
			s.batch = append(s.batch, g)
			if len(s.ranks) < cap(s.ranks) {
				continue
			}
			if err := s.handOn(); err != nil {
				return err
			}
		}
	}
	clear(nodes)
	return s.handOn()
}

func (s *sums) handOn() error {
	err := s.emit(s.batch)
	s.batch, s.ranks = s.batch[:0], s.ranks[:0]
	return err
}

// receive adds up what nodes are given and makes their new ranks.
func (p place) receive(t *engine.Task, part int, given func(func([]gifts) error) error, emit func([]int64) error) error {
	table, err := tableOf[int64](p, t, part)
	if err != nil {
		return err
	}
	defer table.Release()
	parts := uint32(p.parts)
	err = given(func(batch []gifts) error {
		for i := range batch {
			g := &batch[i]
			sums := table.Rows[g.First/parts:][:len(g.Ranks)]
			for i, rank := range g.Ranks {
				sums[i] += rank
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	base := nearest((1 - damping) * one / float64(p.nodes))
	for i, sum := range table.Rows {
		table.Rows[i] = base + nearest(float64(damping*float64(sum)))
	}
	return emitAll(table.Rows, emit)
}

// change adds up by how much ranks differ.
func (p place) change(t *engine.Task, part int, now, before func(func([]int64) error) error, emit func([]int64) error) error {
	table, err := tableOf[int64](p, t, part)
	if err != nil {
		return err
	}
	defer table.Release()
	rest := table.Rows
	err = before(func(batch []int64) error {
		rest = rest[copy(rest, batch):]
		return nil
	})
	if err != nil {
		return err
	}
	rest = table.Rows
	sum := int64(0)
	err = now(func(batch []int64) error {
		for i, rank := range batch {
			d := rank - rest[i]
			sum += max(d, -d)
		}
		rest = rest[len(batch):]
		return nil
	})
	if err != nil {
		return err
	}
	return emit([]int64{sum})
}
