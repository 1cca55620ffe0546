package explain

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
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
	if err := table(w, "Where the workers' time went", 1, []string{"part", "time", "share"}, rows); err != nil {
		return err
	}
	rows = nil
	for _, a := range x.Answers {
		rows = append(rows, []string{a.Question, duration(a.Time), times(a.Ratio) + " ×"})
	}
	if err := table(w, "How fast it would be with", 1, []string{"question", "time", "faster"}, rows); err != nil {
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
	if err := table(w, "Stages, each by itself: times faster with", 3, header, rows); err != nil {
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

// table writes a title and a table; the first columns are left aligned.
func table(w io.Writer, title string, left int, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := io.WriteString(w, title+"\n"); err != nil {
		return err
	}
	align := make([]tw.Align, len(header))
	for i := range align {
		align[i] = tw.AlignRight
		if i < left {
			align[i] = tw.AlignLeft
		}
	}
	cells := tw.CellConfig{Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off}, Alignment: tw.CellAlignment{PerColumn: align}}
	t := tablewriter.NewTable(w, tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}), tablewriter.WithRenderer(
		renderer.NewBlueprint(tw.Rendition{Borders: tw.BorderNone, Symbols: tw.NewSymbols(tw.StyleLight), Settings: tw.Settings{
			Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off, ShowHeader: tw.On},
			Lines:      tw.Lines{ShowHeaderLine: tw.On, ShowTop: tw.Off, ShowBottom: tw.Off}}})))
	t.Header(header)
	for _, r := range rows {
		if err := t.Append(r); err != nil {
			return fmt.Errorf("cannot write table %q: %w", title, err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("cannot write table %q: %w", title, err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
