package main

import "github.com/execbench/execbench/engine/units"

// copySide begins the name of the sides that copy the same files.
const copySide = "copy"

// growthSizes are those of the rows about growth.
var growthSizes = []units.Bytes{250 * units.MB, 500 * units.MB, units.GB, 2 * units.GB, 4 * units.GB}

func bySize(side string, b units.Bytes) string { return side + " " + size(b) }

// growthRow does the same work on more and more, beside plain copies of the
// same files: what a machine needs more for a byte of more bytes is its own. A
// copy touches no memory but that of what it writes, so there is the limit
// program too, for who wants to know what a machine needs more for the memory
// that the work touches; it is no part of the target. limit is its workload.
func (l *lab) growthRow(name, title, workload, limit string, memory units.Bytes, atMost float64, sizes []units.Bytes, input func(units.Bytes) *Input) *Row {
	row := &Row{Name: name, Title: title, Verify: workload, Budget: memory, Sizes: sizes}
	for _, b := range sizes {
		in := input(b)
		row.Inputs = append(row.Inputs, in)
		s := l.fileJob(name+size(b), workload, memory, in)
		s.Name = bySize(ours, b)
		out := l.output(name, copySide+size(b))
		c := l.limit("copy", in.Path, out)
		c.Name, c.Outputs = bySize(copySide, b), []string{out}
		out = l.outputFile(name, limitSide+size(b))
		f := l.limit(limit, in.Path, out).writesFile(out)
		f.Name, f.Input = bySize(limitSide, b), in.Path
		row.Sides = append(row.Sides, s, c, f)
	}
	row.Targets = []Target{{copySide, atMost}}
	return row
}

func (l *lab) sortGrowthRow() *Row {
	return l.growthRow("sort-growth", "sort from 0.25 to 4 GB in memory, beside a copy", "terasort", "sort", l.budget, 1.3, growthSizes, l.recordBytes)
}

func (l *lab) wordsGrowthRow() *Row {
	return l.growthRow("words-growth", "word count from 0.25 to 4 GB, beside a copy", "wordcount", "words", l.budget, 1.3, growthSizes, func(b units.Bytes) *Input { return l.text(units.Bytes(l.scaled(int(b)))) })
}

// spillGrowthRow crosses from memory into spilling: a sort holds about one
// and a half times its data.
func (l *lab) spillGrowthRow() *Row {
	return l.growthRow("sort-growth-spill", "sort from 0.25 to 4 GB with 1 GiB: from 1 GB on it spills", "terasort", "sort", l.part(units.GiB), 1.6, growthSizes, l.recordBytes)
}

func (l *lab) recordBytes(b units.Bytes) *Input { return l.records(l.scaled(int(b / recordBytes))) }

// Growth is how the time for a byte grew from a row's smallest size.
type Growth struct {
	Bytes units.Bytes `json:"bytes"`
	Ours  float64     `json:"ours_seconds_per_gb"`
	Copy  float64     `json:"copy_seconds_per_gb"`
	Limit float64     `json:"limit_seconds_per_gb"`
	// Ratio is the growth of ours ÷ that of the copy, round by round, and
	// ToLimit ÷ that of the limit.
	Ratio   Spread `json:"growth_ratio"`
	ToLimit Spread `json:"growth_ratio_to_limit"`
	Holds   bool   `json:"holds"`
}

// growth works the table out from the runs, of the sizes that have some of
// every side.
func growth(row *Row, runs map[string][]Run) (table []Growth) {
	per := func(side string, b units.Bytes) []float64 {
		return of(runs[bySize(side, b)], func(r Run) float64 { return r.Seconds / float64(b) * 1e9 })
	}
	// by is how much more than another's ours grew from the first size.
	by := func(other string, b units.Bytes) (ratios []float64) {
		a0, a, c0, c := per(ours, row.Sizes[0]), per(ours, b), per(other, row.Sizes[0]), per(other, b)
		for k := range min(len(a0), len(a), len(c0), len(c)) {
			ratios = append(ratios, a[k]/a0[k]/(c[k]/c0[k]))
		}
		return ratios
	}
	for _, b := range row.Sizes {
		copied, limit := by(copySide, b), by(limitSide, b)
		if len(copied) == 0 || len(limit) == 0 {
			continue
		}
		g := Growth{Bytes: b, Ours: spreadOf(per(ours, b)).Median, Copy: spreadOf(per(copySide, b)).Median, Limit: spreadOf(per(limitSide, b)).Median,
			Ratio: spreadOf(copied), ToLimit: spreadOf(limit)}
		g.Holds = g.Ratio.Median <= row.Targets[0].AtMost
		table = append(table, g)
	}
	return table
}
