// Package pagerank ranks the nodes of a graph by the links that lead to them.
//
// The way of a link, and what it costs (1e7 links, 1e6 nodes, two cores):
//
//  1. Lines are read eight bytes at a time (edges.go) and shuffled once, into
//     a stream for each partition of sources, block of destinations and tile
//     of sources (place.go): 0.2 s with reading the file.
//  2. Each partition bundles its links stream by stream and caches them, 6
//     bytes each (bundle.go): 0.06 s.
//  3. In each iteration every link adds its source's share to a sum of its
//     destination (follow, in ranks.go). Of both tables only a tile and a
//     block are in use at a time: 64 KiB and 512 KiB, within a second-level
//     cache. What is left is two loads, an addition and a store a link.
//  4. Sums are shuffled in runs of neighbours, 8 bytes each, and become ranks.
//
// The limit is a bare loop over a graph that is binary already: one core's
// sums by destination, ranks of all nodes read at random. Whole processes
// took 1.23 s (1.07 to 1.72) here and 0.65 s (0.55 to 1.01) there, side by
// side in three rounds: 1.7 times the limit.
package pagerank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// Workload is the pagerank workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:      "pagerank",
	Summary:   "rank the nodes of a graph by the links to them, iteration by iteration",
	Stresses:  "iteration over cached data; random access to memory; a shuffle and a global sync each iteration",
	Doc:       doc,
	Params:    params,
	DataBytes: dataBytes,
	Generate:  generate,
	Build:     build,
	Step:      step,
	Run:       run,
	Verify:    verify,
	VerifyDir: verifyDir,
}

const doc = `Computes PageRank by a fixed number of iterations. Every node begins with rank
1/n. In each iteration a node gives its rank in equal parts to the nodes that
it links to, and then has

  rank = 0.15/n + 0.85 * (what it was given)

What nodes without links hold is not given to all, as some do: it is lost, and
the ranks add up to less than 1. A link that is there twice counts twice. This
is what the usual SQL computes:

  SELECT r.id, 0.15/n + 0.85*coalesce(sum(c.y), 0) FROM r LEFT JOIN c ...

Links are read once, moved to the partition of their source, there grouped by
ranges of their destinations and sources, and cached in 6 bytes each. Nodes lie
in partitions by the same rule, so that ranks meet links without moving; each
iteration shuffles one number for each node and partition, not one for each
link. An iteration is a job of two stages: links give, nodes receive.

Ranks are held as multiples of 2^-62. Sums of those are exact in any order, so
the ranks are the same to the bit whatever the cores and partitions. Rounding
to the multiple is the only other difference from the same in floating point.

The output is one line a node, in parts by the remainder of its number:

  node,rank

What it stresses: random access to the ranks of a partition while links are
followed; then a shuffle, and a wait for the last task, in each iteration.
--skew S draws both ends of links by Zipf's law: the higher, the more links
meet in few nodes. More partitions mean shorter tables of ranks, and more to
shuffle.

--input takes files of lines "source,destination", plain, .gz or .zst, with or
without a header. Nodes are whole numbers from 0; there are as many as --nodes
says, or else as the highest number in the input tells, which is then read
twice. Each takes about 30 bytes, and 16 more for each partition. Give sparse
numbers new ones first.

Verified against a plain loop in floating point over all links: every rank to
1e-9 of it. The loop holds 20 bytes a node whatever the memory; if there is
room it also holds the links, in 4 bytes each, and else it reads the input
once an iteration.

  execbench run pagerank --nodes 1e6 --edges 1e7
  execbench run pagerank --nodes 1e6 --edges 1e7 --skew 1 --rounds 20
  execbench run pagerank --input links.csv --rounds 10
`

var params = []workloads.Param{
	{Name: "nodes", Kind: workloads.Int, Default: "100000", Min: "1", Max: "4000000000", Data: true,
		Doc: "nodes of the graph, numbered from 0; with --input, 0 to the highest number if not given"},
	{Name: "edges", Kind: workloads.Int, Default: "1e6", Min: "1", Max: "100000000000", Data: true,
		Doc: "links to generate"},
	{Name: "skew", Kind: workloads.Float, Default: "0.6", Min: "0", Max: "4", Data: true,
		Doc: "exponent of Zipf's law for both ends of links: 0 makes all nodes equal"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Data: true,
		Doc: "another seed gives other links"},
	{Name: "rounds", Kind: workloads.Int, Default: "10", Min: "1", Max: "10000",
		Doc: "how often ranks are given on"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "partitions of nodes and links; 0 means one for each core"},
}

