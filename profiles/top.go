package profiles

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// ErrNoLabels says that rows were to be values of a label that no sample has.
var ErrNoLabels = errors.New("no sample carries that label (Go labels the samples of cpu and goroutine profiles alone)")

// Options choose what is counted.
type Options struct {
	Sample string // a sample type; empty: the profile's default
	By     By     // empty: Function
	Where  Where
	ByCum  bool // rows in order of Cum, not of Flat
}

// Row is one row of a Top.
type Row struct {
	Name       string  `json:"name"`
	Flat       int64   `json:"flat"`
	Cum        int64   `json:"cum"`
	FlatEvents float64 `json:"flat_events"` // observed, of which Flat is made
	CumEvents  float64 `json:"cum_events"`
}

// Top is a profile counted, the largest row first. Values are in Unit.
type Top struct {
	Sample   string        `json:"sample_type"`
	Unit     string        `json:"unit"` // "nanoseconds", "bytes", "count"
	By       By            `json:"by"`
	Total    int64         `json:"total"`
	Events   float64       `json:"events"`
	Duration time.Duration `json:"duration_ns"` // of the capture; 0: unknown
	Rows     []Row         `json:"rows"`
}

// NewTop counts a profile. The values are those of "go tool pprof -top". p is
// not changed.
func NewTop(p *profile.Profile, o Options) (*Top, error) {
	o.By = cmp.Or(o.By, Function)
	c, err := count(p, o.Sample, o.By, o.Where)
	if err != nil {
		return nil, err
	}
	if o.By.Label() && !c.labelled && c.total.Cum != 0 {
		return nil, noLabels(o.By)
	}
	t := &Top{Sample: c.typ.Type, Unit: c.typ.Unit, By: o.By, Total: c.total.Cum, Events: c.total.Events,
		Duration: time.Duration(p.DurationNanos), Rows: make([]Row, 0, len(c.rows))}
	for name, a := range c.rows {
		t.Rows = append(t.Rows, Row{name, a.Flat, a.Cum, a.FlatEvents, a.Events})
	}
	slices.SortFunc(t.Rows, func(x, y Row) int {
		flat, cum := cmp.Compare(magnitude(y.Flat), magnitude(x.Flat)), cmp.Compare(magnitude(y.Cum), magnitude(x.Cum))
		if o.ByCum {
			flat, cum = cum, flat
		}
		return cmp.Or(flat, cum, cmp.Compare(x.Name, y.Name))
	})
	return t, nil
}

type noLabelError struct{ by By }

func noLabels(by By) error { return &noLabelError{by} }

func (e *noLabelError) Error() string {
	return "cannot count by " + string(e.by) + ": " + ErrNoLabels.Error()
}

func (e *noLabelError) Unwrap() error { return ErrNoLabels }

func magnitude(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// FirstStage returns the lowest stage whose samples are in the profile: the
// first of a round, when its profile is all that is known of it. It returns
// false when no sample says.
func FirstStage(p *profile.Profile) (first int, ok bool) {
	for _, s := range p.Sample {
		if n, _, is := stageOf(s); is && (!ok || n < first) {
			first, ok = n, true
		}
	}
	return first, ok
}

func stageOf(s *profile.Sample) (n int, label string, ok bool) {
	label, ok = labelOf(s, string(Stage))
	if !ok {
		return 0, "", false
	}
	n, ok = stageNumber(label)
	return n, label, ok
}

// stageNumber reads the label of a stage attempt, "12.0".
func stageNumber(label string) (int, bool) {
	stage, _, _ := strings.Cut(label, ".")
	n, err := strconv.Atoi(stage)
	return n, err == nil
}
