package scheduler

import "errors"

// errNoValue is the answer of an empty percentile.
var errNoValue = errors.New("there is no value yet")

// percentile keeps numbers so that the one at a fixed part of the way through
// them, in ascending order, can be read at any time: of n numbers that at
// index floor(n × part), counted from 0. Adding takes time O(log n), reading
// O(1), and a number 8 bytes.
//
// Two heaps meet at that number: low holds the floor(n × part) smallest, the
// largest on top; high holds the others, the smallest on top, which it is.
type percentile struct {
	part      float64 // from 0 to below 1
	low, high heap    // low: of negated numbers
}

func (p *percentile) len() int { return len(p.low) + len(p.high) }

// value returns the number; errNoValue when there is none.
func (p *percentile) value() (int64, error) {
	if len(p.high) == 0 {
		return 0, errNoValue
	}
	return p.high[0], nil
}

func (p *percentile) add(v int64) {
	if len(p.high) > 0 && v < p.high[0] {
		p.low.push(-v)
	} else {
		p.high.push(v)
	}
	want := int(float64(p.len()) * p.part)
	for len(p.low) < want {
		p.low.push(-p.high.pop())
	}
	for len(p.low) > want {
		p.high.push(-p.low.pop())
	}
}

// heap is a binary heap, the smallest number first.
type heap []int64

func (h *heap) push(v int64) {
	*h = append(*h, v)
	a := *h
	i := len(a) - 1
	for i > 0 {
		up := (i - 1) / 2
		if a[up] <= v {
			break
		}
		a[i] = a[up]
		i = up
	}
	a[i] = v
}

// pop takes the smallest number out; there must be one.
func (h *heap) pop() int64 {
	a := *h
	top, v := a[0], a[len(a)-1]
	a = a[:len(a)-1]
	*h = a
	for i := 0; ; {
		down := 2*i + 1
		if down >= len(a) {
			if i < len(a) {
				a[i] = v
			}
			return top
		}
		if down+1 < len(a) && a[down+1] < a[down] {
			down++
		}
		if v <= a[down] {
			a[i] = v
			return top
		}
		a[i] = a[down]
		i = down
	}
}