func run(ctx context.Context, s *engine.Session, built any, v workloads.Values, out string) (*workloads.Answer, error) {
	g := built.(*graph)
	n, err := g.nodes(ctx, v)
	if err != nil {
		return nil, err
	}
	it := iterator{s: s}
	if err := it.step(g, stepParams{begin: true, nodes: n}); err != nil {
		return nil, err
	}
	links, err := total(ctx, it.ranks.counts)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	sum := int64(0)
	for range v.Int("rounds") {
		if err := it.step(it.ranks, stepParams{nodes: n}); err != nil {
			return nil, err
		}
		if sum, err = total(ctx, it.ranks.sums); err != nil {
			return nil, err
		}
		it.release()
	}
	each := time.Since(begin).Seconds() / float64(v.Int("rounds"))
	change, err := total(ctx, it.ranks.changes)
	if err != nil {
		return nil, err
	}
	w, err := it.ranks.lines.Write(ctx, out)
	if err != nil {
		return nil, err
	}
	return &workloads.Answer{
		Dir: out, Records: w.Records, Bytes: w.Bytes,
		Figures: []workloads.Figure{
			{Name: "nodes", Value: float64(n), Unit: "1"},
			{Name: "links", Value: float64(links), Unit: "1"},
			{Name: "wall per iteration", Value: each, Unit: "s"},
			{Name: "links per second", Value: float64(links) / each, Unit: "1/s"},
			{Name: "sum of ranks", Value: float64(sum) / one, Unit: "1"},
			{Name: "last change of ranks", Value: float64(change) / one, Unit: "1"},
		},
	}, nil
}

// total computes a dataset of one number a partition and adds them up.
func total(ctx context.Context, d *engine.Dataset[int64]) (sum int64, err error) {
	err = d.CollectEach(ctx, func(_ int, n []int64) error {
		sum += n[0]
		return nil
	})
	return sum, err
}

// nodes tells how many nodes there are. Where nothing says so, all links are
// read to find out.
func (g *graph) nodes(ctx context.Context, v workloads.Values) (int64, error) {
	found := int64(0)
	if !g.generated && !v.IsSet("nodes") {
		err := g.extents.CollectEach(ctx, func(_ int, n []int64) error {
			found = max(found, n[0])
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return nodeCount(v, g.generated, found)
}

var errNoNodes = errors.New("cannot rank the nodes of a graph without links; --nodes says how many there are")

// nodeCount tells how many nodes there are; found is one more than the
// highest number among the links.
func nodeCount(v workloads.Values, generated bool, found int64) (int64, error) {
	n := v.Int("nodes")
	switch {
	case !generated && !v.IsSet("nodes"):
		n = found
	case found > n:
		return 0, tooFew(n, found-1)
	}
	if n == 0 {
		return 0, errNoNodes
	}
	return n, nil
}

func tooFew(nodes, node int64) error {
	return fmt.Errorf("cannot rank %d nodes: there is a link with node %d", nodes, node)
}

// iterator goes from step to step. Each is built in a scope of its own. The
// first one holds the links; of the others, the one before the last stays
// until the next has done its job, since that reads what it left.
type iterator struct {
	s      *engine.Session
	ranks  *ranks
	scopes []*engine.Session
}

func (it *iterator) step(base any, p stepParams) error {
	scope := it.s.Scope()
	built, err := scope.Step(base, p.encode())
	if err != nil {
		scope.Release()
		return err
	}
	it.ranks, it.scopes = built.(*ranks), append(it.scopes, scope)
	return nil
}

func (it *iterator) release() {
	for len(it.scopes) > 3 {
		it.scopes[1].Release()
		it.scopes = slices.Delete(it.scopes, 1, 2)
	}
}
