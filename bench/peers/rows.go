package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/units"
)

const recordBytes = 100

// rows are all rows, in the order in which they are measured.
func (l *lab) rows() []*Row {
	var all []*Row
	for _, n := range []int{1e7, 4e7} {
		all = append(all, l.sortRow(n), l.tightSortRow(n))
	}
	all = append(all, l.wordsRow(units.GB))
	for _, n := range []int{1e7, 1e8} {
		for _, keys := range []int{100, 1e6, 1e7} {
			all = append(all, l.groupByRow(n, keys))
		}
	}
	all = append(all,
		l.groupByCSVRow(1e7, 1e6),
		l.joinRow(1e7, 1e7, true), l.joinRow(1e7, 1e7, false),
		l.joinRow(1e7, 1e6, true), l.joinRow(1e7, 1e6, false),
		l.pageRankRow(1e6, 1e7, 10),
		l.kMeansRow(1e6, 10),
		l.tasksRow(1e6, 1e5), l.shortestTaskRow(), l.measuringRow(),
	)
	all = append(all, l.quarterRows()...)
	all = append(all, l.sortGrowthRow(), l.wordsGrowthRow(), l.spillGrowthRow())
	if l.before != "" {
		for _, row := range all {
			addBefore(row, l.before)
		}
	}
	return all
}

// count writes 10000000 as 1e7.
func count(n int) string {
	s := strconv.FormatFloat(float64(n), 'e', -1, 64)
	return strings.NewReplacer("e+0", "e", "e+", "e").Replace(s)
}

// size writes 1000000000 as 1GB.
func size(b units.Bytes) string {
	return strconv.FormatFloat(float64(b)/1e9, 'f', -1, 64) + "GB"
}

// sortRow sorts lines of 100 bytes from file to file, all in memory.
func (l *lab) sortRow(n int) *Row {
	name := "sort-" + size(units.Bytes(n*recordBytes))
	in := l.records(l.scaled(n))
	out := func(side string) string { return l.outputFile(name, side) }
	return &Row{
		Name: name, Title: "sort " + size(units.Bytes(n*recordBytes)) + " of 100-byte lines, file to file", Inputs: []*Input{in}, Budget: l.budget, Verify: "terasort",
		Sides: []*Side{
			l.fileJob(name, "terasort", l.budget, in),
			l.limit("sort", in.Path, out(limitSide)).writesFile(out(limitSide)),
			l.clickhouse([]string{"INSERT INTO FUNCTION file(" + quoted(out(clickhouse)) + ", 'TSVRaw', 'line String') SELECT line FROM file(" + quoted(in.Path) + ", 'LineAsString') ORDER BY line"}, "").writesFile(out(clickhouse)),
			l.duckdb("", []string{sortSQL(in.Path, out(duckdb))}, "").writesFile(out(duckdb)),
			l.gnusort("14G", in.Path, out(gnusort)),
			l.polars("sort", in.Path, out(polars)).writesFile(out(polars)),
			l.spark("sort", in.Path, l.output(name, spark)).writes(l.output(name, spark)),
		},
		Targets: []Target{{fastestPeer, 0.45}, {limitSide, 1.6}, {spark, 0.12}},
	}
}

func sortSQL(in, out string) string {
	return "COPY (SELECT line FROM " + lineFile(in) + " ORDER BY line) TO " + quoted(out) + asLines
}

// tightSortRow sorts in 512 MiB, beside those that keep to a limit.
func (l *lab) tightSortRow(n int) *Row {
	name := "sort-" + size(units.Bytes(n*recordBytes)) + "-512MiB"
	in := l.records(l.scaled(n))
	const memory = 512 * units.MiB
	return &Row{
		Name: name, Title: "sort " + size(units.Bytes(n*recordBytes)) + " with 512 MiB (DuckDB and GNU sort: 512 MB)", Inputs: []*Input{in}, Budget: memory, Verify: "terasort",
		Sides: []*Side{
			l.fileJob(name, "terasort", memory, in),
			l.duckdb("512MB", []string{sortSQL(in.Path, l.outputFile(name, duckdb))}, "").writesFile(l.outputFile(name, duckdb)),
			l.gnusort("512M", in.Path, l.outputFile(name, gnusort)),
		},
		Targets: []Target{{duckdb, 0.5}},
	}
}

