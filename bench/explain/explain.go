package explain

import (
	"fmt"

	"github.com/execbench/execbench/bench/report"
)

// SchemaVersion is that of the JSON form. Fields are only added within it.
const SchemaVersion = 1

// Bound is what a run or stage would have to have more of, or less of, to be
// faster.
type Bound string

// The bounds.
const (
	CPU        Bound = "CPU"
	Disk       Bound = "disk"
	GC         Bound = "GC"
	Skew       Bound = "skew"
	Scheduling Bound = "scheduling"
	Program    Bound = "program" // what it does between its jobs
)

// Explanation is what there is to say of a run. Times are nanoseconds. It is
// read-only.
type Explanation struct {
	SchemaVersion int      `json:"schema_version"`
	Of            string   `json:"of"` // which part of the session
	Workers       int      `json:"workers"`
	Memory        int64    `json:"memory_bytes"`
	Problems      []string `json:"problems,omitempty"`
	Finding
	Stages []Stage `json:"stages"`
}

// Stage is the finding of one stage attempt, as if it ran alone.
type Stage struct {
	ID   string `json:"id"` // "stage.attempt"
	Name string `json:"name"`
	// Share of the run's worker time that its attempts and gaps took.
	Share float64 `json:"share"`
	Finding
}

// Finding says what bounds a stretch of a run, and why.
type Finding struct {
	Bound    Bound    `json:"bound"`
	Because  string   `json:"because"`
	Notes    []string `json:"notes,omitempty"`
	Measured int64    `json:"measured_ns"`
	// Replayed is the time of the unchanged replay; Error is Replayed over
	// Measured − 1: the answers are no better than that.
	Replayed int64    `json:"replayed_ns"`
	Error    float64  `json:"replay_error"`
	Figures  Figures  `json:"figures"`
	Answers  []Answer `json:"answers"`
}

// Figures are where the workers' time went: Measured × workers is the sum of
// CPU, the four parts of disk, Scheduling and Idle, but for the replay's
// rounding. GC is a part of the others.
type Figures struct {
	WorkerTime  int64 `json:"worker_time_ns"`
	CPU         int64 `json:"cpu_ns"` // compute, shuffle write, encode; collector included
	InputRead   int64 `json:"input_read_ns"`
	FetchWait   int64 `json:"shuffle_fetch_wait_ns"`
	Spill       int64 `json:"spill_ns"`
	OutputWrite int64 `json:"output_write_ns"`
	Scheduling  int64 `json:"scheduling_ns"` // gaps between attempts, decode, hand-over
	Idle        int64 `json:"idle_ns"`       // nothing to run
	Outside     int64 `json:"outside_jobs_ns"`
	// GCShare is the share of the processors that the collector had.
	GCShare float64 `json:"gc_share"`
	// OnProcessor is the attempts' processor time over their CPU parts: well
	// below 1, others had the processors or the functions slept.
	OnProcessor  float64 `json:"on_processor"`
	Attempts     int     `json:"attempts"`
	BytesSpilled int64   `json:"spilled_bytes"`
	Mean         int64   `json:"mean_attempt_ns"`
	Longest      Longest `json:"longest"`
}

// Longest names the longest attempt, by how much longer it was than the mean
// of its stage.
type Longest struct {
	Stage  string  `json:"stage"`
	Index  int32   `json:"index"`
	Time   int64   `json:"ns"`
	Ratio  float64 `json:"over_mean"`
	Median float64 `json:"over_median"`
}

func (f *Figures) disk() int64 { return f.InputRead + f.FetchWait + f.Spill + f.OutputWrite }
func (f *Figures) busy() int64 { return f.CPU + f.disk() + f.Scheduling }

// Answer is a blocked-time answer: the time without something.
type Answer struct {
	Question string  `json:"question"`
	Time     int64   `json:"predicted_ns"` // Measured, by the ratio of the replays
	Ratio    float64 `json:"times_faster"` // replay without over replay with
}

// Saved is the share of the time that would be saved.
func (a Answer) Saved() float64 { return 1 - 1/a.Ratio }

// The questions, in the order they are answered.
const (
	NoDisk         = "no disk"
	NoSpill        = "no spilling"
	NoGC           = "no collector"
	EvenTasks      = "even tasks"
	FreeScheduling = "free scheduling"
	InstantCompute = "instant compute"
)

// Explain reads a run's events (three times or more) and explains the
// iteration with the median time, or all jobs when there are no iterations.
// It holds about 170 bytes for each attempt of them.
func Explain(src report.Source) (*Explanation, error) {
	m, err := report.Load(src, report.Options{})
	if err != nil {
		return nil, err
	}
	of, begin, end, err := window(m)
	if err != nil {
		return nil, fmt.Errorf("cannot explain the run: %w", err)
	}
	t, err := load(src, m, begin, end)
	if err != nil {
		return nil, fmt.Errorf("cannot explain the run: %w", err)
	}
	x := &Explanation{SchemaVersion: SchemaVersion, Of: of, Workers: t.workers, Memory: m.Application.Memory, Problems: m.Problems}
	x.Finding = t.find(x.Memory)
	all := int64(0)
	for i, s := range t.stages {
		if len(s.attempts) == 0 {
			continue
		}
		one := Stage{ID: s.id.String(), Name: s.name, Finding: t.alone(i).find(x.Memory)}
		x.Stages = append(x.Stages, one)
		all += one.Figures.busy()
	}
	for i := range x.Stages {
		x.Stages[i].Share = share(x.Stages[i].Figures.busy(), all)
	}
	return x, nil
}

