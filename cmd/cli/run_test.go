package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/workloads"
)

// A panic of our own is a bug of ours, said with its stack.
func TestABugIsSaidAndHasItsCode(t *testing.T) {
	var errs bytes.Buffer
	code := Run(context.Background(), []string{"version"}, nil, panicking{}, &errs)
	if code != bench.ExitInternal || !strings.Contains(errs.String(), "a bug of execbench: planted") || !strings.Contains(errs.String(), "goroutine") {
		t.Errorf("code %d, %q", code, errs.String())
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("planted") }

// A parameter may not hide a flag that every workload has.
func TestParametersMayNotHideFlags(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(p.(string), `parameter "memory"`) {
			t.Errorf("panicked with %v", p)
		}
	}()
	c := (&app{}).runCommand()
	addParams(c, &workloads.Workload{Name: "x", Params: []workloads.Param{{Name: "memory", Kind: workloads.Int, Default: "1", Doc: "x"}}}, c.PersistentFlags())
}

func TestPairs(t *testing.T) {
	got, err := splitPairs([]string{"a=b", " c = d=e ", "", "a=b"})
	if err != nil || len(got) != 2 || got["a"] != "b" || got["c"] != " d=e " {
		t.Errorf("pairs %q, %v", got, err)
	}
	for _, bad := range [][]string{{"a"}, {"=b"}, {"a=1", "a=2"}} {
		if _, err := splitPairs(bad); bench.ExitCode(err) != bench.ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
