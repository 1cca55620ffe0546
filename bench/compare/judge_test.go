package compare

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// quick keeps a thousand suites quick; the bootstrap decides on no change
// that is reported.
var quick = Options{Resamples: 200}.withDefaults()

// table makes rows of which those in slower are slower by effect.
func rowsOf(r *rand.Rand, rows, n int, spread float64, slower map[int]float64) []*Row {
	var out []*Row
	for i := range rows {
		center := math.Exp(3 * r.NormFloat64())
		out = append(out, &Row{Old: suiteSide(r, n, center, spread), New: suiteSide(r, n, center*(1+slower[i]), spread)})
	}
	return out
}

// Nothing changed: at most one suite in twenty may say that something did,
// however many comparisons it makes. With a tiny minimum effect nothing but
// the test and its correction stands in the way.
func TestEqualSuitesRaiseFewAlarms(t *testing.T) {
	for _, c := range []struct {
		rows, n int
		effect  float64
	}{{10, 10, 1e-9}, {22, 8, 0.05}, {1, 5, 1e-9}} {
		random := rand.New(rand.NewPCG(7, uint64(c.rows*c.n)))
		o := quick
		o.MinEffect = c.effect
		alarms := 0
		for range 1000 {
			rows := rowsOf(random, c.rows, c.n, 0.08, nil)
			judge(rows, o)
			for _, r := range rows {
				if r.Verdict == Better || r.Verdict == Worse {
					alarms++
					break
				}
			}
		}
		if alarms > 50 {
			t.Errorf("%d rows of %d samples, minimum effect %v: %d of 1000 equal suites report a change", c.rows, c.n, c.effect, alarms)
		}
	}
}

// A fifth slower is found, in a table of ten, and found to be slower; and a
// fifth faster.
func TestPlantedChangesAreFound(t *testing.T) {
	for effect, want := range map[float64]Verdict{0.2: Worse, -0.2: Better} {
		random := rand.New(rand.NewPCG(9, 10))
		found := 0
		for range 500 {
			rows := rowsOf(random, 10, 10, 0.05, map[int]float64{3: effect})
			judge(rows, quick)
			if rows[3].Verdict == want {
				found++
			}
		}
		if found < 475 {
			t.Errorf("%v is %s in %d of 500 suites", effect, want, found)
		}
	}
}

// "same" is a statement, not the absence of one: a change of twice the
// minimum effect hardly ever gets it, nothing often does, and a small change
// of a quiet figure is significant and still the same.
func TestSameMeansSame(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	wrong, right, small := 0, 0, 0
	for range 300 {
		rows := rowsOf(random, 3, 15, 0.03, map[int]float64{0: 0.1})
		rows[2] = &Row{Old: suiteSide(random, 15, 1, 0.003), New: suiteSide(random, 15, 1.02, 0.003)}
		judge(rows, quick)
		if rows[0].Verdict == Same {
			wrong++
		}
		if rows[1].Verdict == Same {
			right++
		}
		if rows[2].Verdict == Same && rows[2].Adjusted < 0.05 {
			small++
		}
	}
	if wrong > 3 || right < 200 || small < 290 {
		t.Errorf("of 300: %d changes of 10 %% are the same, %d of nothing are, %d of 2 %% are", wrong, right, small)
	}
}

func TestTooFewSamplesSayHowManyAreNeeded(t *testing.T) {
	rows := []*Row{{Old: []float64{1, 1.1, 1.2}, New: []float64{2, 2.1, 2.2}}, {Old: []float64{3, 3.1, 3.2}, New: []float64{9, 9.1, 9.2}}}
	judge(rows, quick)
	for _, r := range rows {
		if r.Verdict != Unsure || r.Needed != 5 || !strings.Contains(r.Why, "at least 5 a side") || r.Detectable != nil {
			t.Errorf("%+v", *r)
		}
	}
	if v := overall(rows); v != Unsure {
		t.Errorf("overall %s", v)
	}
	// As many as it says are enough.
	rows = []*Row{{Old: ramp(5, 100), New: ramp(5, 200)}, {Old: ramp(5, 100), New: ramp(5, 300)}}
	judge(rows, quick)
	if rows[0].Verdict != Worse || rows[1].Verdict != Worse {
		t.Errorf("%+v, %+v", *rows[0], *rows[1])
	}
}

func TestSpreadTooWideIsUnsure(t *testing.T) {
	rows := []*Row{{Old: []float64{1, 2, 3, 4, 5, 6, 7, 8}, New: []float64{1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5}}}
	judge(rows, quick)
	r := rows[0]
	if r.Verdict != Unsure || r.Needed <= 8 || float64(*r.Detectable) < 0.5 || !strings.Contains(r.Why, "spread") {
		t.Errorf("%+v", *r)
	}
}

func TestRowsWithoutValuesAndConstants(t *testing.T) {
	rows := []*Row{{Old: []float64{1}}, {Old: []float64{0, 0}, New: []float64{0, 0}}, {Old: make([]float64, 8), New: ramp(8, 1)}}
	judge(rows, quick)
	if rows[0].Verdict != Unsure || rows[1].Verdict != Same || rows[2].Verdict != Worse {
		t.Errorf("%s %s %s", rows[0].Verdict, rows[1].Verdict, rows[2].Verdict)
	}
	text, err := json.Marshal(rows[2])
	if err != nil || !strings.Contains(string(text), `"change":null`) {
		t.Errorf("%s, %v", text, err)
	}
	if c := change(rows[2].Change); c != "from 0" {
		t.Errorf("change %q", c)
	}
}

func TestOverall(t *testing.T) {
	f := func(want Verdict, of ...Verdict) {
		t.Helper()
		var rows []*Row
		for _, v := range of {
			rows = append(rows, &Row{Verdict: v})
		}
		if got := overall(rows); got != want {
			t.Errorf("%v together are %s, want %s", of, got, want)
		}
	}
	f(Worse, Better, Worse, Unsure)
	f(Unsure, Better, Unsure, Same)
	f(Better, Same, Better)
	f(Same, Same)
	f(Unsure)
}