// find explains a trace.
func (t *trace) find(memory int64) Finding {
	f := Finding{Measured: t.wall(), Figures: t.figures()}
	f.Replayed = t.replay(question{})
	f.Error = share(f.Replayed, f.Measured) - 1
	for _, q := range t.questions() {
		without := max(1, t.replay(q.question))
		r := float64(f.Replayed) / float64(without)
		f.Answers = append(f.Answers, Answer{q.name, int64(float64(f.Measured) / r), r})
	}
	f.judge(t.workers, memory, t.ownSkew())
	return f
}

// own is the time that an attempt needed by itself: on its processor and with
// files, without waiting for a processor that others had. Where processor
// times are not to be had it is all of its time.
func (a *attempt) own() int64 {
	if a.cpu == 0 {
		return a.body()
	}
	return min(a.body(), a.cpu+a.disk())
}

// ownSkew is the share of the time that even tasks would save if every
// attempt took its own time alone.
func (t *trace) ownSkew() float64 {
	mean := map[*stage]int64{}
	for _, s := range t.stages {
		for i := range s.attempts {
			mean[s] += s.attempts[i].own()
		}
		mean[s] /= int64(max(1, len(s.attempts)))
	}
	uneven := t.replay(question{body: func(_ *stage, a *attempt) int64 { return a.own() }})
	even := t.replay(question{body: func(s *stage, _ *attempt) int64 { return mean[s] }})
	return 1 - share(even, uneven)
}

type named struct {
	name string
	question
}

// questions are what can be asked of a trace.
func (t *trace) questions() []named {
	mean, collector := map[*stage]int64{}, map[*stage]float64{}
	for _, s := range t.stages {
		bodies, gc := int64(0), int64(0)
		for i := range s.attempts {
			bodies, gc = bodies+s.attempts[i].body(), gc+s.attempts[i].gc
		}
		if n := int64(len(s.attempts)); n > 0 {
			mean[s] = bodies / n
		}
		collector[s] = t.collectorShare(gc, bodies)
	}
	return []named{
		{NoDisk, question{body: func(_ *stage, a *attempt) int64 { return a.body() - a.disk() }}},
		{NoSpill, question{body: func(_ *stage, a *attempt) int64 { return a.body() - a.spill }}},
		{NoGC, question{body: func(s *stage, a *attempt) int64 { return int64(float64(a.body()) * (1 - collector[s])) }}},
		{EvenTasks, question{body: func(s *stage, _ *attempt) int64 { return mean[s] }}},
		{FreeScheduling, question{scheduling: true, body: func(_ *stage, a *attempt) int64 { return a.body() - a.decode - a.other }}},
		{InstantCompute, question{body: func(_ *stage, a *attempt) int64 { return a.body() - a.processor() }}},
	}
}

// collectorShare is the share of the processors that the collector took from
// attempts of that total length. Each attempt tells the collector's processor
// time of the whole process while it ran, so with all workers busy each
// collection is told once by every worker; and of the processors, of which
// there are as many, it took one worker's share from each.
func (t *trace) collectorShare(gc, bodies int64) float64 {
	if bodies <= 0 {
		return 0
	}
	return min(0.99, float64(gc)/float64(t.workers)/float64(bodies))
}

// figures adds up the attempts.
func (t *trace) figures() Figures {
	f := Figures{WorkerTime: t.wall() * int64(t.workers), Outside: t.outside()}
	var bodies, gc, cpu int64
	for _, s := range t.stages {
		lengths := make([]int64, 0, len(s.attempts))
		total, longest := int64(0), -1
		for i := range s.attempts {
			a := &s.attempts[i]
			f.CPU += a.processor()
			f.InputRead += a.input
			f.FetchWait += a.fetch
			f.Spill += a.spill
			f.OutputWrite += a.output
			f.Scheduling += a.gap + a.decode + a.other
			f.BytesSpilled += a.diskSize
			gc, cpu = gc+a.gc, cpu+a.cpu
			total += a.body()
			lengths = append(lengths, a.body())
			if longest < 0 || a.body() > s.attempts[longest].body() {
				longest = i
			}
		}
		f.Attempts += len(s.attempts)
		bodies += total
		if longest >= 0 && total > 0 {
			a := &s.attempts[longest]
			l := Longest{Stage: s.id.String(), Index: a.index, Time: a.body(), Ratio: float64(a.body()) * float64(len(s.attempts)) / float64(total)}
			l.Median = share(a.body(), report.Median(lengths))
			// Of several stages, the one where it costs most.
			if lost := float64(l.Time) * (1 - 1/l.Ratio); f.Longest.Ratio == 0 || lost > float64(f.Longest.Time)*(1-1/f.Longest.Ratio) {
				f.Longest = l
			}
		}
	}
	f.GCShare = t.collectorShare(gc, bodies)
	if f.Attempts > 0 {
		f.Mean = bodies / int64(f.Attempts)
	}
	f.OnProcessor = share(cpu, f.CPU)
	f.Idle = max(0, f.WorkerTime-f.busy())
	return f
}

// outside is the time of the window in which no job was going on.
func (t *trace) outside() int64 {
	at, ns := t.begin, int64(0)
	for i := range t.jobs { // in the order of submission
		j := &t.jobs[i]
		ns += max(0, j.submitted-at)
		at = max(at, j.completed)
	}
	return ns + max(0, t.end-at)
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
