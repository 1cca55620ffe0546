package executor_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/task"
)

// labelLine is what a goroutine profile says of labels.
var labelLine = regexp.MustCompile(`(?m)^# labels: (.*)$`)

// labelsNow returns the labels of all goroutines that carry any, sorted.
func labelsNow(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range labelLine.FindAllStringSubmatch(b.String(), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestAttemptsRunUnderLabelsWhileTheyAreWanted(t *testing.T) {
	var want atomic.Bool
	h := start(t, 1, func(h *harness, c *executor.Config, _ *executor.Deps) {
		c.Labels = want.Load
		h.decode = func(*executor.Context, []byte) error {
			if got := labelsNow(t); want.Load() && !strings.Contains(got, `"part":"decode"`) {
				t.Errorf("while decoding: %s", got)
			}
			return nil
		}
	})
	described := func(d *task.Description) {
		d.Job = 5
		d.Properties = map[string]string{executor.LabelProperty + "workload": "sorting", "spark.other": "x"}
	}
	expect := func(when, label string) {
		t.Helper()
		if got := labelsNow(t); got != label {
			t.Errorf("%s: labels %s, want %s", when, got, label)
		}
	}
	const all = `{"job":"5", "part":"compute", "stage":"3.1", "workload":"sorting"}`
	labelled := func(c *executor.Context) (executor.Encode, error) {
		expect("in the run", all)
		prev := c.Timer.Switch(task.PartSpill)
		expect("in a spill", strings.Replace(all, "compute", "spill", 1))
		c.Timer.Switch(prev)
		expect("after a spill", all)
		pprof.Do(c.Context(), pprof.Labels("mine", "1"), func(context.Context) {
			expect("under the user's", `{"job":"5", "mine":"1", "stage":"3.1", "workload":"sorting"}`)
		})
		return func(dst []byte) ([]byte, error) {
			expect("while encoding", strings.Replace(all, "compute", "encode", 1))
			return dst, nil
		}, nil
	}
	plain := func(*executor.Context) (executor.Encode, error) {
		expect("unwanted", "")
		return nil, nil
	}
	ends := func(o outcome) {
		t.Helper()
		if o.State != task.Finished {
			t.Fatal(o.failure)
		}
	}
	ends(h.run(plain, described))
	want.Store(true)
	for range 2 { // made, and used again
		ends(h.run(labelled, described))
		h.driver.onStatus = nil
	}
	if o := h.run(failing(errors.New("planted")), described); o.State != task.Failed {
		t.Fatal(o.State)
	}
	// The attempt is over for its driver too, whatever ended it.
	h.driver.onStatus = func(s *task.Status) {
		if s.State.Terminal() {
			expect("between attempts", `{"stage":"driver"}`)
		}
	}
	ends(h.run(ok, described))
	h.run(func(*executor.Context) (executor.Encode, error) { panic("planted") }, described)
	h.driver.onStatus = nil
	want.Store(false)
	ends(h.run(plain, described))
}
