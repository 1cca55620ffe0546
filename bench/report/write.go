package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Show chooses what Write tells. The zero value is the report at the end of a
// run: jobs and stages of the median iteration when there is one, else all.
type Show struct {
	// All shows the jobs and stages of the whole session.
	All bool
}

// Write writes the report: tables for people, or the whole model as JSON,
// which Show does not narrow. CSV is for attempts only (WriteTasks).
func (m *Model) Write(w io.Writer, f Format, o Show) error {
	switch f {
	case JSON:
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		if err := enc.Encode(m); err != nil {
			return fmt.Errorf("cannot write report: %w", err)
		}
		return nil
	case CSV:
		return fmt.Errorf("cannot write report as csv: that format is for attempts, choose text, markdown or json")
	}
	d := document{w: w, format: f}
	jobs, stages := m.Jobs, m.Stages
	if p := m.medianIteration(); p != nil && !o.All {
		jobs, stages = m.during(p)
		d.line("Jobs and stages of iteration %d of %d, the one with the median time.", p.Index, len(m.Samples.Values))
	}
	d.table(jobTable(jobs))
	d.table(stageTable(stages))
	d.line("%s", skippedSentence(stages))
	d.table(speculativeTable(stages))
	d.table(routeTable(stages))
	m.writeFailures(&d)
	for _, s := range stages {
		if len(s.Figures) > 0 {
			d.table(breakdownTable(s))
			d.table(figuresTable(s))
		}
	}
	if len(stages) > 0 {
		d.line("%s", howToRead)
	}
	d.table(m.accountTable())
	d.table(m.memoryTable())
	if m.Memory.Other < 0 {
		d.line("%s", otherBelowZero)
	}
	if e := &m.Memory; e.EvictedMemory > 0 {
		d.line("Beside the spills of tasks, shuffle outputs of %s were written to disk (%s) to make room for what no task held.",
			units.Bytes(e.EvictedMemory), units.Bytes(e.EvictedDisk))
	}
	if m.Samples != nil {
		d.table(m.Samples.table())
		d.line("%s", m.Samples.Sentence())
	}
	for _, p := range m.Problems {
		d.line("Note: %s.", p)
	}
	return d.err
}

// howToRead says what the stage tables mean.
const howToRead = `Totals and shares are over all attempts; parts without a dot add up to the attempts' wall time, parts with one to run.
Quantiles are over successful attempts, each figure ordered by itself: the value at index ⌊q·n⌋ of n, without interpolation, as in Spark.
CPU of decode and encode is clocked apart only where they handle many bytes, and that of a run only from 10 µs on; elsewhere it is their wall time.`

// WriteSamples writes the table of iterations and the sentence on their
// median.
func (s *Summary) WriteSamples(w io.Writer, f Format) error {
	if f == JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(struct {
			SchemaVersion int `json:"schema_version"`
			*Summary
		}{SchemaVersion, s})
	}
	d := document{w: w, format: f}
	d.table(s.table())
	d.line("%s", s.Sentence())
	return d.err
}

// document writes parts until one fails. A table without rows and a line
// without text are left out.
type document struct {
	w      io.Writer
	format Format
	err    error
}

func (d *document) table(t *table.Table) {
	if d.err == nil && len(t.Rows) > 0 {
		d.err = t.Write(d.w, d.format == Markdown)
	}
}

func (d *document) line(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); d.err == nil && text != "" {
		_, d.err = fmt.Fprintf(d.w, "%s\n\n", text)
	}
}

// verbatim writes text as it stands.
func (d *document) verbatim(text string) {
	text = strings.TrimRight(text, "\n")
	if d.format == Markdown {
		text = "```\n" + text + "\n```"
	}
	d.line("%s", text)
}

// medianIteration returns the iteration whose time is the (lower) median,
// nil when there is none or only jobs outside phases.
func (m *Model) medianIteration() *Account {
	var its []*Account
	for i := range m.Phases {
		if p := &m.Phases[i]; p.Name == "iteration" && p.Error == "" {
			its = append(its, p)
		}
	}
	if len(its) == 0 {
		return nil
	}
	slices.SortStableFunc(its, func(a, b *Account) int { return int(max(-1, min(1, a.Wall()-b.Wall()))) })
	return its[(len(its)-1)/2]
}

