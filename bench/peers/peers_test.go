package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/cmd/cli"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads/standard"
)

// The test's own executable is execbench where it is called so, and a peer that
// writes a file.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "execbench" {
		if len(os.Args) > 3 && os.Args[1] == "write" { // a peer: write FILE TEXT
			if err := os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o666); err != nil {
				panic(err)
			}
			return
		}
		os.Exit(cli.Main(standard.All()...))
	}
	os.Exit(m.Run())
}

func TestTurn(t *testing.T) {
	if there, back := turn(2, 3), turn(3, 3); !slices.Equal(there, []int{0, 1, 2}) || !slices.Equal(back, []int{2, 1, 0}) {
		t.Errorf("turns are %v and %v", there, back)
	}
}

func TestSpreadOf(t *testing.T) {
	f := func(values []float64, want Spread) {
		t.Helper()
		if got := spreadOf(values); got != want {
			t.Errorf("%v: %v, want %v", values, got, want)
		}
	}
	f([]float64{3}, Spread{3, 3, 3})
	f([]float64{5, 1, 3}, Spread{3, 1, 5})
	f([]float64{4, 1, 3, 2}, Spread{2.5, 1, 4})
	if s := spreadOf(nil); !math.IsNaN(s.Median) {
		t.Errorf("the spread of nothing is %v", s)
	}
}

func TestTimings(t *testing.T) {
	said := "loading\n@ query 0.5\n@ query 0.25\n@ other 1\n@ query\n@ query x\n@ query -1\nanswer @ query 3\n"
	if got := timings(said, "query"); !slices.Equal(got, []float64{0.5, 0.25}) {
		t.Errorf("timings are %v", got)
	}
}

func TestEnds(t *testing.T) {
	if got := ends("check  want\n────\n\n a \t b \n"); got != "check want | a b" {
		t.Errorf("%q", got)
	}
	got := ends(strings.Repeat("é", 300) + strings.Repeat("x", 300) + strings.Repeat("ü", 300))
	if !strings.HasPrefix(got, "éé") || !strings.HasSuffix(got, "üü") || !strings.Contains(got, "é … ü") {
		t.Errorf("%q", got)
	}
}

func TestNamed(t *testing.T) {
	f := func(name, list string, want bool) {
		t.Helper()
		if named(name, list) != want {
			t.Errorf("%q in %q: %v", name, list, !want)
		}
	}
	f("sort-1GB", "sort-1GB", true)
	f("sort-1GB-512MiB", "sort-1GB", false)
	f("sort-1GB-512MiB", "words*, sort-*", true)
	f("gnu sort", "limit,gnu sort", true)
	f("limit: claim", "limit*", true)
	f("duckdb", "", false)
}

func TestSizesAndCounts(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(count(1e7), "1e7")
	f(count(100), "1e2")
	f(count(25e5), "2.5e6")
	f(size(units.GB), "1GB")
	f(size(250*units.MB), "0.25GB")
	f(quoted("it's"), "'it''s'")
	f(shell([]string{"a", "b c", "it's", ""}), `a 'b c' 'it'\''s' ''`)
	f(memoryFlag(512*units.MiB), "524288KiB")
}

// runsOf are runs of these seconds.
func runsOf(seconds ...float64) (runs []Run) {
	for _, s := range seconds {
		runs = append(runs, Run{Seconds: s, CPU: s, PeakRSS: units.MiB})
	}
	return runs
}

func TestJudge(t *testing.T) {
	row := &Row{
		Budget:  8 * units.MiB,
		Sides:   []*Side{{Name: ours, Run: "r"}, {Name: limitSide, Floor: true}, {Name: duckdb}, {Name: polars}, {Name: "bigslice", Recorded: 8}},
		Targets: []Target{{fastestPeer, 0.5}, {limitSide, 1.5}, {polars, 0.2}, {"bigslice", 1}, {absolute, 1}, {spark, 0.1}},
	}
	runs := map[string][]Run{ours: runsOf(2, 1, 3), limitSide: runsOf(1, 1, 1), duckdb: runsOf(4, 4, 4), polars: runsOf(8, 9, 10), "bigslice": runsOf(8, 8, 8)}
	x := Result{Scale: 1}
	judge(row, runs, &x)
	want := []Judgement{
		{"fastest peer, duckdb", 0.5, 0.5, true},
		{limitSide, 1.5, 2, false},
		{polars, 0.2, 0.25, false},
		{"bigslice", 1, 0.25, true},
		{absolute, 1, 2, false},
	}
	if !slices.Equal(x.Judged, want) {
		t.Errorf("judged %+v, want %+v", x.Judged, want)
	}
	if r := x.Sides[3].Ratio; r == nil || *r != (Spread{0.25, 1.0 / 9, 0.3}) {
		t.Errorf("the ratio to polars is %v", r)
	}
	if x.WithinBudget == nil || !*x.WithinBudget {
		t.Error("1 MiB is not within 8 MiB")
	}
	runs[ours][1].PeakRSS = 73 * units.MiB
	x = Result{Scale: 0.5}
	if judge(row, runs, &x); len(x.Judged) != 0 {
		t.Errorf("half of the row is judged: %v", x.Judged)
	}
	x = Result{Scale: 1}
	if judge(row, runs, &x); *x.WithinBudget {
		t.Error("73 MiB are within 8 and 64 MiB")
	}
	delete(runs, ours)
	x = Result{Scale: 1}
	if judge(row, runs, &x); len(x.Judged) > 0 || len(x.Sides) != 4 || x.Sides[0].Ratio != nil {
		t.Errorf("without ours: %+v", x)
	}
}

