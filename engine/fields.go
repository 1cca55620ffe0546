package engine

import (
	"unsafe"

	"github.com/execbench/execbench/engine/source"
)

// fieldsBatch is how many fields are handed on at a time: so few that they, and
// what a consumer notes of each, are still in the first-level cache when they
// are read.
const fieldsBatch = 512

// Fields cuts every text into its fields: the longest runs of bytes that are
// not among the delimiters. A field is a view into its text, valid for its
// batch. FlatMap with a loop over the bytes does the same in about three times
// the time (16 ns a word of a text, here 5). Delimiters may be any bytes; it is
// fastest where they are ASCII and lie in at most two ranges, as those of words
// do (" \t\n\v\f\r").
func Fields[T ~string | ~[]byte](d *Dataset[T], delimiters string) *Dataset[string] {
	cutter := source.FieldsOf(delimiters)
	return derive(d, "fields", func(t *Task, part int, emit func([]string) error) error {
		buf := takeBatch[string]()
		defer buf.put()
		if cap(buf.rows) < fieldsBatch {
			buf.rows = make([]string, 0, fieldsBatch)
		}
		return d.each(t, part, func(in []T) error {
			out := buf.rows[:0:fieldsBatch]
			for i := range in {
				for text := bytesOfText(&in[i]); len(text) > 0; {
					out, text = cutter.Append(out, text)
					if len(text) == 0 {
						break
					}
					if err := emit(out); err != nil {
						return err
					}
					out = out[:0]
				}
			}
			if len(out) == 0 {
				return nil
			}
			return emit(out)
		})
	})
}

// bytesOfText returns the bytes of a text, which must not be changed. A slice
// begins with what a string is.
func bytesOfText[T ~string | ~[]byte](text *T) []byte {
	s := *(*string)(unsafe.Pointer(text))
	return unsafe.Slice(unsafe.StringData(s), len(s))
}
