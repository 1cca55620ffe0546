package source

import (
	"bytes"
	"unsafe"

	"github.com/execbench/execbench/engine/task"
)

// linesBatch is how many lines are handed on at once: their headers (16
// bytes each) stay in the first-level cache.
const linesBatch = 1024

// Lines reads a split as lines of text: what ends in \n, without it and
// without a \r before it. A last line needs no \n; a lone \r ends nothing;
// empty lines are lines. Bytes are not checked to be UTF-8.
//
// Lines come in batches. The strings are views, valid until emit returns:
// strings.Clone keeps one. No memory is allocated per line. Errors name the
// file; ErrTooLong when a line exceeds ItemMax.
func (r *Reader) Lines(s *Split, emit func(lines []string) error) error {
	buf, err := r.newBuffer()
	if err != nil {
		return err
	}
	defer buf.free()
	batch := make([]string, 0, linesBatch)
	flush := func() error {
		r.count(task.InputRecordsRead, len(batch))
		err := emit(batch)
		batch = batch[:0]
		return err
	}
	for i := range s.Pieces {
		err := r.spans(&s.Pieces[i], buf, newline{}, func(view []byte, _ int64) error {
			for len(view) > 0 {
				line := view
				if j := bytes.IndexByte(view, '\n'); j >= 0 {
					line, view = view[:j], view[j+1:]
				} else {
					view = nil
				}
				if n := len(line); n > 0 && line[n-1] == '\r' {
					line = line[:n-1]
				}
				batch = append(batch, unsafe.String(unsafe.SliceData(line), len(line)))
				if len(batch) == cap(batch) {
					if err := flush(); err != nil {
						return err
					}
				}
			}
			if len(batch) == 0 {
				return nil
			}
			return flush() // the buffer is about to be overwritten
		})
		if err != nil {
			return err
		}
	}
	return nil
}
