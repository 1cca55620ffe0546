// Package join matches the rows of two tables by key.
package join

import (
	"context"
	"fmt"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/workloads"
	"github.com/execbench/execbench/workloads/internal/table"
)

// Workload is the join workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:      "join",
	Summary:   "match two tables by key and sum over the matches",
	Stresses:  "shuffle of both tables, memory bandwidth, hash tables; from CSV parsing",
	Doc:       doc,
	Params:    params,
	DataBytes: dataBytes,
	Generate:  generate,
	Build:     build,
	Prepare:   prepare,
	Run:       run,
	Verify:    verify,
}

const doc = `Joins two tables by key, and counts and sums up the matches:

  SELECT count(*), sum(v), sum(w) FROM a JOIN b ON a.k = b.k

Every pair of a row of a and a row of b with the same key is a match. Map tasks
send the rows of both tables to the tasks that their keys belong to; each of
those matches what it got and adds up. A table that is small enough
(sql.autoBroadcastJoinThreshold) is held by all tasks, and the other one is not
sent: --conf sql.autoBroadcastJoinThreshold=0 sends both.

What it stresses: all rows of both tables cross the shuffle, or those of the
small one, and matching them jumps about in memory. --ratio R makes b R times
smaller than a. --keys K draws the keys of a from K; b has each key once as long
as it has no more rows than there are keys (--keys 0), and repeats them
otherwise, so that --keys below its rows multiplies the matches. --skew S draws
the keys of a by Zipf's law with exponent S, so that few tasks get most of it.
--sparse=true spreads the keys over about 2^60 numbers, so that none can be
looked up by its position.

--cached parses both tables into memory before the clock starts and times the
query alone, as databases are timed over loaded tables. Rows that memory cannot
hold go to disk.

--input A.csv,B.csv takes CSV with a header, plain, .gz or .zst: a first, b
second, each a file or a folder; the columns are k and v, k and w, or those
that --key-column, --left-column and --right-column name. Keys are whole
numbers, and so is what is summed; sums wrap at 64 bits.

Verified by another way to the answer: by a parser and tables of its own the
verifier counts and sums the rows of each key on both sides, and multiplies. If
memory is too short for all the keys, it reads the input several times.

  execbench run join --rows 1e6
  execbench run join --rows 1e7 --ratio 10 --sparse=true
  execbench run join --rows 1e7 --cached=true
  execbench run join --rows 1e7 --memory 256MiB                  # it spills
  execbench run join --rows 1e6 --ratio 10 --keys 50000 --skew 1
  execbench run join --input orders.csv,customers.csv --key-column=customer
`

// partitionBytes is the input of both sides for each partition of the
// shuffle: the hash table of one then stays near the processor's second-level
// cache, where a look-up costs a tenth of one in memory, and map tasks write to
// no more places than need be (1e7 × 1e6 rows took 0.101 s with these 64
// partitions, 0.113 with twice as many).
const partitionBytes = 4 << 20

var params = []workloads.Param{
	{Name: "rows", Kind: workloads.Int, Default: "1e6", Min: "1", Max: "10000000000", Data: true,
		Doc: "rows of the left table, a"},
	{Name: "ratio", Kind: workloads.Float, Default: "1", Min: "0.0001", Max: "1e9", Data: true,
		Doc: "rows of a for each row of the right table, b"},
	{Name: "keys", Kind: workloads.Int, Default: "0", Min: "0", Max: "10000000000", Data: true,
		Doc: "distinct keys to draw from; 0 means as many as b has rows"},
	{Name: "skew", Kind: workloads.Float, Default: "0", Min: "0", Max: "4", Data: true,
		Doc: "exponent of Zipf's law for the keys of a: 0 makes all equally frequent"},
	{Name: "sparse", Kind: workloads.Bool, Default: "false", Data: true,
		Doc: "spread the keys over about 2^60 numbers"},
	{Name: "seed", Kind: workloads.Int, Default: "0", Data: true,
		Doc: "another seed gives other rows"},
	{Name: "cached", Kind: workloads.Bool, Default: "false",
		Doc: "parse both tables into memory first, and time the query alone"},
	{Name: "partitions", Kind: workloads.Int, Default: "0", Min: "0", Max: "100000",
		Doc: "tasks that match rows; 0 means one for every 4 MiB of input, but at least two for each core"},
	{Name: "key-column", Kind: workloads.String, Default: "k",
		Doc: "column to join by, in both tables"},
	{Name: "left-column", Kind: workloads.String, Default: "v",
		Doc: "column of a to sum over the matches"},
	{Name: "right-column", Kind: workloads.String, Default: "w",
		Doc: "column of b to sum over the matches"},
}

// totals is the answer: how many matches there are, and the sums of v and w
// over them, modulo 2^64.
type totals struct {
	Matches int64
	V       int64
	W       int64
}

func (t totals) add(o totals) totals {
	return totals{t.Matches + o.Matches, t.V + o.V, t.W + o.W}
}

// String is the answer's checksum: the answer itself.
func (t totals) String() string { return fmt.Sprintf("%d:%d:%d", t.Matches, t.V, t.W) }

type row = engine.Pair[int64, int64]

type query struct {
	left, right *engine.Dataset[row]
	matches     *engine.Dataset[totals]
}

func build(s *engine.Session, v workloads.Values, in workloads.Input) (any, error) {
	a, b, err := sides(in)
	if err != nil {
		return nil, err
	}
	left, err := read(s, a, v.String("key-column"), v.String("left-column"))
	if err != nil {
		return nil, err
	}
	right, err := read(s, b, v.String("key-column"), v.String("right-column"))
	if err != nil {
		return nil, err
	}
	if v.Bool("cached") {
		left.Persist(block.MemoryAndDisk)
		right.Persist(block.MemoryAndDisk)
	}
	parts, err := table.Partitions(v, s.Cores(), []string{a, b}, partitionBytes)
	if err != nil {
		return nil, err
	}
	joined := engine.Join(left, right, engine.Partitions(parts))
	matches := engine.AggregateBatches(joined, func() totals { return totals{} }, func(t totals, matches []engine.Pair[int64, engine.Joined[int64, int64]]) totals {
		for _, m := range matches {
			t = totals{t.Matches + 1, t.V + m.Value.Left, t.W + m.Value.Right}
		}
		return t
	})
	return &query{left, right, matches}, nil
}

func read(s *engine.Session, path, key, value string) (*engine.Dataset[row], error) {
	return engine.CSV(s, []string{path}, []string{key, value}, 0, func(dst []row, rows *source.Rows) ([]row, error) {
		for i := range rows.Len() {
			dst = append(dst, row{Key: rows.Int(i, 0), Value: rows.Int(i, 1)})
		}
		return dst, nil
	})
}

func prepare(ctx context.Context, _ *engine.Session, built any, v workloads.Values) error {
	if !v.Bool("cached") {
		return nil
	}
	q := built.(*query)
	for _, side := range []*engine.Dataset[row]{q.left, q.right} {
		if _, err := side.Count(ctx); err != nil {
			return fmt.Errorf("cannot load a table: %w", err)
		}
	}
	return nil
}

func run(ctx context.Context, _ *engine.Session, built any, _ workloads.Values, _ string) (*workloads.Answer, error) {
	parts, err := built.(*query).matches.Collect(ctx)
	if err != nil {
		return nil, err
	}
	var t totals
	for _, p := range parts {
		t = t.add(p)
	}
	return &workloads.Answer{
		Records: t.Matches, Checksum: t.String(), Detail: t,
		Figures: []workloads.Figure{{Name: "matches", Value: float64(t.Matches), Unit: "1"}},
	}, nil
}
