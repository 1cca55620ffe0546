package source

import (
	"fmt"

	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Records reads a split as records of width bytes, made by Cut with that
// Unit, and hands them on in blocks: whole records, back to back, the first
// at an address divisible by 8, valid until emit returns. at is the offset
// of the block's first byte in its file's content.
//
// Errors name the file; a file, or the content of a compressed one, that
// does not divide into whole records is a *WidthError.
func (r *Reader) Records(s *Split, width int, emit func(block []byte, at int64) error) error {
	if width < 1 {
		panic(fmt.Sprintf("source: records of %d bytes", width))
	}
	wide := *r
	wide.Block = max(r.block(), units.Bytes(width))
	buf, err := wide.newBuffer()
	if err != nil {
		return err
	}
	defer buf.free()
	block := buf.b[:len(buf.b)/width*width]
	for i := range s.Pieces {
		if err := r.recordsOf(&s.Pieces[i], width, block, emit); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) recordsOf(p *Piece, width int, block []byte, emit func([]byte, int64) error) error {
	if p.Format == Plain && (p.Offset%int64(width) != 0 || p.Length%int64(width) != 0) {
		return &WidthError{p.Path, p.Size, width, p.Size % int64(width)}
	}
	if r.Begin != nil {
		r.Begin(p)
	}
	in, err := r.open(p, p.Offset)
	if err != nil {
		return err
	}
	defer in.Close()
	for done := false; !done; {
		want := block
		if in.size >= 0 {
			want = block[:min(int64(len(block)), p.Offset+p.Length-in.at)]
		}
		if len(want) == 0 {
			return nil
		}
		at := in.at
		n, end, err := in.read(want)
		if err != nil {
			return err
		}
		if rest := n % width; rest != 0 {
			return &WidthError{p.Path, in.at, width, int64(rest)}
		}
		done = end
		if n == 0 {
			continue
		}
		if in.size >= 0 {
			r.count(task.InputBytesRead, n)
		}
		r.count(task.InputRecordsRead, n/width)
		if err := emit(want[:n:n], at); err != nil {
			return err
		}
	}
	return nil
}
