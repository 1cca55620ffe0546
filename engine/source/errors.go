package source

import (
	"errors"
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Errors that callers branch on. They come wrapped, with the file's name.
var (
	// ErrExists: the output folder already holds something.
	ErrExists = errors.New("output exists")
	// ErrCorrupt: a compressed file does not decompress.
	ErrCorrupt = errors.New("file is corrupt")
	// ErrTooLong: one item is longer than Reader.ItemMax.
	ErrTooLong = errors.New("item is too long")
	// ErrTruncated: a file ended before the length that List saw.
	ErrTruncated = errors.New("file became shorter while it was read")
)

// InputError is a file whose content is not what the job reads.
type InputError struct {
	Path  string
	Cause error // what stands there, and what should
}

// Error returns "cannot read FILE: …".
func (e *InputError) Error() string { return "cannot read " + e.Path + ": " + e.Cause.Error() }

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Cause }

// IsInput reports whether err says that a file's content cannot be read: it
// is one of the errors of this package that do, or the failure of a task
// whose error was one. Of those only the type's name is left.
func IsInput(err error) bool {
	var csv *CSVError
	var width *WidthError
	var input *InputError
	if errors.As(err, &csv) || errors.As(err, &width) || errors.As(err, &input) {
		return true
	}
	var f *task.Failure
	return errors.As(err, &f) && slices.Contains([]string{fmt.Sprintf("%T", csv), fmt.Sprintf("%T", width), fmt.Sprintf("%T", input)}, f.Class)
}

// WidthError is a file that does not divide into whole records.
type WidthError struct {
	Path      string
	Size      int64
	Width     int
	Remainder int64 // bytes behind the last whole record
}

// Error names the file, its size and what is left over.
func (e *WidthError) Error() string {
	return fmt.Sprintf("cannot read %s as records of %d bytes: its %d bytes leave a remainder of %d", e.Path, e.Width, e.Size, e.Remainder)
}

// CSVError is a place in a CSV file that cannot be read.
type CSVError struct {
	Path   string
	Line   int64  // from 1, the header's included; 0: not known
	Column int    // field, from 1; 0: the row as a whole
	Name   string // the column's name, when known
	Cause  error
}

// Error returns "cannot read FILE, line 7, column 2 (price): …".
func (e *CSVError) Error() string {
	s := "cannot read " + e.Path
	if e.Line > 0 {
		s += fmt.Sprintf(", line %d", e.Line)
	}
	if e.Column > 0 {
		s += fmt.Sprintf(", column %d", e.Column)
		if e.Name != "" {
			s += " (" + e.Name + ")"
		}
	}
	return s + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *CSVError) Unwrap() error { return e.Cause }

func tooLong(path string, at int64, limit int) error {
	return fmt.Errorf("cannot read %s: the item at offset %d is longer than %s: %w", path, at, units.Bytes(limit), ErrTooLong)
}
