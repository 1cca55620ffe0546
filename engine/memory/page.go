package memory

import (
	"bytes"

	"github.com/execbench/execbench/engine/internal/invariant"
)

// Page is a piece of managed memory. It belongs to the consumer or holder
// that allocated or adopted it, until that one frees it or hands it on.
type Page struct {
	// Data is the whole page, at least as long as was asked for. Its content
	// is whatever was there before (reused pages are never zeroed); after the
	// page is freed Data is nil, and slices of it that were kept point at
	// bytes that somebody else may own.
	Data []byte

	consumer   *Consumer // owner, or
	holder     *Holder   // owner
	prev, next *Page     // among the owner's pages
}

// Size returns the bytes that the page takes from its owner's account.
func (p *Page) Size() int64 { return int64(len(p.Data)) }

const poison = 0xDB // freed bytes in builds with invariants

// poisonBlock is compared and copied whole: byte by byte takes the race
// detector seconds.
var poisonBlock = bytes.Repeat([]byte{poison}, minPage)

func poisonBytes(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, poisonBlock):]
	}
}

func checkPoison(b []byte) {
	for at := 0; at < len(b); at += minPage {
		if !bytes.Equal(b[at:at+minPage], poisonBlock) {
			invariant.Violated("a freed page of %d bytes was written after it was freed, within %d bytes from %d", len(b), minPage, at)
		}
	}
}

// pageList is a set of pages linked through the pages themselves.
type pageList struct {
	head  *Page
	bytes int64
}

func (l *pageList) add(p *Page) {
	l.bytes += p.Size()
	p.prev, p.next = nil, l.head
	if l.head != nil {
		l.head.prev = p
	}
	l.head = p
}

// remove takes out p, a page of n bytes.
func (l *pageList) remove(p *Page, n int64) {
	l.bytes -= n
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		l.head = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}
