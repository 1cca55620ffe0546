package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (run with -update if that is right):\n%s", path, got)
	}
}

func TestGolden(t *testing.T) {
	src := EventSource(synthetic(42, 7, 6))
	m := load(t, src, Options{})
	for name, c := range map[string]struct {
		format Format
		show   Show
	}{
		"report.txt": {Terminal, Show{}}, "report-all.txt": {Terminal, Show{All: true}}, "report.md": {Markdown, Show{}}, "report.json": {JSON, Show{}},
	} {
		var out bytes.Buffer
		if err := m.Write(&out, c.format, c.show); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
	for name, f := range map[string]Format{"attempts.txt": Terminal, "attempts.md": Markdown, "attempts.csv": CSV, "attempts.json": JSON} {
		var out bytes.Buffer
		if err := WriteTasks(&out, EventSource(synthetic(42, 1, 4)), f); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.String())
	}
	if err := m.Write(&bytes.Buffer{}, CSV, Show{}); err == nil {
		t.Error("a report was written as CSV")
	}
}

// The columns of the attempts' table add up to the stage tables.
func TestAttemptSums(t *testing.T) {
	for seed := range uint64(3) {
		src := EventSource(synthetic(seed, 4, 30))
		m := load(t, src, Options{})
		var out bytes.Buffer
		if err := WriteTasks(&out, src, CSV); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		head := make(map[string]int)
		for i, k := range rows[0] {
			if _, twice := head[k]; twice {
				t.Fatalf("column %s is there twice", k)
			}
			head[k] = i
		}
		number := func(row []string, key string) int64 {
			v, err := strconv.ParseInt(row[head[key]], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		sums := make(map[id.StageAttempt]*Figures)
		last := [5]int64{-1}
		for _, row := range rows[1:] {
			key := [5]int64{number(row, "stage"), number(row, "stage_attempt"), number(row, "index"), number(row, "number"), number(row, "task")}
			for i := range key {
				if key[i] != last[i] {
					if key[i] < last[i] {
						t.Fatalf("row %v comes after %v", key, last)
					}
					break
				}
			}
			last = key
			at := id.StageAttempt{Stage: id.Stage(key[0]), Attempt: int32(key[1])}
			if sums[at] == nil {
				sums[at] = new(Figures)
			}
			var f Figures
			for i := range f {
				f[i] = number(row, Figure(i).Key())
			}
			sums[at].add(&f)
		}
		for _, s := range m.Stages {
			got := sums[id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}]
			if got == nil {
				got = new(Figures)
			}
			if *got != s.totals {
				t.Errorf("stage %d: rows add up to %v, the table says %v", s.ID, *got, s.totals)
			}
		}
		// JSON says the same as CSV.
		out.Reset()
		if err := WriteTasks(&out, src, JSON); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			SchemaVersion int              `json:"schema_version"`
			Attempts      []map[string]any `json:"attempts"`
		}
		d := json.NewDecoder(&out)
		d.UseNumber()
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		if doc.SchemaVersion != SchemaVersion || len(doc.Attempts) != len(rows)-1 {
			t.Fatalf("schema %d, %d attempts", doc.SchemaVersion, len(doc.Attempts))
		}
		for i, a := range doc.Attempts {
			for k, at := range head {
				var got string
				switch v := a[k].(type) {
				case json.Number:
					got = v.String()
				case string:
					got = v
				case bool:
					got = strconv.FormatBool(v)
				}
				if got != rows[i+1][at] {
					t.Fatalf("attempt %d, %s: JSON %q, CSV %q", i, k, got, rows[i+1][at])
				}
			}
		}
	}
}

// A million attempts must not need more than they say.
func TestAttemptsAreCompact(t *testing.T) {
	const n = 50_000
	pair := attempt(0, 0, 0, task.Success)
	e := pair[1].(*event.TaskEnd)
	events := make([]event.Event, n)
	for i := range events {
		events[i] = e
	}
	*e = event.TaskEnd{Info: event.TaskInfo{TaskAttempt: id.TaskAttempt{Index: 77_000, Task: 77_000}, Partition: 77_000, Launch: 3e9, Finish: 3e9 + 2000},
		Stamps: task.Stamps{Start: 3e9 + 300, RunStart: 3e9 + 500, RunEnd: 3e9 + 700, EncodeEnd: 3e9 + 800, End: 3e9 + 900}, HasMetrics: true, StatusBytes: [3]int32{80, 20, 130}}
	for i := range e.Metrics {
		e.Metrics[i] = int64(i) * 100
	}
	rows, _, err := collect(EventSource(events))
	if err != nil {
		t.Fatal(err)
	}
	if each := rows.held() / n; each > 200 {
		t.Errorf("%d bytes for each attempt", each)
	} else {
		t.Logf("%d bytes for each attempt", each)
	}
	if err := WriteTasks(&bytes.Buffer{}, EventSource(events), Terminal); !errors.Is(err, errTooManyRows) {
		t.Errorf("a table of %d rows: %v", n, err)
	}
}

