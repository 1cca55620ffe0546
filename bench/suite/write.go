package suite

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/units"
)

// Write writes the table, and below it what it does not say. The form is
// text or Markdown.
func (r *Result) Write(w io.Writer, f report.Format) error {
	t := table.Table{Left: []int{0, 1, 8}, Header: []string{
		"workload", "parameters", "median", percent(report.Confidence) + " interval", "records/s", "bytes/s", "peak RSS", "spilled", "verdict"}}
	for _, row := range r.Rows {
		t.Add(row.cells()...)
	}
	if err := t.Write(w, f == report.Markdown); err != nil {
		return err
	}
	separator := "\n"
	if f == report.Markdown {
		separator = "\n\n"
	}
	_, err := io.WriteString(w, strings.Join(r.lines(), separator)+"\n")
	return err
}

func (row *Row) cells() []string {
	cells := []string{row.Workload, Text(row.Params), dash, dash, dash, dash, dash, dash, row.verdict()}
	if row.Outcome != child.Done || row.Iterations == 0 {
		return cells
	}
	cells[2] = duration(row.Median)
	if i := row.Interval; i != nil {
		cells[3] = duration(i.Low) + " … " + duration(i.High)
	}
	if row.Records > 0 {
		cells[4] = count(row.Records)
	}
	if row.Bytes > 0 {
		cells[5] = units.Bytes(row.Bytes).String() + "/s"
	}
	cells[6], cells[7] = row.PeakRSS.String(), row.Spilled.String()
	return cells
}

// verdict is the end of a workload in a word or two.
func (row *Row) verdict() string {
	switch {
	case row.Outcome == "":
		return "not run"
	case row.Outcome == child.Done && row.Verified:
		return "verified"
	case row.Outcome == child.Done:
		return "unverified"
	}
	return string(row.Outcome)
}

// lines say what the table does not.
func (r *Result) lines() (lines []string) {
	done, verified, without := 0, 0, false
	for _, row := range r.Rows {
		if row.Outcome == child.Done {
			done++
			without = without || row.Interval == nil
		} else if row.Why != "" {
			lines = append(lines, fmt.Sprintf("%s: %s: %s.", row.Workload, row.verdict(), strings.TrimSuffix(row.Why, ".")))
		}
		if row.Verified {
			verified++
		}
		for _, p := range row.Problems {
			lines = append(lines, fmt.Sprintf("Note: %s: %s.", row.Workload, p))
		}
	}
	if without {
		lines = append(lines, fmt.Sprintf("A %s interval for the median exists from %d iterations on.", percent(report.Confidence), report.MinSamples))
	}
	if r.Ended != "" {
		lines = append(lines, "Ended early: "+r.Ended+".")
	}
	return append(lines,
		"Records and bytes: what an iteration read, from files or what is cached; what it returned, where it read no bytes or returned more records.",
		fmt.Sprintf("Suite of size %s: %d of %d workloads done, %d verified, in %s.", r.Size, done, len(r.Rows), verified, duration(r.Wall)))
}

const dash = "–"

func duration(seconds float64) string {
	return units.Duration(time.Duration(math.Round(seconds * 1e9)))
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', -1, 64) + " %" }

// count prints a rate with three digits and a unit of thousands.
func count(perSecond float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, " G/s"}, {1e6, " M/s"}, {1e3, " k/s"}} {
		if perSecond >= u.size {
			return strconv.FormatFloat(perSecond/u.size, 'f', 2, 64) + u.name
		}
	}
	return strconv.FormatFloat(perSecond, 'f', 2, 64) + " /s"
}
