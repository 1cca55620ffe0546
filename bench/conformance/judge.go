package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/execbench/execbench/bench/table"
)

// row is what became of one behaviour.
type row struct{ id, result, why string }

// judge returns a row for each behaviour, in order, and a sentence for each
// thing that is wrong.
func judge(ids []string, aside map[string]string, tests map[string]*outcome) (rows []row, problems []string) {
	known := map[string]bool{}
	counts := map[string]int{}
	for _, id := range ids {
		known[id] = true
		r := row{id: id}
		t, reason := tests[id], aside[id]
		switch {
		case t != nil && len(t.failed) > 0:
			r.result, r.why = "FAILED", strings.Join(t.failed, ", ")
		case t != nil && len(t.skipped) > 0:
			r.result, r.why = "SKIPPED", strings.Join(t.skipped, ", ")
		case t != nil && reason != "":
			r.result, r.why = "BOTH", "has a test and a reason to stand aside: "+reason
		case t != nil:
			r.result, r.why = "pass", strings.Join(t.passed, ", ")
		case reason != "":
			r.result, r.why = "n/a", reason
		default:
			r.result, r.why = "MISSING", "no test carries this ID"
		}
		counts[r.result]++
		if r.result != "pass" && r.result != "n/a" {
			problems = append(problems, fmt.Sprintf("%s: %s: %s", id, r.result, r.why))
		}
		rows = append(rows, r)
	}
	for id := range tests {
		if !known[id] {
			problems = append(problems, fmt.Sprintf("%s: a test carries this ID, and the catalogue does not have it", id))
		}
	}
	for id := range aside {
		if !known[id] {
			problems = append(problems, fmt.Sprintf("%s: stands aside, and the catalogue does not have it", id))
		}
	}
	slices.Sort(problems)
	if n := counts["n/a"]; n > mostNotApplicable {
		problems = append(problems, fmt.Sprintf("%d behaviours are not applicable; at most %d may be", n, mostNotApplicable))
	}
	rows = append(rows, row{id: "total", result: fmt.Sprintf("%d of %d", counts["pass"]+counts["n/a"], len(ids)),
		why: fmt.Sprintf("%d pass, %d not applicable", counts["pass"], counts["n/a"])})
	return rows, problems
}

func write(out io.Writer, rows []row) error {
	t := table.Table{Header: []string{"ID", "result", "tests, or why not"}, Left: table.First(3)}
	for _, r := range rows {
		t.Add(r.id, r.result, r.why)
	}
	return t.Write(out, false)
}
