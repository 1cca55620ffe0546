package standard

import (
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// live collects, and returns the bytes of the heap that the collection found in
// use: not what was allocated since it began to look.
func live() int64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// A verifier reads, or makes, far more than it may hold: what it holds at any
// time stays within its budget.
func TestVerifiersStreamWithinTheirBudget(t *testing.T) {
	const budget = 4 * units.MiB
	const atLeast = 5 * budget // of data
	sizes := map[string][]string{
		"groupby":   {"rows", "1200000", "keys", "80000"}, // more keys than it may hold
		"join":      {"rows", "1000000", "keys", "90000"},
		"kmeans":    {"points", "300000", "dim", "10", "rounds", "2"},
		"pagerank":  {"nodes", "100000", "edges", "2000000", "rounds", "2"},
		"terasort":  {"size", "24MB"},
		"wordcount": {"size", "24MB", "vocabulary", "90000", "exponent", "0.3"},
		"results":   {"tasks", "24", "result-size", "1MiB"},
	}
	for _, w := range workloads.All() {
		size, ok := sizes[w.Name]
		if !ok {
			continue // no data: the answer is all there is
		}
		t.Run(w.Name, func(t *testing.T) {
			v := set(t, w.Values(), size...)
			in := input(t, w, workloads.Gen{Cores: 2}, v)
			if w.Generate != nil {
				files, err := workloads.InputFiles(in.Paths)
				if err != nil {
					t.Fatal(err)
				}
				if n := workloads.TotalBytes(files); n < int64(atLeast) {
					t.Fatalf("%d bytes of data are too few for this test", n)
				}
			}
			s := open(t, 2, 256*units.MiB)
			built, err := workloads.Build(s, w, v, in)
			if err != nil {
				t.Fatal(err)
			}
			prepare(t, s, w, v, built)
			a, err := w.Run(t.Context(), s, built, v, filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			before, most := live(), int64(0)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				tick := time.NewTicker(5 * time.Millisecond)
				defer tick.Stop()
				for {
					select {
					case <-stop:
						return
					case <-tick.C:
						most = max(most, live())
					}
				}
			}()
			verdict, err := w.Verify(t.Context(), workloads.Gen{Cores: 2, Memory: budget}, v, in, a)
			close(stop)
			<-stopped
			if err != nil || !verdict.OK {
				t.Fatalf("%v %+v", err, verdict)
			}
			held := most - before
			t.Logf("held %v of a budget of %v", units.Bytes(held), budget)
			// What is allocated while a collection marks counts as in use.
			if held > int64(budget+budget/2) {
				t.Errorf("the verifier held %v, its budget is %v", units.Bytes(held), budget)
			}
		})
	}
}
