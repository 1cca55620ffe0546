package main

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/units"
)

// cores is what every side uses.
const cores = "2"

// output is where a side of a row writes.
func (l *lab) output(row, side string) string {
	return filepath.Join(l.cache, "out", row+"-"+strings.ReplaceAll(side, " ", "-"))
}

// outputFile is the file of a side that writes one.
func (l *lab) outputFile(row, side string) string {
	return filepath.Join(l.output(row, side), "answer.txt")
}

// job is ours, one execution in a process; memory 0 is the default.
func (l *lab) job(workload string, memory units.Bytes, args ...string) *Side {
	run := l.output("run", workload)
	s := &Side{Name: ours, Program: l.execbench, Outputs: []string{run}, Run: run}
	s.Args = append([]string{"run", workload, "--cores", cores, "--quiet", "--out", run, "--temp", l.temp}, args...)
	if memory > 0 {
		s.Args = append(s.Args, "--memory", memoryFlag(memory))
	}
	return s
}

// fileJob is ours from file to file: the whole process, unverified.
func (l *lab) fileJob(row, workload string, memory units.Bytes, in *Input, args ...string) *Side {
	s := l.job(workload, memory, append([]string{"--warmup", "0", "--iterations", "1", "--input", in.Path}, args...)...)
	out := l.output(row, ours)
	s.Args = append(s.Args, "--no-verify", "--output", out)
	s.Shape = args
	return s.writes(out)
}

// wholeJob is ours without an output: the whole process, verified in the round
// that is not counted.
func (l *lab) wholeJob(workload string, args ...string) *Side {
	s := l.job(workload, l.budget, append([]string{"--warmup", "0", "--iterations", "1"}, args...)...)
	s.Counted = []string{"--no-verify"}
	return s
}

// queryJob is ours over data in memory: three timed executions after one to
// warm up. The round that is not counted verifies every answer.
func (l *lab) queryJob(workload string, args ...string) *Side {
	return l.timedJob(workload, 3, args...)
}

func (l *lab) timedJob(workload string, iterations int, args ...string) *Side {
	s := l.job(workload, l.budget, append([]string{"--samples", "--warmup", "1", "--iterations", strconv.Itoa(iterations)}, args...)...)
	s.Counted = []string{"--no-verify"}
	s.Metric = Metric{Timing: workload}
	return s
}

var query = Metric{Timing: "query"}

func (l *lab) limit(args ...string) *Side {
	return &Side{Name: limitSide, Program: l.limits, Args: args, Floor: true}
}

// script is a peer that runs in Node.
func (l *lab) script(peer, file string, args ...string) *Side {
	return &Side{Name: peer, Peer: peer, Program: "node", Args: append([]string{filepath.Join(l.cache, "scripts", file)}, args...)}
}

// database is a peer that runs statements, and then perhaps a query on the
// clock.
func (l *lab) database(peer, file string, statements []string, q string) *Side {
	var args []string
	for _, s := range statements {
		args = append(args, "--do", s)
	}
	s := l.script(peer, file, args...)
	if q != "" {
		s.Args = append(s.Args, "--query", q)
		s.Metric = query
	}
	return s
}

// duckdb keeps to its own limit of memory if one is given, as "512MB".
func (l *lab) duckdb(memory string, statements []string, q string) *Side {
	s := l.database(duckdb, "duckdb.js", statements, q)
	if memory != "" {
		s.Args = append(s.Args, "--memory", memory)
	}
	return s
}

func (l *lab) clickhouse(statements []string, q string) *Side {
	for i, s := range statements {
		if strings.Contains(s, "SELECT") {
			statements[i] = s + " SETTINGS max_threads=" + cores
		}
	}
	if q != "" {
		q += " SETTINGS max_threads=" + cores
	}
	return l.database(clickhouse, "chdb.js", statements, q)
}

func (l *lab) polars(workload string, args ...string) *Side {
	return l.script(polars, "polars.js", append([]string{workload}, args...)...)
}

// spark is timed inside a warm session, so that its start does not count.
func (l *lab) spark(workload string, args ...string) *Side {
	return &Side{Name: spark, Peer: spark, Program: filepath.Join(l.cache, "spark", "bin", "python"),
		Args: append([]string{filepath.Join(l.cache, "scripts", "spark.py"), workload}, args...), Metric: query}
}

func (l *lab) gnusort(memory, in, out string) *Side {
	s := &Side{Name: gnusort, Peer: gnusort, Program: "sort", Args: []string{"--parallel=" + cores, "-S", memory, "-T", l.temp, "-o", out, in}}
	return s.writesFile(out)
}

// writes says in which folder a side writes the answer.
func (s *Side) writes(folder string) *Side {
	s.Outputs, s.Answer = append(s.Outputs, folder), folder
	return s
}

// writesFile says which file a side writes the answer to; its folder has
// nothing else.
func (s *Side) writesFile(path string) *Side {
	s.Folder = filepath.Dir(path)
	return s.writes(s.Folder)
}

func (s *Side) measuredBy(m Metric) *Side {
	s.Metric = m
	return s
}

// quoted is a text for SQL.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// csvFile is a table function of DuckDB over a CSV with a header.
func csvFile(path, columns string) string {
	return "read_csv(" + quoted(path) + ", columns={" + columns + "}, header=true, auto_detect=false)"
}

// lineFile is one over lines: a CSV of one column whose delimiter never occurs.
func lineFile(path string) string {
	return "read_csv(" + quoted(path) + `, columns={'line': 'VARCHAR'}, delim=E'\x01', header=false, quote='', escape='', auto_detect=false)`
}

// asLines ends a COPY of DuckDB that writes lines and nothing around them.
const asLines = ` (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER E'\x01')`
