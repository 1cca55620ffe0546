package report

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// SparkSource reads Spark's event log at path: a file, or the folder of one in
// several files. What such a log tells is what event.ReadSpark says.
func SparkSource(path string) Source {
	return func() iter.Seq2[event.Event, error] {
		return func(yield func(event.Event, error) bool) {
			files, err := sparkFiles(path)
			if err != nil {
				yield(nil, fmt.Errorf("cannot read events: %w", err))
				return
			}
			var in []io.Reader
			for _, name := range files {
				f, err := os.Open(name)
				if err != nil {
					yield(nil, fmt.Errorf("cannot read events: %w", err))
					return
				}
				defer f.Close()
				in = append(in, f)
			}
			for e, err := range event.ReadSpark(io.MultiReader(in...)) {
				if !yield(e, err) || err != nil {
					return
				}
			}
		}
	}
}

// IsSparkLog reports whether path may be an event log of Spark: a file, or
// the folder of one in several files.
func IsSparkLog(path string) bool {
	files, err := sparkFiles(path)
	return err == nil && len(files) > 0
}

// sparkFiles returns the files of a log, in their order.
func sparkFiles(path string) (files []string, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	for n := 1; err == nil; n++ {
		i := slices.IndexFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), fmt.Sprintf("events_%d_", n)) })
		if i < 0 {
			break
		}
		files = append(files, filepath.Join(path, entries[i].Name()))
	}
	return files, err
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
