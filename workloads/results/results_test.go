package results

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

func values(t *testing.T, pairs ...string) workloads.Values {
	t.Helper()
	v := Workload.Values()
	for i := 0; i < len(pairs); i += 2 {
		if err := v.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// right is the answer that v should have.
func right(v workloads.Values) *workloads.Answer {
	tasks, size := v.Int("tasks"), int64(v.Bytes("result-size"))
	came := make([]arrival, tasks)
	for i := range came {
		b := make([]byte, size)
		newStream(uint64(v.Int("seed")), i).fill(b)
		came[i] = arrival{1, size, xxh3.Hash(b)}
	}
	return &workloads.Answer{Records: tasks, Bytes: tasks * size, Detail: came}
}

func TestVerifierCatchesPlantedFaults(t *testing.T) {
	v := values(t, "tasks", "5", "result-size", "70003", "seed", "9")
	for _, c := range []struct {
		name  string
		fault func(a *workloads.Answer, came []arrival)
		want  string // the checks that fail
		says  string
	}{
		{"none", func(*workloads.Answer, []arrival) {}, "", ""},
		{"a result that never came", func(_ *workloads.Answer, came []arrival) { came[3] = arrival{} }, "results that did not arrive once", "task 3: 0 times"},
		{"a result that came twice", func(_ *workloads.Answer, came []arrival) { came[4].times++ }, "results that did not arrive once", "task 4: 2 times"},
		{"a byte too few", func(_ *workloads.Answer, came []arrival) { came[0].bytes-- }, "results of another length", "70002 bytes"},
		{"another byte", func(_ *workloads.Answer, came []arrival) { came[0].hash ^= 1 }, "results with other bytes", "task 0: hash"},
		{"two results changed places", func(_ *workloads.Answer, came []arrival) { came[1], came[2] = came[2], came[1] }, "results with other bytes", "2, the first task 1"},
		{"a result not counted", func(a *workloads.Answer, _ []arrival) { a.Records-- }, "results", "4"},
		{"bytes not counted", func(a *workloads.Answer, _ []arrival) { a.Bytes-- }, "bytes of all results", "350014"},
		{"results nobody noted", func(a *workloads.Answer, came []arrival) { a.Detail = came[:3] }, "results that did not arrive once", "2, the first task 3"},
	} {
		a := right(v)
		c.fault(a, a.Detail.([]arrival))
		verdict, err := verify(t.Context(), workloads.Gen{Cores: 2}, v, workloads.Input{}, a)
		if err != nil {
			t.Fatal(err)
		}
		var names, got string
		for _, f := range verdict.Failed() {
			names, got = names+f.Name, got+f.Got
		}
		if names != c.want || verdict.OK != (c.want == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: verifier objects to %q with %q, want %q with %q", c.name, names, got, c.want, c.says)
		}
	}
	if _, err := verify(t.Context(), workloads.Gen{}, v, workloads.Input{}, &workloads.Answer{}); err == nil {
		t.Error("an answer without arrivals was verified")
	}
}

// The checksum is that of the results, whoever verifies them.
func TestChecksum(t *testing.T) {
	sum := func(g workloads.Gen, pairs ...string) string {
		v := values(t, pairs...)
		a := right(v)
		if verdict, err := verify(t.Context(), g, v, workloads.Input{}, a); err != nil || !verdict.OK {
			t.Fatalf("%v: %v %v", pairs, err, verdict)
		}
		return a.Checksum
	}
	one := sum(workloads.Gen{Cores: 1}, "tasks", "3", "result-size", "65537")
	if two := sum(workloads.Gen{Cores: 2, Memory: 1}, "tasks", "3", "result-size", "65537"); two != one {
		t.Errorf("checksums %s and %s of the same results", one, two)
	}
	for _, pairs := range [][]string{
		{"tasks", "3", "result-size", "65537", "seed", "1"}, {"tasks", "4", "result-size", "65537"}, {"tasks", "3", "result-size", "65536"}, {"tasks", "3", "result-size", "0"},
	} {
		if sum(workloads.Gen{}, pairs...) == one {
			t.Errorf("%v have the same checksum", pairs)
		}
	}
}

// However it is cut into records, a result has the same bytes, and each has
// bytes of its own.
func TestStream(t *testing.T) {
	const n = 4099
	whole := make([]byte, n)
	newStream(7, 3).fill(whole)
	parts := make([]byte, n)
	s := newStream(7, 3)
	for from := 0; from < n; from += 512 {
		s.fill(parts[from:min(from+512, n)])
	}
	if !slices.Equal(whole, parts) {
		t.Error("a result in records has other bytes")
	}
	for i, b := range whole {
		if want := byte(wordAt(startOf(7, 3), int64(i)/8) >> (8 * (i % 8))); b != want {
			t.Fatalf("byte %d is %d, by its place %d", i, b, want)
		}
	}
	seen := map[string]string{}
	for seed := range uint64(20) {
		for task := range 20 {
			b := make([]byte, 16)
			newStream(seed, task).fill(b)
			at := fmt.Sprintf("seed %d, task %d", seed, task)
			if other, twice := seen[string(b)]; twice {
				t.Errorf("%s has the bytes of %s", at, other)
			}
			seen[string(b)] = at
		}
	}
}
