package wordcount

import (
	"math"
	"strings"
	"testing"

	"github.com/execbench/execbench/workloads"
)

func TestFormatIsWhatTheVerifierReads(t *testing.T) {
	for _, c := range []count{
		{Key: "a", Value: 1}, {Key: "\x00\xff", Value: math.MaxInt64}, {Key: strings.Repeat("x", 1000), Value: 10},
	} {
		word, n := parseLine(format(nil, c))
		if string(word) != c.Key || n != c.Value {
			t.Errorf("%.20q, %d reads back as %.20q, %d", c.Key, c.Value, word, n)
		}
	}
}

// Every core has as many map tasks as every other, and a compressed file counts
// for more than its bytes, as it does where the engine cuts.
func TestTasksFor(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes int64
		cores int
		want  int
	}{
		{"a", 0, 4, 4},
		{"a", int64(taskBytes) * 4, 4, 4},
		{"a", int64(taskBytes)*4 + 1, 4, 8},
		{"a.gz", int64(taskBytes), 4, 4},
		{"a.gz", int64(taskBytes) + 1, 4, 8},
		{"a.zst", int64(taskBytes) * 3, 1, 12},
	} {
		files := []workloads.File{{Path: c.name, Bytes: c.bytes}}
		if got := tasksFor(files, c.cores); got != c.want {
			t.Errorf("%d bytes of %s on %d cores: %d tasks, want %d", c.bytes, c.name, c.cores, got, c.want)
		}
	}
}
