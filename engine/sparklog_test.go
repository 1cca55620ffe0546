package engine_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/sparklog"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

var logDir = flag.String("sparklog", "", "a folder in which the Spark log of a stormy session is left, for a History Server")

// tally is what a report says of the attempts of a stage attempt.
type tally struct{ succeeded, failed, resubmitted, killed, copies int }

func (c *tally) count(e *event.TaskEnd) {
	switch {
	case e.Reason == task.Success:
		c.succeeded++
	case e.Info.Killed:
		c.killed++
	default:
		c.failed++
	}
	if e.Reason == task.Resubmitted {
		c.resubmitted++
	} else if e.Info.Speculative {
		c.copies++
	}
}

// tallies counts the ends of attempts, by their stage attempt.
func tallies(t *testing.T, events iter.Seq2[event.Event, error]) map[id.StageAttempt]tally {
	t.Helper()
	stages := map[id.StageAttempt]tally{}
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if end, ok := e.(*event.TaskEnd); ok {
			c := stages[end.Info.StageAttempt]
			c.count(end)
			stages[end.Info.StageAttempt] = c
		}
	}
	return stages
}

// cachedBlocks returns what became of the blocks of cached datasets, in order.
// When it did is not in Spark's form.
func cachedBlocks(t *testing.T, events iter.Seq2[event.Event, error]) (updates []event.BlockUpdated) {
	t.Helper()
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := e.(*event.BlockUpdated); ok && strings.HasPrefix(b.Block, "rdd_") {
			u := *b
			u.At = 0
			updates = append(updates, u)
		}
	}
	return updates
}

type noClose struct{ *bytes.Buffer }

func (noClose) Close() error { return nil }

