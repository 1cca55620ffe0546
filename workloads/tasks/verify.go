package tasks

import (
	"context"
	"fmt"
	"strconv"

	"github.com/execbench/execbench/workloads"
)

// verify looks at both ends of every task: the workers marked each one that
// ran, and the driver added up a count of one from each.
func verify(_ context.Context, _ workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	ran, ok := a.Detail.(*roll)
	if !ok {
		return nil, fmt.Errorf("cannot verify tasks: the answer does not say which of them ran")
	}
	want := strconv.FormatInt(v.Int("tasks"), 10)
	marked, absent := ran.count()
	got := strconv.Itoa(marked)
	if absent >= 0 {
		got = fmt.Sprintf("%s, not task %d", got, absent)
	}
	verdict := &workloads.Verdict{}
	verdict.Expect("tasks that ran", want, got)
	verdict.Expect("results counted", want, strconv.FormatInt(a.Records, 10))
	a.Checksum = fmt.Sprintf("%d of %s", a.Records, want)
	return verdict, nil
}
