package explain

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/execbench/execbench/bench/table"
)

// Write writes the bound, the figures, the answers and the stages as tables.
func (x *Explanation) Write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "Bound by %s: %s.\n%s, %s on %d workers.\n\n", x.Bound, x.Because,
		upper(x.Of), duration(x.Measured), x.Workers); err != nil {
		return err
	}
	f := &x.Figures
	var rows [][]string
	for _, p := range []struct {
		name string
		ns   int64
	}{{"computing", f.CPU}, {"input read", f.InputRead}, {"shuffle fetch wait", f.FetchWait}, {"spill", f.Spill},
		{"output write", f.OutputWrite}, {"scheduling", f.Scheduling}, {"nothing to run", f.Idle}} {
		rows = append(rows, []string{p.name, duration(p.ns), percent(share(p.ns, f.WorkerTime))})
	}
	if err := draw(w, "Where the workers' time went", 1, []string{"part", "time", "share"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, a := range x.Answers {
		rows = append(rows, []string{a.Question, duration(a.Time), times(a.Ratio) + " ×"})
	}
	if err := draw(w, "How fast it would be with", 1, []string{"question", "time", "faster"}, rows); err != nil {
		return err
	}
	rows = nil
	for i := range x.Stages {
		s := &x.Stages[i]
		row := []string{s.ID, s.Name, string(s.Bound), duration(s.Measured), percent(s.Share)}
		for _, a := range s.Answers {
			row = append(row, times(a.Ratio))
		}
		l := s.Figures.Longest
		rows = append(rows, append(row, times(l.Ratio)+" × (task "+strconv.Itoa(int(l.Index))+")", percent(s.Error)))
	}
	header := []string{"stage", "name", "bound", "time", "share", NoDisk, NoSpill, NoGC, EvenTasks, FreeScheduling, InstantCompute, "longest ÷ mean", "replay error"}
	if err := draw(w, "Stages, each by itself: times faster with", 3, header, rows); err != nil {
		return err
	}
	lines := []string{fmt.Sprintf("The replay of the tasks as they were takes %s: %s off the measured time.", duration(x.Replayed), percent(x.Error))}
	for _, n := range x.Notes {
		lines = append(lines, "Note: "+n+".")
	}
	for i := range x.Stages {
		if s := &x.Stages[i]; s.Share >= waste {
			lines = append(lines, fmt.Sprintf("Stage %s is bound by %s: %s.", s.ID, s.Bound, s.Because))
		}
	}
	for _, p := range x.Problems {
		lines = append(lines, "Note: "+p+".")
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// draw writes a title and a table; the first columns are left aligned.
func draw(w io.Writer, title string, left int, header []string, rows [][]string) error {
	t := &table.Table{Title: title, Header: header, Left: table.First(left), Rows: rows}
	return t.Write(w, false)
}
