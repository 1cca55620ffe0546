package workloads

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A program's parameters are the workload's values and its input:
//
//	version │ values │ name, text … │ paths │ path … │ generated │ checksum
//
// Counts and lengths are uvarints, strings are their bytes (a path may be any
// bytes). The order is that of Params, so equal choices give equal bytes.
const paramsVersion = 1

func encodeParams(v Values, in Input) []byte {
	b := []byte{paramsVersion}
	b = binary.AppendUvarint(b, uint64(len(v.params)))
	for i, p := range v.params {
		b = appendText(b, p.Name)
		b = appendText(b, p.text(v.vals[i]))
	}
	b = binary.AppendUvarint(b, uint64(len(in.Paths)))
	for _, p := range in.Paths {
		b = appendText(b, p)
	}
	generated := byte(0)
	if in.Generated {
		generated = 1
	}
	b = append(b, generated)
	return appendText(b, in.Checksum)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errParams = errors.New("the bytes are damaged or of another version")

// decodeParams reads what encodeParams wrote for the same workload.
func decodeParams(w *Workload, b []byte) (Values, Input, error) {
	r := paramReader{b: b}
	v, in := w.Values(), Input{}
	version := r.byte()
	for range r.count() {
		name, text := r.text(), r.text()
		if r.bad {
			break
		}
		if err := v.Set(name, text); err != nil {
			return v, in, fmt.Errorf("cannot decode the parameters of workload %s: %w", w.Name, err)
		}
	}
	for range r.count() {
		in.Paths = append(in.Paths, r.text())
	}
	in.Generated = r.byte() == 1
	in.Checksum = r.text()
	if r.bad || len(r.b) != 0 || version != paramsVersion {
		return v, in, fmt.Errorf("cannot decode the parameters of workload %s from %d bytes: %w", w.Name, len(b), errParams)
	}
	return v, in, nil
}

// paramReader reads from the front of b; after the first malformed item bad
// is set and everything reads as zero.
type paramReader struct {
	b   []byte
	bad bool
}

func (r *paramReader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// count reads a number of items, each of at least one byte.
func (r *paramReader) count() int {
	n, used := binary.Uvarint(r.b)
	if used <= 0 || n > uint64(len(r.b)-used) {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[used:]
	return int(n)
}

func (r *paramReader) text() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
