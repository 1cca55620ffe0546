package compare

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/report"
)

// SchemaVersion is that of the JSON form. Fields are only added within it.
const SchemaVersion = 1

// Result is a comparison. It is read-only.
type Result struct {
	SchemaVersion int     `json:"schema_version"`
	Verdict       Verdict `json:"verdict"` // of the times
	Sentence      string  `json:"sentence"`
	ExitCode      int     `json:"exit_code"` // set by whoever decides on one

	Old string `json:"old"`
	New string `json:"new"`

	MinEffect  float64 `json:"min_effect"`
	Alpha      float64 `json:"alpha"`
	Confidence float64 `json:"confidence"`
	Power      float64 `json:"power"`

	Differences []Difference `json:"environment_differences,omitempty"`
	Notes       []string     `json:"notes,omitempty"`
	// Runs are the times and processor times of whole iterations: one table
	// of tests. The times among them decide.
	Runs []*Row `json:"runs"`
	// Parts are those of the stages, another table. Times of attempts are
	// summed over a stage's attempts.
	Parts []*Row `json:"parts"`
	// Figures are what was done, not how fast; they are not tested.
	Figures []Figure `json:"figures"`
}

// Figure is a number of the last iteration of each side.
type Figure struct {
	Workload string  `json:"workload"`
	Name     string  `json:"name"`
	Unit     string  `json:"unit"` // "B" or "1"
	Old      float64 `json:"old"`
	New      float64 `json:"new"`
	Change   Ratio   `json:"change"`
}

// Names of rows of Result.Runs.
const (
	TimePart = "time"
	CPUPart  = "processor time"
)

// ErrDiffer is what an error about environments that differ wraps.
var ErrDiffer = errors.New("the runs differ in more than the program")

// Differ lists what differs.
type Differ struct{ Differences []Difference }

// Error names all of it.
func (d *Differ) Error() string {
	s := "cannot compare: " + ErrDiffer.Error()
	for i, x := range d.Differences {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		s += sep + x.String()
	}
	return s + " (--allow-env-diff compares them all the same)"
}

// Unwrap returns ErrDiffer.
func (d *Differ) Unwrap() error { return ErrDiffer }

// Side is what is compared: one run folder, or the run folders inside one
// folder, one for each workload.
type Side struct {
	Dir  string
	Runs []*folder.Run
}

// Open reads a side.
func Open(dir string) (*Side, error) {
	if _, err := os.Stat(filepath.Join(dir, folder.ManifestFile)); err == nil {
		r, err := folder.Open(dir)
		if err != nil {
			return nil, err
		}
		return &Side{dir, []*folder.Run{r}}, nil
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "*", folder.ManifestFile))
	if err != nil || len(manifests) == 0 {
		_, err := folder.Open(dir) // says what is missing
		return nil, err
	}
	s := &Side{Dir: dir}
	for _, m := range manifests {
		r, err := folder.Open(filepath.Dir(m))
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(s.Runs, func(o *folder.Run) bool { return o.Manifest.Workload == r.Manifest.Workload }); i >= 0 {
			return nil, fmt.Errorf("cannot compare %s: it holds several runs of %s (%s, %s); name one of them",
				dir, r.Manifest.Workload, s.Runs[i].Dir, r.Dir)
		}
		s.Runs = append(s.Runs, r)
	}
	return s, nil
}

// Compare compares two sides. Sides that differ in more than the program
// give a *Differ beside the result, which the caller may overrule. A run
// whose answer was wrong, or that failed, has no times to compare: that is
// an error without a result.
func Compare(old, new *Side, o Options) (*Result, error) {
	o = o.withDefaults()
	r := &Result{SchemaVersion: SchemaVersion, Old: old.Dir, New: new.Dir,
		MinEffect: o.MinEffect, Alpha: o.Alpha, Confidence: o.Confidence, Power: o.Power}
	pairs, err := r.pair(old, new)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		if err := r.add(p[0], p[1]); err != nil {
			return nil, err
		}
	}
	o.noisy = slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, noiseNote) })
	judge(r.Runs, o)
	judge(r.Parts, o)
	times := r.Times()
	r.Verdict = overall(times)
	r.Sentence = sentence(times, r.Verdict, o)
	if o.noisy && (r.Verdict == Better || r.Verdict == Worse) {
		r.Sentence += "; the machine was not quiet, which alone can make such a difference between two processes: run both again, in turns"
	}
	if len(r.Differences) > 0 {
		return r, &Differ{r.Differences}
	}
	return r, nil
}

// Times returns the rows that decide.
func (r *Result) Times() []*Row {
	return slices.DeleteFunc(slices.Clone(r.Runs), func(x *Row) bool { return x.Part != TimePart })
}

