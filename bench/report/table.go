package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

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
