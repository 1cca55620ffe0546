package engine

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/execbench/execbench/engine/event"
)

// ErrInSink: an event sink called what it cannot wait for. Sinks are called in
// the middle of scheduling, so whatever waits for the scheduler would wait for
// ever.
var ErrInSink = errors.New("called by an event sink, which is in the middle of scheduling")

// shielded is a caller's sink as the session calls it. A panic is logged and
// counted, and the session lives on; the sink is told of later events all the
// same.
type shielded struct {
	sink event.Sink
	log  *slog.Logger

	mu struct {
		sync.Mutex
		panics int
		first  error
	}
}

// shield wraps the sinks of a configuration.
func shield(sinks []event.Sink, log *slog.Logger) (list []*shielded) {
	for _, s := range sinks {
		if s != nil {
			list = append(list, &shielded{sink: s, log: log})
		}
	}
	return list
}

// tell passes events to every sink, in order.
func tell(list []*shielded) event.Sink {
	sinks := make([]event.Sink, len(list))
	for i, s := range list {
		sinks[i] = s
	}
	return event.Tee(sinks...)
}

// Emit implements event.Sink. insideSink knows it by its name.
func (s *shielded) Emit(e event.Event) {
	defer s.recovered(e)
	s.sink.Emit(e)
}

func (s *shielded) recovered(e event.Event) {
	p := recover()
	if p == nil {
		return
	}
	s.mu.Lock()
	s.mu.panics++
	first := s.mu.panics == 1
	if first {
		s.mu.first = fmt.Errorf("on %T: %v", e, p)
	}
	s.mu.Unlock()
	if first {
		s.log.Error("event sink panicked; its panics from here on are only counted", "sink", fmt.Sprintf("%T", s.sink),
			"event", fmt.Sprintf("%T", e), "cause", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// failed returns an error that says how often the sink panicked, if it did.
func (s *shielded) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.panics == 0 {
		return nil
	}
	return fmt.Errorf("event sink %T panicked %d times, first %w", s.sink, s.mu.panics, s.mu.first)
}

// listen makes the queues of listeners, by name in the order of their first.
func (s *core) listen(list []Listener) {
	var names []string
	byName := map[string][]event.Sink{}
	for _, l := range list {
		if l.Sink == nil {
			continue
		}
		name := cmp.Or(l.Queue, "shared")
		if byName[name] == nil {
			names = append(names, name)
		}
		behind := shield([]event.Sink{l.Sink}, s.log)[0]
		s.sinks = append(s.sinks, behind)
		byName[name] = append(byName[name], behind)
	}
	for _, name := range names {
		s.queues = append(s.queues, event.NewQueue(name, s.set.ListenerQueues.Of(name), byName[name]...))
	}
}

// stopQueues lets listeners take what is left.
func (s *core) stopQueues() error {
	var errs []error
	for _, q := range s.queues {
		errs = append(errs, q.Stop(s.set.ListenerQueues.ExitTimeout))
		if n := q.Dropped(); n > 0 {
			s.log.Warn("a listener queue was full and dropped events", "queue", q.Name(), "events", n, "capacity", q.Capacity())
		}
	}
	return errors.Join(errs...)
}

// emitName is how the runtime names (*shielded).Emit.
var emitName = runtime.FuncForPC(reflect.ValueOf((*shielded).Emit).Pointer()).Name()

// insideSink reports whether the calling goroutine is inside a sink: a
// shielded's Emit is on its stack. It costs a few microseconds, so it is for
// what starts jobs and for what ends them.
func insideSink() bool {
	var pcs [64]uintptr
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs[:])
		for frames := runtime.CallersFrames(pcs[:n]); ; {
			f, more := frames.Next()
			if f.Function == emitName {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
