package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/sparklog"
	"github.com/execbench/execbench/engine/task"
)

var update = flag.Bool("update", false, "rewrite golden files")

// each iterates over events, ending with err if it is not nil.
func each(events []Event, err error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		if err != nil {
			yield(nil, err)
		}
	}
}

func sparkText(t *testing.T, events []Event, o SparkOptions) string {
	t.Helper()
	var out bytes.Buffer
	if err := WriteSpark(&out, each(events, nil), o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// everyReason is a session whose attempts end in every way, with all that a
// failure can tell and with nothing.
func everyReason() []Event {
	stage := StageInfo{StageAttempt: id.StageAttempt{Stage: 5}, Name: "count", NumTasks: 9, Kind: task.ResultTask, Submitted: 20}
	events := []Event{
		&ApplicationStart{At: 10, Wall: 1_700_000_000_000_000_000, ID: "local-1", Host: "h", Cores: 1},
		&ExecutorAdded{At: 11, Executor: id.Driver, Host: "h", Cores: 1},
		&BlockManagerAdded{At: 11, Executor: id.Driver, Host: "h", Memory: 1000},
		&JobStart{At: 15, Job: 2, Stages: []StageInfo{stage}},
		&StageSubmitted{At: 20, Job: 2, Stage: stage},
	}
	attempt := func(r task.ReasonKind, number int32, f *task.Failure) {
		info := TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: stage.StageAttempt, Index: int32(r), Number: number, Task: id.Task(2*int32(r) + number)},
			Partition: 8, Executor: id.Driver, Host: "h", Launch: 30}
		events = append(events, &TaskStart{Info: info, Kind: stage.Kind})
		info.Finish = 40
		if r == task.Resubmitted { // the second end of a success
			events = append(events, &TaskEnd{Info: info, Kind: stage.Kind})
		}
		info.Killed = r == task.TaskKilled || r == task.TaskCommitDenied
		info.Failed = !info.Killed && r != task.Success && r != task.Resubmitted && r != task.TaskResultLost
		events = append(events, &TaskEnd{Info: info, Kind: stage.Kind, Reason: r, Failure: f})
	}
	for r := task.Success; r <= task.UnknownReason; r++ {
		attempt(r, 0, nil)
		if r == task.Success || r == task.Resubmitted {
			continue
		}
		attempt(r, 1, &task.Failure{Kind: r, Class: "*fs.PathError", Message: "gone", Stack: "main.f()", CausedByApp: true,
			Fetch: task.FetchFailure{Executor: id.Driver, Shuffle: 3, Map: 17, MapIndex: 4, Reduce: 6}})
	}
	stage.Completed, stage.Failure = 50, "too many failures"
	return append(events, &StageCompleted{At: 50, Stage: stage}, &JobEnd{At: 60, Job: 2, Error: "Job aborted"}, &ApplicationEnd{At: 70})
}