// pair matches the runs of the sides: two single runs always, else by
// workload.
func (r *Result) pair(old, new *Side) ([][2]*folder.Run, error) {
	if len(old.Runs) == 1 && len(new.Runs) == 1 {
		return [][2]*folder.Run{{old.Runs[0], new.Runs[0]}}, nil
	}
	var pairs [][2]*folder.Run
	for _, a := range old.Runs {
		i := slices.IndexFunc(new.Runs, func(b *folder.Run) bool { return b.Manifest.Workload == a.Manifest.Workload })
		if i < 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s has no run of %s", new.Dir, a.Manifest.Workload))
			continue
		}
		pairs = append(pairs, [2]*folder.Run{a, new.Runs[i]})
	}
	for _, b := range new.Runs {
		if !slices.ContainsFunc(old.Runs, func(a *folder.Run) bool { return a.Manifest.Workload == b.Manifest.Workload }) {
			r.Notes = append(r.Notes, fmt.Sprintf("%s has no run of %s", old.Dir, b.Manifest.Workload))
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("cannot compare %s and %s: they have no workload in common", old.Dir, new.Dir)
	}
	return pairs, nil
}

// add takes a pair of runs into the tables.
func (r *Result) add(old, new *folder.Run) error {
	series := [2]partSeries{}
	for i, run := range []*folder.Run{old, new} {
		m := &run.Manifest
		if m.Status == folder.Wrong || m.Status == folder.Failed {
			return fmt.Errorf("cannot compare %s: that run ended as %q", run.Dir, m.Status)
		}
		if len(folder.Seconds(run.Samples)) == 0 {
			return fmt.Errorf("cannot compare %s: it has no timed iteration", run.Dir)
		}
		if _, err := os.Stat(run.EventsPath()); err != nil {
			series[i] = partSeries{} // Problems says so
			continue
		}
		model, err := report.Load(report.FileSource(run.EventsPath()), report.Options{})
		if err != nil {
			return fmt.Errorf("cannot compare %s: %w", run.Dir, err)
		}
		for _, p := range model.Problems {
			r.Notes = append(r.Notes, fmt.Sprintf("%s run: %s", [...]string{"old", "new"}[i], p))
		}
		series[i] = partsOf(model, run.Samples)
	}
	name := old.Manifest.Workload
	r.Differences = append(r.Differences, Differences(&old.Manifest, &new.Manifest)...)
	r.Notes = append(r.Notes, notes(old, new)...)
	r.Runs = append(r.Runs,
		&Row{Workload: name, Part: TimePart, Old: folder.Seconds(old.Samples), New: folder.Seconds(new.Samples)},
		&Row{Workload: name, Part: CPUPart, Old: processorTimes(old.Samples), New: processorTimes(new.Samples)})
	r.Parts = append(r.Parts, partRows(name, series[0], series[1])...)
	r.Figures = append(r.Figures, figures(old, new)...)
	return nil
}

func processorTimes(samples []folder.Sample) []float64 {
	var out []float64
	for _, s := range samples {
		if s.Phase == folder.Iteration && !s.Profiled && s.Error == "" {
			out = append(out, s.CPU)
		}
	}
	return out
}

// figures lists what both sides did, where one of them did any of it.
func figures(old, new *folder.Run) []Figure {
	last := func(r *folder.Run) (s folder.Sample) {
		for _, x := range r.Samples {
			if x.Phase == folder.Iteration && x.Error == "" {
				s = x
			}
		}
		return s
	}
	a, b := last(old), last(new)
	var out []Figure
	add := func(name, unit string, x, y int64) {
		if x != 0 || y != 0 {
			out = append(out, Figure{old.Manifest.Workload, name, unit, float64(x), float64(y), Ratio(ratio(float64(x), float64(y)) - 1)})
		}
	}
	add("peak RSS", "B", int64(a.PeakRSS), int64(b.PeakRSS))
	add("tasks", "1", a.Totals.Tasks, b.Totals.Tasks)
	add("failed tasks", "1", a.Totals.Failed, b.Totals.Failed)
	add("input", "B", a.Totals.InputBytes, b.Totals.InputBytes)
	add("shuffle written", "B", a.Totals.ShuffleWritten, b.Totals.ShuffleWritten)
	add("spilled to disk", "B", a.Totals.DiskSpilled, b.Totals.DiskSpilled)
	add("largest attempt's memory", "B", a.Totals.PeakExecution, b.Totals.PeakExecution)
	add("output", "B", a.Totals.OutputBytes, b.Totals.OutputBytes)
	return out
}

// sentence says the outcome in words.
func sentence(times []*Row, v Verdict, o Options) string {
	var of []*Row
	for _, r := range times {
		if r.Verdict == v {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		return "nothing to compare"
	}
	r := of[0]
	if v != Better && v != Same { // the worst, or the least sure, speaks
		r = slices.MaxFunc(of, func(a, b *Row) int { return cmp.Compare(a.Change, b.Change) })
	}
	s := fmt.Sprintf("%s: ", v)
	switch v {
	case Worse, Better:
		word := "slower"
		if v == Better {
			word = "faster"
		}
		s += fmt.Sprintf("%s is %s by %s: median %s → %s", r.Workload, word, percent(Ratio(math.Abs(float64(r.Change)))), duration(r.OldMedian), duration(r.NewMedian))
	case Same:
		s += fmt.Sprintf("no change of %s or more (%s)", percent(Ratio(o.MinEffect)), interval(r.Interval))
	default:
		s += r.Why
	}
	if len(times) > 1 {
		s += fmt.Sprintf(" (%d of %d workloads are %s)", len(of), len(times), v)
	}
	return s
}
