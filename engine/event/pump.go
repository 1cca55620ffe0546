package event

import (
	"errors"
	"io"
	"sync"
)

// ErrClosed is reported when an event comes after Close. It was not written.
var ErrClosed = errors.New("event arrived after its file was closed")

const (
	// blockBytes is the fill at which a buffer goes to the writer: large
	// enough that its header and its write cost under 1 ns a byte, small
	// enough that a crash loses little.
	blockBytes = 64 << 10
	// blockSlack is room above blockBytes for the event that crosses it.
	blockSlack = 4 << 10
	// pumpBuffers bounds how far events may run ahead of the disk: one being
	// filled, one being written, two waiting.
	pumpBuffers = 4
	// flushAfter is how long, by the events' own clock, an event may stay in
	// memory while others follow it, ns.
	flushAfter = 250e6
)

// pump moves filled buffers to a file through one goroutine of its own. Those
// who fill a buffer hold the pump's lock, wait only when every buffer is
// filled and unwritten, and never touch the file.
type pump struct {
	out  io.WriteCloser
	full chan []byte   // at most pumpBuffers: a send never blocks
	done chan struct{} // closed when the writer has gone

	sync.Mutex // guards everything below
	moved      sync.Cond
	cur        []byte // being filled; nil: none
	free       [][]byte
	made       int   // buffers in existence
	held       int64 // their bytes
	unwritten  int   // in full, or being written
	err        error // first failure; sticky
	closed     bool
}

// start begins the writer over out.
func (p *pump) start(out io.WriteCloser) {
	p.out, p.full, p.done = out, make(chan []byte, pumpBuffers), make(chan struct{})
	p.moved.L = &p.Mutex
	go p.write()
}

// write is the writer goroutine; close ends it.
func (p *pump) write() {
	defer close(p.done)
	for buf := range p.full {
		p.Lock()
		failed := p.err != nil
		p.Unlock()
		var err error
		if !failed {
			_, err = p.out.Write(buf)
		}
		p.Lock()
		if err != nil && p.err == nil {
			p.err = err
		}
		p.unwritten--
		if cap(buf) > blockBytes+blockSlack { // grown by a large event
			p.held -= int64(cap(buf))
			p.made--
		} else {
			p.free = append(p.free, buf[:0])
		}
		p.moved.Broadcast()
		p.Unlock()
	}
}

// openLocked makes sure that there is a buffer to fill, waiting for the disk
// if it must. It reports false when there is none and nothing can be
// written any more.
func (p *pump) openLocked() bool {
	for {
		switch {
		case p.closed:
			if p.err == nil {
				p.err = ErrClosed
			}
			return false
		case p.err != nil:
			return false
		case p.cur != nil:
			return true
		case len(p.free) > 0:
			p.cur = p.free[len(p.free)-1]
			p.free = p.free[:len(p.free)-1]
			return true
		case p.made < pumpBuffers:
			p.cur = make([]byte, 0, blockBytes+blockSlack)
			p.made++
			p.held += int64(cap(p.cur))
			return true
		}
		p.moved.Wait()
	}
}

// grewLocked takes back the current buffer after something was appended.
func (p *pump) grewLocked(buf []byte) {
	p.held += int64(cap(buf) - cap(p.cur))
	p.cur = buf
}

// passLocked hands the current buffer to the writer.
func (p *pump) passLocked() {
	p.full <- p.cur
	p.unwritten++
	p.cur = nil
}

// drainLocked waits until everything handed over is written.
func (p *pump) drainLocked() error {
	for p.unwritten > 0 {
		p.moved.Wait()
	}
	return p.err
}

// close joins the writer and closes the file. The caller has passed the last
// buffer and set closed, under the lock, once.
func (p *pump) close() error {
	close(p.full)
	<-p.done
	err := p.out.Close()
	p.Lock()
	defer p.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.free, p.cur, p.made, p.held = nil, nil, 0, 0
	return p.err
}
