package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// prepare makes a row's inputs.
func (l *lab) prepare(ctx context.Context, row *Row) error {
	for _, in := range row.Inputs {
		if err := l.need(ctx, in); err != nil {
			return fmt.Errorf("cannot make the input of %s: %w", row.Name, err)
		}
	}
	return nil
}

// measure runs a row's sides in turn, one round that is not counted and then
// as many as asked for, verifies what they wrote, and judges. A side that
// fails once or is wrong is told and has no figures.
func (l *lab) measure(ctx context.Context, row *Row, rounds int) (*Result, error) {
	if row.Part > 0 {
		if err := l.ration(ctx, row); err != nil {
			return nil, err
		}
	}
	result := &Result{Row: row.Name, Title: row.Title, Date: time.Now().UTC().Truncate(time.Second), Rounds: rounds, Scale: l.scale, Budget: row.Budget}
	var present []*Side
	for _, s := range row.Sides {
		if why := l.missing(s.Peer); why != "" {
			result.Missing = append(result.Missing, s.Name+": "+why)
			continue
		}
		present = append(present, s)
	}
	runs := map[string][]Run{}
	failed := map[string]bool{}
	for round := range rounds + 1 {
		for _, i := range turn(round, len(present)) {
			s := present[i]
			if failed[s.Name] {
				continue
			}
			r, err := l.once(ctx, s, round > 0)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				result.Failures = append(result.Failures, err.Error())
				failed[s.Name] = true
				delete(runs, s.Name)
				l.say("%s · %v", row.Name, err)
				continue
			}
			l.say("%s · round %d of %d · %s %s", row.Name, round, rounds, s.Name, seconds(r.Seconds))
			if round > 0 {
				runs[s.Name] = append(runs[s.Name], *r)
			}
		}
	}
	result.Verified = "by ours itself, in the round that is not counted"
	if row.Verify != "" {
		result.Verified = "by execbench verify, after the last round"
		for _, s := range present {
			if s.Answer == "" || failed[s.Name] {
				continue
			}
			if err := l.verify(ctx, row, s); err != nil {
				result.Failures = append(result.Failures, err.Error())
				delete(runs, s.Name)
			}
		}
	}
	return result, judge(row, runs, result)
}

// verify has what a side wrote verified against the input of ours.
func (l *lab) verify(ctx context.Context, row *Row, s *Side) error {
	in := row.Sides[0]
	if s.Run != "" {
		in = s
	}
	check := &Side{Name: "verify", Program: l.execbench, Args: append([]string{"verify", row.Verify, s.Answer, "--input", in.argument("--input")}, in.Shape...)}
	if _, err := l.once(ctx, check, false); err != nil {
		return fmt.Errorf("the output of %s is wrong: %w", s.Name, err)
	}
	return nil
}

// argument is the value of a flag.
func (s *Side) argument(flag string) string {
	if i := slices.Index(s.Args, flag); i >= 0 && i+1 < len(s.Args) {
		return s.Args[i+1]
	}
	return ""
}

// seconds writes a time with its unit.
func seconds(s float64) string { return units.Duration(time.Duration(s * float64(time.Second))) }
