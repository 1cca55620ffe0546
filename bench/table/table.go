// Package table draws tables, for terminals and in Markdown. It is the one
// place that does.
package table

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Table is a title, a header and rows of finished text.
type Table struct {
	Title  string // empty: none
	Header []string
	Left   []int // columns that are left aligned; the others are right aligned
	Rows   [][]string
}

// Add adds a row, which the table keeps.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// First returns the numbers of the first n columns, for Left.
func First(n int) (columns []int) {
	for i := range n {
		columns = append(columns, i)
	}
	return columns
}

// Write draws the table, after its title and before an empty line. Cells are
// drawn as they are, in one line each. A table without rows is not drawn.
func (t *Table) Write(w io.Writer, markdown bool) error {
	if len(t.Rows) == 0 {
		return nil
	}
	if t.Title != "" {
		title := t.Title + "\n"
		if markdown {
			title = "### " + t.Title + "\n\n"
		}
		if _, err := io.WriteString(w, title); err != nil {
			return err
		}
	}
	align := make([]tw.Align, len(t.Header))
	for i := range align {
		align[i] = tw.AlignRight
		if slices.Contains(t.Left, i) {
			align[i] = tw.AlignLeft
		}
	}
	cells := tw.CellConfig{Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off}, Alignment: tw.CellAlignment{PerColumn: align}}
	out := tablewriter.NewTable(w, tablewriter.WithRenderer(rendererOf(markdown)),
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}), tablewriter.WithTrimSpace(tw.Off))
	out.Header(cellsOf(t.Header, markdown)...)
	for _, r := range t.Rows {
		if err := out.Append(cellsOf(r, markdown)...); err != nil {
			return fmt.Errorf("cannot write table %q: %w", t.Title, err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("cannot write table %q: %w", t.Title, err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// cellsOf passes cells on; a bar would end a Markdown cell and is escaped.
func cellsOf(cells []string, markdown bool) []any {
	out := make([]any, len(cells))
	for i, c := range cells {
		if markdown {
			c = strings.ReplaceAll(c, "|", `\|`)
		}
		out[i] = strings.ReplaceAll(c, "\n", " ")
	}
	return out
}

func rendererOf(markdown bool) tw.Renderer {
	if markdown {
		return renderer.NewMarkdown()
	}
	return renderer.NewBlueprint(tw.Rendition{
		Borders: tw.BorderNone,
		Symbols: tw.NewSymbols(tw.StyleLight),
		Settings: tw.Settings{
			Separators: tw.Separators{BetweenColumns: tw.Off, BetweenRows: tw.Off, ShowHeader: tw.On},
			Lines:      tw.Lines{ShowHeaderLine: tw.On, ShowTop: tw.Off, ShowBottom: tw.Off},
		},
	})
}
