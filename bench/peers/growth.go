package main

import (
	"fmt"

	"github.com/execbench/execbench/engine/units"
)

// copySide begins the name of the sides that copy the same files.
const copySide = "copy"

// growthSizes are those of the rows about growth.
var growthSizes = []units.Bytes{250 * units.MB, 500 * units.MB, units.GB, 2 * units.GB, 4 * units.GB}

func bySize(side string, b units.Bytes) string { return side + " " + size(b) }

// growthRow does the same work on more and more, beside plain copies of the
// same files: what a machine needs more for a byte of more bytes is its own.
func (l *lab) growthRow(name, title, workload string, memory units.Bytes, atMost float64, sizes []units.Bytes, input func(units.Bytes) *Input) *Row {
	row := &Row{Name: name, Title: title, Verify: workload, Budget: memory, Sizes: sizes}
	for _, b := range sizes {
		in := input(b)
		row.Inputs = append(row.Inputs, in)
		s := l.fileJob(name+size(b), workload, memory, in)
		s.Name = bySize(ours, b)
		out := l.output(name, copySide+size(b))
		c := l.limit("copy", in.Path, out)
		c.Name, c.Outputs = bySize(copySide, b), []string{out}
		row.Sides = append(row.Sides, s, c)
	}
	row.Targets = []Target{{copySide, atMost}}
	return row
}

func (l *lab) sortGrowthRow() *Row {
	return l.growthRow("sort-growth", "sort from 0.25 to 4 GB in memory, beside a copy", "terasort", l.budget, 1.3, growthSizes, l.recordBytes)
}

func (l *lab) wordsGrowthRow() *Row {
	return l.growthRow("words-growth", "word count from 0.25 to 4 GB, beside a copy", "wordcount", l.budget, 1.3, growthSizes, func(b units.Bytes) *Input { return l.text(units.Bytes(l.scaled(int(b)))) })
}

// spillGrowthRow crosses from memory into spilling: a sort holds about one
// and a half times its data.
func (l *lab) spillGrowthRow() *Row {
	return l.growthRow("sort-growth-spill", "sort from 0.25 to 4 GB with 1 GiB: from 1 GB on it spills", "terasort", l.part(units.GiB), 1.6, growthSizes, l.recordBytes)
}

func (l *lab) recordBytes(b units.Bytes) *Input { return l.records(l.scaled(int(b / recordBytes))) }

// Growth is how the time for a byte grew from a row's smallest size.
type Growth struct {
	Bytes units.Bytes `json:"bytes"`
	Ours  float64     `json:"ours_seconds_per_gb"`
	Copy  float64     `json:"copy_seconds_per_gb"`
	// Ratio is the growth of ours ÷ that of the copy, round by round.
	Ratio Spread `json:"growth_ratio"`
	Holds bool   `json:"holds"`
}

// growth works the table out from the runs.
func growth(row *Row, runs map[string][]Run) ([]Growth, error) {
	var table []Growth
	per := func(side string, b units.Bytes) ([]float64, error) {
		r := runs[bySize(side, b)]
		if len(r) == 0 {
			return nil, fmt.Errorf("%s has no runs", bySize(side, b))
		}
		return of(r, func(r Run) float64 { return r.Seconds / float64(b) * 1e9 }), nil
	}
	var first [2][]float64
	for i, b := range row.Sizes {
		a, err := per(ours, b)
		if err != nil {
			return nil, err
		}
		c, err := per(copySide, b)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = [2][]float64{a, c}
		}
		var ratio []float64
		for k := range min(len(a), len(c), len(first[0]), len(first[1])) {
			ratio = append(ratio, a[k]/first[0][k]/(c[k]/first[1][k]))
		}
		s := spreadOf(ratio)
		table = append(table, Growth{b, spreadOf(a).Median, spreadOf(c).Median, s, s.Median <= row.Targets[0].AtMost})
	}
	return table, nil
}
