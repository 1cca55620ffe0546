package report

import (
	"cmp"
	"slices"
	"sort"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
)

// worker is one worker goroutine; a replacement after a Goexit begins later.
type worker struct {
	executor id.Executor
	slot     int32
	since    int64
}

// workerTimes holds the last figures of each worker.
type workerTimes map[worker]event.WorkerTime

func (w workerTimes) add(e *event.WorkerTime) {
	k := worker{e.Executor, e.Worker, e.Since}
	if was, ok := w[k]; !ok || e.At >= was.At {
		w[k] = *e
	}
}

// apply sets the worker time of the whole session: the lives of its workers
// when they were told, else wall × slots.
func (w workerTimes) apply(a *Account) {
	if len(w) == 0 {
		a.WorkerTime = a.Wall() * int64(a.Workers)
		return
	}
	var stepping int64
	a.Scheduling = &stepping
	for _, t := range w {
		a.WorkerTime += t.At - t.Since
		stepping += t.Stepping
	}
}

// busy returns what the workers themselves say they spent inside attempts.
func (w workerTimes) busy() (ns int64) {
	for _, t := range w {
		ns += t.Busy
	}
	return ns
}

// charge adds the part of an attempt's time on its worker that lies within
// the window.
func (a *Account) charge(e *event.TaskEnd) {
	s := wholeStamps(e.Stamps)
	within := func(from, to int64) int64 { return max(0, min(to, a.End)-max(from, a.Begin)) }
	a.TaskDecode += within(s.Start, s.RunStart)
	a.Run += within(s.RunStart, s.RunEnd)
	a.Encode += within(s.RunEnd, s.EncodeEnd)
	a.Other += within(s.EncodeEnd, s.End)
}

// settle sets what is left.
func (a *Account) settle() {
	a.Idle = a.WorkerTime - a.TaskDecode - a.Run - a.Encode - a.Other
}

// cpuAt is the process's CPU time at a moment.
type cpuAt struct{ at, cpu int64 }

// cpuBetween returns the CPU time between two moments, on the straight lines
// through the samples; nil when they do not cover the window.
func cpuBetween(samples []cpuAt, begin, end int64) *int64 {
	from, ok1 := cpuOn(samples, begin)
	to, ok2 := cpuOn(samples, end)
	if !ok1 || !ok2 {
		return nil
	}
	n := to - from
	return &n
}

func cpuOn(samples []cpuAt, at int64) (int64, bool) {
	i := sort.Search(len(samples), func(i int) bool { return samples[i].at >= at })
	if i == len(samples) {
		return 0, false
	}
	b := samples[i]
	if b.at == at {
		return b.cpu, true
	}
	if i == 0 {
		return 0, false
	}
	a := samples[i-1]
	return a.cpu + int64(float64(b.cpu-a.cpu)*float64(at-a.at)/float64(b.at-a.at)), true
}

// sample takes a memory sample into account; the one with the highest RSS is
// kept whole.
func (m *Memory) sample(e *event.MemorySample) {
	m.Samples++
	m.PeakRSS = max(m.PeakRSS, e.PeakRSS, e.RSS)
	m.GCCount, m.GCTime = max(m.GCCount, e.GCCount), max(m.GCTime, e.GCTime)
	if m.Samples > 1 && e.RSS <= m.RSS {
		return
	}
	m.At, m.RSS, m.Runtime, m.Accounts = e.At, e.RSS, e.Runtime, nil
	m.Other = e.RSS - e.Runtime
	for _, a := range e.Accounts {
		m.Accounts = append(m.Accounts, MemoryAccount(a))
		m.Other -= a.Bytes
	}
	slices.SortStableFunc(m.Accounts, func(a, b MemoryAccount) int { return cmp.Compare(b.Bytes, a.Bytes) })
}
