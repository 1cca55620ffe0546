package profiles

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"
)

// By is what the rows of a table stand for.
type By string

// What rows may stand for. The last four are labels, which the engine puts on
// its attempts; any other name stands for a label of that name.
const (
	Function By = "function"
	Line     By = "line"
	Stage    By = "stage"
	Job      By = "job"
	Workload By = "workload"
	Part     By = "part"
)

// Label reports whether rows stand for the values of a label.
func (b By) Label() bool { return b != Function && b != Line }

// Unlabelled is the row of samples that do not carry the label.
const Unlabelled = "(no label)"

// Amount is what one row, or a whole profile, adds up to.
type Amount struct {
	Flat int64 // where the row's function is the innermost
	Cum  int64 // where it is anywhere on the stack, once per sample
	// Events are how many events were seen of which Cum was made, and
	// FlatEvents of which Flat was: the observations from which the profiler
	// extrapolates. They are what the noise is computed from.
	FlatEvents, Events float64

	flatVar, cumVar float64
	last            int // sample that was last added, from 1
}

func (a *Amount) add(flat bool, v int64, events, variance float64) {
	a.Cum += v
	a.Events += events
	a.cumVar += variance
	if flat {
		a.Flat += v
		a.FlatEvents += events
		a.flatVar += variance
	}
}

// counts are a profile counted by something.
type counts struct {
	rows  map[string]*Amount
	total Amount // Flat and Cum are the same
	// labelled is whether any sample carries the label.
	labelled bool
	typ      profile.ValueType
}

// SampleTypes returns what the samples of a profile measure: "samples",
// "cpu", "alloc_space" and so on.
func SampleTypes(p *profile.Profile) []string {
	names := make([]string, len(p.SampleType))
	for i, t := range p.SampleType {
		names[i] = t.Type
	}
	return names
}

// sampleIndex finds a sample type. Empty is the profile's own default, or the
// last one, as in go tool pprof.
func sampleIndex(p *profile.Profile, name string) (int, error) {
	i, err := p.SampleIndexByName(name)
	if err == nil && (i < 0 || i >= len(p.SampleType)) {
		err = fmt.Errorf("there is no number %d", i)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot count %q: the profile has %s", name, strings.Join(SampleTypes(p), ", "))
	}
	return i, nil
}

// Where chooses samples by a label; the zero Where chooses all.
type Where struct{ Label, Value string }

// ParseWhere reads "label=value"; empty is all.
func ParseWhere(text string) (Where, error) {
	if text == "" {
		return Where{}, nil
	}
	k, v, ok := strings.Cut(text, "=")
	if !ok || k == "" {
		return Where{}, fmt.Errorf("cannot choose samples by %q: write label=value, like stage=2.0", text)
	}
	return Where{k, v}, nil
}

func (w Where) takes(s *profile.Sample) bool {
	if w.Label == "" {
		return true
	}
	v, ok := labelOf(s, w.Label)
	return ok && v == w.Value
}

// count adds a profile up.
func count(p *profile.Profile, sample string, by By, where Where) (*counts, error) {
	index, err := sampleIndex(p, sample)
	if err != nil {
		return nil, err
	}
	c := &counts{rows: map[string]*Amount{}, typ: *p.SampleType[index]}
	seen := eventsOf(p, index)
	row := func(name string) *Amount {
		a := c.rows[name]
		if a == nil {
			a = &Amount{}
			c.rows[name] = a
		}
		return a
	}
	frames := map[*profile.Location][]*Amount{} // innermost first
	framesOf := func(l *profile.Location) []*Amount {
		f, ok := frames[l]
		if !ok {
			for _, name := range frameNames(l, by) {
				f = append(f, row(name))
			}
			frames[l] = f
		}
		return f
	}
	for i, s := range p.Sample {
		v := s.Value[index]
		if v == 0 {
			continue
		}
		events := seen(s)
		variance := 0.0
		if events > 0 {
			variance = float64(v) * float64(v) / events
		}
		// As go tool pprof has it, a total is of magnitudes, and of all samples
		// whichever are chosen.
		if v < 0 {
			c.total.add(true, -v, events, variance)
		} else {
			c.total.add(true, v, events, variance)
		}
		if !where.takes(s) {
			continue
		}
		if by.Label() {
			label, ok := labelOf(s, string(by))
			if !ok {
				label = Unlabelled
			}
			c.labelled = c.labelled || ok
			row(label).add(true, v, events, variance)
			continue
		}
		leaf := true
		for _, l := range s.Location {
			for _, a := range framesOf(l) {
				if a.last != i+1 { // a function counts once, however often it recurs
					a.last = i + 1
					a.add(leaf, v, events, variance)
				}
				leaf = false
			}
		}
	}
	for name, a := range c.rows {
		if a.Flat == 0 && a.Cum == 0 {
			delete(c.rows, name)
		}
	}
	return c, nil
}

