package event

// Tee returns a Sink that passes every event to each of the sinks, in the
// order given; nil ones are left out. It adds no goroutine, buffer or lock:
// an event has reached all of them when Emit returns.
func Tee(sinks ...Sink) Sink {
	var t tee
	for _, s := range sinks {
		if s != nil {
			t = append(t, s)
		}
	}
	if len(t) == 1 {
		return t[0]
	}
	return t
}

type tee []Sink

// Emit implements Sink.
func (t tee) Emit(e Event) {
	for _, s := range t {
		s.Emit(e)
	}
}
