package shuffle

import (
	"github.com/execbench/execbench/engine/memory"
)

// Pages double from the manager's smallest to pageMax. From 2 MiB on the
// system may back a page with huge ones, whose first touch costs a tenth, and
// powers of two are sizes in which the manager has pages to reuse.
const (
	firstPage = 16 << 10
	pageMax   = 4 << 20
)

// arena hands out pieces of a map task's pages, front to back.
type arena struct {
	c     *memory.Consumer
	pages []*memory.Page
	used  int   // bytes of the last page handed out
	held  int64 // bytes of all pages
	want  int   // bytes that are known to come
}

// take returns n bytes at a multiple of eight and their place: page number
// << 32 | offset. n must be a multiple of eight.
func (a *arena) take(n int) (b []byte, place uint64, err error) {
	if len(a.pages) == 0 || len(a.pages[len(a.pages)-1].Data)-a.used < n {
		p, err := a.c.Alloc(max(n, int(min(max(a.held, int64(a.want), firstPage), pageMax))))
		if err != nil && n > firstPage {
			p, err = a.c.Alloc(n)
		}
		if err != nil {
			return nil, 0, err
		}
		a.pages = append(a.pages, p)
		a.held += p.Size()
		a.used = 0
	}
	page := len(a.pages) - 1
	b = a.pages[page].Data[a.used : a.used+n : a.used+n]
	place = uint64(page)<<32 | uint64(a.used)
	a.used += n
	a.want -= n
	return b, place, nil
}

// forget lets go of the pages without freeing them: they have a new owner.
func (a *arena) forget() []*memory.Page {
	pages := a.pages
	*a = arena{c: a.c}
	return pages
}

func (a *arena) free() {
	for _, p := range a.forget() {
		a.c.Free(p)
	}
}