// An attempt that reports nothing, or only its run, has its time on its worker
// in the log all the same, and the size of a result that nobody took.
func TestSparkTellsWhatUnsuccessfulAttemptsCost(t *testing.T) {
	events := session()
	type cost struct{ decode, run, encode, size, peak int64 }
	want := map[id.Task]cost{}
	for _, e := range events {
		end, ok := e.(*TaskEnd)
		if !ok || end.Reason == task.Success {
			continue
		}
		m := task.Metrics{task.ResultSize: 59}
		if end.HasMetrics = end.Reason != task.TaskKilled; end.HasMetrics {
			m = task.Metrics{task.ExecutorRunTime: end.Metrics[task.ExecutorRunTime], task.PeakExecutionMemory: 7 << 20}
		}
		end.Metrics = m
		s := end.Stamps
		want[end.Info.Task] = cost{s.RunStart - s.Start, s.RunEnd - s.RunStart, s.EncodeEnd - s.RunEnd, m[task.ResultSize], m[task.PeakExecutionMemory]}
	}
	got := map[id.Task]cost{}
	for e, err := range ReadSpark(strings.NewReader(sparkText(t, events, SparkOptions{}))) {
		if err != nil {
			t.Fatal(err)
		}
		if end, ok := e.(*TaskEnd); ok && end.Reason != task.Success {
			s, m := end.Stamps, &end.Metrics
			got[end.Info.Task] = cost{s.RunStart - s.Start, s.RunEnd - s.RunStart, s.EncodeEnd - s.RunEnd, m[task.ResultSize], m[task.PeakExecutionMemory]}
		}
	}
	if len(want) != 2 || !maps.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// checkSpark fails the test unless the History Server would read every line.
func checkSpark(t *testing.T, name, text string) {
	t.Helper()
	for _, bad := range sparklog.Check(text, name != "bare") {
		t.Errorf("%s: %s", name, bad)
	}
}

// The lines hold every required field, of the right type, whatever happens in
// the session.
func TestSparkFields(t *testing.T) {
	for name, events := range map[string][]Event{"session": session(), "every reason": everyReason(), "bare": {&ApplicationStart{}, &JobStart{}, &StageSubmitted{},
		&TaskStart{}, &TaskGettingResult{}, &TaskEnd{}, &StageCompleted{}, &JobEnd{}, &BlockUpdated{Block: "rdd_0_0"}, &NodeUnpersisted{}, &MemorySample{}, &ApplicationEnd{}}} {
		checkSpark(t, name, sparkText(t, events, SparkOptions{BlockUpdates: true}))
	}
}

// The whole log of a small session, line by line, and of one whose
// attempts end in every way. Both have been opened in the History Server.
func TestEVT_002_SparkGolden(t *testing.T) {
	for name, events := range map[string][]Event{"session": session(), "reasons": everyReason()} {
		got := sparkText(t, events, SparkOptions{BlockUpdates: true})
		path := filepath.Join("testdata", name+".spark.jsonl")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got == string(want) {
			continue
		}
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
		for i := range max(len(gotLines), len(wantLines)) {
			if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
				t.Errorf("line %d differs from %s (run with -update if that is right); we have %d lines, it has %d", i+1, path, len(gotLines), len(wantLines))
				break
			}
		}
	}
}

