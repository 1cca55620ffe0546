package source

import (
	"bytes"

	"github.com/execbench/execbench/engine/task"
)

// cutter finds places in a buffer where items may be parted.
type cutter interface {
	// first returns the length of the shortest prefix of b that ends behind
	// a delimiter, or -1.
	first(b []byte) int
	// last returns the length of the longest such prefix, or 0.
	last(b []byte) int
	// ends reports whether an item may begin after c.
	ends(c byte) bool
}

// overshoot is how far beyond a piece's end is read at first, in search of
// the end of its last item.
const overshoot = 4 << 10

// spans reads a piece through the buffer and hands on its bytes, in order,
// in views that end behind a delimiter or at the end of the piece's last
// item; at is the offset of a view's first byte, in the file's content.
//
//  1. Unless the piece begins its file, read from one byte before it and
//     drop everything up to the first delimiter: that item is another's.
//  2. Fill the buffer; hand on what ends behind its last delimiter before the
//     piece's end; move the rest to the front. Without a delimiter, grow.
//  3. From the piece's end on, look for the first delimiter at or behind the
//     end less one; what lies before it is the last view.
func (r *Reader) spans(p *Piece, buf *buffer, cut cutter, emit func(view []byte, at int64) error) error {
	if r.Begin != nil {
		r.Begin(p)
	}
	if p.Length == 0 {
		return nil
	}
	skip := p.Offset > 0
	start := p.Offset
	if skip {
		start--
	}
	in, err := r.open(p, start)
	if err != nil {
		return err
	}
	defer in.Close()
	var (
		end  = p.Offset + p.Length // of the piece, in the file; of no meaning if compressed
		base = start               // offset of buf.b[0]
		n    int                   // bytes in the buffer
		done bool                  // the file has no more
	)
	hand := func(view []byte) error {
		if len(view) == 0 {
			return nil
		}
		if in.size >= 0 {
			r.count(task.InputBytesRead, len(view))
		}
		return emit(view[:len(view):len(view)], base)
	}
	for {
		if n == len(buf.b) {
			larger, err := buf.grow(n, r.itemMax())
			if err != nil {
				return err
			}
			if !larger {
				return tooLong(p.Path, base, len(buf.b))
			}
		}
		want := len(buf.b) - n
		if in.size >= 0 {
			want = int(min(int64(want), max(end-in.at, 0)+overshoot))
		}
		var m int
		if m, done, err = in.read(buf.b[n : n+want]); err != nil {
			return err
		}
		n += m
		if skip {
			i := cut.first(buf.b[:n])
			if i < 0 {
				base, n = base+int64(n), 0
				if done || base >= end {
					return nil // the whole piece lies inside an item that is not its own
				}
				continue
			}
			base, n, skip = base+int64(i), copy(buf.b, buf.b[i:n]), false
			if base >= end {
				return nil
			}
		}
		if in.size >= 0 && base+int64(n) >= end {
			own := int(end - base) // what surely is the piece's
			stop := own
			if !cut.ends(buf.b[own-1]) {
				if i := cut.first(buf.b[own:n]); i >= 0 {
					stop = own + i
				} else if done {
					stop = n
				} else {
					stop = -1
				}
			}
			if stop >= 0 {
				return hand(buf.b[:stop])
			}
		} else if done {
			return hand(buf.b[:n])
		}
		ready := cut.last(buf.b[:n])
		if err := hand(buf.b[:ready]); err != nil {
			return err
		}
		base, n = base+int64(ready), copy(buf.b, buf.b[ready:n])
	}
}

// newline parts lines.
type newline struct{}

func (newline) first(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return -1
}
func (newline) last(b []byte) int { return bytes.LastIndexByte(b, '\n') + 1 }
func (newline) ends(c byte) bool  { return c == '\n' }
