package report

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// sparkLog writes events in Spark's form.
func sparkLog(t *testing.T, events []event.Event) (path string) {
	t.Helper()
	var text bytes.Buffer
	if err := event.WriteSpark(&text, EventSource(events)(), event.SparkOptions{}); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, text.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// The event log in Spark's form makes the report that the session's own
// events make, as far as it tells: jobs, stages, how attempts ended and of
// what they failed, and the bytes and records of each; times to a millisecond.
func TestSparkLogMakesTheSameReport(t *testing.T) {
	kept := []Figure{InputBytes, InputRecords, OutputBytes, OutputRecords, ShuffleReadBytes, ShuffleReadRecords, ShuffleReadBlocks,
		ShuffleWriteBytes, ShuffleWriteRecords, MemorySpilled, DiskSpilled, PeakMemory, ResultBytes, RunCPU, DecodeCPU}
	failures := 0
	for seed := range uint64(8) {
		events := synthetic(seed, 4, 9)
		last := slices.IndexFunc(events, func(e event.Event) bool {
			end, ok := e.(*event.TaskEnd)
			return ok && end.Reason == task.Success && end.Kind == task.ShuffleMapTask
		})
		again := &event.TaskEnd{Info: events[last].(*event.TaskEnd).Info, Kind: task.ShuffleMapTask, Reason: task.Resubmitted}
		events = slices.Insert(events, last+1, event.Event(again))
		path := sparkLog(t, events)
		if !IsSparkLog(path) {
			t.Fatal("it is not taken for an event log")
		}
		want, got := load(t, EventSource(events), Options{}), load(t, SparkSource(path), Options{})
		if len(got.Problems) > 0 || !got.Application.Complete || got.Application.Cores != want.Application.Cores || got.Application.ID != want.Application.ID {
			t.Errorf("%q %+v", got.Problems, got.Application)
		}
		near := func(what string, got, want, most int64) {
			t.Helper()
			if max(got-want, want-got) > most {
				t.Errorf("seed %d: %s is %d, want %d", seed, what, got, want)
			}
		}
		origin := want.Application.WallStart - want.Application.Start
		moment := func(what string, got, want *int64) {
			t.Helper()
			if *want != 0 {
				near(what, *got, *want+origin, ms)
			}
			*got, *want = 0, 0
		}
		for i, j := range want.Jobs {
			g := got.Jobs[i]
			moment("submission", &g.Submitted, &j.Submitted)
			moment("completion", &g.Completed, &j.Completed)
		}
		if !reflect.DeepEqual(got.Jobs, want.Jobs) {
			t.Errorf("seed %d: jobs %+v, want %+v", seed, got.Jobs, want.Jobs)
		}
		failures += len(want.Failures)
		if !reflect.DeepEqual(got.Failures, want.Failures) || got.MoreFailures != want.MoreFailures {
			t.Errorf("seed %d: failures %+v, want %+v", seed, got.Failures, want.Failures)
		}
		if len(got.Stages) != len(want.Stages) {
			t.Fatalf("%d stages, want %d", len(got.Stages), len(want.Stages))
		}
		for i, s := range want.Stages {
			g := got.Stages[i]
			for _, f := range kept {
				if g.totals[f] != s.totals[f] {
					t.Errorf("seed %d, stage %d: %s is %d, want %d", seed, s.ID, f.Label(), g.totals[f], s.totals[f])
				}
			}
			for _, f := range []Figure{Wall, TaskDecode, Run, ResultEncode, ShuffleFetchWait, ShuffleWrite} {
				near(fmt.Sprintf("stage %d: %s", s.ID, f.Label()), g.totals[f], s.totals[f], 2*ms*s.Counts.Started)
			}
			moment("submission", &g.Submitted, &s.Submitted)
			moment("completion", &g.Completed, &s.Completed)
			if s.Sampled > 0 {
				if a, b := g.stats(ShuffleWriteBytes), s.stats(ShuffleWriteBytes); a != nil && b != nil && a.Quantiles != b.Quantiles {
					t.Errorf("seed %d, stage %d: quantiles %+v, want %+v", seed, s.ID, a.Quantiles, b.Quantiles)
				}
			}
			type head struct {
				id, attempt   int32
				name, kind    string
				status, why   string
				tasks         int32
				sampled       int64
				counts        Counts
				jobs          string
				routes, wrong int64
			}
			of := func(s *Stage) head {
				return head{int32(s.ID), s.Attempt, s.Name, s.Kind, s.Status, s.Failure, s.Tasks, s.Sampled, s.Counts, fmt.Sprint(s.Jobs), int64(len(s.Routes)), s.Unbalanced}
			}
			a, b := of(g), of(s)
			if b.routes = a.routes; !reflect.DeepEqual(a, b) {
				t.Errorf("seed %d: stage %+v, want %+v", seed, a, b)
			}
		}
		var rows bytes.Buffer
		if err := WriteTasks(&rows, SparkSource(path), CSV); err != nil || strings.Count(rows.String(), "\n") != 1+int(attemptsOf(want)) {
			t.Errorf("%d rows, %v", strings.Count(rows.String(), "\n"), err)
		}
	}
	if failures == 0 {
		t.Error("nothing failed: the test proves little")
	}
}

func attemptsOf(m *Model) (n int64) {
	for _, s := range m.Stages {
		n += s.Counts.ended()
	}
	return n
}

// A log that was cut, or that is none, is said to be so; one in several files
// is read as one.
func TestSparkLogsThatAreNotOneWholeFile(t *testing.T) {
	path := sparkLog(t, synthetic(3, 2, 5))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "eventlog_v2_[x]") // a name that is no pattern
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	if IsSparkLog(folder) || IsSparkLog(filepath.Join(folder, "nothing")) {
		t.Error("an empty folder, or nothing, is taken for an event log")
	}
	cut := bytes.IndexByte(whole[len(whole)/2:], '\n') + len(whole)/2 + 1
	for name, part := range map[string][]byte{"events_1_x": whole[:cut], "events_2_x": whole[cut:], "appstatus_x": nil} {
		if err := os.WriteFile(filepath.Join(folder, name), part, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	one, several := load(t, SparkSource(path), Options{}), load(t, SparkSource(folder), Options{})
	if !IsSparkLog(folder) || !reflect.DeepEqual(one, several) {
		t.Error("a log in two files is another one")
	}
	for _, n := range []int{cut + 20, cut} {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		m := load(t, SparkSource(path), Options{})
		if m.Application.Complete || len(m.Problems) == 0 || len(m.Stages) == 0 {
			t.Errorf("cut at %d: %q", n, m.Problems)
		}
	}
	if err := os.WriteFile(path, []byte(`{"Event":"something"}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(SparkSource(path), Options{}); !errors.Is(err, event.ErrNotSparkLog) {
		t.Errorf("%v", err)
	}
}
