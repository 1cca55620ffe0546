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
	// OfRuns says that a side has several runs of a workload. Then a value of
	// a row is that of a run: of its median iteration.
	OfRuns bool `json:"of_runs,omitempty"`

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
// folder: of several workloads, of one several times, or both. Runs of one
// workload are in the order in which they began.
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
		s.Runs = append(s.Runs, r)
	}
	slices.SortStableFunc(s.Runs, func(a, b *folder.Run) int { return a.Manifest.Started.Compare(b.Manifest.Started) })
	return s, nil
}

// of returns the runs of a workload.
func (s *Side) of(workload string) (runs []*folder.Run) {
	for _, r := range s.Runs {
		if r.Manifest.Workload == workload {
			runs = append(runs, r)
		}
	}
	return runs
}

// workloads names the workloads in order of name.
func (s *Side) workloads() (names []string) {
	for _, r := range s.Runs {
		names = append(names, r.Manifest.Workload)
	}
	slices.Sort(names)
	return slices.Compact(names)
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
		r.OfRuns = r.OfRuns || len(p[0])+len(p[1]) > 2
	}
	for _, p := range pairs {
		if err := r.add(p[0], p[1]); err != nil {
			return nil, err
		}
	}
	// What falls on whole processes is in the spread of several of them.
	o.noisy = !r.OfRuns && slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, noiseNote) })
	judge(r.Runs, o)
	judge(r.Parts, o)
	times := r.Times()
	r.Verdict = overall(times)
	r.Sentence = sentence(times, r.Verdict, o)
	if o.noisy && (r.Verdict == Better || r.Verdict == Worse) {
		r.Sentence += "; the machine was not quiet, which alone can make such a difference between two processes: make several runs a side, in turns"
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

// pair matches the runs of the sides by workload; two single runs always.
func (r *Result) pair(old, new *Side) (pairs [][2][]*folder.Run, err error) {
	if len(old.Runs) == 1 && len(new.Runs) == 1 {
		return [][2][]*folder.Run{{old.Runs, new.Runs}}, nil
	}
	for _, name := range old.workloads() {
		if b := new.of(name); len(b) > 0 {
			pairs = append(pairs, [2][]*folder.Run{old.of(name), b})
		} else {
			r.Notes = append(r.Notes, fmt.Sprintf("%s has no run of %s", new.Dir, name))
		}
	}
	for _, name := range new.workloads() {
		if len(old.of(name)) == 0 {
			r.Notes = append(r.Notes, fmt.Sprintf("%s has no run of %s", old.Dir, name))
		}
	}
	if len(pairs) == 0 {
		return nil, fmt.Errorf("cannot compare %s and %s: they have no workload in common", old.Dir, new.Dir)
	}
	return pairs, nil
}

// measured are the values of one side of a workload: of each iteration of its
// run, or, if Result.OfRuns, of the median iteration of each of its runs.
type measured struct {
	times, cpu []float64
	parts      partSeries
}

// measure reads the values of one side.
func (r *Result) measure(side string, runs []*folder.Run) (m measured, err error) {
	for _, run := range runs {
		if s := run.Manifest.Status; s == folder.Wrong || s == folder.Failed {
			return m, fmt.Errorf("cannot compare %s: that run ended as %q", run.Dir, s)
		}
		times, cpu := folder.Seconds(run.Samples), processorTimes(run.Samples)
		if len(times) == 0 {
			return m, fmt.Errorf("cannot compare %s: it has no timed iteration", run.Dir)
		}
		parts := partSeries{}
		if _, err := os.Stat(run.EventsPath()); err == nil { // else Problems says so
			model, err := report.Load(report.FileSource(run.EventsPath()), report.Options{})
			if err != nil {
				return m, fmt.Errorf("cannot compare %s: %w", run.Dir, err)
			}
			for _, p := range model.Problems {
				r.Notes = append(r.Notes, fmt.Sprintf("%s run: %s", side, p))
			}
			parts = partsOf(model, run.Samples)
		}
		if !r.OfRuns {
			return measured{times, cpu, parts}, nil
		}
		m.parts.addMedians(parts, len(m.times))
		m.times, m.cpu = append(m.times, report.Median(times)), append(m.cpu, report.Median(cpu))
	}
	m.parts.pad(len(m.times))
	return m, nil
}

// add takes the runs of a workload into the tables.
func (r *Result) add(old, new []*folder.Run) error {
	a, err := r.measure("old", old)
	if err != nil {
		return err
	}
	b, err := r.measure("new", new)
	if err != nil {
		return err
	}
	first := &old[0].Manifest
	for _, run := range slices.Concat(old[1:], new) {
		for _, d := range Differences(first, &run.Manifest) {
			if !slices.Contains(r.Differences, d) {
				r.Differences = append(r.Differences, d)
			}
		}
	}
	r.Notes = append(r.Notes, notes(old, new)...)
	r.Runs = append(r.Runs,
		&Row{Workload: first.Workload, Part: TimePart, Old: a.times, New: b.times},
		&Row{Workload: first.Workload, Part: CPUPart, Old: a.cpu, New: b.cpu})
	r.Parts = append(r.Parts, partRows(first.Workload, a.parts, b.parts)...)
	r.Figures = append(r.Figures, figures(old[len(old)-1], new[len(new)-1])...)
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
