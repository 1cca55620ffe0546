package main

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestReadTests(t *testing.T) {
	for _, c := range []struct {
		name, events string
		tests        map[string]*outcome
		problems     []string
	}{
		{"package fails after its tests passed", `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestDAG_001_X"}
{"Action":"output","Package":"p","Test":"TestDAG_001_X","Output":"of a test\n"}
{"Action":"pass","Package":"p","Test":"TestDAG_001_X"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"goleak: found unexpected goroutines\n"}
{"Action":"fail","Package":"p"}`,
			map[string]*outcome{"DAG-001": {passed: []string{"TestDAG_001_X"}}},
			[]string{"p: FAILED\n\tPASS\n\tgoleak: found unexpected goroutines"}},
		{"build fails", `
{"ImportPath":"p.test","Action":"build-output","Output":"# p\n"}
{"ImportPath":"p.test","Action":"build-output","Output":"a_test.go:3:32: expected operand\n"}
{"ImportPath":"p.test","Action":"build-fail"}
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p.test"}`,
			map[string]*outcome{},
			[]string{"p.test: FAILED\n\t# p\n\ta_test.go:3:32: expected operand", "p: FAILED\n\tFAIL\tp [build failed]"}},
		{"subtest is skipped", `
{"Action":"run","Package":"p","Test":"TestDAG_001_X"}
{"Action":"run","Package":"p","Test":"TestDAG_001_X/late"}
{"Action":"skip","Package":"p","Test":"TestDAG_001_X/late"}
{"Action":"pass","Package":"p","Test":"TestDAG_001_X"}`,
			map[string]*outcome{"DAG-001": {passed: []string{"TestDAG_001_X"}, skipped: []string{"TestDAG_001_X/late"}}}, nil},
		{"subtest of a subtest fails", `
{"Action":"fail","Package":"p","Test":"TestX/DAG-001_a/b"}`,
			map[string]*outcome{"DAG-001": {failed: []string{"TestX/DAG-001_a/b"}}}, nil},
		{"test without an ID fails", `
{"Action":"fail","Package":"p","Test":"TestX/late"}`,
			map[string]*outcome{}, []string{"p: TestX/late: FAILED"}},
		{"test without an ID is skipped", `
{"Action":"skip","Package":"p","Test":"TestX"}`, map[string]*outcome{}, nil},
		{"stream ends in mid-package", `
{"Action":"start","Package":"p"}
{"Action":"start","Package":"q"}
{"Action":"start","Package":"r"}
{"Action":"run","Package":"p","Test":"TestDAG_001_X"}
{"Action":"run","Package":"p","Test":"TestX"}
{"Action":"pass","Package":"q"}
{"Action":"skip","Package":"r"}`,
			map[string]*outcome{"DAG-001": {failed: []string{"TestDAG_001_X (did not end)"}}},
			[]string{"p: TestX: FAILED (did not end)", "p: did not end"}},
		{"tests passed, and the stream ends before the package", `
{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestDAG_001_X"}
{"Action":"pass","Package":"p","Test":"TestDAG_001_X"}`,
			map[string]*outcome{"DAG-001": {passed: []string{"TestDAG_001_X"}}}, []string{"p: did not end"}},
	} {
		tests, problems, err := readTests(strings.NewReader(c.events))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if !reflect.DeepEqual(tests, c.tests) || !slices.Equal(problems, c.problems) {
			t.Errorf("%s:\n%+v and %q, want\n%+v and %q", c.name, tests, problems, c.tests, c.problems)
		}
	}
	if _, _, err := readTests(strings.NewReader(`{"Action":"start","Pack`)); err == nil {
		t.Error("half an event is read as if it were none")
	}
}

// TestRun shows runs of every behaviour's test: the exit code is 0 until
// anything fails that no ID tells of.
func TestRun(t *testing.T) {
	t.Chdir(root)
	ids, aside, err := readModule(".")
	if err != nil {
		t.Fatal(err)
	}
	var whole strings.Builder
	for _, id := range ids {
		if aside[id] == "" {
			fmt.Fprintf(&whole, `{"Action":"pass","Package":"p","Test":"TestX/%s"}`+"\n", id)
		}
	}
	for more, want := range map[string]int{
		``:                                 0,
		`{"Action":"pass","Package":"p"}`:  0,
		`{"Action":"fail","Package":"p"}`:  1,
		`{"Action":"start","Package":"p"}`: 1,
		`{"Action":"build-fail","ImportPath":"p"}`:                 1,
		`{"Action":"fail","Package":"p","Test":"TestX"}`:           1,
		`{"Action":"skip","Package":"p","Test":"TestX/DAG-001/b"}`: 1,
		`{"Action":`: 2,
	} {
		var out, errs bytes.Buffer
		if got := run(strings.NewReader(whole.String()+more), &out, &errs); got != want || (errs.Len() > 0) != (want > 0) {
			t.Errorf("%s: exit code %d, want %d; problems\n%s", more, got, want, &errs)
		}
	}
}
