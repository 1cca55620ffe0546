package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Names of the files in a suite folder.
const (
	File      = "suite.json"
	TableFile = "suite.txt"
)

// SchemaVersion is that of suite.json. Fields are only added within it.
const SchemaVersion = 1

// Result is a suite, as far as it was run.
type Result struct {
	SchemaVersion int       `json:"schema_version"`
	Size          string    `json:"size"`
	Started       time.Time `json:"started"`
	Command       []string  `json:"command,omitempty"`
	Wall          float64   `json:"wall_seconds"`
	Ended         string    `json:"ended,omitempty"` // what ended it early
	Rows          []*Row    `json:"workloads"`
}

// Row is one workload.
type Row struct {
	Workload string     `json:"workload"`
	Params   []Param    `json:"params,omitempty"`  // that the size gave
	Folder   string     `json:"folder,omitempty"`  // in the suite folder; empty: nothing was begun
	Outcome  child.Kind `json:"outcome,omitempty"` // empty: not run
	Verified bool       `json:"verified"`
	Why      string     `json:"why,omitempty"`
	Code     int        `json:"exit_code"`
	Wall     float64    `json:"wall_seconds"` // of the whole process

	Figures
}

// Figures are what the run folder says. Of a run that did not come to a good
// end there are none.
type Figures struct {
	Iterations int              `json:"iterations"`
	Median     float64          `json:"median_seconds,omitempty"`
	Interval   *report.Interval `json:"interval,omitempty"`
	// Records and Bytes are what an iteration read, from files or what is
	// cached, or what it returned: where it read no bytes, or as for records
	// returned more. 0: neither.
	Records  float64     `json:"records_per_second,omitempty"`
	Bytes    float64     `json:"bytes_per_second,omitempty"`
	PeakRSS  units.Bytes `json:"peak_rss_bytes,omitempty"` // of the whole process
	Spilled  units.Bytes `json:"spilled_bytes"`            // to disk, in an iteration, at most
	Problems []string    `json:"problems,omitempty"`
}

// Runner runs one workload into the run folder dir and returns when that is
// over; when ctx ends it ends the run, with the outcome child.Stopped.
type Runner func(ctx context.Context, workload string, params []Param, dir string) child.Outcome

// Plan says what to run.
type Plan struct {
	Size      *Size
	Workloads []string // in this order
	Dir       string   // the suite folder, which is there
	Command   []string
	Now       func() time.Time
	// Begin is told what runs next; nil: nobody.
	Begin func(workload string, index, of int)
}

// Run runs the workloads one after the other, and keeps the suite folder up
// to date after each. Its error is the cause of ctx, or says that the folder
// cannot be written; how the workloads ended is in the result.
func Run(ctx context.Context, p Plan, run Runner) (*Result, error) {
	began := p.Now()
	r := &Result{SchemaVersion: SchemaVersion, Size: p.Size.Name, Started: began.UTC(), Command: p.Command}
	for _, w := range p.Workloads {
		r.Rows = append(r.Rows, &Row{Workload: w, Params: p.Size.Given(w)})
	}
	for i, row := range r.Rows {
		if ctx.Err() != nil {
			break
		}
		if p.Begin != nil {
			p.Begin(row.Workload, i, len(r.Rows))
		}
		row.end(run(ctx, row.Workload, row.Params, filepath.Join(p.Dir, row.Workload)))
		row.read(p.Dir)
		if r.Wall = p.Now().Sub(began).Seconds(); ctx.Err() != nil {
			break
		}
		if err := r.keep(p.Dir); err != nil {
			return r, err
		}
	}
	if ctx.Err() == nil {
		return r, nil
	}
	r.Ended = context.Cause(ctx).Error()
	return r, errors.Join(context.Cause(ctx), r.keep(p.Dir))
}

// end takes in how a run ended.
func (row *Row) end(o child.Outcome) {
	row.Outcome, row.Why, row.Code, row.Wall = o.Kind, o.Why, o.Code, o.Wall
	if o.Folder != "" {
		row.Folder = filepath.Base(o.Folder)
	}
}

// read takes the figures from the run folder, if there is one.
func (row *Row) read(dir string) {
	row.Figures = Figures{}
	if row.Folder == "" {
		return
	}
	r, err := folder.Open(filepath.Join(dir, row.Folder))
	if err != nil {
		row.Problems = []string{err.Error()}
		return
	}
	row.Problems = r.Problems
	if row.Outcome != child.Done {
		return
	}
	row.Verified = r.Manifest.Status == folder.Done
	seconds := folder.Seconds(r.Samples)
	s := report.Summarise(seconds)
	row.Iterations, row.Median, row.Interval = len(seconds), s.Median, s.Interval
	if r.Manifest.End != nil {
		row.PeakRSS = r.Manifest.End.PeakRSS
	}
	for _, s := range r.Samples {
		if s.Phase != folder.Iteration {
			continue
		}
		row.Spilled = max(row.Spilled, units.Bytes(s.Totals.DiskSpilled))
		records, bytes := s.Records, s.Bytes
		if s.Totals.InputBytes > 0 {
			records, bytes = max(records, s.Totals.InputRecords), s.Totals.InputBytes
		}
		if row.Median > 0 { // the same of every iteration, but for what retries read again
			row.Records, row.Bytes = float64(records)/row.Median, float64(bytes)/row.Median
		}
	}
}

// keep writes suite.json and suite.txt.
func (r *Result) keep(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = folder.ReplaceFile(filepath.Join(dir, File), append(data, '\n'))
	}
	var table strings.Builder
	if err == nil {
		err = r.Write(&table, report.Terminal)
	}
	if err == nil {
		err = folder.ReplaceFile(filepath.Join(dir, TableFile), []byte(table.String()))
	}
	if err != nil {
		return fmt.Errorf("cannot keep what the suite measured: %w", err)
	}
	return nil
}

// Is reports whether dir is a suite folder.
func Is(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, File))
	return err == nil
}

// Open reads a suite folder, with the figures of its run folders as they are
// now.
func Open(dir string) (*Result, error) {
	path := filepath.Join(dir, File)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot open suite folder %s: there is no %s in it", dir, File)
	} else if err != nil {
		return nil, fmt.Errorf("cannot open suite folder %s: %w", dir, workloads.Cause(err))
	}
	r := &Result{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if r.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("cannot read %s: its schema is version %d, this program knows version %d", path, r.SchemaVersion, SchemaVersion)
	}
	for i, row := range r.Rows {
		if row == nil || row.Folder != "" && !filepath.IsLocal(row.Folder) {
			return nil, fmt.Errorf("cannot read %s: workload %d has no folder of the suite", path, i)
		}
		row.read(dir)
	}
	return r, nil
}
