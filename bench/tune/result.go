package tune

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/units"
)

// Tolerance is the difference between medians below which settings are as
// fast as one another even when their own runs spread less.
const Tolerance = 0.05

// Row is a setting with what its runs gave.
type Row struct {
	Setting
	Outcome     child.Kind  `json:"outcome"` // of the last run; empty before the first
	Why         string      `json:"why,omitempty"`
	Median      float64     `json:"median_seconds,omitempty"`
	Min         float64     `json:"min_seconds,omitempty"`
	Max         float64     `json:"max_seconds,omitempty"`
	PeakRSS     units.Bytes `json:"peak_rss_bytes,omitempty"`
	Spilled     units.Bytes `json:"spilled_bytes"`
	Front       bool        `json:"front"` // nothing is both faster and smaller
	Recommended bool        `json:"recommended"`
	Runs        []Outcome   `json:"runs"`
}

// Result is what was measured, and the choice.
type Result struct {
	SchemaVersion int     `json:"schema_version"`
	Workload      string  `json:"workload"`
	Rounds        int     `json:"rounds"`          // complete ones
	Ended         string  `json:"ended,omitempty"` // what ended it early
	Noise         float64 `json:"noise"`           // share by which medians must differ
	Rows          []*Row  `json:"settings"`
}

func newResult(p Plan) *Result {
	r := &Result{SchemaVersion: SchemaVersion}
	for _, s := range p.Settings {
		r.Rows = append(r.Rows, &Row{Setting: s, Runs: []Outcome{}})
	}
	return r
}

// add takes a run into its row. A run that was stopped says nothing of its
// setting.
func (row *Row) add(o Outcome) {
	row.Runs = append(row.Runs, o)
	if o.Kind == child.Stopped {
		if row.Outcome == "" {
			row.Outcome, row.Why = o.Kind, o.Why
		}
		return
	}
	row.Outcome, row.Why = o.Kind, o.Why
	row.PeakRSS, row.Spilled = max(row.PeakRSS, o.PeakRSS), max(row.Spilled, o.Spilled)
	var all []float64
	for _, x := range row.Runs {
		if x.Kind == child.Done {
			all = append(all, x.Seconds...)
		}
	}
	if len(all) > 0 {
		slices.Sort(all)
		row.Median, row.Min, row.Max = (all[(len(all)-1)/2]+all[len(all)/2])/2, all[0], all[len(all)-1]
	}
}

// usable reports whether the setting is one to choose.
func (row *Row) usable() bool { return row.Outcome == child.Done && row.Median > 0 }

// choose marks the front and the recommended setting.
func (r *Result) choose() {
	var usable []*Row
	var spreads []float64
	for _, row := range r.Rows {
		row.Front, row.Recommended = false, false
		if row.usable() {
			usable = append(usable, row)
			spreads = append(spreads, (row.Max-row.Min)/(2*row.Median))
		}
	}
	if len(usable) == 0 {
		return
	}
	slices.Sort(spreads)
	r.Noise = max(Tolerance, spreads[len(spreads)/2])
	for _, row := range usable {
		row.Front = !slices.ContainsFunc(usable, func(o *Row) bool {
			return o.Median <= row.Median && o.Memory <= row.Memory && (o.Median < row.Median || o.Memory < row.Memory)
		})
	}
	fastest := slices.MinFunc(usable, func(a, b *Row) int { return cmp.Compare(a.Median, b.Median) })
	near := slices.DeleteFunc(usable, func(row *Row) bool { return row.Median > fastest.Median*(1+r.Noise) })
	slices.MinFunc(near, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(a.Memory, b.Memory), cmp.Compare(a.Cores, b.Cores), cmp.Compare(a.Median, b.Median))
	}).Recommended = true
}

// Recommended returns the chosen row; nil when no setting came to its end.
func (r *Result) Recommended() *Row {
	for _, row := range r.Rows {
		if row.Recommended {
			return row
		}
	}
	return nil
}

