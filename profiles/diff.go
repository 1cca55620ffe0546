package profiles

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/pprof/profile"
)

// Normalise says how two sides of a comparison are made comparable.
type Normalise string

// The ways. None compares as it is; Total scales the new side to the total of
// the old; Second and Record divide each side by what it lasted or by what it
// worked through.
const (
	None   Normalise = "none"
	Total  Normalise = "total"
	Second Normalise = "second"
	Record Normalise = "record"
)

// Side is one side of a comparison: profiles of one kind, added up.
type Side struct {
	Profile *profile.Profile
	Files   int
	Seconds float64 // that the captures lasted; 0: unknown
	Records int64   // that the job worked through meanwhile; 0: unknown
}

// NewSide adds profiles up. seconds and records are of all of them together;
// seconds 0 takes what the profiles say themselves. firstStages are the first
// stage of each profile's round, or -1: stages are named by their distance
// from it, so that rounds of different runs can be compared.
func NewSide(list []*profile.Profile, firstStages []int, seconds float64, records int64) (Side, error) {
	for i, p := range list {
		first := -1
		if i < len(firstStages) {
			first = firstStages[i]
		}
		if low, ok := FirstStage(p); ok && first < 0 {
			first = low
		}
		relativeStages(p, first)
	}
	p, err := Merge(list)
	if err != nil {
		return Side{}, err
	}
	if seconds == 0 {
		seconds = time.Duration(p.DurationNanos).Seconds()
	}
	return Side{p, len(list), seconds, records}, nil
}

// stageInRound is the label that relativeStages sets.
const stageInRound = "stage in its round"

// relativeStages gives the samples of numbered stages one label more.
func relativeStages(p *profile.Profile, first int) {
	for _, s := range p.Sample {
		label, ok := labelOf(s, string(Stage))
		if !ok {
			continue
		}
		if n, numbered := stageNumber(label); numbered && n >= first {
			label = "first + " + strconv.Itoa(n-first)
		}
		if s.Label == nil {
			s.Label = map[string][]string{}
		}
		s.Label[stageInRound] = []string{label}
	}
}

// DiffOptions choose what is compared.
type DiffOptions struct {
	Options
	Normalise Normalise // empty: None
}

// Change is how a row differs.
type Change string

// The changes. Of rows that are on both sides, those whose difference is
// within the noise are Noise; those beyond it, taken alone, but not when one
// minds how many rows were looked at, are Unsure.
const (
	More     Change = "more"
	Less     Change = "less"
	Same     Change = "same" // to the unit
	Noise    Change = "noise"
	Unsure   Change = "unsure"
	New      Change = "new"      // not there in the old profile
	Vanished Change = "vanished" // not there in the new one
)

// Pair is a value on both sides, normalised, with how sure its difference is.
type Pair struct {
	Old   float64 `json:"old"`
	New   float64 `json:"new"`
	Delta float64 `json:"delta"`
	// Z is Delta over its standard deviation, were events independent: each
	// side's variance is the sum, over its samples, of value² ÷ events.
	Z float64 `json:"z"`
}

// Relative returns Delta over Old; false when there was none.
func (p Pair) Relative() (float64, bool) {
	if p.Old == 0 {
		return 0, false
	}
	return p.Delta / math.Abs(p.Old), true
}

// DiffRow is one row of a Diff.
type DiffRow struct {
	Name string `json:"name"`
	Flat Pair   `json:"flat"`
	Cum  Pair   `json:"cum"`
	// Change and Beyond are of the column by which the rows are sorted:
	// Beyond is whether the difference stands out of the noise, among all the
	// rows compared.
	Change Change `json:"change"`
	Beyond bool   `json:"beyond_noise"`
}

// Mark is the row's change in words: of what is new or vanished it says too
// whether that may be chance.
func (r *DiffRow) Mark() string {
	if (r.Change == New || r.Change == Vanished) && !r.Beyond {
		return string(r.Change) + ", " + string(Noise)
	}
	return string(r.Change)
}

// Diff is a comparison of two sides, the largest difference first.
type Diff struct {
	Sample    string    `json:"sample_type"`
	Unit      string    `json:"unit"`
	By        By        `json:"by"`
	Normalise Normalise `json:"normalise"`
	// OldDivisor and NewDivisor are what the sides' values were divided by.
	OldDivisor float64 `json:"old_divisor"`
	NewDivisor float64 `json:"new_divisor"`
	// RawOld and RawNew are the totals as profiled, in Unit.
	RawOld    int64   `json:"raw_old"`
	RawNew    int64   `json:"raw_new"`
	OldEvents float64 `json:"old_events"`
	NewEvents float64 `json:"new_events"`
	Total     Pair    `json:"total"`
	// Floor is the |Z| from which a row is beyond the noise: 5 % over all
	// rows together (Bonferroni). Single is that of one row looked at alone.
	Floor  float64   `json:"noise_floor_z"`
	Single float64   `json:"single_row_z"`
	Rows   []DiffRow `json:"rows"`
}

// singleZ is the two-sided 5 % point of the normal distribution.
const singleZ = 1.959963984540054

