package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/bench/suite"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func (a *app) reportCommand() *cobra.Command {
	var format string
	var asJSON, tasks, all bool
	c := &cobra.Command{
		Use: "report RUN|SUITE|LOG [flags]", Short: "Show the report of an earlier run, or suite, again",
		Long: `Makes the tables of a run again, from its folder alone. A folder that a crash
left half-written is shown as far as it is whole, and what is not is said. Of a
suite, which "run --all" leaves, it makes the one table; the folder of each
workload in it is a run. Of an event log of Spark's form, which "export spark" and
--event-log write, and Spark itself, it makes the tables as far as that form
tells: jobs, stages and attempts, times in whole milliseconds.`,
		Example: `  execbench report results/20261121T101500-terasort-3f
  execbench report RUN --tasks --format csv > tasks.csv   # a row for every attempt
  execbench report RUN --format markdown >> notes.md
  execbench report RUN --all                              # warm-up and every iteration
  execbench report SUITE                                  # of run --all; report SUITE/terasort is one of its runs
  execbench report logs/local-1700000000000               # an event log of Spark's form, not compressed`,
		Args: wants(1, "a run folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON {
				format = "json"
			}
			if report.IsSparkLog(args[0]) {
				return a.showSparkLog(args[0], format, tasks)
			}
			if suite.Is(args[0]) {
				if tasks || all {
					return bench.Usagef("%s is a suite: name one of the run folders in it, like %s", args[0], suiteExample(args[0]))
				}
				return a.showSuite(args[0], format)
			}
			if tasks {
				return a.showTasks(args[0], format)
			}
			return a.showRun(args[0], format, all)
		},
	}
	format = "text"
	c.Flags().Var(&choiceFlag{&format, []string{"text", "markdown", "json", "csv"}}, "format", "form of the report; csv is for --tasks")
	c.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	c.Flags().BoolVar(&tasks, "tasks", false, "a row for every attempt instead of the tables")
	c.Flags().BoolVar(&all, "all", false, "jobs and stages of the whole session, not of the median iteration alone")
	return c
}

// showSparkLog writes the report of an event log of Spark's form.
func (a *app) showSparkLog(path, format string, tasks bool) error {
	f, err := report.ParseFormat(format)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	src := report.SparkSource(path)
	if tasks {
		return a.writeTasks(src, f)
	}
	if f == report.CSV {
		return bench.Usagef("cannot write the report as csv: that format is for --tasks")
	}
	m, err := report.Load(src, report.Options{})
	if err != nil {
		return bench.Usagef("cannot report on %s: %w", path, workloads.Cause(err))
	}
	if f == report.JSON {
		return writeJSON(a.out, struct {
			SchemaVersion int           `json:"schema_version"`
			Log           string        `json:"log"`
			Report        *report.Model `json:"report"`
		}{schemaVersion, path, m})
	}
	return m.Write(a.out, f, report.Show{All: true})
}

// showTasks writes a row for every attempt of a run.
func (a *app) showTasks(dir, format string) error {
	r, err := openRun(dir)
	if err != nil {
		return err
	}
	a.tellProblems(r)
	f, err := report.ParseFormat(format)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	return a.writeTasks(report.FileSource(r.EventsPath()), f)
}

func (a *app) writeTasks(src report.Source, f report.Format) error {
	err := report.WriteTasks(a.out, src, f)
	var cut *event.Truncated
	if errors.As(err, &cut) {
		a.warn(cut.Error())
		return nil
	}
	if err != nil {
		return &bench.Usage{Err: err}
	}
	return nil
}

func openRun(dir string) (*folder.Run, error) {
	r, err := folder.Open(dir)
	if err != nil {
		return nil, &bench.Usage{Err: err}
	}
	return r, nil
}

// tellProblems says what of a run folder is not whole: for commands whose own
// output does not.
func (a *app) tellProblems(r *folder.Run) {
	for _, p := range r.Problems {
		a.warn(r.Dir + ": " + p)
	}
}

// showRun writes the report of a run folder.
func (a *app) showRun(dir, format string, all bool) error {
	r, err := openRun(dir)
	if err != nil {
		return err
	}
	f, err := report.ParseFormat(format)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if f == report.CSV {
		return bench.Usagef("cannot write the report as csv: that format is for --tasks")
	}
	m, err := loadModel(r)
	if err != nil {
		return err
	}
	if f == report.JSON {
		return writeJSON(a.out, struct {
			SchemaVersion int             `json:"schema_version"`
			Run           string          `json:"run"`
			Manifest      folder.Manifest `json:"manifest"`
			Samples       []folder.Sample `json:"samples"`
			Summary       *report.Summary `json:"summary,omitempty"`
			Verdict       *folder.Verdict `json:"verdict,omitempty"`
			Problems      []string        `json:"problems,omitempty"`
			Report        *report.Model   `json:"report,omitempty"`
		}{schemaVersion, r.Dir, r.Manifest, r.Samples, summary(r), r.Verdict, r.Problems, m})
	}
	if err := writeHead(a.out, r); err != nil {
		return err
	}
	if m != nil {
		// Without a sample there is no median iteration to choose.
		if err := m.Write(a.out, f, report.Show{All: all || m.Samples == nil}); err != nil {
			return err
		}
	}
	return writeTail(a.out, r)
}