// frameNames returns the functions or lines of a location, the innermost
// first, under the names that go tool pprof gives them.
func frameNames(l *profile.Location, by By) []string {
	if len(l.Line) == 0 {
		return []string{binaryName(l)}
	}
	names := make([]string, 0, len(l.Line))
	for _, line := range l.Line {
		f := line.Function
		switch {
		case f == nil || f.Name == "" && (by == Function || f.Filename == ""):
			names = append(names, binaryName(l))
		case by == Line && line.Line != 0:
			names = append(names, strings.TrimSpace(f.Name+" "+cleanPath(f.Filename)+":"+strconv.FormatInt(line.Line, 10)))
		case by == Line && f.Filename != "":
			names = append(names, strings.TrimSpace(f.Name+" "+cleanPath(f.Filename)))
		default:
			names = append(names, f.Name)
		}
	}
	return names
}

func cleanPath(p string) string {
	if p == "" {
		return ""
	}
	return filepath.Clean(p)
}

func binaryName(l *profile.Location) string {
	if l.Mapping != nil && l.Mapping.File != "" {
		return "[" + filepath.Base(l.Mapping.File) + "]"
	}
	return "<unknown>"
}

// labelOf returns the value of a label of a sample.
func labelOf(s *profile.Sample, key string) (string, bool) {
	if v := s.Label[key]; len(v) > 0 {
		return strings.Join(v, ","), true
	}
	if v := s.NumLabel[key]; len(v) > 0 {
		parts := make([]string, len(v))
		for i, n := range v {
			parts[i] = strconv.FormatInt(n, 10)
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// eventsOf returns a function that says how many events a sample stands for,
// as far as the profiler saw them.
//
//   - A processor profile has a column that counts the ticks.
//   - A memory profile sees an allocation of n bytes with probability
//     1 - exp(-n/rate) and has scaled its columns up by that: the objects are
//     scaled down again, with the average size.
//   - A mutex or block profile has a column that counts what it saw.
//   - With one column alone, of counts, it is that column; else unknown, and
//     every record is taken for one event.
func eventsOf(p *profile.Profile, index int) func(*profile.Sample) float64 {
	column := func(names ...string) int {
		return slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return slices.Contains(names, t.Type) })
	}
	typ := p.SampleType[index].Type
	objects, space := -1, -1
	switch typ {
	case "alloc_objects", "alloc_space":
		objects, space = column("alloc_objects"), column("alloc_space")
	case "inuse_objects", "inuse_space":
		objects, space = column("inuse_objects"), column("inuse_space")
	}
	if objects >= 0 && space >= 0 {
		rate := float64(p.Period)
		return func(s *profile.Sample) float64 {
			n, bytes := math.Abs(float64(s.Value[objects])), math.Abs(float64(s.Value[space]))
			if n == 0 || rate <= 1 {
				return n
			}
			return n * -math.Expm1(-bytes/n/rate)
		}
	}
	counter := column("samples", "contentions", "goroutine", "count")
	if counter < 0 && len(p.SampleType) == 1 && p.SampleType[0].Unit == "count" {
		counter = 0
	}
	if counter < 0 {
		return func(*profile.Sample) float64 { return 1 }
	}
	return func(s *profile.Sample) float64 { return math.Abs(float64(s.Value[counter])) }
}