// The interval of the median: ranks and coverages of the sign test.
func TestSummarise(t *testing.T) {
	values := func(n int) (out []float64) {
		for i := range n {
			out = append(out, float64((i*7)%n)) // a permutation of 0…n−1 for n not a multiple of 7
		}
		return out
	}
	for _, c := range []struct {
		n         int
		median    float64
		low, high float64 // equal: none
		coverage  float64
	}{
		{1, 0, 0, 0, 0}, {5, 2, 0, 0, 0}, {6, 2.5, 0, 5, 0.96875}, {8, 3.5, 0, 7, 0.9921875}, {9, 4, 1, 7, 0.9609375},
		{10, 4.5, 1, 8, 0.978515625}, {20, 9.5, 5, 14, 0.95861},
	} {
		s := Summarise(values(c.n))
		if s.Median != c.median || s.Min != 0 || s.Max != float64(c.n-1) {
			t.Errorf("n=%d: %+v", c.n, s)
		}
		if c.low == c.high {
			if s.Interval != nil || !strings.Contains(s.Sentence(), "exists from 6 samples on") {
				t.Errorf("n=%d: interval %+v, %q", c.n, s.Interval, s.Sentence())
			}
			continue
		}
		if s.Interval == nil || s.Interval.Low != c.low || s.Interval.High != c.high || math.Abs(s.Interval.Coverage-c.coverage) > 1e-5 {
			t.Errorf("n=%d: interval %+v, want %v to %v", c.n, s.Interval, c.low, c.high)
		}
	}
	if s := Summarise(nil); s.Sentence() != "No iteration was completed." {
		t.Errorf("no values: %q", s.Sentence())
	}
	var out bytes.Buffer
	s := Summarise(values(6))
	if err := s.WriteSamples(&out, JSON); err != nil || !strings.Contains(out.String(), `"schema_version": 1`) {
		t.Errorf("%v: %s", err, out.String())
	}
}

// A writer that fails is noticed in every format.
func TestWriteFails(t *testing.T) {
	src := EventSource(synthetic(1, 6, 5))
	m := load(t, src, Options{})
	for _, f := range []Format{Terminal, Markdown, JSON, CSV} {
		for _, after := range []int{0, 1000} {
			if f != CSV && m.Write(&failing{after}, f, Show{}) == nil {
				t.Errorf("%s: a failing writer was not noticed after %d bytes", f, after)
			}
			if WriteTasks(&failing{after}, src, f) == nil {
				t.Errorf("%s: a failing writer of attempts was not noticed after %d bytes", f, after)
			}
		}
	}
}

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errors.New("full")
	}
	return len(p), nil
}

func TestFormats(t *testing.T) {
	for f := Terminal; f <= CSV; f++ {
		if got, err := ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("html"); err == nil || !strings.Contains(err.Error(), "markdown") {
		t.Errorf("an unknown format: %v", err)
	}
	keys := make(map[string]bool)
	for f := range FigureCount {
		if keys[f.Key()] || f.Label() == "" {
			t.Errorf("figure %d: key %q, label %q", f, f.Key(), f.Label())
		}
		keys[f.Key()] = true
	}
}

// Owners may have reserved more than is resident: the report says how that can
// be, and says it then only.
func TestOtherBelowZeroIsExplained(t *testing.T) {
	for _, c := range []struct{ rss, want int64 }{{100 << 20, 8 << 20}, {92 << 20, 0}, {80 << 20, -12 << 20}} {
		m := Model{}
		m.Memory.sample(&event.MemorySample{At: 1, RSS: c.rss, Runtime: 12 << 20, Accounts: []event.Account{{Name: "free pages", Bytes: 80 << 20}}})
		var out bytes.Buffer
		if err := m.Write(&out, Terminal, Show{}); err != nil {
			t.Fatal(err)
		}
		if said := strings.Contains(out.String(), "Other is below 0"); m.Memory.Other != c.want || said != (c.want < 0) {
			t.Errorf("RSS %d: other %d, want %d; explained: %v", c.rss, m.Memory.Other, c.want, said)
		}
	}
}