func TestSparkValues(t *testing.T) {
	lines := parseLines(t, sparkText(t, session(), SparkOptions{}))
	var ends []map[string]any
	var starts, skipped int
	for _, l := range lines {
		switch l["Event"] {
		case "SparkListenerTaskEnd":
			ends = append(ends, l)
		case "SparkListenerTaskStart":
			starts++
		case "SparkListenerEnvironmentUpdate":
			p := l["Spark Properties"].(map[string]any)
			if p["spark.my.password"] != "*********(redacted)" || p["spark.task.maxFailures"] != "4" || p["spark.master"] != "local[2]" {
				t.Errorf("properties %v", p)
			}
		case "SparkListenerJobStart":
			for _, s := range l["Stage Infos"].([]any) {
				if _, ok := s.(map[string]any)["Submission Time"]; !ok {
					skipped++
				}
			}
		}
	}
	if starts != 10 || len(ends) != 10 || skipped != 4 {
		t.Errorf("%d starts, %d ends, %d stages not yet submitted", starts, len(ends), skipped)
	}
	// The first attempt: 3.0 ms decode, 90 ms run, 1 ms encode; wall clock of
	// the application plus 1020 ms, less the 100 ns at which it started.
	info, m := ends[0]["Task Info"].(map[string]any), ends[0]["Task Metrics"].(map[string]any)
	for _, c := range []struct {
		got  any
		want float64
	}{
		{info["Launch Time"], 1_700_000_001_019}, {info["Finish Time"], 1_700_000_001_117}, {m["Executor Run Time"], 90},
		{m["Executor CPU Time"], 89e6}, {m["Executor Deserialize Time"], 3}, {m["Executor Deserialize CPU Time"], 2e6},
		{m["Result Serialization Time"], 1}, {m["JVM GC Time"], 1}, {m["Memory Bytes Spilled"], 2048}, {m["Disk Bytes Spilled"], 700},
		{m["Shuffle Write Metrics"].(map[string]any)["Shuffle Write Time"], 2e6},
		{m["Shuffle Write Metrics"].(map[string]any)["Shuffle Bytes Written"], 468},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	indirect := ends[6]["Task Info"].(map[string]any)
	if accums := indirect["Accumulables"].([]any); len(accums) != 2 || accums[0].(map[string]any)["ID"] != 7.0 {
		t.Errorf("accumulables should be sorted by id: %v", accums)
	}
	if indirect["Getting Result Time"] == 0.0 {
		t.Error("an indirect result has no fetch time")
	}
}

// Stages that overlap each get their own peak, just before their
// end, and samples are not logged.
func TestEVT_007_SparkPeaks(t *testing.T) {
	a := StageInfo{StageAttempt: id.StageAttempt{Stage: 1}, Submitted: 1}
	b := StageInfo{StageAttempt: id.StageAttempt{Stage: 2}, Submitted: 1}
	// Each figure has its own highest: the heap goes down while the rest goes up.
	sample := func(n int64) Event {
		return &MemorySample{RSS: n, Runtime: 100 - n, Accounts: []Account{{Bytes: n}, {Bytes: n}}, GCCount: 10 * n, GCTime: n * 1e6}
	}
	lines := parseLines(t, sparkText(t, []Event{&ApplicationStart{}, &ExecutorAdded{Executor: "driver"}, &StageSubmitted{Stage: a}, sample(5), sample(9),
		&StageSubmitted{Stage: b}, sample(7), &StageCompleted{Stage: a}, sample(6), &StageCompleted{Stage: b}}, SparkOptions{}))
	var got []string
	for _, l := range lines[5:] {
		got = append(got, l["Event"].(string))
		if m, ok := l["Executor Metrics"].(map[string]any); ok {
			stage := l["Stage ID"].(float64)
			high, low := map[float64]float64{1: 9, 2: 7}[stage], map[float64]float64{1: 5, 2: 6}[stage]
			want := map[string]any{"ProcessTreeJVMRSSMemory": high, "JVMHeapMemory": 100 - low, "OffHeapUnifiedMemory": 2 * high,
				"MinorGCCount": 10 * high, "MinorGCTime": high, "TotalGCTime": high}
			if !maps.Equal(m, want) {
				t.Errorf("stage %v: peaks %v, want %v", stage, m, want)
			}
		}
	}
	want := []string{"SparkListenerStageSubmitted", "SparkListenerStageSubmitted", "SparkListenerStageExecutorMetrics",
		"SparkListenerStageCompleted", "SparkListenerStageExecutorMetrics", "SparkListenerStageCompleted"}
	if !slices.Equal(got, want) {
		t.Errorf("lines %v", got)
	}
}

// With several executors, a profile tells what one of them has, and each that
// lives has its peaks; a lost one has none.
func TestEVT_007_SparkExecutors(t *testing.T) {
	stage := StageInfo{StageAttempt: id.StageAttempt{Stage: 1}, Submitted: 1}
	start := &ApplicationStart{Cores: 6, Memory: 300 << 20, Conf: map[string]string{"spark.task.cpus": "2"}}
	lines := parseLines(t, sparkText(t, []Event{start, &ExecutorAdded{Executor: "0", Cores: 2}, &ExecutorAdded{Executor: "1", Cores: 2},
		&ExecutorAdded{Executor: "2", Cores: 2}, &StageSubmitted{Stage: stage}, &MemorySample{RSS: 5}, &ExecutorRemoved{Executor: "1"},
		&StageCompleted{Stage: stage}}, SparkOptions{}))
	var peaks, profiles []any
	for _, l := range lines {
		switch l["Event"] {
		case "SparkListenerStageExecutorMetrics":
			peaks = append(peaks, l["Executor ID"])
		case "SparkListenerResourceProfileAdded":
			x, task := l["Executor Resource Requests"].(map[string]any), l["Task Resource Requests"].(map[string]any)
			profiles = append(profiles, x["cores"].(map[string]any)["Amount"], x["memory"].(map[string]any)["Amount"], task["cpus"].(map[string]any)["Amount"])
		}
	}
	if !slices.Equal(peaks, []any{"0", "2"}) || !slices.Equal(profiles, []any{2.0, 100.0, 2.0}) {
		t.Errorf("peaks of %v, profile %v", peaks, profiles)
	}
	if lines[1]["Event"] != "SparkListenerResourceProfileAdded" || lines[2]["Event"] != "SparkListenerExecutorAdded" {
		t.Errorf("lines begin with %v, %v", lines[1]["Event"], lines[2]["Event"])
	}
}

func TestSparkRefuses(t *testing.T) {
	var out bytes.Buffer
	if err := WriteSpark(&out, each([]Event{&JobEnd{}}, nil), SparkOptions{}); err == nil {
		t.Error("a log without an application was written")
	}
	if err := WriteSpark(&out, each([]Event{&ApplicationStart{}, &ApplicationStart{}}, nil), SparkOptions{}); err == nil {
		t.Error("two applications were written to one log")
	}
	// What is whole of a cut file is written, and the cut reported.
	out.Reset()
	cut := &Truncated{Offset: 77}
	if err := WriteSpark(&out, each(session()[:9], cut), SparkOptions{}); !errors.Is(err, error(cut)) {
		t.Errorf("error %v, want the cut", err)
	}
	if n := strings.Count(out.String(), "\n"); n < 9 {
		t.Errorf("%d lines written before the cut", n)
	}
	if err := WriteSpark(&failingFile{failAt: 3, err: errors.New("full")}, each(session(), nil), SparkOptions{}); err == nil {
		t.Error("a failing writer was not noticed")
	}
	if got := parseLines(t, sparkText(t, []Event{&ApplicationStart{}, &BlockUpdated{Block: "odd name"}}, SparkOptions{BlockUpdates: true})); len(got) != 4 {
		t.Error("a block name that Spark cannot parse was written")
	}
}

// Updates of blocks are events of their own, written only where asked for, and
// never part of a task's metrics.
func TestBLK_016_UpdatesInASparkLog(t *testing.T) {
	for on, want := range map[bool]int{false: 0, true: 1} {
		updates := 0
		for _, l := range parseLines(t, sparkText(t, session(), SparkOptions{BlockUpdates: on})) {
			switch l["Event"] {
			case "SparkListenerBlockUpdated":
				updates++
			case "SparkListenerTaskEnd":
				if m, ok := l["Task Metrics"].(map[string]any); ok && len(m["Updated Blocks"].([]any)) != 0 {
					t.Errorf("a task's metrics name updated blocks: %v", m["Updated Blocks"])
				}
			}
		}
		if updates != want {
			t.Errorf("block updates %v: %d lines, want %d", on, updates, want)
		}
	}
}

func TestSparkScopes(t *testing.T) {
	rdd := sparkRDD(&NodeInfo{ID: 3, Name: "Narrow", Site: `map at "my file".go:1`, Level: block.MemoryAndDisk, Determinism: "?"})
	if rdd.Scope != `{"id":"3","name":"map"}` || rdd.Determinism != "DETERMINATE" || !rdd.Level.Disk || !rdd.Level.Memory || rdd.Level.OffHeap {
		t.Errorf("%+v", rdd)
	}
}

// The live log equals the exported one and loses its mark at the end.
func TestEVT_002_SparkLog(t *testing.T) {
	dir := t.TempDir()
	l, err := NewSparkLog(dir, SparkOptions{BlockUpdates: true})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "local-1700000000000")
	for _, e := range session() {
		l.Emit(e)
		if _, ok := e.(*JobEnd); ok { // flushed: it reaches the file without more
			l.Lock()
			err := l.drainLocked()
			l.Unlock()
			data, readErr := os.ReadFile(path + ".inprogress")
			if err != nil || readErr != nil || !bytes.Contains(data, []byte("SparkListenerJobEnd")) || data[len(data)-1] != '\n' {
				t.Fatalf("after a job's end: %v, %v, %d bytes", err, readErr, len(data))
			}
		}
	}
	if l.BufferBytes() <= 0 || l.Path() != path {
		t.Errorf("buffers %d, path %s", l.BufferBytes(), l.Path())
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != sparkText(t, session(), SparkOptions{BlockUpdates: true}) {
		t.Error("the live log differs from the exported one")
	}
	if _, err := os.Stat(path + ".inprogress"); err == nil {
		t.Error("the mark is still there")
	}
	checkSpark(t, "live", string(data))
}

func TestSparkLogEnds(t *testing.T) {
	dir := t.TempDir()
	write := func(o SparkOptions, events ...Event) (*SparkLog, error) {
		l, err := NewSparkLog(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			l.Emit(e)
		}
		return l, l.Close()
	}
	names := func() (out []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	if _, err := write(SparkOptions{}); err != nil || names() != nil {
		t.Errorf("nothing happened, yet %v and %v", err, names())
	}
	if _, err := write(SparkOptions{}, &JobEnd{}); err == nil {
		t.Error("a job before the application was accepted")
	}
	start := &ApplicationStart{ID: "My.App: {1}"}
	if _, err := write(SparkOptions{}, start); err != nil || !slices.Equal(names(), []string{"my_app--_1_.inprogress"}) {
		t.Errorf("an application that did not end: %v, %v", err, names())
	}
	if _, err := write(SparkOptions{}, start, &ApplicationEnd{}); err != nil || !slices.Equal(names(), []string{"my_app--_1_"}) {
		t.Errorf("an application that ended: %v, %v", err, names())
	}
	if l, err := write(SparkOptions{}, start, &ApplicationEnd{}); err == nil || l.Err() == nil {
		t.Error("a finished log was replaced without being asked")
	}
	if _, err := write(SparkOptions{Overwrite: true}, start, &ApplicationEnd{}); err != nil {
		t.Error(err)
	}
	if _, err := NewSparkLog(filepath.Join(dir, "missing"), SparkOptions{}); err == nil {
		t.Error("a missing folder was accepted")
	}
	if _, err := NewSparkLog(filepath.Join(dir, "my_app--_1_"), SparkOptions{}); err == nil {
		t.Error("a file was accepted as a folder")
	}
}

// A log in several files is the log in one, cut between lines.
func TestEVT_008_RollingLog(t *testing.T) {
	const most = 10 << 20
	long := &JobEnd{Job: 1, Error: strings.Repeat("x", 10_000)}
	write := func(o SparkOptions) string {
		t.Helper()
		l, err := NewSparkLog(t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		l.Emit(&ApplicationStart{ID: "app"})
		for range 21 << 20 / 10_050 {
			l.Emit(long)
		}
		if o.RollBytes > 0 {
			if _, err := os.Stat(filepath.Join(l.Path(), "appstatus_app.inprogress")); err != nil {
				t.Error(err)
			}
		}
		l.Emit(&ApplicationEnd{})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return l.Path()
	}
	want, err := os.ReadFile(write(SparkOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	folder := write(SparkOptions{RollBytes: most})
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if filepath.Base(folder) != "eventlog_v2_app" || !slices.Equal(names, []string{"appstatus_app", "events_1_app", "events_2_app", "events_3_app"}) {
		t.Fatalf("%s: %q", folder, names)
	}
	var got []byte
	for _, name := range names[1:] {
		part, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(part) > most || part[len(part)-1] != '\n' {
			t.Errorf("%s has %d bytes", name, len(part))
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes in %d files, %d in one", len(got), len(names)-1, len(want))
	}
	if _, err := NewSparkLog(t.TempDir(), SparkOptions{RollBytes: RollBytesMin - 1}); err == nil {
		t.Error("files smaller than the least were accepted")
	}
}

// parseLines parses a log's lines.
func parseLines(t *testing.T, text string) (lines []map[string]any) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Fatal("the log does not end with a line's end")
	}
	for l := range strings.Lines(text) {
		var v map[string]any
		if err := json.Unmarshal([]byte(l), &v); err != nil {
			t.Fatalf("%v in %s", err, l)
		}
		lines = append(lines, v)
	}
	return lines
}

func BenchmarkSparkTask(b *testing.B) {
	s := newSpark(discard{}, SparkOptions{})
	for _, e := range []Event{&ApplicationStart{}, &JobStart{}} {
		if err := s.write(e); err != nil {
			b.Fatal(err)
		}
	}
	var start TaskStart
	var end TaskEnd
	emptyTask(1, &start, &end)
	b.ReportAllocs()
	for b.Loop() {
		if err := errors.Join(s.write(&start), s.write(&end)); err != nil {
			b.Fatal(err)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// TestEveryEventHasAForm fails when a type is added to the package without
// a place in the file.
func TestEveryEventHasAForm(t *testing.T) {
	kinds := make(map[uint8]string)
	for _, e := range everyType() {
		f, ok := e.(form)
		if !ok {
			t.Errorf("%T cannot be written", e)
			continue
		}
		if was, taken := kinds[f.kind()]; taken {
			t.Errorf("%T has the kind of %s", e, was)
		}
		kinds[f.kind()] = reflect.TypeOf(e).String()
		if got := (&decoder{}).blank(f.kind()); reflect.TypeOf(got) != reflect.TypeOf(e) {
			t.Errorf("kind %d reads as %T, want %T", f.kind(), got, e)
		}
	}
}