// NewDiff compares two sides. With None its differences are those of "go tool
// pprof -diff_base".
func NewDiff(old, new Side, o DiffOptions) (*Diff, error) {
	o.By, o.Normalise = cmp.Or(o.By, Function), cmp.Or(o.Normalise, None)
	by := o.By
	if by == Stage {
		by = stageInRound
	}
	a, err := count(old.Profile, o.Sample, by, o.Where)
	if err != nil {
		return nil, fmt.Errorf("old: %w", err)
	}
	b, err := count(new.Profile, o.Sample, by, o.Where)
	if err != nil {
		return nil, fmt.Errorf("new: %w", err)
	}
	if a.typ.Type != b.typ.Type || a.typ.Unit != b.typ.Unit {
		return nil, fmt.Errorf("cannot compare %s in %s with %s in %s: name a sample type that both have", a.typ.Type, a.typ.Unit, b.typ.Type, b.typ.Unit)
	}
	if by.Label() && !a.labelled && !b.labelled && (a.total.Cum != 0 || b.total.Cum != 0) {
		return nil, noLabels(o.By)
	}
	d := &Diff{Sample: a.typ.Type, Unit: a.typ.Unit, By: o.By, Normalise: o.Normalise,
		RawOld: a.total.Cum, RawNew: b.total.Cum, OldEvents: a.total.Events, NewEvents: b.total.Events, Single: singleZ}
	if d.OldDivisor, d.NewDivisor, err = divisors(old, new, a, b, o.Normalise); err != nil {
		return nil, err
	}
	d.Total = d.pair(a.total.Cum, b.total.Cum, a.total.cumVar, b.total.cumVar)
	d.compare(a, b, o.ByCum)
	return d, nil
}

// divisors are what the values of each side are divided by.
func divisors(old, new Side, a, b *counts, n Normalise) (x, y float64, err error) {
	switch n {
	case None:
		return 1, 1, nil
	case Total:
		if a.total.Cum == 0 || b.total.Cum == 0 {
			return 0, 0, errors.New("cannot scale to equal totals: one of them is 0")
		}
		return 1, float64(b.total.Cum) / float64(a.total.Cum), nil
	case Second:
		if old.Seconds <= 0 || new.Seconds <= 0 {
			return 0, 0, errors.New("cannot compare by the second: a profile does not say how long it took")
		}
		return old.Seconds, new.Seconds, nil
	case Record:
		if old.Records <= 0 || new.Records <= 0 {
			return 0, 0, errors.New("cannot compare by the record: only run folders say how many there were")
		}
		return float64(old.Records), float64(new.Records), nil
	}
	return 0, 0, fmt.Errorf("cannot normalise by %q: there are none, total, second and record", n)
}

// pair normalises a value of both sides.
func (d *Diff) pair(old, new int64, oldVar, newVar float64) Pair {
	p := Pair{Old: float64(old) / d.OldDivisor, New: float64(new) / d.NewDivisor}
	p.Delta = p.New - p.Old
	v := oldVar/(d.OldDivisor*d.OldDivisor) + newVar/(d.NewDivisor*d.NewDivisor)
	if v > 0 {
		p.Z = p.Delta / math.Sqrt(v)
	}
	return p
}

// compare makes the rows.
func (d *Diff) compare(a, b *counts, byCum bool) {
	names := make([]string, 0, len(a.rows)+len(b.rows))
	for name := range a.rows {
		names = append(names, name)
	}
	for name := range b.rows {
		if a.rows[name] == nil {
			names = append(names, name)
		}
	}
	d.Floor = floor(len(names))
	d.Rows = make([]DiffRow, 0, len(names))
	key := func(r *DiffRow) *Pair {
		if byCum {
			return &r.Cum
		}
		return &r.Flat
	}
	for _, name := range names {
		x, y := a.rows[name], b.rows[name]
		inOld, inNew := x != nil, y != nil
		if !inOld {
			x = &Amount{}
		}
		if !inNew {
			y = &Amount{}
		}
		r := DiffRow{Name: name, Flat: d.pair(x.Flat, y.Flat, x.flatVar, y.flatVar), Cum: d.pair(x.Cum, y.Cum, x.cumVar, y.cumVar)}
		p := key(&r)
		r.Beyond = math.Abs(p.Z) >= d.Floor
		r.Change = d.change(p, inOld, inNew)
		d.Rows = append(d.Rows, r)
	}
	slices.SortFunc(d.Rows, func(x, y DiffRow) int {
		return cmp.Or(cmp.Compare(math.Abs(key(&y).Delta), math.Abs(key(&x).Delta)),
			cmp.Compare(math.Abs(y.Cum.Delta), math.Abs(x.Cum.Delta)),
			cmp.Compare(y.Cum.Old, x.Cum.Old), cmp.Compare(x.Name, y.Name))
	})
}

func (d *Diff) change(p *Pair, inOld, inNew bool) Change {
	switch {
	case !inOld:
		return New
	case !inNew:
		return Vanished
	case p.Delta == 0:
		return Same
	case math.Abs(p.Z) < d.Single:
		return Noise
	case math.Abs(p.Z) < d.Floor:
		return Unsure
	case p.Delta > 0:
		return More
	}
	return Less
}

// floor is the |Z| that n rows of pure noise exceed, any of them, with a
// probability of at most 5 %.
func floor(n int) float64 {
	if n <= 1 {
		return singleZ
	}
	return math.Sqrt2 * math.Erfinv(1-0.05/float64(n))
}

// Growth returns the largest growth beyond the noise of any row, or of the
// total, over the total of the old side, and the name of the row; 0 when
// nothing grew.
func (d *Diff) Growth() (share float64, name string) {
	if d.Total.Old <= 0 {
		return 0, ""
	}
	if d.Total.Delta > 0 && d.Total.Z >= d.Single {
		share, name = d.Total.Delta/d.Total.Old, "the total"
	}
	for i := range d.Rows {
		r := &d.Rows[i]
		for _, p := range []*Pair{&r.Flat, &r.Cum} {
			if s := p.Delta / d.Total.Old; s > share && p.Z >= d.Floor {
				share, name = s, r.Name
			}
		}
	}
	return share, name
}
