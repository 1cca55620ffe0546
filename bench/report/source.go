package report

import (
	"bufio"
	"fmt"
	"iter"
	"os"

	"github.com/execbench/execbench/engine/event"
)

// Source returns the run's events from the first, each time it is called.
// The events obey the rules of event.Read: each is valid until the next, and
// a pair with an error is the last.
type Source func() iter.Seq2[event.Event, error]

// FileSource reads the event file at path. The file is opened at the start of
// every iteration and closed at its end.
func FileSource(path string) Source {
	return func() iter.Seq2[event.Event, error] {
		return func(yield func(event.Event, error) bool) {
			f, err := os.Open(path)
			if err != nil {
				yield(nil, fmt.Errorf("cannot read events: %w", err))
				return
			}
			defer f.Close()
			for e, err := range event.Read(bufio.NewReaderSize(f, 256<<10)) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// EventSource yields the events given.
func EventSource(events []event.Event) Source {
	return func() iter.Seq2[event.Event, error] {
		return func(yield func(event.Event, error) bool) {
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}
