package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/units"
)

// Report is everything that was measured.
type Report struct {
	Machine  machine.Facts     `json:"machine"`
	Versions map[string]string `json:"versions"`
	Results  []*Result         `json:"rows"`
}

// jsonPath is the file beside the Markdown.
func jsonPath(markdown string) string { return strings.TrimSuffix(markdown, ".md") + ".json" }

// earlier reads the results that were written to out before.
func earlier(out string) ([]*Result, error) {
	text, err := os.ReadFile(jsonPath(out))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var r Report
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the earlier report: %w", err)
	}
	return r.Results, nil
}

// of is the result of a row, nil if there is none.
func (r *Report) of(row string) *Result {
	if i := slices.IndexFunc(r.Results, func(x *Result) bool { return x.Row == row }); i >= 0 {
		return r.Results[i]
	}
	return nil
}

// add puts a result where the row's earlier one was, or at the end.
func (r *Report) add(result *Result) {
	if i := slices.IndexFunc(r.Results, func(x *Result) bool { return x.Row == result.Row }); i >= 0 {
		r.Results[i] = result
		return
	}
	r.Results = append(r.Results, result)
}

// save writes the Markdown, and the JSON beside it.
func (r *Report) save(out string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	var b strings.Builder
	if err := r.write(&b); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	return errors.Join(folder.ReplaceFile(jsonPath(out), append(text, '\n')), folder.ReplaceFile(out, []byte(b.String())))
}

// write writes the Markdown: where it was measured, the targets of all rows,
// and then a table for each row.
func (r *Report) write(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "# execbench beside its peers\n\n%s · %d cores · %s · %s %s\n\n", m.CPU, m.Cores, m.Memory, m.Platform, m.Kernel)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		versions = append(versions, name+": "+r.Versions[name])
	}
	fmt.Fprintf(w, "%s\n\n", strings.Join(versions, " · "))
	fmt.Fprint(w, "Ratios are ours ÷ theirs: below 1, ours is faster. They are taken round by round, and the median of them stands with the\n"+
		"smallest and the largest. Sides run in turn, there and back, after one round that is not counted. CPU is that of the process\n"+
		"and its children, peak RSS the largest of all rounds; Spark's JVM is neither. Peers run near their defaults, on two threads.\n\n")
	summary := [][]string{}
	for _, x := range r.Results {
		summary = append(summary, x.summary()...)
	}
	if err := writeTable(w, 2, []string{"row", "against", "ours", "got", "target", "holds"}, summary); err != nil {
		return err
	}
	for _, x := range r.Results {
		if err := x.write(w); err != nil {
			return err
		}
	}
	return nil
}

// summary is a line for each target.
func (x *Result) summary() (lines [][]string) {
	took := dash
	if len(x.Sides) > 0 && len(x.Growth) == 0 {
		took = seconds(x.Sides[0].Seconds.Median)
	}
	for _, s := range x.Sides {
		if s.Before && s.Ratio != nil {
			lines = append(lines, []string{x.Row, s.Name, took, s.Ratio.String(), dash, dash})
		}
	}
	for _, j := range x.Judged {
		got, target := number(j.Got), number(j.AtMost)
		if j.Against == absolute {
			got, target = seconds(j.Got), seconds(j.AtMost)
		}
		lines = append(lines, []string{x.Row, j.Against, took, got, "≤ " + target, yes(j.Holds)})
	}
	if n := len(x.Growth); n > 0 {
		worst, holds := 0.0, true
		for _, g := range x.Growth {
			worst, holds = max(worst, g.Ratio.Median), holds && g.Holds
		}
		lines = append(lines, []string{x.Row, "growth of a copy", took, number(worst), "≤ " + number(x.AtMost), x.verdict(holds)})
	}
	for _, c := range x.Costs {
		lines = append(lines, []string{x.Row, c.Workload, seconds(c.Seconds), number(c.Share.Median), "≤ " + number(x.AtMost), x.verdict(c.Holds)})
	}
	if x.WithinBudget != nil {
		lines = append(lines, []string{x.Row, "budget and 64 MiB", dash, x.ourPeak().String(), "≤ " + (x.Budget + spare).String(), yes(*x.WithinBudget)})
	}
	if len(x.Failures) > 0 {
		lines = append(lines, []string{x.Row, "failures", took, strconv.Itoa(len(x.Failures)), "0", "NO"})
	}
	return lines
}

