package explain

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/execbench/execbench/engine/units"
)

const (
	// waste is the share of the time from which something that ought not to
	// cost anything is what bounds a run. With two workers skew can cost a
	// half at most, and tasks differ by chance by some percent.
	waste = 0.2
	// between is the same for the program's own time between jobs.
	between = 1.0 / 3
	// onProcessor is the share below which it is worth saying that workers
	// that computed did not have a processor.
	onProcessor = 0.6
)

// answer returns the answer to a question.
func (f *Finding) answer(name string) Answer {
	i := slices.IndexFunc(f.Answers, func(a Answer) bool { return a.Question == name })
	return f.Answers[i]
}

// judge names the bound, by the rule of the package's doc.
func (f *Finding) judge(workers int, memory int64, ownSkew float64) {
	x := &f.Figures
	saved := map[Bound]float64{}
	switch {
	case x.disk() >= max(x.CPU, x.Scheduling) && x.disk() > 0:
		saved[Disk] = f.answer(NoDisk).Saved()
	case x.Scheduling >= x.CPU:
		saved[Scheduling] = f.answer(FreeScheduling).Saved()
	}
	if s := f.answer(NoGC).Saved(); s >= waste {
		saved[GC] = s
	}
	if s := f.answer(EvenTasks).Saved(); s >= waste {
		if ownSkew >= waste {
			saved[Skew] = s
		} else {
			l := &x.Longest
			f.Notes = append(f.Notes, fmt.Sprintf("task %d of stage %s took %s times the mean; if every task had a processor to itself, even tasks would save only %s of the time: what took longer mostly waited for a processor that others had, or slept", l.Index, l.Stage, times(l.Ratio), percent(max(0, ownSkew))))
		}
	}
	if s := share(x.Outside, f.Measured); s >= between {
		saved[Program] = s
	}
	f.Bound = CPU
	for _, b := range []Bound{Disk, Scheduling, GC, Skew, Program} {
		if s, ok := saved[b]; ok && (f.Bound == CPU || s > saved[f.Bound]) {
			f.Bound = b
		}
	}
	f.Because = f.because(workers, memory)
	f.note(workers)
}

// because says the figures behind the bound.
func (f *Finding) because(workers int, memory int64) string {
	x := &f.Figures
	of := func(ns int64) string { return percent(share(ns, x.busy())) }
	switch f.Bound {
	case Disk:
		parts := fmt.Sprintf("spill %s, fetch wait %s, input read %s, output write %s", of(x.Spill), of(x.FetchWait), of(x.InputRead), of(x.OutputWrite))
		s := fmt.Sprintf("reading, writing and waiting for data is %s of the workers' busy time (%s)", of(x.disk()), parts)
		if 2*x.Spill >= x.disk() {
			s += fmt.Sprintf("; most of it is spilling: %s did not fit a memory budget of %s, and with enough of it the time would be %s",
				units.Bytes(x.BytesSpilled), units.Bytes(memory), duration(f.answer(NoSpill).Time))
		}
		return s
	case Scheduling:
		n := int64(max(1, x.Attempts))
		return fmt.Sprintf("launching, decoding and handing over is %s of the workers' busy time: %s an attempt, which then computes for %s",
			of(x.Scheduling), duration(x.Scheduling/n), duration(x.CPU/n))
	case GC:
		return fmt.Sprintf("the collector had %s of the processors", percent(x.GCShare))
	case Skew:
		l := &x.Longest
		return fmt.Sprintf("task %d of stage %s took %s, %s times the mean of its stage; with even tasks the time would be %s",
			l.Index, l.Stage, duration(l.Time), times(l.Ratio), duration(f.answer(EvenTasks).Time))
	case Program:
		return fmt.Sprintf("%s of the time no job was going on", percent(share(x.Outside, f.Measured)))
	}
	return fmt.Sprintf("computing is %s of the workers' busy time; disk is %s, scheduling %s, the collector %s of the processors",
		of(x.CPU), of(x.disk()), of(x.Scheduling), percent(x.GCShare))
}

// note says what else is worth knowing.
func (f *Finding) note(workers int) {
	x := &f.Figures
	add := func(format string, args ...any) { f.Notes = append(f.Notes, fmt.Sprintf(format, args...)) }
	if x.OnProcessor > 0 && x.OnProcessor < onProcessor && 2*x.CPU > x.busy() {
		add("while they computed, workers had a processor for %s of the time: other programs took it, or functions slept", percent(x.OnProcessor))
	}
	if idle := share(x.Idle, x.WorkerTime); idle >= waste && f.Bound != Skew {
		if x.Attempts < workers {
			add("workers had nothing to run for %s of the time: there are fewer tasks (%d) than workers (%d)", percent(idle), x.Attempts, workers)
		} else {
			add("workers had nothing to run for %s of the time", percent(idle))
		}
	}
	if x.BytesSpilled > 0 && f.Bound != Disk {
		add("%s were spilled, which took %s of the workers' busy time", units.Bytes(x.BytesSpilled), percent(share(x.Spill, x.busy())))
	}
	if f.Error > 0.1 || f.Error < -0.1 {
		add("the replay of the unchanged tasks is off by %s: take the answers as no better than that", percent(f.Error))
	}
}

func percent(share float64) string {
	return strconv.FormatFloat(math.Round(1000*share)/10+0, 'f', 1, 64) + " %" // + 0: no negative zero
}

func times(r float64) string   { return strconv.FormatFloat(r, 'f', 2, 64) }
func duration(ns int64) string { return units.Duration(time.Duration(ns)) }