// Ours and the limit take three times as long a byte at 4 GB, the copy twice.
func TestGrowth(t *testing.T) {
	small, large := units.GB, 4*units.GB
	row := &Row{Sizes: []units.Bytes{small, large}, Targets: []Target{{copySide, 1.3}}}
	runs := map[string][]Run{
		bySize(limitSide, small): runsOf(2, 2), bySize(limitSide, large): runsOf(24, 24),
		bySize(ours, small): runsOf(1, 1), bySize(copySide, small): runsOf(1, 1),
		bySize(ours, large): runsOf(12, 12), bySize(copySide, large): runsOf(8, 8),
	}
	got := growth(row, runs)
	one := Spread{1, 1, 1}
	want := []Growth{{small, 1, 1, 2, one, one, true}, {large, 3, 2, 6, Spread{1.5, 1.5, 1.5}, one, false}}
	if !slices.Equal(got, want) {
		t.Errorf("growth is %+v, want %+v", got, want)
	}
	delete(runs, bySize(copySide, large))
	if got := growth(row, runs); !slices.Equal(got, want[:1]) {
		t.Errorf("without a large copy growth is %+v, want %+v", got, want[:1])
	}
}

// An empty attempt takes about 1 ms, and 16 of them a 32nd of half a second.
// With the event file a run takes an eighth more than without.
func TestCosts(t *testing.T) {
	row := &Row{Sides: []*Side{{Name: ours}, {Name: "terasort"}, {Name: "terasort" + withoutEvents}}, Targets: []Target{{absolute, 0.04}}, Measuring: true}
	on := []Run{{Seconds: 0.5, CPU: 1.125, Attempts: 16}, {Seconds: 0.5, CPU: 2.25, Attempts: 16}}
	off := []Run{{CPU: 1}, {CPU: 2}}
	runs := map[string][]Run{ours: runsOf(1.0/1024, 1.0/1024), "terasort": on, "terasort" + withoutEvents: off}
	got := costs(row, runs)
	one := func(v float64) Spread { return Spread{v, v, v} }
	want := Cost{Workload: "terasort", Attempts: 16, Attempt: 1.0 / 1024, Seconds: 0.5, Share: one(0.03125), OnOff: one(1.125), Low: 1.125, High: 1.125, Pairs: 2}
	if len(got) != 1 || got[0] != want {
		t.Errorf("costs are %+v, want %+v", got, want)
	}
	off[1].CPU = 4 // now it may as well be that there is no cost
	if got = costs(row, runs); !got[0].Holds {
		t.Errorf("costs are %+v; they hold", got)
	}
	delete(runs, "terasort")
	if got = costs(row, runs); len(got) > 0 {
		t.Errorf("costs of no runs are %+v", got)
	}
}

func TestMedianInterval(t *testing.T) {
	var v []float64
	for n := range 20 {
		v = append(v, float64((n*7)%20+1)) // 1 to 20, in disorder
	}
	// Of 20 tosses, five or fewer are heads in 2.07 %, six or fewer in 5.8 %.
	if low, high := medianInterval(v); low != 6 || high != 15 {
		t.Errorf("of 1 to 20: %v to %v", low, high)
	}
	if low, high := medianInterval(v[:5]); low != slices.Min(v[:5]) || high != slices.Max(v[:5]) {
		t.Errorf("of five: %v to %v", low, high)
	}
}