// wordsRow counts words from file to file.
func (l *lab) wordsRow(bytes units.Bytes) *Row {
	name := "words-" + size(bytes)
	in := l.text(units.Bytes(l.scaled(int(bytes))))
	out := func(side string) string { return l.outputFile(name, side) }
	return &Row{
		Name: name, Title: "count the words of " + size(bytes) + ", file to file", Inputs: []*Input{in}, Budget: l.budget, Verify: "wordcount",
		Sides: []*Side{
			l.fileJob(name, "wordcount", l.budget, in),
			l.limit("words", in.Path, out(limitSide)).writesFile(out(limitSide)),
			l.clickhouse([]string{"INSERT INTO FUNCTION file(" + quoted(out(clickhouse)) + ", 'TSVRaw', 'word String, n UInt64') SELECT word, count() FROM (SELECT arrayJoin(splitByChar(' ', line)) AS word FROM file(" + quoted(in.Path) + ", 'LineAsString')) WHERE word <> '' GROUP BY word"}, "").writesFile(out(clickhouse)),
			l.duckdb("", []string{"COPY (SELECT word, count(*) FROM (SELECT unnest(string_split(line, ' ')) AS word FROM " + lineFile(in.Path) + ") WHERE word <> '' GROUP BY word) TO " + quoted(out(duckdb)) + ` (FORMAT csv, HEADER false, DELIMITER E'\t')`}, "").writesFile(out(duckdb)),
			l.polars("words", in.Path, out(polars)).writesFile(out(polars)),
			l.spark("words", in.Path, l.output(name, spark)).writes(l.output(name, spark)),
		},
		Targets: []Target{{fastestPeer, 0.6}, {limitSide, 1.3}, {spark, 0.12}},
	}
}

const (
	tableColumns = "'id': 'BIGINT', 'v': 'BIGINT', 'f': 'DOUBLE'"
	groupBySQL   = "SELECT id, sum(v), avg(f) FROM t GROUP BY id"
)

// groupByRow groups a table that is in memory.
func (l *lab) groupByRow(n, keys int) *Row {
	in := l.table(l.scaled(n), min(keys, l.scaled(n)))
	columns := l.parquet(in, tableColumns)
	targets := []Target{{fastestPeer, 0.35}, {limitSide, 1.7}, {spark, 0.12}}
	if keys == 100 {
		targets = []Target{{fastestPeer, 0.9}, {limitSide, 1.5}, {spark, 0.12}}
	}
	return &Row{
		Name: "groupby-" + count(n) + "-" + count(keys), Title: "sum and mean by key, " + count(n) + " rows and " + count(keys) + " keys in memory", Inputs: []*Input{columns}, Budget: l.budget,
		Sides: []*Side{
			l.queryJob("groupby", "--input", in.Path, "--cached=true"),
			l.limit("groupby", strconv.Itoa(l.scaled(n)), strconv.Itoa(min(keys, l.scaled(n)))).measuredBy(query),
			l.clickhouse([]string{"CREATE DATABASE d ENGINE=Atomic", "USE d", "CREATE TABLE t ENGINE=Memory AS SELECT * FROM file(" + quoted(columns.Path) + ", 'Parquet')"},
				"CREATE OR REPLACE TABLE r ENGINE=Memory AS "+groupBySQL),
			l.duckdb("", []string{"CREATE TABLE t AS SELECT * FROM " + quoted(columns.Path)}, "CREATE OR REPLACE TEMP TABLE r AS "+groupBySQL),
			l.polars("groupby", columns.Path),
			l.spark("groupby", columns.Path),
		},
		Targets: targets,
	}
}

