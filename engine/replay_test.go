package engine_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine/units"
)

// notInSparksForm names what a report says and Spark's form of the events
// cannot, with the reason. All else must come out the same from both.
var notInSparksForm = map[string]string{
	"Application.Events": "samples and messages' beginnings are events of ours alone",
	"Stage.Routes":       "which way a result went, and what was dropped, is no field; only that one was fetched",
	"Stage.Other":        "when an attempt was done with its worker is no field, so it counts as the scheduler's delay",
	"Account.WorkerTime": "samples of workers are events of ours alone",
	"Account.Idle":       "the same",
	"Account.Scheduling": "the same",
	"Account.CPU":        "samples of memory and CPU time are events of ours alone",
	"Account.Other":      "the same as of a stage",
	"Memory.PeakRSS":     "samples of memory: Spark's form has the peak in each stage",
	"Memory.Samples":     "the same",
	"Memory.At":          "the same",
	"Memory.RSS":         "the same",
	"Memory.Accounts":    "the same",
	"Memory.Runtime":     "the same",
	"Memory.Other":       "the same",
	"Memory.GCCount":     "the same",
	"Memory.GCTime":      "the same",
}

// figuresNotInSparksForm does so for the figures of attempts.
var figuresNotInSparksForm = map[report.Figure]string{
	report.SchedulerDelay: "see Stage.Other; the sum of both is compared",
	report.Other:          "the same",
	report.InputRead:      "Spark's metrics know no such time; all that is left of the run together is compared",
	report.Spill:          "the same",
	report.OutputWrite:    "the same",
	report.Compute:        "the same",
	report.EncodeCPU:      "there is no such metric",
	report.FileFetch:      "the same",
	report.Spills:         "the same",
	report.LeakedMemory:   "the same",
	report.MessageBytes:   "the same",
}

// replay compares the report of Spark's form with that of the own events.
type replay struct {
	t        *testing.T
	shift    int64 // from the session's clock to the wall's, which Spark's form has
	attempts int64
	left     map[string]bool // names in notInSparksForm that were met
}

const millisecond = int64(1e6)

func sameReport(t *testing.T, got, want *report.Model) {
	t.Helper()
	r := &replay{t: t, shift: want.Application.WallStart - want.Application.Start, left: map[string]bool{}}
	for _, s := range want.Stages {
		r.attempts += s.Counts.Started
	}
	r.same("Model", reflect.ValueOf(got), reflect.ValueOf(want))
	for name := range notInSparksForm {
		if !r.left[name] {
			t.Errorf("%s is said to be missing in Spark's form, and was not met", name)
		}
	}
}