// loadModel reads the events; nil when there are none to read. The samples
// are those of samples.jsonl, where a wrong answer is none.
func loadModel(r *folder.Run) (*report.Model, error) {
	if _, err := os.Stat(r.EventsPath()); err != nil {
		return nil, nil // Problems says so
	}
	m, err := report.Load(report.FileSource(r.EventsPath()), report.Options{})
	if err != nil {
		return nil, bench.Usagef("cannot report on %s: %w", r.Dir, err)
	}
	m.Samples = summary(r)
	return m, nil
}

// summary describes the iterations; nil when none may be reported.
func summary(r *folder.Run) *report.Summary {
	seconds := folder.Seconds(r.Samples)
	if len(seconds) == 0 {
		return nil
	}
	s := report.Summarise(seconds)
	return &s
}

// writeHead says what was run.
func writeHead(w io.Writer, r *folder.Run) error {
	m := &r.Manifest
	parts := []string{m.Workload}
	for _, p := range m.Params {
		if p.Source != fromNone {
			parts = append(parts, p.Name+"="+p.Value)
		}
	}
	parts = append(parts, fmt.Sprintf("cores %d", m.Cores))
	if m.Executors > 1 {
		parts = append(parts, fmt.Sprintf("executors %d", m.Executors))
	}
	parts = append(parts, "memory "+m.Memory.String())
	if in := &m.Input; in.Files > 0 {
		what := "input"
		if in.Generated {
			what = "generated data"
		}
		parts = append(parts, fmt.Sprintf("%s %s", what, in.Bytes), fmt.Sprintf("files %d", in.Files))
	}
	_, err := fmt.Fprintf(w, "%s\n\n", strings.Join(parts, " · "))
	return err
}

// writeTail says how the run ended and what it used.
func writeTail(w io.Writer, r *folder.Run) error {
	m := &r.Manifest
	if err := writeFigures(w, r.Samples); err != nil {
		return err
	}
	if r.Verdict != nil && m.Status == folder.Wrong {
		var rows [][]string
		for _, c := range r.Verdict.Checks {
			mark := "right"
			if !c.OK {
				mark = "WRONG"
			}
			rows = append(rows, []string{c.Name, c.Want, c.Got, mark})
		}
		if err := writeTable(w, "The answer", []string{"check", "want", "got", ""}, rows); err != nil {
			return err
		}
	}
	if err := writeProfiles(w, r); err != nil {
		return err
	}
	var lines []string
	if v := r.Verdict; v != nil {
		lines = append(lines, "Verdict: "+verdict(r)+".")
	}
	if e := m.End; e != nil {
		lines = append(lines, fmt.Sprintf("Process: %s wall, %s CPU, peak RSS %s of a budget of %s.",
			units.Duration(seconds(e.Wall)), units.Duration(seconds(e.CPU)), e.PeakRSS, m.Memory))
		if s := cpuRatio(r.Samples); s != "" {
			lines = append(lines, "CPU ÷ wall while iterating: "+s+".")
		}
		for _, n := range e.Warnings {
			lines = append(lines, "Noise: "+n+".")
		}
	}
	for _, p := range r.Problems {
		lines = append(lines, "Note: "+p+".")
	}
	lines = append(lines, "Run folder: "+r.Dir)
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// verdict says how the run ended, as far as its samples bear it out.
func verdict(r *folder.Run) string {
	v := r.Verdict
	if n := r.Lacks(); n > 0 {
		return fmt.Sprintf("not known: %s says %q, and %d of the samples behind it are missing", folder.VerdictFile, v.Verdict, n)
	}
	return string(v.Status) + ": " + v.Verdict
}

// writeFigures shows what the workload itself reports, of the last iteration
// that reported any.
func writeFigures(w io.Writer, samples []folder.Sample) error {
	for i := len(samples) - 1; i >= 0; i-- {
		s := &samples[i]
		if len(s.Figures) == 0 || s.Phase != folder.Iteration {
			continue
		}
		var rows [][]string
		for _, f := range s.Figures {
			rows = append(rows, []string{f.Name, figure(f)})
		}
		return writeTable(w, fmt.Sprintf("Figures of iteration %d", s.Index), []string{"figure", "value"}, rows)
	}
	return nil
}

func figure(f folder.Figure) string {
	switch f.Unit {
	case "s":
		return units.Duration(seconds(f.Value))
	case "B":
		return units.Bytes(f.Value).String()
	case "B/s":
		return units.Bytes(f.Value).String() + "/s"
	case "1/s":
		return strconv.FormatFloat(f.Value, 'f', 0, 64) + " /s"
	}
	return strings.TrimSpace(strconv.FormatFloat(f.Value, 'g', 6, 64) + " " + strings.TrimPrefix(f.Unit, "1"))
}

// cpuRatio is the processor time of the iterations over their wall time.
func cpuRatio(samples []folder.Sample) string {
	wall, cpu := 0.0, 0.0
	for _, s := range samples {
		if s.Phase == folder.Iteration && s.Error == "" {
			wall, cpu = wall+s.Seconds, cpu+s.CPU
		}
	}
	if wall == 0 {
		return ""
	}
	return strconv.FormatFloat(cpu/wall, 'f', 2, 64)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
