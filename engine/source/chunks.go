package source

import (
	"github.com/execbench/execbench/engine/task"
)

// Delimiters is a set of bytes that part items: entry c is true when c is
// one of them.
type Delimiters [256]bool

// DelimitersOf returns the set of the bytes of s.
func DelimitersOf(s string) *Delimiters {
	var d Delimiters
	for i := range len(s) {
		d[s[i]] = true
	}
	return &d
}

func (d *Delimiters) first(b []byte) int {
	for i, c := range b {
		if d[c] {
			return i + 1
		}
	}
	return -1
}

func (d *Delimiters) last(b []byte) int {
	for i := len(b); i > 0; i-- {
		if d[b[i-1]] {
			return i
		}
	}
	return 0
}

func (d *Delimiters) ends(c byte) bool { return d[c] }

// Chunks reads a split as large chunks: each is a stretch of one file, at
// most a block long unless one item is longer, that holds whole items and
// the delimiters between and behind them. The bytes of all chunks of all
// splits are those of the files, each once.
//
// Chunks come in batches, valid until emit returns, as views that must not
// be written to. Each chunk counts as one record read. Errors name the file;
// ErrTooLong when an item exceeds ItemMax.
func (r *Reader) Chunks(s *Split, delims *Delimiters, emit func(chunks [][]byte) error) error {
	buf, err := r.newBuffer()
	if err != nil {
		return err
	}
	defer buf.free()
	var batch [1][]byte
	for i := range s.Pieces {
		err := r.spans(&s.Pieces[i], buf, delims, func(view []byte, _ int64) error {
			r.count(task.InputRecordsRead, 1)
			batch[0] = view
			return emit(batch[:])
		})
		if err != nil {
			return err
		}
	}
	return nil
}
