package source

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/execbench/execbench/engine/task"
)

// CSVOptions say how CSV files are read.
type CSVOptions struct {
	// Columns are the ones wanted, in the order wanted, by their names in
	// each file's header; nil: all, in the file's order.
	Columns []string
	// Comma parts fields; 0: a comma. It is neither a quote nor part of a
	// line's end.
	Comma byte
	// Multiline allows line ends inside quotes. Such files can only be read
	// whole (CutOptions.Whole); without it any line end ends a row, so that
	// plain files are cut anywhere, and a quoted field that is not closed on
	// its line is an error.
	Multiline bool
}

func (o *CSVOptions) comma() byte {
	if o.Comma == 0 {
		return ','
	}
	return o.Comma
}

// Causes of a CSVError that callers may ask for.
var (
	ErrQuote  = errors.New("a quote stands where it cannot")
	ErrFields = errors.New("the number of fields differs from the header's")
	ErrHeader = errors.New("the header does not fit")
	ErrValue  = errors.New("the value is not of the wanted type")
)

// CSV reads a split as rows of CSV, RFC 4180: the first row of each file is
// its header; fields may be quoted, a quote inside is doubled; lines end in
// \n or \r\n; rows have as many fields as the header; empty lines are
// skipped, but the first line is the header; a byte-order mark before it is
// dropped. A file without a byte has no rows.
//
// Rows come in batches, valid until emit returns. An error of a typed
// accessor of Rows is returned after that emit. Errors are *CSVError, with
// file, line and column, or name the file.
func (r *Reader) CSV(s *Split, o CSVOptions, emit func(rows *Rows) error) error {
	buf, err := r.newBuffer()
	if err != nil {
		return err
	}
	defer buf.free()
	rows := newRows(o)
	for i := range s.Pieces {
		if err := r.csvOf(&s.Pieces[i], buf, rows, emit); err != nil {
			return err
		}
	}
	return nil
}

// CSVHeader returns the names of a file's columns.
func (r *Reader) CSVHeader(f *File, o CSVOptions) ([]string, error) {
	buf, err := r.newBuffer()
	if err != nil {
		return nil, err
	}
	defer buf.free()
	o.Columns = nil
	rows := newRows(o)
	err = r.headerOf(&Piece{f.Path, 0, f.Size, f.Size, f.Format}, buf, rows)
	return rows.names, err
}

// csvOf reads one piece. A piece that does not begin its file looks up the
// header first.
func (r *Reader) csvOf(p *Piece, buf *buffer, rows *Rows, emit func(*Rows) error) error {
	var cut cutter = newline{}
	if rows.o.Multiline {
		if p.Offset != 0 || p.Length != p.Size {
			panic("source: a multiline CSV file was cut; Cut needs Whole")
		}
		cut = quotedLines{}
	}
	rows.start(r, p)
	if p.Offset > 0 {
		if err := r.headerOf(p, buf, rows); err != nil {
			return err
		}
	}
	return r.spans(p, buf, cut, func(view []byte, at int64) error {
		rows.load(view, at)
		if !rows.headed {
			if err := rows.header(); err != nil {
				return err
			}
		}
		for {
			more, err := rows.fill()
			if err != nil {
				return err
			}
			if rows.Len() > 0 {
				r.count(task.InputRecordsRead, rows.Len())
				if err := emit(rows); err != nil {
					return err
				}
				if rows.err != nil {
					return rows.err
				}
			}
			if !more {
				return nil
			}
		}
	})
}

// errHeaderRead stops a reading that has what it wanted.
var errHeaderRead = errors.New("header read")

// headerOf reads the header of the piece's file, uncounted.
func (r *Reader) headerOf(p *Piece, buf *buffer, rows *Rows) error {
	quiet := *r
	quiet.Metrics, quiet.Begin = nil, nil
	whole := Piece{p.Path, 0, p.Size, p.Size, p.Format}
	var cut cutter = newline{}
	if rows.o.Multiline {
		cut = quotedLines{}
	} else if p.Format == Plain && p.Size > 0 {
		whole.Length = 1 // the piece that holds the first line alone
	}
	rows.start(&quiet, &whole)
	err := quiet.spans(&whole, buf, cut, func(view []byte, at int64) error {
		rows.load(view, at)
		if err := rows.header(); err != nil {
			return err
		}
		return errHeaderRead
	})
	if err == nil {
		return rows.fail(0, -1, fmt.Errorf("%w: there is none", ErrHeader))
	}
	if err != errHeaderRead {
		return err
	}
	rows.r, rows.p = r, p
	return nil
}

// quotedLines parts rows whose quoted fields may hold line ends. Its views
// begin at a row, so quotes are counted from there.
type quotedLines struct{}

func (quotedLines) first([]byte) int { return -1 }
func (quotedLines) ends(byte) bool   { return false }

func (quotedLines) last(b []byte) int {
	end, quoted := 0, false
	for at := 0; ; {
		i := bytes.IndexByte(b[at:], '"')
		run := b[at:]
		if i >= 0 {
			run = run[:i]
		}
		if !quoted {
			if j := bytes.LastIndexByte(run, '\n'); j >= 0 {
				end = at + j + 1
			}
		}
		if i < 0 {
			return end
		}
		at, quoted = at+i+1, !quoted
	}
}

// choose maps the file's columns to the wanted ones.
func (rows *Rows) choose(header []string) error {
	rows.slots = make([]int32, len(header))
	if rows.o.Columns == nil {
		rows.names = header
		for i := range rows.slots {
			rows.slots[i] = int32(i)
		}
		return nil
	}
	for i := range rows.slots {
		rows.slots[i] = -1
	}
	rows.names = rows.o.Columns
	for wanted, name := range rows.names {
		i := slices.Index(header, name)
		switch {
		case i < 0:
			return fmt.Errorf("%w: there is no column %q, only %s", ErrHeader, name, strings.Join(header, ", "))
		case slices.Contains(header[i+1:], name):
			return fmt.Errorf("%w: there are two columns %q", ErrHeader, name)
		case rows.slots[i] >= 0:
			return fmt.Errorf("%w: column %q is wanted twice", ErrHeader, name)
		}
		rows.slots[i] = int32(wanted)
	}
	return nil
}
