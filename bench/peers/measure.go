package main

import (
	"cmp"
	"context"
	"errors"
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

// measurement is a row that is being measured.
type measurement struct {
	*lab
	row      *Row
	present  []*Side
	missing  []string
	runs     map[string][]Run // of the sides that have not failed
	failures []string
	failed   map[string]bool // by the sides' names
	counted  int             // rounds
	of       int
	took     time.Duration
}

// begin sees which sides of a row there are, and goes on from what it had,
// which is nil for a new row.
func (l *lab) begin(row *Row, rounds int, had *Result) *measurement {
	m := &measurement{lab: l, row: row, runs: map[string][]Run{}, failed: map[string]bool{}, of: rounds * max(row.Times, 1)}
	for _, s := range row.Sides {
		if why := l.missing(s.Peer); why != "" {
			m.missing = append(m.missing, s.Name+": "+why)
			continue
		}
		m.present = append(m.present, s)
	}
	m.goOnFrom(had)
	return m
}

// measure makes a row's inputs and runs its sides in turn, one round that is
// not counted and then as many as asked for. After each of these it judges and
// has the result kept, so that it can be stopped. A side that fails once or is
// wrong is told and has no figures. Its error is that of keep, or why it was
// stopped.
func (m *measurement) measure(ctx context.Context, keep func(*Result) error) error {
	if m.counted >= m.of {
		m.say("%s · measured already", m.row.Name)
		return nil
	}
	err := m.prepare(ctx, m.row)
	began := time.Now()
	if err == nil && m.row.Part > 0 {
		err = m.ration(ctx, m.row)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		m.failures = append(m.failures, err.Error())
		m.say("%s · %v", m.row.Name, err)
		x := m.result()
		x.NotBegun = true
		return keep(x)
	}
	if err := m.round(ctx, 0); err != nil {
		return err
	}
	for m.counted < m.of {
		if err := m.round(ctx, m.counted+1); err != nil {
			return err
		}
		m.counted++
		m.took += time.Since(began)
		began = time.Now()
		if err := keep(m.result()); err != nil {
			return err
		}
	}
	return nil
}

// goOnFrom takes what an interrupted run measured, if that was the same sides
// of the same programs, and none failed.
func (m *measurement) goOnFrom(had *Result) {
	if had == nil || had.Programs != m.programs || had.Scale != m.scale || len(had.Failures) > 0 || len(had.Sides) != len(m.present) {
		return
	}
	runs := map[string][]Run{}
	for i, s := range had.Sides {
		if s.Name != m.present[i].Name || len(s.Runs) != had.Rounds {
			return
		}
		runs[s.Name] = s.Runs
	}
	m.runs, m.counted, m.took = runs, had.Rounds, time.Duration(had.Took*float64(time.Second))
	if m.row.Part > 0 {
		m.row.Budget = had.Budget
	}
}

// round runs every side once; round 0 is not counted. What they write is
// verified in that and in the last, and removed: no side waits for the disk to
// take what another wrote, and one answer has room where all have not.
func (m *measurement) round(ctx context.Context, round int) error {
	for _, i := range turn(round, len(m.present)) {
		s := m.present[i]
		if m.failed[s.Name] {
			continue
		}
		r, err := m.once(ctx, s, round > 0)
		if err == nil && m.row.Verify != "" && s.Answer != "" && (round == 0 || round == m.of) {
			err = m.verify(ctx, m.row, s)
		}
		err = errors.Join(err, s.clear())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			m.failures = append(m.failures, err.Error())
			m.failed[s.Name] = true
			delete(m.runs, s.Name)
			m.say("%s · %v", m.row.Name, err)
			continue
		}
		m.say("%s · round %d of %d · %s %s", m.row.Name, round, m.of, s.Name, seconds(r.Seconds))
		if round > 0 {
			m.runs[s.Name] = append(m.runs[s.Name], *r)
		}
	}
	return nil
}

// result is what has been measured until now.
func (m *measurement) result() *Result {
	x := &Result{Row: m.row.Name, Title: m.row.Title, Date: time.Now().UTC().Truncate(time.Second), Commit: m.commit, Programs: m.programs,
		Rounds: m.counted, Of: m.of, Took: m.took.Seconds(), Scale: m.scale, Budget: m.row.Budget,
		Verified: "by ours itself, in the round that is not counted", Failures: m.failures, Missing: m.missing}
	if m.row.Verify != "" {
		x.Verified = "by execbench verify, in the round that is not counted and in the last"
	}
	judge(m.row, m.runs, x)
	return x
}

// verify has what a side wrote verified against the input of ours.
func (l *lab) verify(ctx context.Context, row *Row, s *Side) error {
	in := row.Sides[0]
	if s.Run != "" {
		in = s
	}
	check := &Side{Name: "verify", Program: l.execbench, Args: append([]string{"verify", row.Verify, s.Answer, "--input", cmp.Or(s.Input, in.argument("--input"))}, in.Shape...)}
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