// rounds says how many there were, and should have been.
func (x *Result) rounds() string {
	switch {
	case x.NotBegun:
		return fmt.Sprintf("%d of %d rounds, since they could not begin,", x.Rounds, x.Of)
	case x.Rounds < x.Of:
		return fmt.Sprintf("%d of %d rounds, then interrupted,", x.Rounds, x.Of)
	case x.Rounds == 1:
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", x.Rounds)
}

// ourPeak is the largest RSS of the sides that the budget is for.
func (x *Result) ourPeak() (peak units.Bytes) {
	for _, s := range x.Sides {
		if s.Ours {
			peak = max(peak, s.PeakRSS)
		}
	}
	return peak
}

// write writes a row's own part.
func (x *Result) write(w io.Writer) error {
	fmt.Fprintf(w, "## %s\n\n%s. Measured %s at commit %s, %s in %v", x.Row, sentence(x.Title), x.Date.Format("2006-01-02 15:04 UTC"), x.Commit, x.rounds(), time.Duration(x.Took)*time.Second)
	if x.Scale != 1 {
		fmt.Fprintf(w, ", at %s of the size: targets are not for that, and not judged", number(x.Scale))
	}
	fmt.Fprintf(w, ". Verified %s.\n\n", x.Verified)
	var lines [][]string
	for _, s := range x.Sides {
		ratio := dash
		if s.Ratio != nil {
			ratio = s.Ratio.String()
		}
		took, cpu, rss := fmt.Sprintf("%s (%s–%s)", seconds(s.Seconds.Median), seconds(s.Seconds.Min), seconds(s.Seconds.Max)), seconds(s.CPU), s.PeakRSS.String()
		if s.PeakRSS == 0 {
			cpu, rss = dash, dash
		}
		if s.Recorded {
			took, cpu, rss = seconds(s.Seconds.Median)+", recorded", dash, dash
		}
		lines = append(lines, []string{s.Name, s.Metric, took, cpu, rss, ratio})
	}
	if err := writeTable(w, 2, []string{"side", "timed", "median (min–max)", "CPU", "peak RSS", "ours ÷ this, median (min–max)"}, lines); err != nil {
		return err
	}
	lines = nil
	for _, g := range x.Growth {
		lines = append(lines, []string{size(g.Bytes), number(g.Ours), number(g.Copy), number(g.Limit), g.Ratio.String(), g.ToLimit.String(), x.verdict(g.Holds)})
	}
	if len(lines) > 0 {
		if err := writeTable(w, 0, []string{"size", "ours, s/GB", "copy, s/GB", "limit, s/GB", "growth of ours ÷ growth of the copy", "÷ growth of the limit", "holds"}, lines); err != nil {
			return err
		}
	}
	lines = nil
	for _, c := range x.Costs {
		lines = append(lines, []string{c.Workload, strconv.FormatInt(c.Attempts, 10), seconds(c.Attempt), seconds(c.Seconds), c.Share.String(),
			fmt.Sprintf("%.4f (%.4f–%.4f, %d pairs)", c.OnOff.Median, c.Low, c.High, c.Pairs), x.verdict(c.Holds)})
	}
	if len(lines) > 0 {
		if err := writeTable(w, 1, []string{"workload", "attempts", "an empty attempt", "run", "share, at most", "event file, CPU on ÷ off (interval)", "holds"}, lines); err != nil {
			return err
		}
	}
	for _, f := range x.Failures {
		fmt.Fprintf(w, "- Failed: %s\n", f)
	}
	for _, m := range x.Missing {
		fmt.Fprintf(w, "- Missing: %s\n", m)
	}
	if len(x.Failures)+len(x.Missing) > 0 {
		fmt.Fprintln(w)
	}
	fmt.Fprint(w, "<details><summary>commands</summary>\n\n")
	for _, s := range x.Sides {
		if len(s.Command) > 0 {
			fmt.Fprintf(w, "%s:\n\n```\n%s\n```\n\n", s.Name, shell(s.Command))
		}
	}
	_, err := fmt.Fprint(w, "</details>\n\n")
	return err
}

const dash = "–"

func yes(holds bool) string {
	if holds {
		return "yes"
	}
	return "NO"
}

// verdict says whether a target of a row holds, if it was measured for that.
func (x *Result) verdict(holds bool) string {
	if !x.full() {
		return dash
	}
	return yes(holds)
}

// number writes three digits.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// shell writes a command so that it can be pasted.
func shell(command []string) string {
	var b strings.Builder
	for i, a := range command {
		if i > 0 {
			b.WriteByte(' ')
		}
		if a != "" && !strings.ContainsFunc(a, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@%+", r)
		}) {
			b.WriteString(a)
			continue
		}
		b.WriteString("'" + strings.ReplaceAll(a, "'", `'\''`) + "'")
	}
	return b.String()
}

// writeTable writes Markdown; the first columns are left aligned.
func writeTable(w io.Writer, left int, header []string, rows [][]string) error {
	t := table.Table{Header: header, Left: table.First(left), Rows: rows}
	return t.Write(w, true)
}
