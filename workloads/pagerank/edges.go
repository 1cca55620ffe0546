package pagerank

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"

	"github.com/execbench/execbench/engine"
)

// edge is a link as it stands in the input.
type edge struct{ From, To uint32 } // nodes

// nodeMax is the highest number of a node.
const nodeMax = math.MaxUint32 - 1

// edgeBatch is how many links are handed on at once.
const edgeBatch = 2048

var errEdge = fmt.Errorf("a link is two whole numbers, source,destination, each from 0 to %d", uint32(nodeMax))

// edgeReader reads lines "source,destination". The first line of a file may
// be a header: it is when it does not begin with a digit.
type edgeReader struct {
	nodes int64 // how many there are; 0: as many as the links tell
}

func (r edgeReader) read(t *engine.Task, _ int, each func(func([][]byte) error) error, emit func([]edge) error) error {
	batch := make([]edge, 0, edgeBatch)
	flush := func() error {
		defer func() { batch = batch[:0] }()
		if err := r.check(batch); err != nil {
			return &engine.InputError{Path: t.Input().Path, Cause: err}
		}
		return emit(batch)
	}
	var at engine.Input
	err := each(func(chunks [][]byte) error {
		for _, text := range chunks {
			if in := t.Input(); in != at {
				at = in
				if in.Offset == 0 && len(text) > 0 && !digit(text[0]) {
					_, text, _ = bytes.Cut(text, []byte{'\n'})
				}
			}
			for len(text) > 0 {
				batch, text = shortEdges(batch, text)
				if len(batch) < cap(batch) && len(text) > 0 {
					e, rest, ok := parseEdge(text)
					if !ok {
						line, after, _ := bytes.Cut(text, []byte{'\n'})
						if len(bytes.TrimRight(line, "\r")) == 0 {
							text = after
							continue
						}
						return &engine.InputError{Path: at.Path, Cause: fmt.Errorf("%.80q: %w", line, errEdge)}
					}
					batch, text = append(batch, e), rest
				}
				if len(batch) < cap(batch) {
					continue
				}
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return flush()
}

// check finds nodes that there are not.
func (r edgeReader) check(edges []edge) error {
	top := uint32(0)
	for _, e := range edges {
		top = max(top, e.From, e.To)
	}
	if r.nodes > 0 && int64(top) >= r.nodes {
		return tooFew(r.nodes, int64(top))
	}
	return nil
}

func digit(c byte) bool { return c-'0' <= 9 }

// shortMax is how long the line of two numbers of seven digits is, with what
// is read beyond its end.
const shortMax = 8 + 8

// shortEdges reads lines of numbers below ten million into the room that dst
// has, until one is of another form or near the end of text. A number's eight
// bytes are looked at at once: where the first is that is no digit, and what
// the digits before it amount to; digit by digit, the processor would guess
// wrong where a number ends in every other line.
func shortEdges(dst []edge, text []byte) (_ []edge, rest []byte) {
	i := 0
	for len(dst) < cap(dst) && len(text)-i >= shortMax {
		from, n := shortNumber(binary.LittleEndian.Uint64(text[i:]))
		if uint(n-1) >= 7 || text[i+n] != ',' {
			break
		}
		j := i + n + 1
		to, m := shortNumber(binary.LittleEndian.Uint64(text[j:]))
		if uint(m-1) >= 7 || text[j+m] != '\n' {
			break
		}
		dst = append(dst, edge{from, to})
		i = j + m + 1
	}
	return dst, text[i:]
}

// shortNumber reads the number that the bytes of w begin with, the lowest
// first, and tells how many digits it has: from 0 to 8. That of 8 is not read.
func shortNumber(w uint64) (v uint32, digits int) {
	w ^= 0x3030303030303030 // digits are now 0 to 9, and all else is above
	above := ((w + 0x7676767676767676) | w) & 0x8080808080808080
	n := bits.TrailingZeros64(above) // 8*digits + 7, or 64
	w <<= (64 - uint(n)&^7) & 63     // the digits at the top, zeros before them
	// Neighbours are joined three times: to numbers of two digits, of four, of eight.
	w = w*10 + w>>8
	w = (w&0x000000ff000000ff*(100+1000000<<32) + w>>16&0x000000ff000000ff*(1+10000<<32)) >> 32
	return uint32(w), n >> 3
}

// parseEdge reads the first line of text. It is ok if the line is a link.
func parseEdge(text []byte) (e edge, rest []byte, ok bool) {
	i, n := 0, uint64(0)
	for ; i < len(text) && digit(text[i]); i++ {
		n = n*10 + uint64(text[i]-'0')
	}
	if i == 0 || i > 10 || n > nodeMax || i == len(text) || text[i] != ',' {
		return e, text, false
	}
	e.From = uint32(n)
	i++
	start := i
	n = 0
	for ; i < len(text) && digit(text[i]); i++ {
		n = n*10 + uint64(text[i]-'0')
	}
	if i == start || i-start > 10 || n > nodeMax {
		return e, text, false
	}
	e.To = uint32(n)
	if i < len(text) && text[i] == '\r' {
		i++
	}
	switch {
	case i == len(text):
		return e, nil, true
	case text[i] == '\n':
		return e, text[i+1:], true
	}
	return e, text, false
}