// fastest returns the row with the lowest median.
func (r *Result) fastest() *Row {
	var best *Row
	for _, row := range r.Rows {
		if row.usable() && (best == nil || row.Median < best.Median) {
			best = row
		}
	}
	return best
}

// Properties returns the recommended setting as configuration, with base
// below it: what "run --properties" needs to run it again. Nil when there is
// none.
func (r *Result) Properties(base map[string]string) map[string]string {
	row := r.Recommended()
	if row == nil {
		return nil
	}
	out := map[string]string{}
	for k, v := range base {
		out[prefixed(k)] = v
	}
	for _, p := range row.Conf {
		out[prefixed(p.Key)] = p.Value
	}
	out["spark.master"] = fmt.Sprintf("local[%d]", row.Cores)
	out["spark.driver.memory"] = sparkSize(row.Memory)
	return out
}

func prefixed(key string) string {
	if strings.HasPrefix(key, "spark.") {
		return key
	}
	return "spark." + key
}

// sparkSize writes a size as Spark does, without losing a byte.
func sparkSize(b units.Bytes) string {
	for _, u := range []struct {
		size units.Bytes
		name string
	}{{units.GiB, "g"}, {units.MiB, "m"}, {units.KiB, "k"}} {
		if b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "b"
}

// Write writes the table and the choice.
func (r *Result) Write(w io.Writer) error {
	header := []string{"cores", "memory"}
	var left []int
	if len(r.Rows) > 0 {
		for _, p := range r.Rows[0].Conf {
			left = append(left, len(header))
			header = append(header, p.Key)
		}
	}
	for i := range 2 {
		left = append(left, len(header)+5+i)
	}
	header = append(header, "median", "spread", "peak RSS", "spilled", "runs", "outcome", "")
	var rows [][]string
	for _, row := range r.Rows {
		cells := []string{strconv.Itoa(row.Cores), row.Memory.String()}
		for _, p := range row.Conf {
			cells = append(cells, p.Value)
		}
		rows = append(rows, append(cells, row.cells()...))
	}
	t := &table.Table{Header: header, Left: left, Rows: rows}
	if err := t.Write(w, false); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.Join(r.lines(), "\n")+"\n")
	return err
}

// cells are the figures of a row.
func (row *Row) cells() []string {
	median, spread, peak, spilled, outcome, mark := dash, dash, dash, dash, string(row.Outcome), ""
	if row.usable() {
		median = duration(row.Median)
		spread = duration(row.Min) + " … " + duration(row.Max)
		peak, spilled = row.PeakRSS.String(), row.Spilled.String()
	}
	if outcome == "" {
		outcome = "not run"
	}
	if row.Front {
		mark = "front"
	}
	if row.Recommended {
		mark = strings.TrimPrefix(mark+", recommended", ", ")
	}
	return []string{median, spread, peak, spilled, strconv.Itoa(len(row.Runs)), outcome, mark}
}

// lines say what the table means.
func (r *Result) lines() (lines []string) {
	told := map[string]bool{}
	for _, row := range r.Rows {
		if row.Why != "" && row.Outcome != child.Done && !told[row.Why] {
			told[row.Why] = true
			lines = append(lines, fmt.Sprintf("%s: %s: %s.", row.Setting, row.Outcome, strings.TrimSuffix(row.Why, ".")))
		}
	}
	if r.Ended != "" {
		lines = append(lines, fmt.Sprintf("Ended early: %s; complete rounds %d.", r.Ended, r.Rounds))
	}
	row := r.Recommended()
	if row == nil {
		return append(lines, "No setting came to its end: there is none to recommend.")
	}
	if best := r.fastest(); best != row {
		lines = append(lines, fmt.Sprintf("The fastest is %s with %s; %s takes %s, within the noise of %s.",
			best.Setting, duration(best.Median), row.Setting, duration(row.Median), percent(r.Noise)))
	}
	return append(lines, fmt.Sprintf("Recommended: %s.", row.Setting))
}

const dash = "–"

func duration(seconds float64) string {
	return units.Duration(time.Duration(math.Round(seconds * 1e9)))
}
func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }
