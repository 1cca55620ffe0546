package memory

import (
	"math/bits"
	"slices"

	"github.com/execbench/execbench/engine/units"
)

// Size classes. Small pages are cut from slabs, so that thousands of them do
// not make thousands of mappings; large ones are mappings of their own.
const (
	minPage   = int(16 * units.KiB) // four pages of the system: less is not worth a call
	slabSize  = int(1 * units.MiB)  // also the smallest large page and the step between large sizes
	smallSets = 6                   // 16 KiB … 512 KiB
)

// pageSize returns the size of the page that holds n bytes: a power of two
// from 16 KiB up to 1 MiB, above that the next multiple of 1 MiB.
func pageSize(n int) int {
	switch {
	case n <= minPage:
		return minPage
	case n <= slabSize:
		return 1 << bits.Len(uint(n-1))
	}
	return (n + slabSize - 1) &^ (slabSize - 1)
}

// pool keeps freed pages for reuse. The Manager guards it; system calls are
// made outside its lock, by source.
type pool struct {
	small [smallSets]struct {
		hot  [][]byte // touched: their bytes count
		cold [][]byte // addresses only: their bytes went back to the system
	}
	large map[int][][]byte // touched, by size
	slabs [][]byte         // what small pages were cut from
	free  int64            // bytes of hot and large pages
}

func smallSet(size int) int { return bits.Len(uint(size/minPage)) - 1 }

// take returns a touched page of exactly size bytes, or nil.
func (p *pool) take(size int) []byte {
	var list *[][]byte
	if size < slabSize {
		list = &p.small[smallSet(size)].hot
		if len(*list) == 0 {
			return nil
		}
		b := pop(list)
		p.free -= int64(size)
		return b
	}
	l := p.large[size]
	if len(l) == 0 {
		return nil
	}
	b := pop(&l)
	if len(l) == 0 {
		delete(p.large, size)
	} else {
		p.large[size] = l
	}
	p.free -= int64(size)
	return b
}

// put keeps a freed page.
func (p *pool) put(b []byte) {
	p.free += int64(len(b))
	if len(b) < slabSize {
		s := &p.small[smallSet(len(b))]
		s.hot = append(s.hot, b)
		return
	}
	if p.large == nil {
		p.large = map[int][][]byte{}
	}
	p.large[len(b)] = append(p.large[len(b)], b)
}

// takeCold returns an untouched small page, or nil.
func (p *pool) takeCold(size int) []byte {
	if s := &p.small[smallSet(size)]; len(s.cold) > 0 {
		return pop(&s.cold)
	}
	return nil
}

// cut divides a new slab into cold pages of one size.
func (p *pool) cut(slab []byte, size int) {
	p.slabs = append(p.slabs, slab)
	s := &p.small[smallSet(size)]
	for at := 0; at < len(slab); at += size {
		s.cold = append(s.cold, slab[at:at+size:at+size])
	}
}

// shed takes touched pages out, to be given back to the system, until they
// sum to n bytes or none are left: each time the smallest that covers the
// rest, else the largest.
func (p *pool) shed(n int64) (victims [][]byte) {
	for n > 0 && p.free > 0 {
		size := 0
		for _, s := range p.sizes() {
			size = s
			if int64(s) >= n {
				break
			}
		}
		victims = append(victims, p.take(size))
		n -= int64(size)
	}
	return victims
}

// sizes returns the sizes of which there are touched pages, ascending.
func (p *pool) sizes() []int {
	var sizes []int
	for i := range p.small {
		if len(p.small[i].hot) > 0 {
			sizes = append(sizes, minPage<<i)
		}
	}
	for s := range p.large {
		sizes = append(sizes, s)
	}
	slices.Sort(sizes)
	return sizes
}

func pop(l *[][]byte) []byte {
	last := len(*l) - 1
	b := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	return b
}
