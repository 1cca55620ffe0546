package cli

import (
	"io"
	"slices"

	"github.com/execbench/execbench/bench/table"
)

// writeTable writes a title and a table of text, left aligned but for the
// columns in right.
func writeTable(w io.Writer, title string, header []string, rows [][]string, right ...int) error {
	left := slices.DeleteFunc(table.First(len(header)), func(i int) bool { return slices.Contains(right, i) })
	t := &table.Table{Title: title, Header: header, Left: left, Rows: rows}
	return t.Write(w, false)
}