// during returns the jobs submitted in a window, and their stages.
func (m *Model) during(p *Account) (jobs []*Job, stages []*Stage) {
	in := make(map[id.Job]bool)
	for _, j := range m.Jobs {
		if p.Begin <= j.Submitted && j.Submitted < p.End {
			jobs = append(jobs, j)
			in[j.ID] = true
		}
	}
	for _, s := range m.Stages {
		if slices.ContainsFunc(s.Jobs, func(j id.Job) bool { return in[j] }) {
			stages = append(stages, s)
		}
	}
	return jobs, stages
}

// span prints the time between two moments, dash when it has no end.
func span(from, to int64) string {
	if to == 0 {
		return dash
	}
	return duration(to - from)
}

func jobTable(jobs []*Job) *table.Table {
	t := &table.Table{Title: "Jobs", Left: []int{1, 2}, Header: []string{
		"job", "action", "status", "time", "stages", "skipped stages", "failed stages", "tasks", "succeeded", "failed", "killed"}}
	for _, j := range jobs {
		t.Add(text(j.ID), j.Name, j.Status, span(j.Submitted, j.Completed), text(j.CompletedStages), text(j.SkippedStages), text(j.FailedStages),
			text(j.Tasks-j.SkippedTasks), text(j.Counts.Succeeded), text(j.Counts.Failed), text(j.Counts.Killed))
	}
	return t
}

func text[T ~int32 | ~int64](v T) string { return strconv.FormatInt(int64(v), 10) }

// stageTable has a row for each stage that ran, or is to.
func stageTable(stages []*Stage) *table.Table {
	t := &table.Table{Title: "Stages", Left: []int{0, 1, 2}, Header: []string{"stage", "name", "status", "time", "tasks", "succeeded", "failed", "killed",
		"attempt wall", "input", "output", "shuffle read", "shuffle write", "spilled to disk"}}
	for _, s := range stages {
		if s.Status == statusSkipped {
			continue
		}
		size := func(f Figure) string { return units.Bytes(s.totals[f]).String() }
		t.Add(id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}.String(), s.Name, s.Status, span(s.Submitted, s.Completed), text(s.Tasks),
			text(s.Counts.Succeeded), text(s.Counts.Failed), text(s.Counts.Killed), duration(s.totals[Wall]), size(InputBytes), size(OutputBytes),
			size(ShuffleReadBytes), size(ShuffleWriteBytes), size(DiskSpilled))
	}
	return t
}

// skippedSentence stands for the rows of skipped stages, of which a job that
// iterates has one for every stage of every round before; "" without any.
func skippedSentence(stages []*Stage) string {
	var names []string
	count := make(map[string]int)
	total := 0
	for _, s := range stages {
		if s.Status != statusSkipped {
			continue
		}
		if count[s.Name] == 0 {
			names = append(names, s.Name)
		}
		count[s.Name]++
		total++
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", count[name], name)
	}
	switch list := strings.Join(names, ", "); total {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("1 stage was skipped, its output being there already or its job over before: %s.", list)
	default:
		return fmt.Sprintf("%d stages were skipped, their outputs being there already or their job over before: %s.", total, list)
	}
}

// speculativeTable has a row for each stage with second attempts of slow tasks.
func speculativeTable(stages []*Stage) *table.Table {
	t := &table.Table{Title: "Second attempts of slow tasks", Left: []int{0, 1}, Header: []string{"stage", "name", "launched", "succeeded first", "failed", "killed"}}
	for _, s := range stages {
		if c := &s.Counts.Speculative; c.Started > 0 {
			t.Add(id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}.String(), s.Name, text(c.Started), text(c.Succeeded), text(c.Failed), text(c.Killed))
		}
	}
	return t
}

// routeTable has a row for each way that results of a stage took. Bytes are
// those of encoded results, and of the map outputs' statuses of map stages.
func routeTable(stages []*Stage) *table.Table {
	t := &table.Table{Title: "Results by route", Left: []int{0, 1, 2}, Header: []string{"stage", "name", "route", "results", "bytes", "largest", "fetch", "fetch per result"}}
	for _, s := range stages {
		for _, r := range s.Routes {
			fetch, each := dash, dash
			if r.route == task.RouteIndirect {
				fetch, each = duration(r.Fetch), duration(r.Fetch/r.Results)
			}
			t.Add(id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}.String(), s.Name, r.Name, text(r.Results),
				units.Bytes(r.Bytes).String(), units.Bytes(r.Largest).String(), fetch, each)
		}
	}
	return t
}