// groupByCSVRow groups a table that is read from text, in one process.
func (l *lab) groupByCSVRow(n, keys int) *Row {
	name := "groupby-csv-" + count(n) + "-" + count(keys)
	in := l.table(l.scaled(n), min(keys, l.scaled(n)))
	return &Row{
		Name: name, Title: "the same from CSV, " + count(n) + " rows and " + count(keys) + " keys, whole process", Inputs: []*Input{in}, Budget: l.budget,
		Sides: []*Side{
			l.wholeJob("groupby", "--input", in.Path),
			l.limit("groupby-csv", in.Path, strconv.Itoa(min(keys, l.scaled(n)))),
			l.duckdb("", []string{"CREATE TEMP TABLE r AS SELECT id, sum(v), avg(f) FROM " + csvFile(in.Path, tableColumns) + " GROUP BY id"}, ""),
			l.clickhouse([]string{"CREATE TABLE r ENGINE=Memory AS SELECT id, sum(v), avg(f) FROM file(" + quoted(in.Path) + ", 'CSVWithNames', 'id Int64, v Int64, f Float64') GROUP BY id"}, ""),
			l.polars("groupby-csv", in.Path),
			l.spark("groupby-csv", in.Path),
		},
		Targets: []Target{{fastestPeer, 0.85}, {limitSide, 1.15}, {spark, 0.12}},
	}
}

// joinRow joins tables that are in memory.
func (l *lab) joinRow(n, keys int, sparse bool) *Row {
	a, b := l.tables(l.scaled(n), l.scaled(keys), sparse)
	left, right := l.parquet(a, "'k': 'BIGINT', 'v': 'BIGINT'"), l.parquet(b, "'k': 'BIGINT', 'w': 'BIGINT'")
	const sql = "SELECT count(*), sum(v), sum(w) FROM a JOIN b ON a.k = b.k"
	kind, targets := "sparse", []Target{{fastestPeer, 0.5}, {limitSide, 1.5}, {spark, 0.12}}
	if !sparse {
		kind = "dense"
	}
	if !sparse && keys < n {
		targets = []Target{{duckdb, 1}, {spark, 0.12}}
	}
	row := &Row{
		Name: "join-" + count(n) + "-" + count(keys) + "-" + kind, Title: "join and sums, " + count(n) + " × " + count(keys) + " rows with " + kind + " keys in memory", Inputs: []*Input{left, right}, Budget: l.budget,
		Sides: []*Side{
			l.queryJob("join", "--input", a.Path, "--input", b.Path, "--cached=true"),
			l.limit("join", strconv.Itoa(l.scaled(n)), strconv.Itoa(l.scaled(keys)), kind).measuredBy(query),
			l.duckdb("", []string{"CREATE TABLE a AS SELECT * FROM " + quoted(left.Path), "CREATE TABLE b AS SELECT * FROM " + quoted(right.Path)}, sql),
			l.clickhouse([]string{"CREATE DATABASE d ENGINE=Atomic", "USE d",
				"CREATE TABLE a ENGINE=Memory AS SELECT * FROM file(" + quoted(left.Path) + ", 'Parquet')",
				"CREATE TABLE b ENGINE=Memory AS SELECT * FROM file(" + quoted(right.Path) + ", 'Parquet')"}, sql),
			l.polars("join", left.Path, right.Path),
			l.spark("join", left.Path, right.Path),
		},
		Targets: targets,
	}
	if !sparse {
		told := l.limit("join", strconv.Itoa(l.scaled(n)), strconv.Itoa(l.scaled(keys)), kind, "told").measuredBy(query)
		told.Name = "limit, told that keys are dense"
		row.Sides = append(row.Sides, told)
	}
	return row
}

