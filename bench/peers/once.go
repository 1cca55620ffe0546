package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
)

// Run is what one run of a side took.
type Run struct {
	Seconds float64     `json:"seconds"` // by the side's metric, per what it counts
	Wall    float64     `json:"wall_seconds"`
	CPU     float64     `json:"cpu_seconds"` // of the process and those it waited for
	PeakRSS units.Bytes `json:"peak_rss_bytes"`
	// Attempts are those of ours' last execution.
	Attempts int64 `json:"attempts,omitempty"`
}

// longest is how long one run may take.
const longest = 30 * time.Minute

// clear removes what a side wrote.
func (s *Side) clear() error {
	for _, out := range s.Outputs {
		if err := os.RemoveAll(out); err != nil {
			return fmt.Errorf("cannot remove what %s wrote: %w", s.Name, err)
		}
	}
	return nil
}

// once runs a side. Removing what it wrote the last time is not on the clock.
func (l *lab) once(ctx context.Context, s *Side, counted bool) (*Run, error) {
	if s.Recorded > 0 {
		return &Run{Seconds: s.Recorded, Wall: s.Recorded}, nil
	}
	if err := s.clear(); err != nil {
		return nil, err
	}
	if s.Folder != "" {
		if err := os.MkdirAll(s.Folder, 0o777); err != nil {
			return nil, fmt.Errorf("cannot make the folder that %s writes in: %w", s.Name, err)
		}
	}
	args := slices.Clone(s.Args)
	if counted {
		args = append(args, s.Counted...)
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	c := exec.CommandContext(ctx, s.Program, args...)
	// A program that is asked to end removes its files.
	c.Cancel, c.WaitDelay = func() error { return c.Process.Signal(os.Interrupt) }, 10*time.Second
	c.Env = l.environment()
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	began := time.Now()
	err := c.Run()
	wall := time.Since(began).Seconds()
	if err != nil {
		return nil, fmt.Errorf("%s failed: %w: %s", s.Name, err, ends(said.String()))
	}
	r := &Run{Wall: wall}
	if s.Peer != spark { // whose work is done by a process of its own
		r.CPU, r.PeakRSS = (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), peakRSS(c.ProcessState)
	}
	if r.Seconds, err = s.seconds(said.String(), wall); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", s.Name, err, ends(said.String()))
	}
	if s.Per > 0 {
		r.Seconds /= s.Per
	}
	if s.Run != "" {
		if f, err := folder.Open(s.Run); err == nil && len(f.Samples) > 0 {
			r.Attempts = f.Samples[len(f.Samples)-1].Totals.Tasks
		}
	}
	return r, nil
}

// environment is that of every side: scripts find their libraries, and
// texts are compared as bytes.
func (l *lab) environment() []string {
	return append(os.Environ(), "NODE_PATH="+l.cache+"/js/node_modules", "PEERS_TEMP="+l.temp, "LC_ALL=C")
}

// seconds finds the metric.
func (s *Side) seconds(said string, wall float64) (float64, error) {
	switch {
	case s.Metric.Timing != "":
		t := timings(said, s.Metric.Timing)
		if len(t) == 0 {
			return 0, errors.New("it printed no timing")
		}
		return spreadOf(t).Median, nil
	case s.Metric.Figure != "":
		r, err := folder.Open(s.Run)
		if err != nil {
			return 0, err
		}
		for _, sample := range slices.Backward(r.Samples) {
			for _, f := range sample.Figures {
				if f.Name == s.Metric.Figure {
					return f.Value, nil
				}
			}
		}
		return 0, fmt.Errorf("its run folder has no figure %s", s.Metric.Figure)
	}
	return wall, nil
}

// timings are the seconds of lines "@ NAME SECONDS".
func timings(said, name string) []float64 {
	var found []float64
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "@" || f[1] != name {
			continue
		}
		if v, err := strconv.ParseFloat(f[2], 64); err == nil && v > 0 {
			found = append(found, v)
		}
	}
	return found
}

// ends are the beginning and the end of what a program said, on one line: some
// say what failed first, and where last, and some the other way round.
func ends(said string) string {
	const most = 400
	var lines []string
	for line := range strings.Lines(said) {
		if words := strings.Fields(strings.Trim(line, "─\n")); len(words) > 0 {
			lines = append(lines, strings.Join(words, " "))
		}
	}
	said = strings.Join(lines, " | ")
	if len(said) > 2*most {
		said = strings.ToValidUTF8(said[:most], "") + " … " + strings.ToValidUTF8(said[len(said)-most:], "")
	}
	return said
}