// same compares two values, field by field; path is of their type and field.
func (r *replay) same(path string, got, want reflect.Value) {
	r.t.Helper()
	if notInSparksForm[path] != "" {
		r.left[path] = true
		return
	}
	near := func(want, most int64) {
		r.t.Helper()
		if d := got.Int() - want; max(d, -d) > most {
			r.t.Errorf("%s is %d, want %d, or %d more or less", path, got.Int(), want, most)
		}
	}
	switch path {
	case "Application.WallStart":
		near(want.Int(), millisecond)
		return
	case "Application.Start", "Application.End", "Job.Submitted", "Job.Completed", "Stage.Submitted", "Stage.Completed", "Account.Begin", "Account.End":
		at := want.Int()
		if at != 0 || strings.HasPrefix(path, "A") {
			at += r.shift
		}
		near(at, millisecond)
		return
	case "Account.TaskDecode", "Account.Run", "Account.Encode":
		near(want.Int(), millisecond*r.attempts)
		return
	case "Application.Memory", "Memory.Budget": // whole MiB of each executor
		near(want.Int(), int64(4*units.MiB))
		return
	case "Application.Conf": // it has the properties that Spark sets itself, too
		for key, value := range want.Interface().(map[string]string) {
			if got := got.MapIndex(reflect.ValueOf(key)); !got.IsValid() || got.String() != value {
				r.t.Errorf("%s: %s is %v, want %q", path, key, got, value)
			}
		}
		return
	case "Model.Problems": // two of them are about samples of workers, and of Stage.Other
		var other []string
		for _, p := range want.Interface().([]string) {
			if !strings.HasPrefix(p, "workers were inside attempts") && !strings.Contains(p, "the median attempt's other is") {
				other = append(other, p)
			}
		}
		if !slices.Equal(got.Interface().([]string), other) {
			r.t.Errorf("%s are %q, want %q", path, got, other)
		}
		return
	case "Stage.Figures":
		return // compared as figures, by stage
	}
	switch want.Kind() {
	case reflect.Pointer:
		if got.IsNil() != want.IsNil() {
			r.t.Errorf("%s: %v, want %v", path, got, want)
		} else if !want.IsNil() {
			r.same(path, got.Elem(), want.Elem())
		}
	case reflect.Struct:
		for i := range want.NumField() {
			if f := want.Type().Field(i); f.IsExported() {
				r.same(want.Type().Name()+"."+f.Name, got.Field(i), want.Field(i))
			}
		}
		if s, ok := want.Addr().Interface().(*report.Stage); ok {
			r.figures(got.Addr().Interface().(*report.Stage), s)
		}
	case reflect.Slice:
		if got.Len() != want.Len() {
			r.t.Errorf("%s: %d, want %d: %+v, want %+v", path, got.Len(), want.Len(), got, want)
			return
		}
		for i := range want.Len() {
			r.same(path, got.Index(i), want.Index(i))
		}
	default:
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			r.t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

// figures compares totals, and of what Spark's form has to the last digit,
// the quantiles and the largest too. Times are whole milliseconds there, but
// for CPU time and the time to write a shuffle: each of an attempt's is off by
// less than one.
func (r *replay) figures(got, want *report.Stage) {
	r.t.Helper()
	total := func(s *report.Stage, all ...report.Figure) (sum int64) {
		for _, f := range all {
			sum += s.Total(f)
		}
		return sum
	}
	near := func(times int64, all ...report.Figure) {
		r.t.Helper()
		g, w := total(got, all...), total(want, all...)
		if most := times * millisecond * want.Counts.Started; max(g-w, w-g) > most {
			r.t.Errorf("stage %d.%d: %s is %d, want %d, or %d more or less", want.ID, want.Attempt, all[0].Label(), g, w, most)
		}
	}
	stats := func(s *report.Stage, f report.Figure) string {
		i := slices.IndexFunc(s.Figures, func(x report.FigureStats) bool { return x.Figure == f })
		if i < 0 {
			return "nothing"
		}
		largest := report.Largest{}
		if l := s.Figures[i].Largest; l != nil {
			largest = *l
		}
		return fmt.Sprintf("%+v, largest %+v", s.Figures[i].Quantiles, largest)
	}
	for f := range report.FigureCount {
		switch f {
		case report.Wall, report.TaskDecode, report.Run, report.ResultEncode, report.ResultFetch, report.ShuffleFetchWait, report.GC:
			near(1, f)
			continue
		}
		if figuresNotInSparksForm[f] != "" {
			continue
		}
		if g, w := got.Total(f), want.Total(f); g != w {
			r.t.Errorf("stage %d.%d: %s is %d, want %d", want.ID, want.Attempt, f.Label(), g, w)
		}
		if g, w := stats(got, f), stats(want, f); g != w {
			r.t.Errorf("stage %d.%d: %s is spread %s, want %s", want.ID, want.Attempt, f.Label(), g, w)
		}
	}
	// What is left of the wall time is off by what each of the parts is: that
	// itself with the fetch, decode, run and encode; what is left of run by run
	// and the wait for blocks, one with more and one with less.
	near(4, report.SchedulerDelay, report.Other)
	near(1, report.Compute, report.InputRead, report.Spill, report.OutputWrite)
}
