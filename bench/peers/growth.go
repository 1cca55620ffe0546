package main

import "github.com/execbench/execbench/engine/units"

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

// growth works the table out from the runs, of the sizes that have some.
func growth(row *Row, runs map[string][]Run) (table []Growth) {
	per := func(side string, b units.Bytes) []float64 {
		return of(runs[bySize(side, b)], func(r Run) float64 { return r.Seconds / float64(b) * 1e9 })
	}
	first := row.Sizes[0]
	a0, c0 := per(ours, first), per(copySide, first)
	for _, b := range row.Sizes {
		a, c := per(ours, b), per(copySide, b)
		var ratio []float64
		for k := range min(len(a), len(c), len(a0), len(c0)) {
			ratio = append(ratio, a[k]/a0[k]/(c[k]/c0[k]))
		}
		if len(ratio) == 0 {
			continue
		}
		s := spreadOf(ratio)
		table = append(table, Growth{b, spreadOf(a).Median, spreadOf(c).Median, s, s.Median <= row.Targets[0].AtMost})
	}
	return table
}
