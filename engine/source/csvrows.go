package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// rowsBatch is how many rows are handed on at once.
const rowsBatch = 2048

// Rows is a batch of CSV rows with the wanted columns. Rows and columns
// count from 0. Everything read from it is valid until emit returns.
type Rows struct {
	o      CSVOptions
	names  []string
	slots  []int32 // [columns of the file]: index among the wanted, or -1
	headed bool    // the header of this file was read

	r    *Reader
	p    *Piece
	view []byte
	at   int64 // offset of view in the file's content
	next int   // start of the first row not yet parsed, in view
	// Line ends before view and in it, counted for compressed files only.
	lines, within int64

	n      int
	starts [rowsBatch]uint32 // [n]: where rows begin in view
	fields []field           // [n·len(names)], row by row
	err    error             // first failed access
}

// field is where a value lies in the view.
type field struct{ start, end uint32 }

func newRows(o CSVOptions) *Rows { return &Rows{o: o} }

// Len returns the number of rows.
func (rows *Rows) Len() int { return rows.n }

// Columns returns the names of the columns, to be read only.
func (rows *Rows) Columns() []string { return rows.names }

// Bytes returns a field without its quotes, as a view to be read only.
func (rows *Rows) Bytes(row, col int) []byte {
	f := rows.fields[row*len(rows.names)+col]
	return rows.view[f.start:f.end:f.end]
}

// start prepares for a piece.
func (rows *Rows) start(r *Reader, p *Piece) {
	rows.r, rows.p, rows.headed, rows.view, rows.lines, rows.within = r, p, false, nil, 0, 0
}

// load takes the next view of the piece.
func (rows *Rows) load(view []byte, at int64) {
	rows.view, rows.at, rows.next = view, at, 0
	if rows.p.Format != Plain {
		rows.lines += rows.within
		rows.within = int64(bytes.Count(view, newlineByte))
	}
}

var newlineByte = []byte{'\n'}

// header parses the first line of the file, which the view begins with.
func (rows *Rows) header() error {
	if bytes.HasPrefix(rows.view, []byte("\xef\xbb\xbf")) {
		rows.next = 3
	}
	if start := rows.next; rows.skipEmpty() {
		return rows.fail(start, -1, fmt.Errorf("%w: the first line is empty", ErrHeader))
	}
	var names []string
	for at, start := rows.next, rows.next; ; {
		f, after, last, err := rows.parseField(at)
		if err != nil {
			return rows.fail(start, len(names), err)
		}
		names = append(names, string(rows.view[f.start:f.end]))
		at = after
		if last {
			rows.next = at
			if err := rows.choose(names); err != nil {
				return rows.fail(start, -1, err)
			}
			rows.headed = true
			return nil
		}
	}
}

// fill parses the next rows of the view, up to a batch of them, and reports
// whether there may be more.
func (rows *Rows) fill() (more bool, err error) {
	rows.n, rows.fields = 0, rows.fields[:0]
	width := len(rows.names)
	for rows.skipEmpty(); rows.next < len(rows.view); rows.skipEmpty() {
		if rows.n == rowsBatch {
			return true, nil
		}
		start := rows.next
		base := len(rows.fields)
		rows.fields = append(rows.fields, make([]field, width)...)
		row := rows.fields[base:]
		for col, at := 0, start; ; col++ {
			f, after, last, err := rows.parseField(at)
			if err != nil {
				return false, rows.fail(start, col, err)
			}
			if col < len(rows.slots) {
				if slot := rows.slots[col]; slot >= 0 {
					row[slot] = f
				}
			}
			at = after
			if last {
				if col+1 != len(rows.slots) {
					return false, rows.fail(start, -1, fmt.Errorf("%w: %d, not %d", ErrFields, col+1, len(rows.slots)))
				}
				rows.next = at
				break
			}
		}
		rows.starts[rows.n] = uint32(start)
		rows.n++
	}
	return false, nil
}

// skipEmpty moves over lines without a character and reports whether there
// were any.
func (rows *Rows) skipEmpty() (skipped bool) {
	for v := rows.view; rows.next < len(v); skipped = true {
		switch {
		case v[rows.next] == '\n':
			rows.next++
		case v[rows.next] == '\r' && rows.next+1 < len(v) && v[rows.next+1] == '\n':
			rows.next += 2
		default:
			return skipped
		}
	}
	return skipped
}