// spread returns the cells of a figure's quantiles and largest attempt.
func (st *FigureStats) spread() []string {
	if st.Largest == nil {
		return slices.Repeat([]string{dash}, 7)
	}
	u, q := st.Figure.Unit(), st.Quantiles
	largest := fmt.Sprintf("%d.%d (TID %d)", st.Largest.Index, st.Largest.Number, st.Largest.Task)
	if q.Max == 0 {
		largest = dash
	}
	return []string{quantity(q.Min, u), quantity(q.P25, u), quantity(q.Median, u), quantity(q.P75, u), quantity(q.P95, u), quantity(q.Max, u), largest}
}

var spreadHeader = []string{"min", "p25", "median", "p75", "p95", "max", "largest task"}

// breakdownTable tells where the time of a stage's attempts went. The rows
// without a dot below the first add up to it, those with one to run.
func breakdownTable(s *Stage) *table.Table {
	t := &table.Table{Left: []int{0}, Title: fmt.Sprintf("Stage %s, %s: time of %d attempts",
		id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}, s.Name, s.Counts.ended()),
		Header: append([]string{"part", "total", "share", "CPU"}, spreadHeader...)}
	row := func(f Figure) {
		st := s.stats(f)
		cpu := dash
		if st.CPU != nil {
			cpu = duration(*st.CPU)
		}
		t.Add(append([]string{f.Label(), duration(st.Total), percent(st.Total, s.totals[Wall]), cpu}, st.spread()...)...)
	}
	for _, f := range []Figure{Wall, SchedulerDelay, TaskDecode, Run} {
		row(f)
	}
	for f := InputRead; f <= Compute; f++ {
		row(f)
	}
	for _, f := range []Figure{ResultEncode, ResultFetch, Other} {
		row(f)
	}
	return t
}

func (s *Stage) stats(f Figure) *FigureStats {
	i := slices.IndexFunc(s.Figures, func(st FigureStats) bool { return st.Figure == f })
	if i < 0 {
		return &FigureStats{Figure: f}
	}
	return &s.Figures[i]
}

// figuresTable holds what is not time inside the attempt: data, memory and
// the collector.
func figuresTable(s *Stage) *table.Table {
	t := &table.Table{Left: []int{0}, Title: fmt.Sprintf("Stage %s: data and memory", id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}),
		Header: append([]string{"figure", "total"}, spreadHeader...)}
	for i := range s.Figures {
		st := &s.Figures[i]
		if st.Figure <= Compute || st.Figure == DecodeCPU || st.Figure == RunCPU || st.Figure == EncodeCPU {
			continue
		}
		t.Add(append([]string{st.Figure.Label(), quantity(st.Total, st.Figure.Unit())}, st.spread()...)...)
	}
	return t
}

// accountTable tells where worker time went, a column for the session and one
// for each phase's name; phases of one name are summed.
func (m *Model) accountTable() *table.Table {
	accounts := []Account{m.Session}
	for _, p := range m.Phases {
		if i := slices.IndexFunc(accounts[1:], func(a Account) bool { return a.Name == p.Name }); i >= 0 {
			accounts[1+i].plus(&p)
			continue
		}
		p.End, p.Begin = p.Wall(), 0 // from here on a length
		accounts = append(accounts, p)
	}
	t := &table.Table{Title: "Worker time", Left: []int{0}, Header: []string{"part"}}
	for i, a := range accounts {
		name := a.Name
		if n := m.phaseCount(a.Name); i > 0 && n > 1 {
			name = fmt.Sprintf("%d × %s", n, name)
		}
		t.Header = append(t.Header, name, "share")
	}
	row := func(label string, cell func(a *Account) (string, string)) {
		cells := []string{label}
		for i := range accounts {
			v, share := cell(&accounts[i])
			cells = append(cells, v, share)
		}
		t.Add(cells...)
	}
	part := func(label string, ns func(a *Account) int64) {
		row(label, func(a *Account) (string, string) { return duration(ns(a)), percent(ns(a), a.WorkerTime) })
	}
	row("wall", func(a *Account) (string, string) { return duration(a.Wall()), "" })
	part(fmt.Sprintf("time of %d workers", m.Session.Workers), func(a *Account) int64 { return a.WorkerTime })
	part("task decode", func(a *Account) int64 { return a.TaskDecode })
	part("run", func(a *Account) int64 { return a.Run })
	part("result encode", func(a *Account) int64 { return a.Encode })
	part("other", func(a *Account) int64 { return a.Other })
	part("idle", func(a *Account) int64 { return a.Idle })
	row("· of which scheduling", func(a *Account) (string, string) {
		if a.Scheduling == nil {
			return dash, ""
		}
		return duration(*a.Scheduling), percent(*a.Scheduling, a.WorkerTime)
	})
	row("process CPU ÷ wall", func(a *Account) (string, string) {
		if a.CPU == nil || a.Wall() <= 0 {
			return dash, ""
		}
		return strconv.FormatFloat(float64(*a.CPU)/float64(a.Wall()), 'f', 2, 64), ""
	})
	return t
}

