//go:build unix

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/execbench/execbench/bench/proc"
)

// What every workload is run with here: the least memory that two workers
// take, and data that is more than that where the workload shuffles or keeps
// them.
const (
	tinyMemory = 64 << 20
	beyond     = 64 << 20 // what a process may take above its budget
	inexact    = 1 << 20  // the kernel adds up what threads count by themselves now and then
)

var tiny = map[string]struct {
	flags []string
	// spills tells that its stages or the session must have written to disk
	// what memory had no room for.
	spills bool
}{
	"barrier":   {[]string{"--rounds", "200"}, false},
	"groupby":   {[]string{"--rows", "1500000", "--keys", "150000", "--key", "string"}, true},
	"join":      {[]string{"--rows", "700000", "--keys", "100000"}, true},
	"kmeans":    {[]string{"--points", "400000", "--rounds", "2"}, false},
	"pagerank":  {[]string{"--nodes", "200000", "--edges", "2000000", "--rounds", "2"}, true},
	"results":   {[]string{"--result-size", "6MiB", "--tasks", "30"}, false},
	"tasks":     {[]string{"--tasks", "50000", "--metg=false"}, false},
	"terasort":  {[]string{"--size", "100MB"}, true},
	"wordcount": {[]string{"--size", "30MB", "--vocabulary", "200000", "--exponent", "0.2"}, true},
}

// reported is what these tests read of a report in JSON.
type reported struct {
	Manifest struct {
		End struct {
			PeakRSS int64 `json:"peak_rss_bytes"`
		} `json:"end"`
	} `json:"manifest"`
	Report struct {
		Problems []string `json:"problems"`
		Stages   []struct {
			ID      int64  `json:"id"`
			Attempt int64  `json:"attempt"`
			Name    string `json:"name"`
			Figures []struct {
				Name  string `json:"name"`
				Total int64  `json:"total"`
			} `json:"figures"`
			Other struct {
				Median int64 `json:"median_ns"`
				Limit  int64 `json:"limit_ns"`
			} `json:"other_bound"`
		} `json:"stages"`
		Session account   `json:"session"`
		Phases  []account `json:"phases"`
		Memory  struct {
			Budget   int64 `json:"budget_bytes"`
			PeakRSS  int64 `json:"peak_rss_bytes"`
			RSS      int64 `json:"rss_bytes"`
			Runtime  int64 `json:"runtime_bytes"`
			Other    int64 `json:"other_bytes"`
			Accounts []struct {
				Name  string `json:"name"`
				Bytes int64  `json:"bytes"`
			} `json:"accounts"`
		} `json:"memory"`
	} `json:"report"`
	Verdict struct {
		Status string `json:"status"`
	} `json:"verdict"`
}

type account struct {
	Name       string `json:"name"`
	Begin      int64  `json:"begin_ns"`
	End        int64  `json:"end_ns"`
	Workers    int64  `json:"workers"`
	WorkerTime int64  `json:"worker_time_ns"`
	TaskDecode int64  `json:"task_decode_ns"`
	Run        int64  `json:"run_ns"`
	Encode     int64  `json:"result_encode_ns"`
	Other      int64  `json:"other_ns"`
	Idle       int64  `json:"idle_ns"`
}

// Every workload, as a whole process in little memory, generation and
// verification included: the process stays within its budget and 64 MiB, by
// what the system says and by what the report says; and everything that the
// report shows adds up.
func TestAccountsOfEveryWorkload(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes several times the memory that is under test, and pages from the Go heap")
	}
	dir := t.TempDir()
	list, err := exec.CommandContext(t.Context(), "execbench", "list", "--json").Output()
	var names struct{ Workloads []struct{ Name string } }
	if err == nil {
		err = json.Unmarshal(list, &names)
	}
	if err != nil || len(names.Workloads) == 0 {
		t.Fatal(err, string(list))
	}
	for _, w := range names.Workloads {
		t.Run(w.Name, func(t *testing.T) {
			size, ok := tiny[w.Name]
			if !ok {
				t.Fatal("this test has no size for the workload")
			}
			out := filepath.Join(dir, w.Name)
			peak := setting{2, tinyMemory}.run(t, dir, append([]string{"run", w.Name, "--out", out}, size.flags...))
			var r reported
			if err := json.Unmarshal(output(t, "report", out, "--json"), &r); err != nil {
				t.Fatal(err)
			}
			if r.Verdict.Status != "done" {
				t.Errorf("the verdict is %q", r.Verdict.Status)
			}
			checkMemory(t, &r, peak)
			checkParts(t, &r)
			spilled := checkRows(t, &r, out)
			if size.spills && spilled == 0 {
				t.Error("nothing was spilled: the data is too small for this test")
			}
			for _, s := range r.Report.Stages {
				if s.Other.Limit > 0 {
					t.Logf("stage %d.%d, %s: other %d ns, allowed %d ns", s.ID, s.Attempt, s.Name, s.Other.Median, s.Other.Limit)
				}
			}
		})
	}
}

