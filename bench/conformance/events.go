package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// outcome is how the tests of a behaviour ended.
type outcome struct {
	passed, failed, skipped []string
}

// event is what go test -json tells of a test, of a package (without Test), or
// of a build (which has an ImportPath instead of a Package).
type event struct{ Action, Package, ImportPath, Test, Output string }

// testRun is what readTests knows of a run so far.
type testRun struct {
	tests    map[string]*outcome // by ID
	running  map[event]bool      // tests and packages that have not ended: Package and Test
	output   map[string][]string // last lines of packages and builds, their tests' left out
	problems []string
}

// lastLines is how many lines of output are kept of a package or a build.
const lastLines = 10

// readTests reads the events of go test -json and returns how tests ended, by
// the IDs in their names, and a sentence for each failure that no ID tells of:
// of a test without one, a package (whose tests may all have passed) and a
// build. What has not ended when the stream does has failed.
func readTests(r io.Reader) (tests map[string]*outcome, problems []string, err error) {
	s := testRun{tests: map[string]*outcome{}, running: map[event]bool{}, output: map[string][]string{}}
	events := json.NewDecoder(bufio.NewReader(r))
	for {
		var e event
		if err := events.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return nil, nil, fmt.Errorf("cannot read the events of go test -json: %w", err)
		}
		if e.Test == "" {
			s.ofPackage(e)
		} else {
			s.ofTest(e)
		}
	}
	for e := range s.running {
		if e.Test == "" {
			s.problem(e.Package, "did not end")
		} else {
			s.failed(e, " (did not end)")
		}
	}
	slices.Sort(s.problems)
	return s.tests, s.problems, nil
}

func (s *testRun) ofPackage(e event) {
	name, key := cmp.Or(e.Package, e.ImportPath), event{Package: e.Package}
	switch e.Action {
	case "start":
		s.running[key] = true
	case "output", "build-output":
		if line := strings.TrimSpace(e.Output); line != "" {
			lines := append(s.output[name], line)
			s.output[name] = lines[max(0, len(lines)-lastLines):]
		}
	case "fail", "build-fail":
		s.problem(name, "FAILED")
		delete(s.running, key)
	case "pass", "skip":
		delete(s.running, key)
	}
}

// problem notes what became of a package or a build, with what it printed last.
func (s *testRun) problem(name, what string) {
	s.problems = append(s.problems, strings.Join(append([]string{name + ": " + what}, s.output[name]...), "\n\t"))
}

func (s *testRun) ofTest(e event) {
	key := event{Package: e.Package, Test: e.Test}
	switch e.Action {
	case "run":
		s.running[key] = true
		return
	case "pass":
		for _, id := range idsOf(e.Test) {
			s.at(id).passed = append(s.at(id).passed, e.Test)
		}
	case "fail":
		s.failed(e, "")
	case "skip": // whatever its parents were to show was not shown whole
		for _, id := range idsAbove(e.Test) {
			s.at(id).skipped = append(s.at(id).skipped, e.Test)
		}
	default:
		return
	}
	delete(s.running, key)
}

// failed notes that a test failed, for its IDs or else for the run.
func (s *testRun) failed(e event, how string) {
	ids := idsAbove(e.Test)
	for _, id := range ids {
		s.at(id).failed = append(s.at(id).failed, e.Test+how)
	}
	if len(ids) == 0 {
		s.problems = append(s.problems, fmt.Sprintf("%s: %s: FAILED%s", e.Package, e.Test, how))
	}
}

func (s *testRun) at(id string) *outcome {
	if s.tests[id] == nil {
		s.tests[id] = &outcome{}
	}
	return s.tests[id]
}

// idsAbove returns the IDs in a test's name or else those of the nearest
// parent that has any.
func idsAbove(test string) []string {
	for {
		ids := idsOf(test)
		i := strings.LastIndexByte(test, '/')
		if len(ids) > 0 || i < 0 {
			return ids
		}
		test = test[:i]
	}
}

// idsOf returns the IDs in a test's name that its parent's name does not
// already carry, so that a subtest counts once.
func idsOf(test string) []string {
	i := strings.LastIndexByte(test, '/')
	var ids []string
	for rest := test[i+1:]; ; {
		m := named.FindStringSubmatchIndex(rest)
		if m == nil {
			return ids
		}
		ids = append(ids, rest[m[2]:m[3]]+"-"+rest[m[4]:m[5]])
		rest = rest[m[5]:]
	}
}
