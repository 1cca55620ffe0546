// Package groupby sums, counts and averages the rows of a table by key.
package groupby

import (
	"context"
	"fmt"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// Workload is the groupby workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:      "groupby",
	Summary:   "sum, count and mean of a table's rows by key",
	Stresses:  "hash aggregation; with many keys random access to memory and shuffle, from CSV parsing",
	Doc:       doc,
	Params:    params,
	DataBytes: dataBytes,
	Generate:  generate,
	Build:     build,
	Prepare:   prepare,
	Run:       run,
	Verify:    verify,
}

const doc = `Groups the rows of a table by a key, and finds for each group how many rows it
has, the sum of a whole number v and the mean of a fraction f:

  SELECT id, count(*), sum(v), avg(f) FROM table GROUP BY id

Map tasks parse rows and add up what they can in a table of their own; reduce
tasks merge the partial results of their share of the keys.

What it stresses: parsing, then hash aggregation. With few keys (--keys 100)
the tables stay in the processor's caches and next to nothing is shuffled. With
as many keys as rows nothing can be added up early: every row crosses the
shuffle, and every look-up misses the caches. --skew S draws keys by Zipf's law
with exponent S: 0 makes all equally frequent, 1 gives the first of a million
keys 7 % of the rows. --key string makes keys texts of a few more bytes.

--cached parses the rows into memory before the clock starts and times the
query alone, as databases are timed over a loaded table; the groups are kept
in memory too, as by CREATE TABLE AS, and the digest that they are verified by
is computed when the clock has stopped. Without it the digest is what uses the
groups. Rows that memory cannot hold go to disk.

--input takes CSV files with a header, plain, .gz or .zst; --key-column,
--value-column and --measure-column name the columns if they are not id, v, f.
A table without rows has no groups.

Verified against an aggregation of its own, by another parser and other
tables: as many groups and rows, the same total of v, and a sum over all groups
of a hash of the key, the count and the sums, so that one wrong group shows.
Generated fractions are multiples of 1/1024: their sums are exact in any order
and means are compared to the bit. With --input, means are compared as one sum
over the groups, with weights by key, to 1e-9 of it. If memory is too short for
all the keys, the input is read several times.

  execbench run groupby --rows 1e7 --keys 1e6
  execbench run groupby --rows 1e7 --keys 1e6 --cached=true
  execbench run groupby --rows 1e7 --keys 1e7 --skew 1 --key string
  execbench run groupby --rows 1e7 --keys 1e7 --memory 128MiB    # it spills
  execbench run groupby --input sales.csv --key-column=product --key string
`

var params = []workloads.Param{
	{Name: "rows", Kind: workloads.Int, Default: "1e6", Min: "1", Max: "10000000000", Data: true,
		Doc: "rows of the table"},
	{Name: "keys", Kind: workloads.Int, Default: "100000", Min: "1", Max: "1000000000", Data: true,
		Doc: "distinct keys to draw from; more of them mean more to shuffle"},
	{Name: "skew", Kind: workloads.Float, Default: "0", Min: "0", Max: "4", Data: true,
		Doc: "exponent of Zipf's law for the keys: 0 makes all equally frequent"},
	{Name: "key", Kind: workloads.String, Default: "int", Choices: []string{"int", "string"}, Data: true,
		Doc: "what keys are: whole numbers or texts"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Data: true,
		Doc: "another seed gives other rows"},
	{Name: "cached", Kind: workloads.Bool, Default: "false",
		Doc: "parse the rows into memory first, and time the query alone"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "tasks that merge groups; 0 means one for every 4 MiB of input, but at least two for each core"},
	{Name: "key-column", Kind: workloads.String, Default: "id",
		Doc: "column to group by"},
	{Name: "value-column", Kind: workloads.String, Default: "v",
		Doc: "column of whole numbers to sum"},
	{Name: "measure-column", Kind: workloads.String, Default: "f",
		Doc: "column of fractions to average"},
}

// partitionBytes is the input of one partition of the shuffle: where every
// row has a key of its own, its table still fits the larger caches, and where
// keys repeat, half as many partitions cost a quarter less: map tasks write
// to fewer places, and there are fewer tasks.
const partitionBytes = 4 << 20

// cell is what a row says about its key.
type cell struct {
	V int64
	F float64
}

// group is what is known of the rows of a key.
type group struct {
	Count int64
	V     int64
	F     float64
}

func (g group) add(c cell) group { return group{g.Count + 1, g.V + c.V, g.F + c.F} }