// Peak memory elsewhere in the matrix of cores, partitions and memory: one
// worker with whole partitions, and more partitions and more workers than the
// data or the machine want, where each takes buffers. Data is larger than the
// budget where the workload can spill, so that memory is full.
func TestPeakMemoryElsewhere(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes several times the memory that is under test")
	}
	dir := t.TempDir()
	for _, s := range []setting{{1, 64 << 20}, {4, 128 << 20}} {
		for _, args := range [][]string{
			{"terasort", "--size", "150MB", "--partitions", "2"},
			{"groupby", "--rows", "1500000", "--keys", "150000", "--key", "string", "--partitions", "64"},
			{"wordcount", "--size", "30MB", "--vocabulary", "200000", "--exponent", "0.2", "--partitions", "64"},
			{"results", "--result-size", "6MiB", "--tasks", "30"},
		} {
			t.Run(fmt.Sprintf("%s cores=%d memory=%d", strings.Join(args, " "), s.cores, s.memory), func(t *testing.T) {
				out := filepath.Join(t.TempDir(), "run")
				peak := s.run(t, dir, append([]string{"run", "--out", out}, args...))
				if peak > s.memory+beyond {
					t.Errorf("the process took %d bytes, %d more than it may", peak, peak-s.memory-beyond)
				}
			})
		}
	}
}

// setting is where in the matrix a process runs.
type setting struct {
	cores  int
	memory int64
}

// run runs execbench and returns the most memory that the system says it
// took. What the process has from the one that started it counts, too: a
// forked child begins with its parent's figure.
func (s setting) run(t *testing.T, dir string, args []string) (peak int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "execbench", append(args, "--cores", strconv.Itoa(s.cores), "--memory", strconv.FormatInt(s.memory, 10),
		"--iterations", "1", "--warmup", "0", "--quiet")...)
	cmd.Env = append(os.Environ(), "EXECBENCH_DATA="+filepath.Join(dir, "data"), "EXECBENCH_TEMP="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	peak = int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	if runtime.GOOS != "darwin" { // which counts bytes
		peak *= 1 << 10
	}
	return peak
}

func output(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "execbench", args...).Output()
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out
}

// checkMemory holds the process to its bound, and the report to the truth.
func checkMemory(t *testing.T, r *reported, peak int64) {
	t.Helper()
	m := &r.Report.Memory
	if m.Budget != tinyMemory {
		t.Errorf("the report says a budget of %d", m.Budget)
	}
	if peak > tinyMemory+beyond {
		t.Errorf("the system says that the process took %d bytes, %d more than it may", peak, peak-tinyMemory-beyond)
	}
	// The report is of the session, the manifest of the process; neither may
	// say more than the system, and the process's own figure is the system's.
	if m.PeakRSS > r.Manifest.End.PeakRSS+inexact || r.Manifest.End.PeakRSS > peak+inexact {
		t.Errorf("peaks: %d in the report, %d in the manifest, %d by the system", m.PeakRSS, r.Manifest.End.PeakRSS, peak)
	}
	if own := int64(proc.ReadUsage().PeakRSS); max(r.Manifest.End.PeakRSS, own) < peak-peak/16 {
		t.Errorf("the manifest says a peak of %d, the system %d", r.Manifest.End.PeakRSS, peak)
	}
	if m.PeakRSS < r.Manifest.End.PeakRSS*3/4 {
		t.Errorf("the report says a peak of %d, the manifest %d", m.PeakRSS, r.Manifest.End.PeakRSS)
	}
	sum := m.Runtime + m.Other
	for _, a := range m.Accounts {
		sum += a.Bytes
	}
	if sum != m.RSS || m.RSS > m.PeakRSS || m.RSS == 0 {
		t.Errorf("accounts add up to %d, RSS is %d, its peak %d", sum, m.RSS, m.PeakRSS)
	}
}

