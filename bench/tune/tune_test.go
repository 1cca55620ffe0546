package tune

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/engine/units"
)

// fake runs settings on a clock of its own: times are invented.
type fake struct {
	now  time.Time
	ran  []string
	what func(s Setting, round int) child.Outcome
}

func (f *fake) run(_ context.Context, s Setting, round int) child.Outcome {
	f.ran = append(f.ran, fmt.Sprintf("%d/%s", round, s))
	o := f.what(s, round)
	f.now = f.now.Add(time.Duration(o.Wall * float64(time.Second)))
	return o
}

func (f *fake) plan(p Plan) Plan {
	p.Now = func() time.Time { return f.now }
	return p
}

// faster with cores; below 256 MiB it spills, below 128 MiB it cannot run.
func machineLike(s Setting, round int) child.Outcome {
	seconds := 10/float64(s.Cores) + 0.01*float64(round)
	o := child.Outcome{Kind: child.Done, PeakRSS: s.Memory, Wall: 10}
	switch {
	case s.Memory < 128*units.MiB:
		return child.Outcome{Kind: child.OutOfMemory, Why: "no memory", Wall: 1}
	case s.Memory < 256*units.MiB:
		seconds, o.Spilled = seconds*1.5, units.GiB
	case s.Memory > 512*units.MiB:
		seconds *= 0.99 // within the noise
	}
	o.Seconds = []float64{seconds}
	return o
}

func sizes(mib ...int) (out []units.Bytes) {
	for _, m := range mib {
		out = append(out, units.Bytes(m)*units.MiB)
	}
	return out
}

func TestTheSmallestOfTheFastestIsRecommended(t *testing.T) {
	f := &fake{what: machineLike}
	kept := 0
	p := f.plan(Plan{Settings: Grid([]int{1, 2}, sizes(64, 128, 256, 512, 1024), nil), Rounds: 3, After: func(*Result) error { kept++; return nil }})
	r, err := Run(context.Background(), p, f.run)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Recommended(); got == nil || got.String() != "2 cores, 256 MiB" {
		t.Errorf("recommended %v", got)
	}
	var front []string
	for _, row := range r.Rows {
		if row.Front {
			front = append(front, row.String())
		}
	}
	if want := []string{"2 cores, 128 MiB", "2 cores, 256 MiB", "2 cores, 1.00 GiB"}; !slices.Equal(front, want) {
		t.Errorf("front %q, want %q", front, want)
	}
	// Out of memory is an outcome, told once, never a number.
	for _, row := range r.Rows {
		if row.Memory == 64*units.MiB && (row.Outcome != child.OutOfMemory || len(row.Runs) != 1 || row.Median != 0) {
			t.Errorf("%+v", *row)
		}
		if row.Memory == 128*units.MiB && (row.Spilled != units.GiB || len(row.Runs) != 3) {
			t.Errorf("%+v", *row)
		}
	}
	if len(f.ran) != 2+8*3 || kept != len(f.ran) || r.Rounds != 3 {
		t.Errorf("%d runs, %d times kept, %d rounds", len(f.ran), kept, r.Rounds)
	}
	if row := r.Recommended(); row.Min != 5 || row.Max != 5.02 || row.Median != 5.01 {
		t.Errorf("%+v", *row)
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 core, 64.0 MiB: out of memory: no memory.", "The fastest is 2 cores, 1.00 GiB with 4.96 s; 2 cores, 256 MiB takes 5.01 s, within the noise of 5.0 %.",
		"Recommended: 2 cores, 256 MiB.", "front, recommended", "5.00 s … 5.02 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	if text, err := json.Marshal(r); err != nil || !bytes.Contains(text, []byte(`"cores":2,"memory_bytes":268435456,`)) {
		t.Errorf("%s, %v", text, err)
	}
}

// Rounds are whole and their order is drawn anew: no setting is always first.
func TestRoundsAreInterleaved(t *testing.T) {
	f := &fake{what: machineLike}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{1, 2, 4, 8}, sizes(256, 512), nil), Rounds: 6, Seed: 1}), f.run)
	if err != nil || r.Rounds != 6 {
		t.Fatal(r, err)
	}
	firsts := map[string]bool{}
	for round := range 6 {
		seen := map[string]bool{}
		for _, s := range f.ran[round*8 : round*8+8] {
			number, setting, _ := strings.Cut(s, "/")
			seen[setting] = true
			if number != fmt.Sprint(round) {
				t.Fatalf("run %s in round %d", s, round)
			}
		}
		if len(seen) != 8 {
			t.Fatalf("round %d ran %d settings", round, len(seen))
		}
		_, first, _ := strings.Cut(f.ran[round*8], "/")
		firsts[first] = true
	}
	if len(firsts) < 3 {
		t.Errorf("the rounds begin with %v", firsts)
	}
}

