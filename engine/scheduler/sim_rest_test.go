package scheduler

import (
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
)

// atRest looks at what is left when nothing happens any more.
func (s *sim) atRest() {
	for n, j := range s.jobs {
		if !j.ended {
			s.t.Fatalf("job %d never ends", n)
		}
	}
	for _, x := range s.execs {
		if c := s.core.executor(x.id); x.core != 0 || c.slots != x.slots || c.free != c.slots || !c.alive {
			s.t.Fatalf("at rest executor %s runs %d attempts, has %d of %d slots free, want %d", x.id, x.core, c.free, c.slots, x.slots)
		}
	}
	for _, left := range []struct {
		what string
		n    int
	}{{"attempts", len(s.runs)}, {"rows", len(s.rows)}, {"events that commands led to", len(s.due)}, {"questions", len(s.asked)},
		{"stored results", len(s.stored)}, {"task binaries", len(s.binaries)}} {
		if left.n != 0 {
			s.t.Fatalf("at rest %d %s are left", left.n, left.what)
		}
	}
	for n, open := range s.starts {
		if open != 0 {
			s.t.Fatalf("attempt %d has a TaskStart and no TaskEnd", n)
		}
	}
	gentle := s.w.gentle()
	for n, j := range s.jobs {
		switch {
		case j.err == nil || errors.Is(j.err, ErrBarrierPattern) || errors.Is(j.err, ErrSlots), s.jobTooLarge(id.Job(n), j.err):
		case gentle, j.after && s.mustSucceed(j):
			s.t.Fatalf("nothing goes wrong any more, but job %d fails: %v", n, j.err)
		}
	}
	for _, d := range s.shuffles {
		s.removeShuffle(d)
	}
	if n := len(s.blocks); n != 0 {
		s.t.Fatalf("%d map outputs are left", n)
	}
	s.ask(func(k Token) Event { return &StateAsked{Token: k} }, func(a *Answer) {
		if a.Err != nil {
			s.t.Fatalf("at rest: %v", a.Err)
		}
	})
	// Signs of life and the timer that waits for one go on, and with them what
	// is due after the next.
	for until := s.now + int64(s.w.scaled(3*time.Second)); len(s.queue) > 0 && s.queue[0].at <= until; {
		s.next()
	}
	s.asNew()
	s.stream.close(s)
}

// mustSucceed reports whether nothing that went wrong before may fail a job in
// the healed world: it has attempts enough to find all lost outputs, no
// executor is excluded, and none of its results is undone.
func (s *sim) mustSucceed(j *simJob) bool {
	barrier := false
	walk(j.spec.Final, func(n *plan.Node) bool { barrier = barrier || n.Barrier; return true }, nil)
	return s.w.patient && !s.w.excludes && !s.w.mismatch && !barrier &&
		!slices.ContainsFunc(s.w.nodes, func(n nodeSpec) bool { return n.other })
}

// outlasts are the parts of a core that a rest does not leave as they were in
// a new one; asNew looks at them one by one. Every other part, also one that is
// yet to come, must be empty.
var outlasts = map[string]bool{
	"cfg": true, "cached": true, "random": true, // for good
	"now": true, "nextStage": true, "groups": true, // go on
	"executors": true, "root": true, // looked at below
	"attempts": true, "memory": true, "free": true,
	"silence": true, "timer": true, "outputs": true,
	"order": true, "places": true, "desc": true, "slabs": true, "out": true, // of the last step
}

