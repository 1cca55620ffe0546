package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/engine/units"
)

// generated is an input that execbench makes: the file of a name in a folder
// of the cache.
func (l *lab) generated(folder, file string, args ...string) *Input {
	return &Input{Path: filepath.Join(l.cache, "data", folder, file), Generate: args}
}

// records are n records of 100 bytes, as lines. Those of execbench end in CR
// LF, as gensort's, which some readers of lines take for one end and some for
// a byte of the line and an end; here they end in a space and LF.
func (l *lab) records(n int) *Input {
	made := l.generated(fmt.Sprintf("records-%d", n), "records.txt", "terasort", "--records", strconv.Itoa(n), "--ascii")
	made.Passing = true
	return &Input{Path: filepath.Join(filepath.Dir(made.Path)+"-lines", "records.txt"), From: made, Make: func(from, to string) *Side { return l.limit("lines", from, to) }}
}

func (l *lab) text(size units.Bytes) *Input {
	return l.generated(fmt.Sprintf("words-%d", size), "words.txt", "wordcount", "--size", strconv.FormatInt(int64(size), 10))
}

func (l *lab) table(rows, keys int) *Input {
	return l.generated(fmt.Sprintf("table-%d-%d", rows, keys), "table.csv", "groupby", "--rows", strconv.Itoa(rows), "--keys", strconv.Itoa(keys))
}

// tables are a and b of a join; b has each key once.
func (l *lab) tables(rows, keys int, sparse bool) (a, b *Input) {
	folder := fmt.Sprintf("join-%d-%d", rows, keys)
	args := []string{"join", "--rows", strconv.Itoa(rows), "--ratio", strconv.FormatFloat(float64(rows)/float64(keys), 'g', -1, 64)}
	if sparse {
		folder, args = folder+"-sparse", append(args, "--sparse=true")
	}
	return l.generated(folder, "a.csv", args...), l.generated(folder, "b.csv", args...)
}

func (l *lab) links(nodes, links int) *Input {
	return l.generated(fmt.Sprintf("links-%d-%d", nodes, links), "links.csv", "pagerank", "--nodes", strconv.Itoa(nodes), "--edges", strconv.Itoa(links))
}

// packed are links as the limit program reads them fastest.
func (l *lab) packed(csv *Input) *Input {
	return &Input{Path: csv.Path + ".bin", From: csv, Make: func(from, to string) *Side { return l.limit("links", from, to) }}
}

// parquet is a CSV as columns, made by DuckDB, for those that load tables.
func (l *lab) parquet(csv *Input, columns string) *Input {
	return &Input{Path: csv.Path + ".parquet", From: csv, Make: func(from, to string) *Side {
		return l.duckdb("", []string{"COPY (SELECT * FROM " + csvFile(from, columns) + ") TO " + quoted(to) + " (FORMAT parquet)"}, "")
	}}
}

// need makes an input unless it is there. What must be installed for it and
// is not is no error: whoever reads it is missing too.
func (l *lab) need(ctx context.Context, in *Input) error {
	_, err := os.Stat(in.Path)
	made := err == nil
	if in.From != nil && !(made && in.From.Passing) {
		if err := l.need(ctx, in.From); err != nil {
			return err
		}
	}
	if made {
		return nil
	}
	folder := filepath.Dir(in.Path)
	l.say("making %s", in.Path)
	if in.From == nil {
		if err := os.MkdirAll(filepath.Dir(folder), 0o777); err != nil {
			return err
		}
		_, err := l.once(ctx, &Side{Name: "data", Program: l.execbench, Args: append(append([]string{"gen"}, in.Generate...), "--out", folder)}, false)
		if err != nil {
			return err
		}
		_, err = os.Stat(in.Path)
		return err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	partial := in.Path + ".partial"
	s := in.Make(in.From.Path, partial)
	if l.missing(s.Peer) != "" {
		return nil
	}
	s.Name, s.Outputs = "data", []string{partial}
	if _, err := l.once(ctx, s, false); err != nil {
		return err
	}
	if err := os.Rename(partial, in.Path); err != nil || !in.From.Passing {
		return err
	}
	return in.From.remove()
}

// remove takes an input off the disk, not what it was made from.
func (in *Input) remove() error {
	folder := filepath.Dir(in.Path)
	if in.From == nil {
		return errors.Join(os.RemoveAll(folder), os.RemoveAll(data.ManifestPath(folder)))
	}
	err := os.RemoveAll(in.Path)
	_ = os.Remove(folder) // unless there is more in it
	return err
}

// discard removes the inputs of the first row that no other row reads.
func discard(rows []*Row) error {
	var needed []string
	for _, row := range rows[1:] {
		for _, in := range row.Inputs {
			for ; in != nil; in = in.From {
				needed = append(needed, in.Path)
			}
		}
	}
	var all error
	for _, in := range rows[0].Inputs {
		for ; in != nil; in = in.From {
			if !slices.Contains(needed, in.Path) {
				all = errors.Join(all, in.remove())
			}
		}
	}
	return all
}