// parseField reads the field at offset at and returns where the next one
// begins and whether this was the row's last.
func (rows *Rows) parseField(at int) (f field, after int, last bool, err error) {
	v, comma := rows.view, rows.o.comma()
	if at < len(v) && v[at] == '"' {
		return rows.parseQuoted(at)
	}
	end := scan(v, at, comma)
	if end == len(v) {
		return field{uint32(at), uint32(trimCR(v, at, end))}, end, true, nil
	}
	switch v[end] {
	case '\n':
		return field{uint32(at), uint32(trimCR(v, at, end))}, end + 1, true, nil
	case '"':
		return field{}, 0, false, fmt.Errorf("%w: a field that holds one must be quoted as a whole", ErrQuote)
	}
	return field{uint32(at), uint32(end)}, end + 1, false, nil
}

func trimCR(v []byte, at, end int) int {
	if end > at && v[end-1] == '\r' {
		return end - 1
	}
	return end
}

// parseQuoted reads a field that begins with a quote. Doubled quotes are
// made single in place; what that leaves over becomes blanks, so that line
// ends are not counted twice.
func (rows *Rows) parseQuoted(at int) (f field, after int, last bool, err error) {
	v, comma := rows.view, rows.o.comma()
	from := at + 1
	to := from // end of the value so far
	for i := from; ; {
		j := bytes.IndexByte(v[i:], '"')
		run := v[i:]
		if j >= 0 {
			run = run[:j]
		}
		if !rows.o.Multiline && bytes.IndexByte(run, '\n') >= 0 {
			return f, 0, false, fmt.Errorf("%w: a quoted field is not closed on its line (Multiline reads such files)", ErrQuote)
		}
		if j < 0 {
			return f, 0, false, fmt.Errorf("%w: a quoted field is not closed", ErrQuote)
		}
		if to != i {
			copy(v[to:], run)
		}
		to += j
		i += j + 1 // behind the quote
		if i < len(v) && v[i] == '"' {
			v[to] = '"'
			to, i = to+1, i+1
			continue
		}
		for k := to; k < i-1; k++ {
			v[k] = ' '
		}
		f = field{uint32(from), uint32(to)}
		switch {
		case i == len(v):
			return f, i, true, nil
		case v[i] == comma:
			return f, i + 1, false, nil
		case v[i] == '\n':
			return f, i + 1, true, nil
		case v[i] == '\r' && i+1 == len(v):
			return f, i + 1, true, nil
		case v[i] == '\r' && v[i+1] == '\n':
			return f, i + 2, true, nil
		}
		return f, 0, false, fmt.Errorf("%w: %q follows a closed one", ErrQuote, v[i])
	}
}

// scan returns the offset, from at on, of the first comma, line end or quote
// of v, or its length. Eight bytes are looked at together: a byte of x that
// is zero sets its top bit in (x-ones) &^ x & tops, and no lower bit is set
// by mistake before the first one that is right.
func scan(v []byte, at int, comma byte) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	commas := ones * uint64(comma)
	for ; at+8 <= len(v); at += 8 {
		w := binary.LittleEndian.Uint64(v[at:])
		a, b, c := w^commas, w^(ones*'\n'), w^(ones*'"')
		if hit := ((a-ones)&^a | (b-ones)&^b | (c-ones)&^c) & tops; hit != 0 {
			return at + bits.TrailingZeros64(hit)/8
		}
	}
	for ; at < len(v); at++ {
		if c := v[at]; c == comma || c == '\n' || c == '"' {
			break
		}
	}
	return at
}

// fail makes an error of a place: the row that starts at offset start of the
// view, and a column of the file (-1: the row as a whole).
func (rows *Rows) fail(start, col int, cause error) error {
	e := &CSVError{Path: rows.p.Path, Line: rows.lineOf(start), Column: col + 1, Cause: cause}
	if col >= 0 && col < len(rows.slots) && rows.headed {
		if slot := rows.slots[col]; slot >= 0 {
			e.Name = rows.names[slot]
		}
	}
	return e
}

// lineOf returns the number of the line on which offset start of the view
// lies, or 0 if that cannot be told. For plain files it reads the file again
// from its beginning: errors are rare, counting is not free.
func (rows *Rows) lineOf(start int) int64 {
	inView := int64(bytes.Count(rows.view[:start], newlineByte)) + 1
	if rows.p.Format != Plain {
		return rows.lines + inView
	}
	before, err := countLines(rows.r.fs(), rows.p.Path, rows.at)
	if err != nil {
		return 0
	}
	return before + inView
}

func countLines(fs fsys.FS, path string, until int64) (n int64, err error) {
	if until == 0 {
		return 0, nil
	}
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	in := io.LimitReader(f, until)
	block := make([]byte, 32<<10)
	for err == nil {
		var k int
		k, err = in.Read(block)
		n += int64(bytes.Count(block[:k], newlineByte))
	}
	_ = f.Close() // nothing was written
	if err == io.EOF {
		return n, nil
	}
	return 0, err
}
