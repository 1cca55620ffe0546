package profiles

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// side makes a side of one profile.
func side(t testing.TB, p *profile.Profile) Side {
	t.Helper()
	s, err := NewSide([]*profile.Profile{p}, nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func compare(t testing.TB, old, new *profile.Profile, o DiffOptions) *Diff {
	t.Helper()
	d, err := NewDiff(side(t, old), side(t, new), o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func rowOf(t testing.TB, d *Diff, name string) DiffRow {
	t.Helper()
	for _, r := range d.Rows {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no row %q", name)
	return DiffRow{}
}

// flat makes a processor profile in which functions have so many ticks.
func flat(ticks map[string]int64) *profile.Profile {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"}, Period: 10e6, DurationNanos: 1e9,
	}
	id := uint64(0)
	for name, n := range ticks {
		id++
		f := &profile.Function{ID: id, Name: name}
		l := &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
		p.Function, p.Location = append(p.Function, f), append(p.Location, l)
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l}, Value: []int64{n, n * p.Period}})
	}
	return p
}

func TestWhatStandsOutOfTheNoise(t *testing.T) {
	d := compare(t,
		flat(map[string]int64{"steady": 500, "grows": 100, "shrinks": 300, "gone": 20, "close": 100, "equal": 7}),
		flat(map[string]int64{"steady": 510, "grows": 200, "shrinks": 200, "fresh": 30, "close": 131, "equal": 7}), DiffOptions{})
	f := func(name string, want Change, beyond bool) {
		t.Helper()
		if r := rowOf(t, d, name); r.Change != want || r.Beyond != beyond {
			t.Errorf("%s: %s, beyond the noise %v, z %.2f; want %s, %v", name, r.Change, r.Beyond, r.Flat.Z, want, beyond)
		}
	}
	f("steady", Noise, false)
	f("grows", More, true)
	f("shrinks", Less, true)
	f("gone", Vanished, true)
	f("fresh", New, true)
	f("close", Unsure, false) // z = 31 / √231 = 2.04: beyond 1.96, but there are seven rows
	f("equal", Same, false)
	if z := rowOf(t, d, "grows").Flat.Z; math.Abs(z-100/math.Sqrt(300)) > 1e-12 {
		t.Errorf("z is %v", z)
	}
	if math.Abs(d.Floor-2.690) > 1e-3 { // Φ⁻¹(1 − 0.05/14)
		t.Errorf("the floor for seven rows is %v", d.Floor)
	}
	if floor(1) != singleZ {
		t.Errorf("the floor for one row is %v", floor(1))
	}
	if first := d.Rows[0].Name; first != "grows" && first != "shrinks" {
		t.Errorf("the first row is %s", first)
	}
	if share, name := d.Growth(); name != "grows" || math.Abs(share-100.0/1027) > 1e-12 {
		t.Errorf("grown most: %s by %v", name, share)
	}
}

// Two profiles of the same program differ in nearly every row, and none of it
// counts; what is planted does.
func TestNoiseIsNoise(t *testing.T) {
	const comparisons = 40
	drawn := func(seed uint64) *profile.Profile {
		r := rand.New(rand.NewPCG(seed, 5))
		ticks := map[string]int64{}
		for range 5000 {
			ticks[fmt.Sprint("f", int(40*math.Pow(r.Float64(), 3)))]++
		}
		return flat(ticks)
	}
	alarms, rows, differ := 0, 0, 0
	for seed := range uint64(comparisons) {
		d := compare(t, drawn(2*seed), drawn(2*seed+1), DiffOptions{})
		for _, r := range d.Rows {
			rows++
			if r.Change != Same {
				differ++
			}
		}
		if share, _ := d.Growth(); share != 0 {
			alarms++
		}
	}
	if differ < rows*9/10 {
		t.Errorf("only %d of %d rows differ at all", differ, rows)
	}
	if alarms > comparisons/10 { // 5 % are due
		t.Errorf("%d alarms in %d comparisons", alarms, comparisons)
	}
	d := compare(t, synthetic(3, 3000, 100), synthetic(3, 3000, 900), DiffOptions{})
	if r := d.Rows[0]; r.Name != "main.f0" || r.Change != More || !r.Beyond {
		t.Errorf("what was planted is not the first row: %+v", r)
	}
}

func TestSidesAreMadeComparable(t *testing.T) {
	old, new := flat(map[string]int64{"a": 100, "b": 300}), flat(map[string]int64{"a": 200, "b": 600})
	sides := func(x, y Side) func(Normalise) (*Diff, error) {
		return func(n Normalise) (*Diff, error) { return NewDiff(x, y, DiffOptions{Normalise: n}) }
	}
	a, b := side(t, old), side(t, new)
	a.Records, b.Records = 10, 40
	b.Seconds = 2
	by := sides(a, b)
	f := func(n Normalise, want Pair) {
		t.Helper()
		d, err := by(n)
		if err != nil {
			t.Fatal(err)
		}
		got := rowOf(t, d, "a").Flat
		if math.Abs(got.Old-want.Old) > 1e-6*want.Old || math.Abs(got.New-want.New) > 1e-6*want.New || got.Delta != got.New-got.Old {
			t.Errorf("%s: %+v, want %+v", n, got, want)
		}
	}
	f(None, Pair{Old: 1e9, New: 2e9})
	f(Total, Pair{Old: 1e9, New: 1e9})
	f(Second, Pair{Old: 1e9, New: 1e9})
	f(Record, Pair{Old: 1e8, New: 5e7})
	unknown := sides(side(t, flat(nil)), b)
	for _, n := range []Normalise{Total, Record, "odd"} {
		if _, err := unknown(n); err == nil {
			t.Errorf("normalised by %s without knowing it", n)
		}
	}
}

// Profiles of one side are added up, which halves nothing and doubles ticks.
func TestSeveralProfilesOfASide(t *testing.T) {
	one, err := NewSide([]*profile.Profile{synthetic(1, 100, 0)}, nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	three, err := NewSide([]*profile.Profile{synthetic(1, 100, 0), synthetic(1, 100, 0), synthetic(1, 100, 0)}, nil, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDiff(one, three, DiffOptions{Normalise: Second})
	if err != nil {
		t.Fatal(err)
	}
	if three.Files != 3 || three.Seconds != 3*one.Seconds || d.NewEvents != 3*d.OldEvents || d.RawNew != 3*d.RawOld {
		t.Errorf("three files: %+v, %+v", three, d)
	}
	if math.Abs(d.Total.Delta) > 1e-3 {
		t.Errorf("the same per second, thrice, differs by %v", d.Total.Delta)
	}
	if _, err := NewSide([]*profile.Profile{synthetic(1, 3, 0), {SampleType: []*profile.ValueType{{Type: "x", Unit: "y"}}, PeriodType: &profile.ValueType{}}}, nil, 0, 0); err == nil {
		t.Error("profiles of different kinds can be merged")
	}
}

// Stages are matched by their place in the round.
func TestStagesOfDifferentRoundsMeet(t *testing.T) {
	later := synthetic(1, 300, 0)
	for _, s := range later.Sample {
		if v := s.Label["stage"]; v != nil {
			s.Label["stage"] = []string{"9" + v[0]} // 94.0 … 96.0
		}
	}
	later.Sample[0].Label = map[string][]string{"stage": {"driver"}}
	d := compare(t, synthetic(1, 300, 0), later, DiffOptions{Options: Options{By: Stage}})
	matched := 0
	for _, r := range d.Rows {
		if strings.HasPrefix(r.Name, "first + ") {
			matched++
			if r.Change == New || r.Change == Vanished {
				t.Errorf("%s is %s", r.Name, r.Change)
			}
		}
	}
	if matched != 3 || rowOf(t, d, "driver").Change != New {
		t.Errorf("rows %+v", d.Rows)
	}
	if _, err := NewDiff(side(t, flat(map[string]int64{"a": 1})), side(t, flat(nil)), DiffOptions{Options: Options{By: Stage}}); !errors.Is(err, ErrNoLabels) {
		t.Errorf("without labels: %v", err)
	}
	// A round whose first stage gave no sample is told where it began.
	known, err := NewSide([]*profile.Profile{synthetic(1, 300, 0)}, []int{2}, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, err = NewDiff(known, known, DiffOptions{Options: Options{By: Stage}})
	if err != nil {
		t.Fatal(err)
	}
	rowOf(t, d, "first + 2")
}

// A memory profile's noise comes from the allocations that were sampled, not
// from those they stand for.
func TestEventsOfAMemoryProfile(t *testing.T) {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "alloc_objects", Unit: "count"}, {Type: "alloc_space", Unit: "bytes"}, {Type: "inuse_objects", Unit: "count"}, {Type: "inuse_space", Unit: "bytes"}},
		PeriodType: &profile.ValueType{Type: "space", Unit: "bytes"}, Period: 512 << 10,
	}
	f := &profile.Function{ID: 1, Name: "f"}
	l := &profile.Location{ID: 1, Line: []profile.Line{{Function: f}}}
	p.Function, p.Location = []*profile.Function{f}, []*profile.Location{l}
	p.Sample = []*profile.Sample{{Location: []*profile.Location{l}, Value: []int64{8192, 8192 << 10, 0, 0}}}
	top, err := NewTop(p, Options{Sample: "alloc_space"})
	if err != nil {
		t.Fatal(err)
	}
	want := 8192 * (1 - math.Exp(-1.0/512)) // sixteen, nearly
	if math.Abs(top.Events-want) > 1e-9 || math.Abs(want-16) > 0.1 {
		t.Errorf("%v events, want %v", top.Events, want)
	}
	if _, err := NewTop(p, Options{Sample: "cpu"}); err == nil || !strings.Contains(err.Error(), "alloc_objects, alloc_space") {
		t.Errorf("a type that is not there: %v", err)
	}
}
