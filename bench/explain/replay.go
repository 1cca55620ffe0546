package explain

import (
	"container/heap"
)

// question changes the recorded times. The zero value changes none.
type question struct {
	body       func(s *stage, a *attempt) int64 // nil: as recorded
	scheduling bool                             // without gaps between attempts and stages
}

// lanes are the moments at which the workers are free, the earliest first.
type lanes []int64

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i] < l[j] }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }

// Push implements heap.Interface; the number of workers never changes.
func (l *lanes) Push(v any) { *l = append(*l, v.(int64)) }

// Pop implements heap.Interface.
func (l *lanes) Pop() any {
	v := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return v
}

// replaying is a replay that is going on.
type replaying struct {
	t        *trace
	q        question
	ready    []int64 // of each stage; -1: not known
	next     []int   // attempt of each stage that comes next
	last     []int64 // end of each stage's last attempt so far
	done     []int64 // of each stage; -1: not known
	jobStart []int64 // -1: not known
	jobDone  []int64
	active   []int // stages whose attempts wait for a worker
}

// replay schedules the attempts of a trace anew and returns when the last
// job, and what the program did after it, would be over, from the window's
// begin.
//
//  1. A job begins when the one it awaited is over, after the program's gap;
//     a stage when those it awaited are, after the driver's gap.
//  2. The worker that is free first takes the next attempt, in the order of
//     the recorded launches, of the stage that can begin first; of several,
//     that which was submitted first.
//  3. It is free again after the attempt's gap and body. The stage is over
//     with its last attempt and the driver's tail.
func (t *trace) replay(q question) int64 {
	n := len(t.stages)
	r := &replaying{t: t, q: q, ready: unknown(n), next: make([]int, n), last: make([]int64, n), done: unknown(n),
		jobStart: unknown(len(t.jobs)), jobDone: unknown(len(t.jobs))}
	r.settle()
	workers := make(lanes, t.workers)
	for len(r.active) > 0 {
		free, best, from := workers[0], -1, int64(0)
		for _, i := range r.active {
			if at := max(free, r.ready[i]); best < 0 || at < from || at == from && t.stages[i].submitted < t.stages[best].submitted {
				best, from = i, at
			}
		}
		s := t.stages[best]
		a := &s.attempts[r.next[best]]
		end := from + r.cost(s, a)
		workers[0] = end
		heap.Fix(&workers, 0)
		r.next[best]++
		r.last[best] = max(r.last[best], end)
		if r.next[best] == len(s.attempts) {
			r.settle()
		}
	}
	end := int64(0)
	final := t.wall()
	for i := range t.jobs {
		end = max(end, r.jobDone[i])
		final = min(final, t.end-t.jobs[i].completed)
	}
	return end + final
}

func unknown(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = -1
	}
	return v
}

// cost is how long an attempt keeps its worker.
func (r *replaying) cost(s *stage, a *attempt) int64 {
	ns := a.body()
	if r.q.body != nil {
		ns = max(0, r.q.body(s, a))
	}
	if !r.q.scheduling {
		ns += a.gap
	}
	return ns
}

// settle works out what has become known: starts of jobs and stages, and
// ends of those whose attempts all have a worker.
func (r *replaying) settle() {
	for changed := true; changed; {
		changed = false
		for i := range r.t.jobs {
			changed = r.job(i) || changed
		}
		for i := range r.t.stages {
			changed = r.stage(i) || changed
		}
	}
	r.active = r.active[:0]
	for i, s := range r.t.stages {
		if r.ready[i] >= 0 && r.next[i] < len(s.attempts) {
			r.active = append(r.active, i)
		}
	}
}

// job settles one job and reports whether anything became known.
func (r *replaying) job(i int) bool {
	j := &r.t.jobs[i]
	switch {
	case r.jobDone[i] >= 0:
		return false
	case r.jobStart[i] < 0:
		switch {
		case j.before < 0:
			r.jobStart[i] = j.gap
		case r.jobDone[j.before] >= 0:
			r.jobStart[i] = r.jobDone[j.before] + j.gap
		}
		return r.jobStart[i] >= 0
	}
	end := r.jobStart[i]
	for _, s := range j.stages {
		if r.done[s] < 0 {
			return false
		}
		end = max(end, r.done[s])
	}
	if !r.q.scheduling || len(j.stages) == 0 {
		end += j.tail
	}
	r.jobDone[i] = end
	return true
}

// stage settles one stage and reports whether anything became known.
func (r *replaying) stage(i int) bool {
	s := r.t.stages[i]
	switch {
	case r.done[i] >= 0:
		return false
	case r.ready[i] < 0:
		from := r.jobStart[s.job]
		if from < 0 {
			return false
		}
		for _, k := range s.before {
			if r.done[k] < 0 {
				return false
			}
			from = max(from, r.done[k])
		}
		if !r.q.scheduling {
			from += s.gap
		}
		r.ready[i], r.last[i] = from, from
		return true
	case r.next[i] < len(s.attempts):
		return false
	}
	r.done[i] = r.last[i]
	if !r.q.scheduling {
		r.done[i] += s.tail
	}
	return true
}

// alone returns a trace of one stage by itself.
func (t *trace) alone(i int) *trace {
	s := *t.stages[i]
	s.job, s.before, s.gap = 0, nil, 0
	return &trace{begin: s.submitted, end: s.completed, workers: t.workers, stages: []*stage{&s},
		jobs: []job{{submitted: s.submitted, completed: s.completed, before: -1, stages: []int{0}}}}
}