// Each run takes 10 s: of 65 s, six runs are begun; what they gave counts.
func TestTheBudgetEndsTheRounds(t *testing.T) {
	f := &fake{what: machineLike}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{1, 2}, sizes(256, 512), nil), Rounds: 9, Budget: 65 * time.Second}), f.run)
	if err != nil || len(f.ran) != 6 || r.Rounds != 1 || r.Recommended() == nil || !strings.Contains(r.Ended, "budget") {
		t.Errorf("%d runs, %+v, %v", len(f.ran), r, err)
	}
}

func TestAWrongAnswerEndsEverything(t *testing.T) {
	f := &fake{what: func(s Setting, round int) child.Outcome {
		return child.Outcome{Kind: child.Wrong, Why: "lines are missing"}
	}}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{1, 2}, sizes(256), nil), Rounds: 2}), f.run)
	if !errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), "lines are missing") || len(f.ran) != 1 || r.Recommended() != nil {
		t.Errorf("%v after %d runs", err, len(f.ran))
	}
}

// Whatever ends it, what was measured is there.
func TestInterruptsKeepWhatWasMeasured(t *testing.T) {
	for _, last := range []int{3, 4, 8} { // within a round, at its end, at the very end
		interruptAfter(t, last)
	}
}

func interruptAfter(t *testing.T, last int) {
	stop := errors.New("stopped by a test")
	ctx, cancel := context.WithCancelCause(context.Background())
	f := &fake{}
	f.what = func(s Setting, round int) child.Outcome {
		if len(f.ran) == last {
			cancel(stop)
			return child.Outcome{Kind: child.Stopped, Why: stop.Error()}
		}
		return machineLike(s, round)
	}
	r, err := Run(ctx, f.plan(Plan{Settings: Grid([]int{1, 2}, sizes(256, 512), nil), Rounds: 2}), f.run)
	if !errors.Is(err, stop) || len(f.ran) != last || r.Recommended() == nil || r.Ended != stop.Error() {
		t.Errorf("%v after %d runs, %+v", err, len(f.ran), r)
	}
	var out bytes.Buffer
	if err := r.Write(&out); err != nil || last == 3 && !strings.Contains(out.String(), "not run") || !strings.Contains(out.String(), "Ended early: stopped by a test") {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestNothingToRecommend(t *testing.T) {
	f := &fake{what: func(Setting, int) child.Outcome { return child.Outcome{Kind: child.Refused, Why: "too small"} }}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{1}, sizes(1), nil), Rounds: 2}), f.run)
	if err != nil || r.Recommended() != nil || r.Properties(nil) != nil || len(f.ran) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestPropertiesHoldTheSettingAndWhatIsFixed(t *testing.T) {
	f := &fake{what: machineLike}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{2}, []units.Bytes{300*units.MiB + 1}, []Axis{{"shuffle.compress", []string{"false"}}}), Rounds: 1}), f.run)
	if err != nil {
		t.Fatal(err)
	}
	got := r.Properties(map[string]string{"task.cpus": "1", "spark.driver.memory": "9g", "master": "local[7]"})
	want := map[string]string{"spark.master": "local[2]", "spark.driver.memory": "314572801b", "spark.shuffle.compress": "false", "spark.task.cpus": "1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	for b, want := range map[units.Bytes]string{units.GiB: "1g", 1536 * units.MiB: "1536m", units.KiB: "1k"} {
		if got := sparkSize(b); got != want {
			t.Errorf("%d is %s, want %s", b, got, want)
		}
	}
}

// A slow spread widens the noise, and with it the choice.
func TestNoiseIsThatOfTheRuns(t *testing.T) {
	f := &fake{what: func(s Setting, round int) child.Outcome {
		seconds := []float64{8, 10, 12}[round]
		if s.Memory > 256*units.MiB {
			seconds--
		}
		return child.Outcome{Kind: child.Done, Seconds: []float64{seconds}}
	}}
	r, err := Run(context.Background(), f.plan(Plan{Settings: Grid([]int{1}, sizes(256, 512), nil), Rounds: 3}), f.run)
	if err != nil || r.Noise < 0.2 || r.Recommended().Memory != 256*units.MiB {
		t.Errorf("noise %v, recommended %v, %v", r.Noise, r.Recommended(), err)
	}
}
