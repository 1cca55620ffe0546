package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Format is a form in which a report is written.
type Format uint8

// Formats. CSV is for attempts alone.
const (
	Terminal Format = iota
	Markdown
	JSON
	CSV
)

// ParseFormat reads a format's name: text, markdown, json or csv.
func ParseFormat(name string) (Format, error) {
	for i, n := range formatNames {
		if n == name {
			return Format(i), nil
		}
	}
	return 0, fmt.Errorf("cannot read %q as a format: it is one of %s", name, strings.Join(formatNames[:], ", "))
}

var formatNames = [...]string{Terminal: "text", Markdown: "markdown", JSON: "json", CSV: "csv"}

// String returns the format's name.
func (f Format) String() string { return formatNames[min(f, CSV)] }

// table is a title, a header and rows of finished text. Columns are right
// aligned but for those named in left.
type table struct {
	title  string
	header []string
	left   map[int]bool
	rows   [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write renders the table, after its title and before an empty line.
func (t *table) write(w io.Writer, f Format) error {
	title := t.title + "\n"
	if f == Markdown {
		title = "### " + t.title + "\n\n"
	}
	if t.title != "" {
		if _, err := io.WriteString(w, title); err != nil {
			return err
		}
	}
	align := make([]tw.Align, len(t.header))
	for i := range align {
		align[i] = tw.AlignRight
		if t.left[i] {
			align[i] = tw.AlignLeft
		}
	}
	cells := tw.CellConfig{Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off}, Alignment: tw.CellAlignment{PerColumn: align}}
	out := tablewriter.NewTable(w, tablewriter.WithRenderer(rendererOf(f)),
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells}), tablewriter.WithTrimSpace(tw.Off))
	out.Header(anyOf(t.header, f)...)
	for _, r := range t.rows {
		if err := out.Append(anyOf(r, f)...); err != nil {
			return fmt.Errorf("cannot write table %q: %w", t.title, err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("cannot write table %q: %w", t.title, err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// anyOf passes cells on; a bar would end a Markdown cell and is escaped.
func anyOf(cells []string, f Format) []any {
	out := make([]any, len(cells))
	for i, c := range cells {
		if f == Markdown {
			c = strings.ReplaceAll(c, "|", `\|`)
		}
		out[i] = strings.ReplaceAll(c, "\n", " ")
	}
	return out
}

func rendererOf(f Format) tw.Renderer {
	if f == Markdown {
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

// dash stands where there is nothing to say.
const dash = "–"

func duration(ns int64) string { return units.Duration(time.Duration(ns)) }

func percent(part, whole int64) string {
	if whole == 0 {
		return dash
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

// quantity prints a value in its unit.
func quantity(v int64, u task.Unit) string {
	switch u {
	case task.Nanoseconds:
		return duration(v)
	case task.ByteCount:
		return units.Bytes(v).String()
	}
	return strconv.FormatInt(v, 10)
}