// asNew compares a core at rest, whose shuffles are removed, with a new one.
func (s *sim) asNew() {
	c := s.core
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; !outlasts[name] && !empty(v.Field(i)) {
			s.t.Fatalf("at rest %s is %v", name, v.Field(i))
		}
	}
	if len(c.groups) > c.cfg.MaxCancelledGroups {
		s.t.Fatalf("at rest %d cancelled groups are remembered", len(c.groups))
	}
	if len(c.outputs.shuffles) != 0 || len(c.outputs.ids) != 0 {
		s.t.Fatalf("at rest the map outputs of the shuffles %v are left", c.outputs.ids)
	}
	if c.timer != 0 && c.timer != c.silence || (c.silence != 0) != s.w.beats { // with beats the next silence, at least, is looked for
		s.t.Fatalf("at rest the timer is to ring at %d, for a silence at %d", c.timer, c.silence)
	}
	for _, x := range c.executors {
		late := slices.ContainsFunc(x.failures, func(until int64) bool { return until > c.now+int64(c.cfg.Exclusion.Timeout) })
		if x.excluded != 0 || x.barred || x.gone || late || len(x.failures) > 0 && !s.w.excludes {
			s.t.Fatalf("at rest executor %s is left as %+v", x.id, *x)
		}
	}
	if a := &c.attempts; a.live != 0 || a.count != 0 || slices.ContainsFunc(a.ring, func(a *attempt) bool { return a != nil }) {
		s.t.Fatalf("at rest %d attempts live, in a range of %d", a.live, a.count)
	}
	places := map[int32]bool{}
	for _, a := range c.free {
		b := *a
		b.place, b.startEvent, b.endEvent = 0, event.TaskStart{}, event.TaskEnd{}
		if places[a.place] = true; c.memory.get(a.place) != a || !reflect.DeepEqual(b, attempt{}) {
			s.t.Fatalf("at rest the memory of an attempt holds %+v", b)
		}
	}
	if len(places) != len(c.memory) || len(c.free) != len(c.memory) {
		s.t.Fatalf("at rest %d of %d attempts' memory is free, %d places", len(c.free), len(c.memory), len(places))
	}
	pools := []*pool{c.root}
	for len(pools) > 0 {
		p := pools[0]
		pools = pools[1:]
		if p.running != 0 {
			s.t.Fatalf("at rest pool %s runs %d attempts", p.name, p.running)
		}
		for _, n := range p.children {
			if n.pool == nil {
				s.t.Fatalf("at rest %s is in pool %s", n.name, p.name)
			}
			pools = append(pools, n.pool)
		}
	}
	s.reaches(v, "core", map[reached]bool{})
}

// empty reports whether a value is as in a new core: nothing, or room for it.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	case reflect.Struct:
		for i := range v.NumField() {
			if !empty(v.Field(i)) {
				return false
			}
		}
		return true
	}
	return v.IsZero()
}

// reached is a place in memory; a struct and its first field have the same.
type reached struct {
	as reflect.Type
	at uintptr
}

// reaches finds what a core at rest must not keep from the collector, in the
// room behind slices, too: jobs, stages and task sets with all they hold, and
// delivered results.
func (s *sim) reaches(v reflect.Value, path string, seen map[reached]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		at := reached{v.Type(), v.Pointer()}
		if v.IsNil() || seen[at] {
			return
		}
		seen[at] = true
		s.reaches(v.Elem(), path, seen)
	case reflect.Interface:
		if !v.IsNil() {
			s.reaches(v.Elem(), path, seen)
		}
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[job](), reflect.TypeFor[waitingJob](), reflect.TypeFor[stage](), reflect.TypeFor[taskSet](), reflect.TypeFor[JobSpec]():
			s.t.Fatalf("at rest %s still holds a %v", path, v.Type())
		case reflect.TypeFor[Deliver]():
			if v.FieldByName("Value").Len() > 0 {
				s.t.Fatalf("at rest %s still holds a result", path)
			}
		}
		for i := range v.NumField() {
			s.reaches(v.Field(i), path+"."+v.Type().Field(i).Name, seen)
		}
	case reflect.Slice:
		switch v.Type().Elem().Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Struct:
			for i := range v.Cap() {
				s.reaches(v.Slice(0, v.Cap()).Index(i), path+"[]", seen)
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			s.reaches(it.Value(), path+"[]", seen)
		}
	}
}