// The event log of a session in which attempts fail, are killed, copied and
// run again, with barrier stages, cached partitions and a lost executor, is
// one that the History Server reads. Both it and our own event file tell of as
// many attempts of each kind as there were and of what became of each cached
// block, and make the same report.
func TestEVT_LogOfAStormySession(t *testing.T) {
	var file bytes.Buffer
	sink, err := event.NewFile(noClose{&file}, "events")
	if err != nil {
		t.Fatal(err)
	}
	pulled := newPulling()
	r := start(t, engine.Config{Cores: 4, Executors: 2, Events: []event.Sink{sink}, Conf: conf("shuffle.storage", "disk",
		"speculation", "true", "speculation.interval", "10ms", "speculation.quantile", "0.5", "speculation.multiplier", "1.1",
		"speculation.minTaskRuntime", "10ms", "speculation.efficiency.enabled", "false", "task.maxDirectResultSize", "1KiB")}, pulled.hook)
	ctx := t.Context()
	good := func(n int64, err error) {
		t.Helper()
		if err != nil || n == 0 {
			t.Fatalf("%d records, %v", n, err)
		}
	}
	good(failing(r.Session, 4, 2, func(t *engine.Task) error {
		held, err := t.Reserve("held", units.MiB) // what a failed attempt took is in the report, too
		if err != nil {
			return err
		}
		held.Release()
		return errors.New("boom")
	}).Count(ctx))
	good(failing(r.Session, 4, 1, func(*engine.Task) error { panic("ouch") }).Count(ctx))
	good(failing(r.Session, 4, 1, func(t *engine.Task) error { // it is slow until its copy has won
		<-t.Context().Done()
		return t.Context().Err()
	}).Count(ctx))
	good(failing(r.Session, 4, 1, func(t *engine.Task) error {
		r.KillTask(t.Task, "enough")
		<-t.Context().Done()
		return t.Context().Err()
	}).Count(ctx))
	good(engine.MapBatches(engine.Barrier(engine.Range(r.Session, 100, 3)), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		return append(dst, src...), t.Barrier()
	}).Count(ctx))
	rows := engine.NewLongAccumulator(r.Session, "rows")
	cached := engine.MapBatches(engine.Range(r.Session, 5000, 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		rows.Add(t, int64(len(src)))
		return append(dst, src...), nil
	}).Cache()
	good(cached.Count(ctx))
	all, err := cached.Collect(ctx)
	good(int64(len(all)), err)
	cached.Unpersist()
	sums := engine.ReduceByKey(keyed(r.Session, 5000, 100, 4), add, engine.Partitions(3))
	good(sums.Count(ctx))
	ends := of[*event.TaskEnd](r.rec)
	written := ends[slices.IndexFunc(ends, func(e *event.TaskEnd) bool { return e.Kind == task.ShuffleMapTask && e.Reason == task.Success })]
	remove(t, r.shuffleFiles(t, fmt.Sprintf("_%d_0.data", written.Info.Task))[0])
	good(sums.Count(ctx))
	good(engine.ReduceByKey(pulled.over(r), add, engine.Partitions(3)).Count(ctx))
	good(sums.Count(ctx))
	if _, err := failing(r.Session, 4, 4, func(*engine.Task) error { return errors.New("always") }).Count(ctx); err == nil {
		t.Fatal("four failures did not end the job")
	}
	r.finish()
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}

	want := map[id.StageAttempt]tally{}
	sum := tally{}
	for _, e := range of[*event.TaskEnd](r.rec) {
		c := want[e.Info.StageAttempt]
		c.count(e)
		want[e.Info.StageAttempt] = c
		sum.count(e)
	}
	if sum.failed < 8 || sum.killed < 2 || sum.copies < 1 || sum.resubmitted < 1 || r.rec.ended(task.FetchFailed) == 0 {
		t.Fatalf("%+v, %d fetch failures: the test proves nothing", sum, r.rec.ended(task.FetchFailed))
	}

	check(t, nil, tallies(t, event.Read(bytes.NewReader(file.Bytes()))), want)

	var log bytes.Buffer
	if err := event.WriteSpark(&log, event.Read(bytes.NewReader(file.Bytes())), event.SparkOptions{BlockUpdates: true}); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	for _, bad := range sparklog.Check(text, true) {
		t.Error(bad)
	}
	check(t, nil, sparkTally(t, text), want)
	check(t, nil, tallies(t, event.ReadSpark(bytes.NewReader(log.Bytes()))), want) // as our own report reads it
	blocks := cachedBlocks(t, event.Read(bytes.NewReader(file.Bytes())))
	if len(blocks) < 8 { // four come, and go
		t.Errorf("%d updates of cached blocks: the test proves little", len(blocks))
	}
	check(t, nil, cachedBlocks(t, event.ReadSpark(bytes.NewReader(log.Bytes()))), blocks)

	reported := func(src report.Source) *report.Model {
		t.Helper()
		m, err := report.Load(src, report.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	own := reported(func() iter.Seq2[event.Event, error] { return event.Read(bytes.NewReader(file.Bytes())) })
	if len(own.Failures) < 5 || len(own.Stages) < 10 {
		t.Errorf("%d failures, %d stages: the test proves little", len(own.Failures), len(own.Stages))
	}
	sameReport(t, reported(func() iter.Seq2[event.Event, error] { return event.ReadSpark(bytes.NewReader(log.Bytes())) }), own)
	if *logDir != "" {
		if err := os.WriteFile(filepath.Join(*logDir, "stormy"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", sum)
	}
}

// sparkTally counts as the History Server does: by Spark's reasons.
func sparkTally(t *testing.T, log string) map[id.StageAttempt]tally {
	t.Helper()
	stages := map[id.StageAttempt]tally{}
	for l := range strings.Lines(log) {
		var e struct {
			Event   string
			Stage   int32                      `json:"Stage ID"`
			Attempt int32                      `json:"Stage Attempt ID"`
			Reason  struct{ Reason string }    `json:"Task End Reason"`
			Info    struct{ Speculative bool } `json:"Task Info"`
		}
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event != "SparkListenerTaskEnd" {
			continue
		}
		at := id.StageAttempt{Stage: id.Stage(e.Stage), Attempt: e.Attempt}
		c := stages[at]
		if e.Reason.Reason == "Resubmitted" {
			c.resubmitted++
		} else if e.Info.Speculative {
			c.copies++
		}
		switch e.Reason.Reason {
		case "Success":
			c.succeeded++
		case "TaskKilled", "TaskCommitDenied":
			c.killed++
		default:
			c.failed++
		}
		stages[at] = c
	}
	return stages
}