// checkParts wants decode + run + encode + other + idle = wall × workers, in
// the session and in every phase, and no complaint of the report's own.
func checkParts(t *testing.T, r *reported) {
	t.Helper()
	for _, a := range append(r.Report.Phases, r.Report.Session) {
		if sum := a.TaskDecode + a.Run + a.Encode + a.Other + a.Idle; sum != a.WorkerTime || a.Idle < 0 {
			t.Errorf("%s: parts add up to %d of %d, idle is %d", a.Name, sum, a.WorkerTime, a.Idle)
		}
		if wall := a.Workers * (a.End - a.Begin); a.Name != "session" && a.WorkerTime != wall || a.WorkerTime > wall {
			t.Errorf("%s: worker time %d, wall × workers %d", a.Name, a.WorkerTime, wall)
		}
	}
	for _, p := range r.Report.Problems {
		if !strings.Contains(p, "median attempt's other") { // a measured time
			t.Error(p)
		}
	}
}

// checkRows wants the rows of attempts to add up to the stage table, each by
// itself to its wall time, and all of them to the time of the workers. It
// returns what the stages spilled. It keeps no rows: what this process takes
// counts as its children's.
func checkRows(t *testing.T, r *reported, run string) (spilled int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "execbench", "report", run, "--tasks", "--format", "csv")
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	in := csv.NewReader(pipe)
	in.ReuseRecord = true
	header, err := in.Read()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	names := slices.Clone(header)
	for i, name := range names {
		column[name] = i
	}
	figures := column["start_ns"] + 1 // from here on they are figures
	type place struct{ stage, attempt int64 }
	sums := map[place][]int64{}
	var charged int64
	values := make([]int64, len(names))
	get := func(keys ...string) (sum int64) {
		for _, k := range keys {
			i, ok := column[k]
			if !ok {
				t.Fatalf("there is no column %s", k)
			}
			sum += values[i]
		}
		return sum
	}
	for {
		rec, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range rec {
			values[i], err = strconv.ParseInt(rec[i], 10, 64)
			if i >= figures && (err != nil || values[i] < 0) {
				t.Fatalf("task %d: %s is %q", get("task"), names[i], rec[i])
			}
		}
		onWorker := get("task_decode_ns", "run_ns", "result_encode_ns", "other_ns")
		charged += onWorker
		if sum := onWorker + get("scheduler_delay_ns", "result_fetch_ns"); sum != get("wall_ns") {
			t.Fatalf("task %d: parts add up to %d of %d", get("task"), sum, get("wall_ns"))
		}
		if sum := get("input_read_ns", "shuffle_fetch_wait_ns", "shuffle_write_ns", "spill_ns", "output_write_ns", "compute_ns"); sum != get("run_ns") {
			t.Fatalf("task %d: parts of run add up to %d of %d", get("task"), sum, get("run_ns"))
		}
		at := place{get("stage"), get("stage_attempt")}
		if sums[at] == nil {
			sums[at] = make([]int64, len(names))
		}
		for i := figures; i < len(values); i++ {
			if names[i] == "peak_execution_memory_bytes" { // the total is the largest
				sums[at][i] = max(sums[at][i], values[i])
			} else {
				sums[at][i] += values[i]
			}
		}
	}
	if err := cmd.Wait(); err != nil || len(sums) == 0 {
		t.Fatalf("rows of %d stages, %v", len(sums), err)
	}
	for _, s := range r.Report.Stages {
		at := place{s.ID, s.Attempt}
		if sums[at] == nil { // skipped
			sums[at] = make([]int64, len(names))
		}
		known := map[string]bool{}
		for _, f := range s.Figures {
			known[f.Name] = true
			if got := sums[at][column[f.Name]]; got != f.Total {
				t.Errorf("stage %d.%d: rows add up to a %s of %d, its table says %d", s.ID, s.Attempt, f.Name, got, f.Total)
			}
		}
		for i, n := range sums[at] {
			if n != 0 && !known[names[i]] {
				t.Errorf("stage %d.%d: rows add up to a %s of %d, which its table leaves out", s.ID, s.Attempt, names[i], n)
			}
		}
		spilled += sums[at][column["disk_spilled_bytes"]]
		delete(sums, at)
	}
	if len(sums) > 0 {
		t.Errorf("rows of stages that are in no table: %v", sums)
	}
	s := &r.Report.Session
	if charged != s.TaskDecode+s.Run+s.Encode+s.Other {
		t.Errorf("attempts were on workers for %d, the session's account says %d", charged, s.TaskDecode+s.Run+s.Encode+s.Other)
	}
	return spilled
}
