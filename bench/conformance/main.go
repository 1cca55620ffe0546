// Command conformance tells what became of every behaviour of the catalogue
// in engine/docs/conformance.md. It reads what `go test -json` prints on its
// standard input, matches tests to behaviours by the ID in their names, and
// fails if any behaviour has no test that ran and passed and no reason why
// it does not apply, or if anything else of the run failed.
//
//	go test -json ./engine/... ./bench/report/... | go run ./bench/conformance
package main

import (
	"fmt"
	"io"
	"os"
)

const (
	catalogueFile = "engine/docs/conformance.md"
	testsBelow    = "engine"
	// mostNotApplicable is how many behaviours may stand aside: more would
	// no longer be the same core.
	mostNotApplicable = 25
)

func main() { os.Exit(run(os.Stdin, os.Stdout, os.Stderr)) }

// run returns the exit code: 0 all hold, 1 some do not or something failed, 2 unreadable input.
func run(in io.Reader, out, errs io.Writer) int {
	ids, aside, err := readModule(".")
	if err != nil {
		fmt.Fprintln(errs, "conformance:", err)
		return 2
	}
	tests, failures, err := readTests(in)
	if err != nil {
		fmt.Fprintln(errs, "conformance:", err)
		return 2
	}
	rows, problems := judge(ids, aside, tests)
	if err := write(out, rows); err != nil {
		fmt.Fprintln(errs, "conformance:", err)
		return 2
	}
	problems = append(problems, failures...)
	for _, p := range problems {
		fmt.Fprintln(errs, p)
	}
	if len(problems) > 0 {
		return 1
	}
	return 0
}
