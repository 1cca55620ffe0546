package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/units"
)

// inMemory is ours with all the memory that it wants.
const inMemory = "in memory"

// quarterRows compare ours with itself in memory: it gets a quarter of what
// it needs there at its peak, which is measured before the rounds.
func (l *lab) quarterRows() []*Row {
	n, keys := l.scaled(1e7), l.scaled(1e6)
	records, table := l.records(n), l.table(n, keys)
	a, b := l.tables(n, n, true)
	row := func(name, title string, ins []*Input, job func(row string) *Side) *Row {
		tight, free := job(name), job(name+"-free")
		free.Name, free.Free = inMemory, true
		return &Row{Name: name, Title: title + " in a quarter of the memory, whole process", Inputs: ins, Part: 0.25,
			Sides: []*Side{tight, free}, Targets: []Target{{inMemory, 2.5}}}
	}
	sort := row("sort-quarter", "sort 1 GB", []*Input{records}, func(row string) *Side { return l.fileJob(row, "terasort", l.budget, records) })
	sort.Verify = "terasort"
	return []*Row{
		sort,
		row("groupby-quarter", "sum and mean by key, 1e7 rows and 1e6 keys", []*Input{table}, func(string) *Side { return l.wholeJob("groupby", "--input", table.Path) }),
		row("join-quarter", "join and sums, 1e7 × 1e7 rows with sparse keys,", []*Input{a, b}, func(string) *Side { return l.wholeJob("join", "--input", a.Path, "--input", b.Path) }),
	}
}

// ration gives the sides of a row their part of the memory that the side in
// memory needs, which it measures unless the row has its budget already.
func (l *lab) ration(ctx context.Context, row *Row) error {
	if row.Budget == 0 {
		i := slices.IndexFunc(row.Sides, func(s *Side) bool { return s.Free })
		r, err := l.once(ctx, row.Sides[i], true)
		if err = errors.Join(err, row.Sides[i].clear()); err != nil {
			return fmt.Errorf("cannot measure what memory it needs: %w", err)
		}
		row.Budget = units.Bytes(float64(r.PeakRSS) * row.Part)
		l.say("%s · in memory it needs %v, so it gets %v", row.Name, r.PeakRSS, row.Budget)
	}
	for _, s := range row.Sides {
		if !s.Free {
			s.Args[slices.Index(s.Args, "--memory")+1] = memoryFlag(row.Budget)
		}
	}
	return nil
}
