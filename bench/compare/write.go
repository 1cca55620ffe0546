package compare

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/units"
)

// Write writes the tables: iterations side by side, the times, the parts,
// what was done, and the verdict.
func (r *Result) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "old %s · new %s\n\n", r.Old, r.New); err != nil {
		return err
	}
	if len(r.Differences) > 0 {
		var rows [][]string
		for _, d := range r.Differences {
			rows = append(rows, []string{d.Workload, d.What, said(d.Old), said(d.New)})
		}
		if err := draw(w, "The runs differ in more than the program", 4, []string{"workload", "what", "old", "new"}, rows); err != nil {
			return err
		}
	}
	title, unit, whole := "Iterations", "iteration", "Whole iterations, medians"
	if r.OfRuns {
		title, unit, whole = "Runs, by their median iteration", "run", "Whole iterations, medians of runs"
	}
	if err := draw(w, title, 1, []string{"workload", unit, "old", "new", "Δ"}, samples(r.Times())); err != nil {
		return err
	}
	header := []string{"workload", "stage", "part", "old", "new", "Δ", percent(Ratio(r.Confidence)) + " interval", "p (Holm)", "verdict", "detectable"}
	if err := draw(w, whole, 3, header, cells(r.Runs)); err != nil {
		return err
	}
	if err := draw(w, "Parts of stages, medians of the attempts' summed time", 3, header, cells(r.Parts)); err != nil {
		return err
	}
	var rows [][]string
	for _, f := range r.Figures {
		rows = append(rows, []string{f.Workload, f.Name, quantity(f.Old, f.Unit), quantity(f.New, f.Unit), change(f.Change)})
	}
	if err := draw(w, "What was done, in the last iteration; not tested", 2, []string{"workload", "figure", "old", "new", "Δ"}, rows); err != nil {
		return err
	}
	var lines []string
	for _, n := range r.Notes {
		lines = append(lines, "Note: "+n+".")
	}
	if n := r.partsNeed(); n > 0 {
		lines = append(lines, fmt.Sprintf("Parts: with fewer than %d %ss a side, none of %d parts can be told from chance.", n, unit, len(r.Parts)))
	}
	lines = append(lines,
		fmt.Sprintf("Minimum effect %s; chance of any false alarm in a table ≤ %s; detectable: the smallest change that this spread would show %s of the time.",
			percent(Ratio(r.MinEffect)), percent(Ratio(r.Alpha)), percent(Ratio(r.Power))),
		"Verdict: "+r.Sentence+".")
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// partsNeed returns the number of samples that the parts lack to be told
// apart at all; 0: they have it.
func (r *Result) partsNeed() int {
	for _, x := range r.Parts {
		if x.Verdict == Unsure && x.Detectable == nil && x.Needed > 0 {
			return x.Needed
		}
	}
	return 0
}

// samples are the iterations side by side.
func samples(times []*Row) (rows [][]string) {
	for _, r := range times {
		for i := range max(len(r.Old), len(r.New)) {
			row := []string{r.Workload, strconv.Itoa(i), dash, dash, dash}
			if i < len(r.Old) {
				row[2] = duration(r.Old[i])
			}
			if i < len(r.New) {
				row[3] = duration(r.New[i])
			}
			if i < len(r.Old) && i < len(r.New) {
				row[4] = change(Ratio(ratio(r.Old[i], r.New[i]) - 1))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func cells(rows []*Row) (out [][]string) {
	for _, r := range rows {
		stage := r.Stage
		if stage == "" {
			stage = dash
		}
		least := dash
		if r.Detectable != nil {
			least = percent(*r.Detectable)
		}
		p := strconv.FormatFloat(r.Adjusted, 'g', 2, 64)
		out = append(out, []string{r.Workload, stage, r.Part, duration(r.OldMedian), duration(r.NewMedian), change(r.Change), interval(r.Interval), p, string(r.Verdict), least})
	}
	return out
}

const dash = "–"

func duration(seconds float64) string {
	return units.Duration(time.Duration(math.Round(seconds * 1e9)))
}

func quantity(v float64, unit string) string {
	if unit == "B" {
		return units.Bytes(v).String()
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// change is a share with its sign.
func change(r Ratio) string {
	switch v := float64(r); {
	case math.IsNaN(v):
		return dash
	case math.IsInf(v, 0):
		return "from 0"
	default:
		return strconv.FormatFloat(100*v+0, 'f', 1, 64) + " %"
	}
}

func percent(r Ratio) string {
	return strconv.FormatFloat(math.Round(1000*float64(r))/10, 'f', -1, 64) + " %"
}

func interval(i *Interval) string {
	if i == nil {
		return dash
	}
	return change(i.Low) + " … " + change(i.High)
}

// draw writes a title and a table; the first columns, and verdicts, are left
// aligned.
func draw(w io.Writer, title string, left int, header []string, rows [][]string) error {
	t := &table.Table{Title: title, Header: header, Left: append(table.First(left), slices.Index(header, "verdict")), Rows: rows}
	return t.Write(w, false)
}