// addAll is add for a batch.
func addAll(f engine.Folding[cell, group]) {
	for i := range f.Len() {
		g, c := f.State(i), f.Value(i)
		g.Count++
		g.V += c.V
		g.F += c.F
	}
}

func (g group) merge(o group) group { return group{g.Count + o.Count, g.V + o.V, g.F + o.F} }

func (g group) mean() float64 { return g.F / float64(g.Count) }

// query is the lineage, with its key type hidden.
type query interface {
	load(ctx context.Context) error
	keep(ctx context.Context) (groups int64, err error)
	digest(ctx context.Context) (digest, error)
}

type queryOf[K any] struct {
	rows    *engine.Dataset[engine.Pair[K, cell]]
	groups  *engine.Dataset[engine.Pair[K, group]]
	digests *engine.Dataset[digest]
}

func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	if v.String("key") == "string" {
		return buildBy(s, v, in, func(rows *source.Rows, i int) string { return rows.String(i, 0) }, hashTexts)
	}
	return buildBy(s, v, in, func(rows *source.Rows, i int) int64 { return rows.Int(i, 0) }, hashInts)
}

func buildBy[K any](s *engine.Session, v workloads.Values, in workloads.Input, key func(rows *source.Rows, i int) K, hash hasher[K]) (query, error) {
	type row = engine.Pair[K, cell]
	rows, err := engine.CSV(s, in.Paths, columns(v), 0, func(dst []row, rows *source.Rows) ([]row, error) {
		for i := range rows.Len() {
			dst = append(dst, row{Key: key(rows, i), Value: cell{rows.Int(i, 1), rows.Float(i, 2)}})
		}
		return dst, nil
	})
	if err != nil {
		return nil, err
	}
	parts, err := table.Partitions(v, s.Cores(), in.Paths, partitionBytes)
	if err != nil {
		return nil, err
	}
	if v.Bool("cached") {
		rows.Persist(block.MemoryAndDisk)
	}
	return queryBy(rows, parts, v.Bool("cached"), in.Generated, hash), nil
}

// queryBy groups rows into parts partitions; exact is what digest.add asks for.
func queryBy[K any](rows *engine.Dataset[engine.Pair[K, cell]], parts int, cached, exact bool, hash hasher[K]) query {
	zero := func() group { return group{} }
	var groups *engine.Dataset[engine.Pair[K, group]]
	if _, number := any(*new(K)).(int64); cached && number { // keys may be close together: see AggregateByKeyBatches
		groups = engine.AggregateByKeyBatches(rows, zero, addAll, group.merge, engine.Partitions(parts))
	} else {
		groups = engine.AggregateByKey(rows, zero, group.add, group.merge, engine.Partitions(parts))
	}
	if cached {
		groups.Persist(block.MemoryAndDisk)
	}
	digests := engine.AggregateBatches(groups, func() digest { return digest{} }, func(d digest, batch []engine.Pair[K, group]) digest {
		return digestAll(d, batch, hash, exact)
	})
	return &queryOf[K]{rows, groups, digests}
}

func columns(v workloads.Values) []string {
	return []string{v.String("key-column"), v.String("value-column"), v.String("measure-column")}
}

func (q *queryOf[K]) load(ctx context.Context) error {
	_, err := q.rows.Count(ctx)
	return err
}

// keep computes the groups for the memory that they are to stay in.
func (q *queryOf[K]) keep(ctx context.Context) (groups int64, err error) { return q.groups.Count(ctx) }

// digest goes over the groups, which are computed where they are not kept.
func (q *queryOf[K]) digest(ctx context.Context) (digest, error) {
	parts, err := q.digests.Collect(ctx)
	var whole digest
	for _, d := range parts {
		whole = whole.merge(d)
	}
	return whole, err
}

func prepare(ctx context.Context, _ *engine.Session, built any, v workloads.Values) error {
	if !v.Bool("cached") {
		return nil
	}
	if err := built.(query).load(ctx); err != nil {
		return fmt.Errorf("cannot load the table: %w", err)
	}
	return nil
}

func run(ctx context.Context, _ *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
	q, a := built.(query), &workloads.Answer{}
	sum := func(ctx context.Context) error {
		d, err := q.digest(ctx)
		if err != nil {
			return err
		}
		a.Records, a.Checksum, a.Detail = d.Groups, d.String(), d
		a.Figures = []workloads.Figure{{Name: "groups", Value: float64(d.Groups), Unit: "1"}, {Name: "rows", Value: float64(d.Rows), Unit: "1"}}
		return nil
	}
	if !v.Bool("cached") {
		return a, sum(ctx)
	}
	n, err := q.keep(ctx)
	a.Records, a.Rest = n, sum
	return a, err
}
