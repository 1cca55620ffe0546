package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A second way to the same p: every way to choose the ranks, one by one.
func bruteForceP(old, new []float64) float64 {
	pool := append(slices.Clone(old), new...)
	u := func(chosen func(int) bool) (s float64) {
		for i, a := range pool {
			for j, b := range pool {
				if chosen(i) && !chosen(j) {
					if a > b {
						s++
					} else if a == b {
						s += 0.5
					}
				}
			}
		}
		return s
	}
	expected := float64(len(old)*len(new)) / 2
	seen := math.Abs(u(func(i int) bool { return i >= len(old) }) - expected)
	all, far := 0.0, 0.0
	for set := range 1 << len(pool) {
		n := 0
		for i := range pool {
			n += set >> i & 1
		}
		if n != len(new) {
			continue
		}
		all++
		if math.Abs(u(func(i int) bool { return set>>i&1 == 1 })-expected) >= seen-1e-9 {
			far++
		}
	}
	return far / all
}

func TestMannWhitneyCountsEveryWay(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		old, new := make([]float64, 1+r.IntN(5)), make([]float64, 1+r.IntN(5))
		for i := range old {
			old[i] = float64(r.IntN(8)) // many ties
		}
		for i := range new {
			new[i] = float64(r.IntN(8) + r.IntN(3))
		}
		p, _ := mannWhitney(old, new)
		if want := bruteForceP(old, new); math.Abs(p-want) > 1e-12 {
			t.Fatalf("p of %v and %v is %v, want %v", old, new, p, want)
		}
	}
}

func TestMannWhitneyKnownValues(t *testing.T) {
	f := func(old, new []float64, want float64, wantSide int) {
		t.Helper()
		if p, side := mannWhitney(old, new); math.Abs(p-want) > 1e-9 || side != wantSide {
			t.Errorf("p of %v and %v is %v (side %d), want %v (side %d)", old, new, p, side, want, wantSide)
		}
	}
	f([]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8}, 2.0/70, 1) // the two extremes of C(8, 4)
	f([]float64{5, 6, 7, 8}, []float64{1, 2, 3, 4}, 2.0/70, -1)
	f([]float64{1, 2}, []float64{1, 2}, 1, 0)
	f([]float64{3, 3, 3}, []float64{3, 3, 3}, 1, 0)
	f(nil, []float64{1}, 1, 0)
}

// Where both are to be had, the approximation is close to the exact value.
func TestNormalApproximationIsClose(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		old, new := make([]float64, 25), make([]float64, 25)
		for i := range old {
			old[i], new[i] = math.Round(r.NormFloat64()*10), math.Round(r.NormFloat64()*10+4)
		}
		exact, _ := mannWhitney(old, new)
		ranks, isNew, ties := rank(old, new)
		off := -25 * 51.0 / 2
		for i, k := range ranks {
			if isNew[i] {
				off += float64(k) / 2
			}
		}
		if approximate := normalP(25, 25, off, ties); math.Abs(exact-approximate) > 0.01 {
			t.Errorf("exact %v, normal %v", exact, approximate)
		}
	}
	if p, side := mannWhitney(ramp(40, 0), ramp(40, 100)); p > 1e-10 || side != 1 {
		t.Errorf("many values far apart: p %v, side %d", p, side)
	}
	if p, _ := mannWhitney(make([]float64, 40), make([]float64, 40)); p != 1 {
		t.Errorf("many equal values: p %v", p)
	}
}

func ramp(n int, from float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = from + float64(i)
	}
	return v
}

func TestHolm(t *testing.T) {
	got := holm([]float64{0.04, 0.01, 0.03, 0.5})
	want := []float64{0.09, 0.04, 0.09, 0.5}
	for i := range want {
		if math.Abs(got[i]-want[i]) > 1e-12 {
			t.Fatalf("adjusted %v, want %v", got, want)
		}
	}
	if got := holm([]float64{0.9, 0.8}); got[0] != 1 || got[1] != 1 {
		t.Errorf("adjusted %v, want no more than 1", got)
	}
}

// The sample sizes that are known for this test: 4 a side for one test at
// 5 %, 6 for 22 of them, 8 for 99.
func TestEnough(t *testing.T) {
	for tests, want := range map[int]int{1: 4, 22: 6, 99: 8} {
		if got := enough(tests, 0.05); got != want {
			t.Errorf("%d tests need %d samples a side, want %d", tests, got, want)
		}
	}
	if p := leastP(6, 6); math.Abs(p-2.0/924) > 1e-15 {
		t.Errorf("least p of 6 and 6 is %v", p)
	}
	if p := leastP(1, 0); p != 1 {
		t.Errorf("least p of 1 and 0 is %v", p)
	}
}

// 1.25 times the coefficient of variation at 10 values a side, before the
// test's efficiency.
func TestDetectable(t *testing.T) {
	v := []float64{9, 11, 9, 11, 9, 11, 9, 11, 9, 11}
	cv := variation(v)
	if got, want := detectable(v, v, 0.05, 0.8)*math.Sqrt(efficiency)/cv, 1.253; math.Abs(got-want) > 0.001 {
		t.Errorf("detectable is %v of the variation, want %v", got, want)
	}
	if n := needed(v, v, detectable(v, v, 0.05, 0.8), 0.05, 0.8); n != 10 && n != 11 {
		t.Errorf("%d values show what 10 show", n)
	}
}

func TestBootstrapHoldsTheRatio(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	held := 0
	for range 200 {
		old, new := suiteSide(random, 20, 1, 0.05), suiteSide(random, 20, 1.3, 0.05)
		i := bootstrap(old, new, 0.95, 500, random)
		if i.Low > i.High {
			t.Fatalf("interval %v", i)
		}
		if i.Low <= 0.3 && 0.3 <= i.High {
			held++
		}
	}
	if held < 180 {
		t.Errorf("the interval held the true change in %d of 200 cases", held)
	}
	if i := bootstrap([]float64{2, 2}, []float64{2, 2}, 0.95, 100, random); i != (Interval{}) {
		t.Errorf("interval of constants %v", i)
	}
}

// suiteSide draws times of one figure: positive, skewed to the right, as
// times are.
func suiteSide(r *rand.Rand, n int, center, spread float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = center * math.Exp(spread*r.NormFloat64())
	}
	return v
}
