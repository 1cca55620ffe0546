package tasks

import (
	"testing"

	"github.com/execbench/execbench/workloads"
)

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	const n = 130 // two words of the roll and a bit
	v := Workload.Values()
	if err := v.Set("tasks", "130"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		fault func(a *workloads.Answer, r *roll)
		want  string // the check that fails
	}{
		{"none", func(*workloads.Answer, *roll) {}, ""},
		{"a task that never ran", func(a *workloads.Answer, r *roll) { r.bits[1].And(^uint64(1 << 5)) }, "tasks that ran"},
		{"the first never ran", func(a *workloads.Answer, r *roll) { r.bits[0].And(^uint64(1)) }, "tasks that ran"},
		{"the last never ran", func(a *workloads.Answer, r *roll) { r.bits[2].And(^uint64(2)) }, "tasks that ran"},
		{"a result lost", func(a *workloads.Answer, r *roll) { a.Records-- }, "results counted"},
		{"a result counted twice", func(a *workloads.Answer, r *roll) { a.Records++ }, "results counted"},
	} {
		r := newRoll(n)
		for i := range n {
			r.mark(i)
		}
		a := &workloads.Answer{Records: n, Detail: r}
		c.fault(a, r)
		verdict, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, a)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range verdict.Failed() {
			got += f.Name
		}
		if got != c.want || verdict.OK != (c.want == "") {
			t.Errorf("%s: verifier objects to %q, want %q", c.name, got, c.want)
		}
	}
	if _, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, &workloads.Answer{Records: n}); err == nil {
		t.Error("an answer without a roll was verified")
	}
}

func TestRollNamesTheFirstAbsent(t *testing.T) {
	r := newRoll(70)
	for i := range 70 {
		if marked, absent := r.count(); marked != i || absent != i {
			t.Fatalf("with %d marked: %d, first absent %d", i, marked, absent)
		}
		r.mark(i)
		r.mark(i) // a second attempt changes nothing
	}
	if marked, absent := r.count(); marked != 70 || absent != -1 {
		t.Errorf("all marked: %d, first absent %d", marked, absent)
	}
	c := r.copy()
	r.clear()
	if marked, _ := r.count(); marked != 0 {
		t.Errorf("%d left after clear", marked)
	}
	if marked, _ := c.count(); marked != 70 {
		t.Errorf("the copy changed: %d", marked)
	}
}
