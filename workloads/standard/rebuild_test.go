package standard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Task binaries are data: a fresh process of the same executable runs any
// stage of any workload from its binary and from the blocks on disk. Here the
// fresh process is this test binary once more, with the tasks in a file that
// the environment names.

const rebuildEnv = "EXECBENCH_TEST_REBUILD"

// inFiles keeps map outputs where another process finds them.
var inFiles = map[string]string{"shuffle.storage": "disk"}

// rebuilt is what became of a task in the other process.
type rebuilt struct {
	Status task.Status
	Err    string // empty: none
}

// TestRebuildProcess is the other process's part.
func TestRebuildProcess(t *testing.T) {
	path := os.Getenv(rebuildEnv)
	if path == "" {
		t.Skip("started by TestEveryStageRunsInAFreshProcess only")
	}
	data, err := os.ReadFile(path)
	var tasks []engine.Detached
	if err == nil {
		err = json.Unmarshal(data, &tasks)
	}
	if err != nil {
		t.Fatal(err)
	}
	var ends []rebuilt
	for _, d := range tasks {
		var r rebuilt
		r.Status, err = engine.RunDetached(t.Context(), engine.Config{Cores: 2, Memory: 128 * units.MiB, Conf: inFiles, Temp: t.TempDir()}, d)
		if err != nil {
			r.Err = err.Error()
		}
		ends = append(ends, r)
	}
	if data, err = json.Marshal(ends); err == nil {
		err = os.WriteFile(path+".out", data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runFresh runs tasks in a fresh process.
func runFresh(t *testing.T, tasks []engine.Detached) []rebuilt {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tasks")
	data, err := json.Marshal(tasks)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestRebuildProcess$", "-test.count=1")
	cmd.Env = append(os.Environ(), rebuildEnv+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var ends []rebuilt
	if data, err = os.ReadFile(path + ".out"); err == nil {
		err = json.Unmarshal(data, &ends)
	}
	if err != nil || len(ends) != len(tasks) {
		t.Fatalf("%d ends of %d tasks, %v", len(ends), len(tasks), err)
	}
	return ends
}

func TestEveryStageRunsInAFreshProcess(t *testing.T) {
	// The stages of each workload's job, by what a task of each says of
	// itself: a map task, a result, or a file; or that it will not run alone,
	// since it waits for the other tasks of its stage.
	shapes := map[string]struct {
		size  []string
		kinds []string
		// Partitions are cached here, or a table is shared, and both are made
		// anew there, from what they were made of, so that only what a task
		// yields is the same.
		cached bool
	}{
		"barrier":   {[]string{"rounds", "5"}, []string{"alone"}, false},
		"groupby":   {[]string{"rows", "5000", "keys", "900", "partitions", "3"}, []string{"map", "result"}, false},
		"join":      {[]string{"rows", "5000", "partitions", "3"}, []string{"map", "result"}, true},
		"kmeans":    {[]string{"points", "3000", "rounds", "2", "partitions", "3"}, []string{"result", "result", "result"}, true},
		"pagerank":  {[]string{"nodes", "500", "edges", "5000", "rounds", "2", "partitions", "3"}, []string{"map", "result", "map", "result", "map", "result", "result", "file"}, true},
		"results":   {[]string{"tasks", "4", "result-size", "2MiB"}, []string{"result"}, false},
		"tasks":     {[]string{"tasks", "20", "metg", "false"}, []string{"result"}, false},
		"terasort":  {[]string{"records", "30000", "partitions", "3"}, []string{"result", "map", "file"}, false},
		"wordcount": {[]string{"size", "1MB", "vocabulary", "5000", "partitions", "3"}, []string{"map", "file"}, false},

		"join, both sides shuffled": {[]string{"rows", "5000", "partitions", "3"}, []string{"map", "map", "result"}, false},
	}
	for _, w := range workloads.All() {
		if _, ok := shapes[w.Name]; !ok {
			t.Errorf("this test has no size for workload %s", w.Name)
		}
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			workload, shuffled := strings.CutSuffix(name, ", both sides shuffled")
			w, err := workloads.Get(workload)
			if err != nil {
				t.Fatal(err)
			}
			conf := maps.Clone(inFiles)
			if shuffled {
				conf["sql.autoBroadcastJoinThreshold"] = "0"
			}
			v := set(t, w.Values(), shape.size...)
			in := input(t, w, workloads.Gen{Cores: 2}, v)
			rec := new(engine.Recording)
			s, err := engine.Open(engine.Config{Cores: 2, Memory: 128 * units.MiB, Conf: conf, Temp: t.TempDir(), Record: rec})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			built, err := workloads.Build(s, w, v, in)
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "out")
			a, err := w.Run(t.Context(), s, built, v, out)
			if err != nil {
				t.Fatal(err)
			}
			list, err := rec.Attempts()
			if err != nil {
				t.Fatal(err)
			}
			kept := out + ".kept"
			if a.Dir != "" { // the other process writes its files to the same place
				if err := os.Rename(a.Dir, kept); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(committed(a.Dir), 0o777); err != nil {
					t.Fatal(err)
				}
			}

			// The last task of every stage.
			var chosen []engine.Recorded
			at := map[id.Stage]int{}
			for _, r := range list {
				d := describe(t, r)
				if i, ok := at[d.Stage]; ok {
					chosen[i] = r
					continue
				}
				at[d.Stage] = len(chosen)
				chosen = append(chosen, r)
			}
			var tasks []engine.Detached
			for _, r := range chosen {
				tasks = append(tasks, r.Detached)
			}
			var kinds []string
			for i, end := range runFresh(t, tasks) {
				kinds = append(kinds, compare(t, chosen[i], end, kept, a.Dir, shape.cached))
			}
			if fmt.Sprint(kinds) != fmt.Sprint(shape.kinds) {
				t.Errorf("stages of %v, want %v", kinds, shape.kinds)
			}
		})
	}
}

// committed is where a task leaves the file of its partition for the job to
// publish.
func committed(dir string) string { return filepath.Join(dir, "_temporary", "committed") }

func describe(t *testing.T, r engine.Recorded) task.Description {
	t.Helper()
	var d task.Description
	if err := task.DecodeDescription(r.Description, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// compare checks that a task did there what it did here, and tells what kind
// of task it is. kept and dir hold the files written here and there.
func compare(t *testing.T, here engine.Recorded, there rebuilt, kept, dir string, cached bool) (kind string) {
	t.Helper()
	d := describe(t, here)
	switch {
	case d.Barrier && strings.Contains(there.Err, "it runs alone"):
		return "alone"
	case there.Err != "" || there.Status.State != task.Finished:
		t.Fatalf("%v: %v %s", d.TaskAttempt, there.Status.State, there.Err)
	}
	var a, b task.Result
	if err := errors.Join(task.DecodeResult(here.Status.Result, &a), task.DecodeResult(there.Status.Result, &b)); err != nil {
		t.Fatal(err)
	}
	if len(a.Value) == 0 || !bytes.Equal(a.Value, b.Value) {
		t.Errorf("%v: a value of %d bytes here, another of %d there", d.TaskAttempt, len(a.Value), len(b.Value))
	}
	figures := []task.Metric{task.ShuffleRecordsWritten, task.ShuffleBytesWritten, task.OutputRecordsWritten, task.OutputBytesWritten}
	if !cached {
		figures = append(figures, task.InputRecordsRead, task.ShuffleRecordsRead, task.ShuffleLocalBytesRead)
	}
	for _, m := range figures {
		if a.Metrics[m] != b.Metrics[m] {
			t.Errorf("%v: %v is %d here, %d there", d.TaskAttempt, m, a.Metrics[m], b.Metrics[m])
		}
	}
	switch {
	case d.Kind == task.ShuffleMapTask:
		var x, y task.MapStatus
		if err := errors.Join(task.DecodeMapStatus(a.Value, &x), task.DecodeMapStatus(b.Value, &y)); err != nil {
			t.Fatal(err)
		}
		for p := range x.Reducers() {
			if x.Size(p) == 0 || x.Size(p) != y.Size(p) {
				t.Errorf("%v: reducer %d gets %d bytes here, %d there", d.TaskAttempt, p, x.Size(p), y.Size(p))
			}
		}
		if a.Metrics[task.ShuffleRecordsWritten] == 0 {
			t.Errorf("%v wrote nothing", d.TaskAttempt)
		}
		return "map"
	case a.Metrics[task.OutputRecordsWritten] == 0:
		return "result"
	}
	if a.Metrics[task.ShuffleRecordsRead] == 0 && !cached {
		t.Errorf("%v read nothing", d.TaskAttempt)
	}
	name := fmt.Sprintf("part-%05d", d.Partition)
	x, err := os.ReadFile(filepath.Join(kept, name))
	y, err2 := os.ReadFile(filepath.Join(committed(dir), fmt.Sprintf("%d-%s", d.Task, name)))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if len(x) == 0 || !bytes.Equal(x, y) {
		t.Errorf("%v: %s has %d bytes here, other %d there", d.TaskAttempt, name, len(x), len(y))
	}
	return "file"
}
