package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/execbench/execbench/bench/machine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	rows, sides, out string
	rounds           int
	keep, resume     bool
	discard          bool
}

// run does what the first argument says: run (also when there is none),
// prepare, list or setup.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	verb := "run"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	var o options
	l := &lab{log: stderr}
	f := flag.NewFlagSet("peers "+verb, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.rows, "rows", "", "the `NAMES` of rows, separated by commas; * stands for any part of one (default all)")
	f.StringVar(&o.sides, "sides", "", "the `NAMES` of sides to measure beside ours, likewise (default all)")
	f.IntVar(&o.rounds, "rounds", 5, "how many `ROUNDS` are counted, after one that is not")
	f.StringVar(&o.out, "out", "results/peers.md", "the Markdown `FILE` to write; JSON is written beside it")
	f.BoolVar(&o.keep, "keep", false, "keep the rows of an earlier report in the file that are not measured now")
	f.BoolVar(&o.resume, "resume", false, "keep all rows of an earlier report in the file, and go on with those that the same programs did not finish")
	f.BoolVar(&o.discard, "discard", false, "remove data as soon as no further row needs them")
	f.StringVar(&l.cache, "cache", "", "the `FOLDER` of peers, data and temporary files (default in the user's cache)")
	f.StringVar(&l.execbench, "execbench", "", "the `PROGRAM` to measure (default: built from this module)")
	f.StringVar(&l.before, "before", "", "an earlier `PROGRAM` to measure beside it on every row")
	f.StringVar(&l.limits, "limit", "", "the limit `PROGRAM` (default: built from this module)")
	f.Float64Var(&l.scale, "scale", 1, "measure with this `PART` of every size, to try things out")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if f.NArg() > 0 || o.rounds < 1 || l.scale <= 0 || l.scale > 1 {
		return fmt.Errorf("cannot run with these arguments: %s; -h shows the flags", strings.Join(args, " "))
	}
	if l.cache == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("cannot find a cache folder; name one by -cache: %w", err)
		}
		l.cache = filepath.Join(cache, "execbench-peers")
	}
	if l.cache, err = filepath.Abs(l.cache); err != nil {
		return err
	}
	facts := machine.ReadFacts(os.DirFS("/"))
	l.budget = min(ample, facts.Memory/2)
	if err := l.open(); err != nil {
		return fmt.Errorf("cannot use the cache folder: %w", err)
	}
	// With what programs that were killed left in it.
	defer func() { err = errors.Join(err, os.RemoveAll(l.temp)) }()
	if verb == "setup" {
		return l.setup(ctx)
	}
	if verb != "list" {
		if err := l.build(); err != nil {
			return err
		}
	}
	rows, err := choose(l.rows(), o.rows, o.sides)
	if err != nil {
		return err
	}
	switch verb {
	case "list":
		return list(stdout, rows)
	case "prepare":
		for _, row := range rows {
			if err := l.prepare(ctx, row); err != nil {
				return err
			}
		}
		return nil
	case "run":
		return l.compare(ctx, rows, o, facts, stdout)
	}
	return fmt.Errorf("there is no command %q: it is one of run, prepare, list and setup", verb)
}

// choose takes the rows and sides that were named.
func choose(rows []*Row, names, sides string) ([]*Row, error) {
	var chosen []*Row
	for _, row := range rows {
		if names == "" || named(row.Name, names) {
			chosen = append(chosen, row)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no row is named %q; list shows them", names)
	}
	for _, row := range chosen {
		if sides != "" {
			row.Sides = slices.DeleteFunc(row.Sides, func(s *Side) bool {
				return s.Run == "" && len(row.Sizes) == 0 && !named(s.Name, sides)
			})
		}
	}
	return chosen, nil
}

// named reports whether a name is one of a list, in which * stands for any
// part of a name.
func named(name, list string) bool {
	for pattern := range strings.SplitSeq(list, ",") {
		if ok, err := path.Match(strings.TrimSpace(pattern), name); ok && err == nil {
			return true
		}
	}
	return false
}

// list shows the rows.
func list(w io.Writer, rows []*Row) error {
	var lines [][]string
	for _, row := range rows {
		var sides []string
		for _, s := range row.Sides {
			sides = append(sides, s.Name)
		}
		lines = append(lines, []string{row.Name, row.Title, strings.Join(sides, ", ")})
	}
	return writeTable(w, 3, []string{"row", "work", "sides"}, lines)
}

// compare measures the rows. The report is written after each round, so that
// what was measured stays if it is stopped.
func (l *lab) compare(ctx context.Context, rows []*Row, o options, facts machine.Facts, stdout io.Writer) error {
	for _, peer := range []string{duckdb, clickhouse, polars, gnusort, spark} {
		if why := l.missing(peer); why != "" {
			l.say("%s is missing and left out: %s", peer, why)
		}
	}
	if err := l.identify(); err != nil {
		return err
	}
	report := &Report{Machine: facts, Versions: l.versions()}
	if o.keep || o.resume {
		var err error
		if report.Results, err = earlier(o.out); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o777); err != nil {
		return err
	}
	var failed []string
	for i, row := range rows {
		var had *Result
		if o.resume {
			had = report.of(row.Name)
		}
		err := l.begin(row, o.rounds, had).measure(ctx, func(x *Result) error {
			report.add(x)
			return report.save(o.out)
		})
		if ctx.Err() != nil {
			l.say("with -resume it goes on where it was")
		}
		if err != nil {
			return fmt.Errorf("cannot measure %s: %w", row.Name, err)
		}
		result := report.of(row.Name)
		if len(result.Failures) > 0 {
			failed = append(failed, row.Name)
		}
		if err := result.write(stdout); err != nil {
			return err
		}
		if o.discard {
			if err := discard(rows[i:]); err != nil {
				return err
			}
		}
	}
	l.say("written to %s and %s", o.out, jsonPath(o.out))
	if len(failed) > 0 {
		return fmt.Errorf("something failed in %s", strings.Join(failed, ", "))
	}
	return nil
}