func (m *Model) phaseCount(name string) (n int) {
	for i := range m.Phases {
		if m.Phases[i].Name == name {
			n++
		}
	}
	return n
}

// plus adds another window of the same name to a, whose Begin is 0.
func (a *Account) plus(b *Account) {
	a.End += b.Wall()
	a.WorkerTime += b.WorkerTime
	a.TaskDecode += b.TaskDecode
	a.Run += b.Run
	a.Encode += b.Encode
	a.Other += b.Other
	a.Idle += b.Idle
	a.CPU, a.Scheduling = sumOf(a.CPU, b.CPU), sumOf(a.Scheduling, b.Scheduling)
}

// sumOf adds two figures; unknown and known are unknown together.
func sumOf(a, b *int64) *int64 {
	if a == nil || b == nil {
		return nil
	}
	sum := *a + *b
	return &sum
}

// otherBelowZero says how owners can have more than the process.
const otherBelowZero = "Other is below 0, since what owners reserve need not be resident (pages nobody has written to), and what they reserve on the Go heap is the Go runtime's too."

// memoryTable shows the sample with the highest RSS: reserved by owner +
// runtime + other = RSS.
func (m *Model) memoryTable() *table.Table {
	t := &table.Table{Title: "Memory", Left: []int{0}, Header: []string{"owner", "bytes", "share"}}
	mem := &m.Memory
	if mem.Samples == 0 {
		return t
	}
	t.Title = fmt.Sprintf("Memory when RSS was highest; its peak was %s, the budget is %s", units.Bytes(mem.PeakRSS), units.Bytes(mem.Budget))
	for _, a := range mem.Accounts {
		t.Add(a.Name, units.Bytes(a.Bytes).String(), percent(a.Bytes, mem.RSS))
	}
	t.Add("Go runtime", units.Bytes(mem.Runtime).String(), percent(mem.Runtime, mem.RSS))
	t.Add("other", units.Bytes(mem.Other).String(), percent(mem.Other, mem.RSS))
	t.Add("RSS", units.Bytes(mem.RSS).String(), percent(mem.RSS, mem.RSS))
	return t
}

func seconds(s float64) string { return duration(int64(s * 1e9)) }

func (s *Summary) table() *table.Table {
	t := &table.Table{Title: "Samples", Header: []string{"iteration", "time", "÷ median"}}
	for i, v := range s.Values {
		ratio := dash
		if s.Median > 0 {
			ratio = strconv.FormatFloat(v/s.Median, 'f', 3, 64)
		}
		t.Add(strconv.Itoa(i), seconds(v), ratio)
	}
	return t
}

// Sentence tells the median and its interval, or why there is none.
func (s *Summary) Sentence() string {
	if len(s.Values) == 0 {
		return "No iteration was completed."
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Median %s", seconds(s.Median))
	switch {
	case s.Interval != nil:
		fmt.Fprintf(&b, ", between %s and %s with %.1f %% confidence (order statistics of %d samples).",
			seconds(s.Interval.Low), seconds(s.Interval.High), 100*s.Interval.Coverage, len(s.Values))
	default:
		fmt.Fprintf(&b, " of %d, from %s to %s; a %.0f %% interval for the median exists from %d samples on.",
			len(s.Values), seconds(s.Min), seconds(s.Max), 100*s.Confidence, MinSamples)
	}
	return b.String()
}

// unitName is the figure's unit in JSON.
func unitName(u task.Unit) string {
	return [...]string{task.Nanoseconds: "ns", task.ByteCount: "bytes", task.Count: "count"}[u]
}
