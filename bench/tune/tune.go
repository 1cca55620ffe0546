package tune

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/execbench/execbench/bench/child"
)

// SchemaVersion is that of the JSON form. Fields are only added within it.
const SchemaVersion = 1

// Outcome is one run of one setting.
type Outcome struct {
	Round int `json:"round"`
	child.Outcome
}

// Runner runs a setting once. It returns when the run is over; when ctx ends
// it ends the run, with the outcome child.Stopped.
type Runner func(ctx context.Context, s Setting, round int) child.Outcome

// Plan says what to measure.
type Plan struct {
	Settings []Setting
	Rounds   int
	Seed     uint64        // of the order
	Budget   time.Duration // 0: none
	Now      func() time.Time
	// Begin is told what runs next; nil: nobody.
	Begin func(s Setting, round, index, of int)
	// After is told the state after every run, to keep it; nil: nobody.
	After func(*Result) error
}

// ErrWrong is what an error about a wrong answer wraps.
var ErrWrong = errors.New("an answer was wrong")

// Run measures. What has been measured is in the result whatever the error,
// which wraps ErrWrong, or the cause of ctx.
func Run(ctx context.Context, p Plan, run Runner) (*Result, error) {
	r := newResult(p)
	began := p.Now()
	if p.Budget > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.Budget, errBudget)
		defer cancel()
	}
	random := rand.New(rand.NewPCG(p.Seed, 0))
	ran := 0
	for round := range p.Rounds {
		for _, i := range random.Perm(len(p.Settings)) {
			row := r.Rows[i]
			if ctx.Err() != nil {
				return r.end(context.Cause(ctx))
			}
			if row.Outcome != child.Done && len(row.Runs) > 0 {
				continue
			}
			if p.Budget > 0 && p.Now().Sub(began)+row.expected() > p.Budget {
				return r.end(errBudget)
			}
			if p.Begin != nil {
				p.Begin(row.Setting, round, ran, len(p.Settings)*p.Rounds)
			}
			o := Outcome{round, run(ctx, row.Setting, round)}
			ran++
			row.add(o)
			r.choose()
			if p.After != nil {
				if err := p.After(r); err != nil {
					return r, err
				}
			}
			if o.Kind == child.Wrong {
				return r, fmt.Errorf("cannot tune with %s: %w: %s", row.Setting, ErrWrong, o.Why)
			}
		}
		if ctx.Err() != nil {
			return r.end(context.Cause(ctx))
		}
		r.Rounds = round + 1
	}
	return r, nil
}

// errBudget is the cause of the end of the budget.
var errBudget = errors.New("the budget is over")

// end says what ended the measuring early. The budget is no error: what it
// left is the answer.
func (r *Result) end(cause error) (*Result, error) {
	r.choose()
	r.Ended = cause.Error()
	if errors.Is(cause, errBudget) {
		return r, nil
	}
	return r, cause
}

// expected is how long the next run of a setting should take: as long as the
// longest so far; nothing is known of the first.
func (row *Row) expected() (d time.Duration) {
	for _, o := range row.Runs {
		d = max(d, time.Duration(o.Wall*float64(time.Second)))
	}
	return d
}
