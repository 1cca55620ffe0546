package folder

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/perf/benchfmt"
)

func TestBenchFileIsTheGoBenchmarkFormat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	write(t, dir)
	data, err := os.ReadFile(filepath.Join(dir, BenchFile))
	if err != nil {
		t.Fatal(err)
	}
	r := benchfmt.NewReader(bytes.NewReader(data), BenchFile)
	var results []*benchfmt.Result
	for r.Scan() {
		switch rec := r.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Errorf("benchfmt: %v", rec)
		case *benchfmt.Result:
			results = append(results, rec.Clone())
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if len(results) != 2 {
		t.Fatalf("%d results in\n%s", len(results), data)
	}
	got := results[0]
	if name := string(got.Name); name != "WordCount/size=1000000000/text=a_b_c-2" {
		t.Errorf("name %s", name)
	}
	values := map[string]float64{"sec/op": 2, "B/s": 5e8, "cpu-sec/op": 3.5, "spilled-B/op": 7, "peak-RSS-bytes": 1 << 20, "tasks/op": 16, "tasks_per_second": 1e5, "wall_per_task-sec": 1e-5}
	for unit, want := range values {
		if v, ok := got.Value(unit); !ok || v != want {
			t.Errorf("%s is %v, %v; want %v\n%s", unit, v, ok, want, data)
		}
	}
	for key, want := range map[string]string{"cpu": "Some CPU", "commit": "0123", "memory": "536870912", "verified": "yes"} {
		if v := got.GetConfig(key); v != want {
			t.Errorf("%s is %q, want %q", key, v, want)
		}
	}
	if m := r.Units().Get("peak-RSS-bytes", "better"); m == nil || m.Value != "lower" {
		t.Errorf("benchstat is not told that less memory is better: %+v", m)
	}
}