// A report says targets, failures and commands, and reads back what it wrote.
func TestReport(t *testing.T) {
	out := filepath.Join(t.TempDir(), "peers.md")
	x := &Result{Row: "sort", Title: "sort it", Rounds: 3, Of: 5, Took: 61.5, Scale: 1, Budget: units.GiB, Failures: []string{"polars: broke"}, Missing: []string{"spark: no java"}}
	row := &Row{Budget: units.GiB, Sides: []*Side{{Name: ours, Run: "r", Program: "execbench", Args: []string{"a b"}}, {Name: duckdb}}, Targets: []Target{{duckdb, 0.5}}}
	addBefore(row, "old")
	judge(row, map[string][]Run{ours: runsOf(2), before: runsOf(4), duckdb: runsOf(8)}, x)
	r := &Report{Versions: map[string]string{"duckdb": "1"}}
	r.add(x)
	r.add(&Result{Row: "sort", Title: "again"})
	r.add(x)
	if len(r.Results) != 1 {
		t.Fatalf("a row is there %d times", len(r.Results))
	}
	if err := r.save(out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 of 5 rounds, then interrupted, in 1m1s", "| sort | before | 2.00 s | 0.5 (0.5–0.5) | – | – |", "| sort | duckdb | 2.00 s | 0.25 | ≤ 0.5 | yes |", "| sort | failures | 2.00 s | 1 | 0 | NO |",
		"- Failed: polars: broke", "- Missing: spark: no java", "execbench 'a b'", "| duckdb | process | 8.00 s (8.00 s–8.00 s) |"} {
		if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	again, err := earlier(out)
	if err != nil || len(again) != 1 || again[0].Judged[0] != x.Judged[0] {
		t.Errorf("read back %v, error %v", again, err)
	}
}

// A row whose input cannot be made was not interrupted, and its report says so.
func TestRowWithoutInput(t *testing.T) {
	dir := t.TempDir()
	l := &lab{cache: dir, scale: 1, execbench: filepath.Join(dir, "nothing"), log: io.Discard}
	row := &Row{Name: "words", Title: "words", Sides: []*Side{{Name: ours, Run: dir}}, Inputs: []*Input{{Path: filepath.Join(dir, "in", "x")}}}
	var x *Result
	if err := l.begin(row, 5, nil).measure(t.Context(), func(r *Result) error { x = r; return nil }); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := x.write(&text); err != nil {
		t.Fatal(err)
	}
	if s := text.String(); strings.Contains(s, "interrupted") || !strings.Contains(s, "0 of 5 rounds, since they could not begin,") || !strings.Contains(s, "- Failed: cannot make the input of words: ") {
		t.Errorf("it says\n%s", s)
	}
}

// Every row has ours first, names of its own, and targets against sides that
// it has.
func TestRows(t *testing.T) {
	l := &lab{cache: t.TempDir(), scale: 1, budget: units.GiB, before: "old"}
	names := map[string]bool{}
	for _, row := range l.rows() {
		if names[row.Name] {
			t.Errorf("%s is there twice", row.Name)
		}
		names[row.Name] = true
		if len(row.Sides) == 0 || !strings.HasPrefix(row.Sides[0].Name, ours) || len(row.Targets) == 0 {
			t.Errorf("%s has not ours first, or no target", row.Name)
		}
		sides := map[string]bool{absolute: true, fastestPeer: true, copySide: len(row.Sizes) > 0}
		outputs := map[string]string{}
		for _, s := range row.Sides {
			if sides[s.Name] {
				t.Errorf("%s has %s twice", row.Name, s.Name)
			}
			sides[s.Name] = true
			if len(row.Sizes) > 0 && s.Answer != "" && s.Input == "" && s.Run == "" {
				t.Errorf("%s: the answer of %s is verified against another size", row.Name, s.Name)
			}
			for _, o := range s.Outputs {
				if outputs[o] != "" {
					t.Errorf("%s: %s and %s write to %s", row.Name, outputs[o], s.Name, o)
				}
				if o != s.Run { // a run folder has a run at a time
					outputs[o] = s.Name
				}
			}
			if (s.Program == "old") != (s.Before != nil) || s.Before != nil && (s.Run == s.Before.Run || s.Run != s.argument("--out")) {
				t.Errorf("%s, %s: the earlier program is %s with run folder %s", row.Name, s.Name, s.Program, s.Run)
			}
		}
		if i := slices.IndexFunc(row.Sides, func(s *Side) bool {
			return s.Run != "" && s.Before == nil && !sides[strings.Replace(s.Name, ours, before, 1)] && !sides[s.Name+", "+before]
		}); i >= 0 {
			t.Errorf("%s has no earlier %s", row.Name, row.Sides[i].Name)
		}
		for _, target := range row.Targets {
			if !sides[target.Against] {
				t.Errorf("%s has a target against %s, which it has not", row.Name, target.Against)
			}
		}
	}
}

// Without peers ours is measured alone, beside an earlier build if there is
// one, and verified. What it measured before counts if it goes on.
func TestOursAlone(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	execbench, out := filepath.Join(dir, "execbench"), filepath.Join(dir, "report", "peers.md")
	if err := os.Symlink(self, execbench); err != nil {
		t.Skipf("cannot link: %v", err)
	}
	f := func(rounds, rows string, wantRounds, wantSaid string) {
		t.Helper()
		var said, told strings.Builder
		args := []string{"-cache", filepath.Join(dir, "cache"), "-execbench", execbench, "-before", execbench, "-limit", execbench,
			"-rows", rows, "-sides", "duckdb,spark", "-rounds", rounds, "-scale", "0.0001", "-out", out, "-resume", "-discard"}
		if err := run(t.Context(), args, &said, &told); err != nil {
			t.Fatalf("%v\n%s", err, told.String())
		}
		results, err := earlier(out)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, x := range results {
			fmt.Fprintf(&got, "%s %d ", x.Row, x.Rounds)
			if len(x.Sides) != 2 || x.Sides[0].Name != ours || x.Sides[1].Name != before || len(x.Sides[0].Runs) != x.Rounds || x.Sides[1].Ratio == nil || len(x.Failures) > 0 || len(x.Missing) == 0 {
				text, _ := json.Marshal(x)
				t.Errorf("%s: %s", x.Row, text)
			}
		}
		if got.String() != wantRounds {
			t.Errorf("measured %q, want %q", got.String(), wantRounds)
		}
		if !strings.Contains(told.String(), wantSaid) {
			t.Errorf("it does not say %q:\n%s", wantSaid, told.String())
		}
	}
	f("1", "words-1GB,tasks", "words-1GB 1 tasks 1 ", "duckdb is missing and left out: @duckdb/node-api is not installed: make bench-peers-setup")
	f("2", "words-1GB", "words-1GB 2 tasks 1 ", "words-1GB · round 2 of 2 · before")
	f("1", "groupby-csv*,tasks", "words-1GB 2 tasks 1 groupby-csv-1e7-1e6 1 ", "tasks · measured already")
	if left, err := os.ReadDir(filepath.Join(dir, "cache", "data")); err != nil || len(left) > 0 {
		t.Errorf("data that no row needs are there: %v, error %v", left, err)
	}
}

// A side's answer is read where the side writes it, and nothing stays of it.
func TestVerify(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	execbench, in, out := filepath.Join(dir, "execbench"), filepath.Join(dir, "in.txt"), filepath.Join(dir, "out", "answer.txt")
	if err := errors.Join(os.WriteFile(in, []byte("b a\na\n"), 0o666), os.Symlink(self, execbench)); err != nil {
		t.Skipf("cannot link: %v", err)
	}
	l := &lab{cache: dir, scale: 1, execbench: execbench, log: io.Discard}
	peer := func(name, text string) *Side {
		s := &Side{Name: name, Program: execbench, Args: []string{"write", out, text}}
		return s.writesFile(out)
	}
	first := &Side{Name: ours, Program: execbench, Args: []string{"write", filepath.Join(dir, "nothing"), "", "--input", in}, Run: dir}
	row := &Row{Name: "words", Title: "words", Verify: "wordcount", Sides: []*Side{first, peer("right", "b\t1\na\t2\n"), peer("wrong", "b\t1\na\t1\n")}}
	var x *Result
	if err := l.begin(row, 1, nil).measure(t.Context(), func(r *Result) error { x = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(x.Sides) != 2 || x.Sides[1].Name != "right" || len(x.Failures) != 1 || !strings.HasPrefix(x.Failures[0], "the output of wrong is wrong: ") {
		t.Errorf("sides %+v, failures %q", x.Sides, x.Failures)
	}
	if _, err := os.Stat(filepath.Dir(out)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the answer is still there: %v", err)
	}
}

// What cannot be measured is refused in a sentence.
func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"fly"}, {"-rows", "none"}, {"-rounds", "0"}, {"-scale", "2"}, {"-what"}, {"list", "more"}} {
		if err := run(t.Context(), append(args[:1:1], append(args[1:], "-cache", t.TempDir(), "-execbench", "x", "-limit", "x")...), io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
