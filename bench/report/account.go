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

// workerTimes holds what each worker told of itself.
type workerTimes struct {
	lives map[worker]*workerLife
	// lost are the executors whose workers' last word is the last told. That of
	// one that was lost before its first sample comes after its loss.
	lost map[id.Executor]bool
}

type workerLife struct {
	last     event.WorkerTime
	stepping []point
}

func newWorkerTimes() workerTimes {
	return workerTimes{lives: make(map[worker]*workerLife), lost: make(map[id.Executor]bool)}
}

func (w workerTimes) add(e *event.WorkerTime) {
	k := worker{e.Executor, e.Worker, e.Since}
	life := w.lives[k]
	if life == nil {
		life = &workerLife{stepping: []point{{e.Since, 0}}}
		w.lives[k] = life
	}
	if e.At >= life.last.At {
		life.last = *e
		life.stepping = append(life.stepping, point{e.At, e.Stepping})
	}
}

// apply sets the worker time of the whole session: the lives of its workers
// as far as they were told, else wall × slots. In a run that was cut short the
// last of them was told some time before the end of the events, and workers
// begin after the session and end before it: this is not wall × workers.
func (w workerTimes) apply(a *Account) {
	if len(w.lives) == 0 {
		a.WorkerTime = a.Wall() * int64(a.Workers)
		return
	}
	var stepping int64
	a.Scheduling = &stepping
	for _, life := range w.lives {
		a.WorkerTime += life.last.At - life.last.Since
		stepping += life.last.Stepping
	}
}

// scheduling returns the workers' time in the scheduler in a window, nil when
// their samples do not cover it.
func (w workerTimes) scheduling(begin, end int64) *int64 {
	var sum int64
	known := false
	for k, life := range w.lives {
		if k.since >= end || life.last.At <= begin && (w.lost[k.executor] || len(w.lives) > 1 && w.replaced(k)) {
			continue // did not live then
		}
		until := end
		if w.lost[k.executor] {
			until = min(end, life.last.At)
		}
		n := between(life.stepping, max(begin, k.since), until)
		if n == nil {
			return nil
		}
		sum, known = sum+*n, true
	}
	if !known {
		return nil
	}
	return &sum
}

// replaced reports whether a later worker has the same slot.
func (w workerTimes) replaced(k worker) bool {
	for o := range w.lives {
		if o.executor == k.executor && o.slot == k.slot && o.since > k.since {
			return true
		}
	}
	return false
}

// busy returns what the workers themselves say they spent inside attempts.
func (w workerTimes) busy() (ns int64) {
	for _, life := range w.lives {
		ns += life.last.Busy
	}
	return ns
}

// slots are the workers of one executor, while it lived.
type slots struct {
	executor id.Executor
	count    int32
	from, to int64
}

// slotsWithin adds up the time that workers had within a window.
func slotsWithin(all []slots, begin, end int64) (ns int64) {
	for _, s := range all {
		ns += int64(s.count) * max(0, min(s.to, end)-max(s.from, begin))
	}
	return ns
}

// mostSlots returns how many workers there were at most at one time.
func mostSlots(all []slots) (most int32) {
	for _, at := range all {
		n := int32(0)
		for _, s := range all {
			if s.from <= at.from && at.from < s.to {
				n += s.count
			}
		}
		most = max(most, n)
	}
	return most
}

// charge adds the part of an attempt's time on its worker that lies within
// the window.
func (a *Account) charge(e *event.TaskEnd) {
	s := e.Stamps.Whole()
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

// point is a growing figure's value at a moment.
type point struct{ at, value int64 }

// between returns how much a figure grew between two moments, on the straight
// lines through its samples; nil when they do not cover the window.
func between(samples []point, begin, end int64) *int64 {
	from, ok1 := valueAt(samples, begin)
	to, ok2 := valueAt(samples, end)
	if !ok1 || !ok2 {
		return nil
	}
	n := to - from
	return &n
}

func valueAt(samples []point, at int64) (int64, bool) {
	i := sort.Search(len(samples), func(i int) bool { return samples[i].at >= at })
	if i == len(samples) {
		return 0, false
	}
	b := samples[i]
	if b.at == at {
		return b.value, true
	}
	if i == 0 {
		return 0, false
	}
	a := samples[i-1]
	return a.value + int64(float64(b.value-a.value)*float64(at-a.at)/float64(b.at-a.at)), true
}

// sample takes a memory sample into account; the one with the highest RSS is
// kept whole.
func (m *Memory) sample(e *event.MemorySample) {
	m.Samples++
	m.PeakRSS = max(m.PeakRSS, e.PeakRSS, e.RSS)
	m.EvictedMemory, m.EvictedDisk = max(m.EvictedMemory, e.EvictedMemory), max(m.EvictedDisk, e.EvictedDisk)
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