// pageRankRow ranks a graph. The limit reads packed numbers in one row and
// the CSV that all others read in another.
func (l *lab) pageRankRow(nodes, links, rounds int) *Row {
	n, r := l.scaled(nodes), strconv.Itoa(rounds)
	in := l.links(n, l.scaled(links))
	packed := l.packed(in)
	csv := l.limit("pagerank", in.Path, strconv.Itoa(n), r)
	csv.Name = "limit from CSV"
	steps := []string{
		"CREATE TABLE e AS SELECT * FROM " + csvFile(in.Path, "'s': 'INTEGER', 'd': 'INTEGER'"),
		"CREATE TABLE g AS SELECT s, count(*) AS n FROM e GROUP BY s",
		fmt.Sprintf("CREATE TABLE r AS SELECT range::INT AS id, 1.0::DOUBLE / %d AS x FROM range(%d)", n, n),
	}
	for range rounds {
		steps = append(steps,
			fmt.Sprintf("CREATE OR REPLACE TABLE next AS WITH c AS (SELECT r.id, r.x / g.n AS y FROM r JOIN g ON r.id = g.s), p AS (SELECT e.d, sum(c.y) AS z FROM e JOIN c ON e.s = c.id GROUP BY e.d) SELECT r.id, 0.15 / %d + 0.85 * coalesce(p.z, 0) AS x FROM r LEFT JOIN p ON r.id = p.d", n),
			"CREATE OR REPLACE TABLE r AS SELECT * FROM next")
	}
	name := "pagerank-" + count(nodes) + "-" + count(links)
	return &Row{
		Name: name, Title: fmt.Sprintf("PageRank, %s nodes, %s links, %d rounds, whole process", count(nodes), count(links), rounds), Inputs: []*Input{in, packed}, Budget: l.budget, Verify: "pagerank",
		Sides: []*Side{
			l.fileJob(name, "pagerank", l.budget, in, "--nodes", strconv.Itoa(n), "--rounds", r),
			l.limit("pagerank", packed.Path, strconv.Itoa(n), r), csv,
			l.duckdb("", steps, ""),
			l.spark("pagerank", in.Path, strconv.Itoa(n), r),
		},
		Targets: []Target{{duckdb, 0.15}, {limitSide, 3}, {spark, 0.12}},
	}
}

// kMeansRow groups points that are in memory; every side makes its own, of
// the same shape.
func (l *lab) kMeansRow(points, rounds int) *Row {
	n, r := strconv.Itoa(l.scaled(points)), strconv.Itoa(rounds)
	return &Row{
		Name: "kmeans-" + count(points), Title: fmt.Sprintf("k-means, %s points of 20 dimensions, 10 centres, %d rounds, in memory", count(points), rounds), Budget: l.budget,
		Sides: []*Side{
			l.queryJob("kmeans", "--points", n, "--dim", "20", "--k", "10", "--rounds", r),
			l.limit("kmeans", n, r).measuredBy(query),
			l.spark("kmeans", n, r),
		},
		Targets: []Target{{spark, 0.1}, {limitSide, 1.3}},
	}
}

// tasksRow hands out empty tasks. Ours measures every one of them; the ways
// of the limit program do nothing else.
func (l *lab) tasksRow(n, sparkTasks int) *Row {
	tasks := func(s *Side, n int) *Side {
		s.Per = float64(n)
		return s
	}
	n, sparkTasks = l.scaled(n), l.scaled(sparkTasks)
	row := &Row{
		Name: "tasks", Title: "one empty task: wall ÷ tasks on two workers", Budget: l.budget,
		Sides: []*Side{
			tasks(l.queryJob("tasks", "--tasks", strconv.Itoa(n), "--metg=false"), n),
			tasks(l.spark("tasks", strconv.Itoa(sparkTasks)), sparkTasks),
			{Name: "bigslice", Recorded: 263e-6},
		},
		Targets: []Target{{absolute, 2.5e-6}, {"bigslice", 1.0 / 100}, {spark, 1.0 / 200}},
	}
	for _, way := range []string{"channel-batched", "channel-buffered", "channel", "claim", "claim-64", "split", "goroutines", "errgroup", "queue", "answers", "round-trip"} {
		s := tasks(l.limit("tasks", way, strconv.Itoa(n)).measuredBy(query), n)
		s.Name = "limit: " + way
		row.Sides = append(row.Sides, s)
	}
	return row
}

// shortestTaskRow finds how short tasks may be until half of the time is lost.
func (l *lab) shortestTaskRow() *Row {
	s := l.job("tasks", l.budget, "--warmup", "1", "--iterations", "1", "--tasks", "100000")
	s.Metric = Metric{Figure: "METG(50%)"}
	return &Row{Name: "metg", Title: "shortest task for which half of two cores' time is useful: METG(50 %)", Sides: []*Side{s}, Targets: []Target{{absolute, 5e-6}}, Budget: l.budget}
}
