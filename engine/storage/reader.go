package storage

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/memory"
)

// Reader reads a cached partition frame by frame. It is used on its
// attempt's goroutine and keeps the block from being evicted until it is
// closed.
type Reader struct {
	s   *Store
	e   *entry
	o   owner
	c   content
	err error

	remote bool // its attempt is another executor's

	// In memory:
	at cursor

	// In its file:
	file    *frameFile
	i       int              // of the next frame
	copied  *frameCopy       // last frame returned, if it is one of the read-back cache's
	memory  *memory.Consumer // holds the pages of frames and of compressed ones
	raw     *memory.Page
	packed  *memory.Page
	back    unrolled // on its way back into memory
	goesOut bool     // back is given up
}

// Open opens a cached partition for attempt t, and marks it as just used. It
// waits while another attempt writes it, serving requests to spill; the
// attempt's kill ends that with its cause. The error is ErrBlockNotFound when
// there is no such block, or when its writer gave up; another error when its
// file is damaged or gone: then the block is dropped, and the next Open says
// ErrBlockNotFound.
func (s *Store) Open(t *memory.Task, b block.ID) (*Reader, error) {
	o := taskOwner(t.ID())
	e, c, err := s.pin(b, o, t)
	if err != nil {
		return nil, err
	}
	if e.whole {
		invariant.Violated("block %s was put whole, and is read by frames", b)
	}
	r := &Reader{s: s, e: e, o: o, c: c}
	if c.disk > 0 && len(c.mem.pages) == 0 {
		if r.file, err = openFrames(s.cfg.Disk, &c, s.compressionOf(b)); err != nil {
			if isLost(err) {
				s.remove(e)
			}
			s.unpin(e)
			return nil, fmt.Errorf("cannot read block %s: %w", b, err)
		}
		r.memory = t.Consumer("block reads", nil)
		r.back = unrolled{s: s, node: e.node}
		r.goesOut = !e.level.Memory()
	}
	s.hold(o, r)
	return r, nil
}

// OpenRemote is Open for an attempt of another executor, whose memory its
// buffers are.
func (s *Store) OpenRemote(t *memory.Task, b block.ID) (*Reader, error) {
	r, err := s.Open(t, b)
	if err == nil {
		r.remote = true
	}
	return r, err
}

// Bytes returns the bytes of all frames.
func (r *Reader) Bytes() int64 { return r.c.raw }

// Rows returns the rows of all frames.
func (r *Reader) Rows() int64 { return r.c.rows }

// Next returns the next frame: its rows, and its bytes as they were written,
// a view that is valid until the next call of Next or Close. The end is
// io.EOF. Another error is that of the file, a *CorruptError if it is
// damaged; the block is then dropped.
func (r *Reader) Next() (rows int, data []byte, err error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	if r.file != nil {
		rows, data, r.err = r.nextFromFile()
	} else {
		var ok bool
		if rows, data, ok = r.c.mem.next(&r.at); !ok {
			r.err = io.EOF
		}
	}
	if r.err != nil && r.err != io.EOF {
		if isLost(r.err) {
			r.s.remove(r.e)
		}
		r.err = fmt.Errorf("cannot read block %s: %w", r.e.id, r.err)
	}
	if r.remote {
		r.s.reads.remote.Add(int64(len(data)))
	}
	return rows, data, r.err
}

func (r *Reader) nextFromFile() (rows int, data []byte, err error) {
	r.dropCopy()
	if r.i == r.c.frames {
		if err := r.file.end(r.c.frames); err != nil {
			return 0, nil, err
		}
		r.comeBack()
		return 0, nil, io.EOF
	}
	key := frameKey(r.c.serial, r.i)
	if f := r.s.readBack.get(key); f != nil {
		r.copied = f
		r.file.off = f.next
		rows, data = f.rows, f.data()
		r.s.reads.copied.Add(int64(f.size))
	} else if rows, data, err = r.readFrame(key); err != nil {
		return 0, nil, err
	}
	r.i++
	if !r.goesOut && r.back.append(rows, data) != nil {
		r.goOut()
	}
	return rows, data, nil
}

// readFrame reads a frame from the file: into a copy that others will find,
// if the frame is not on its way into memory and there is room for one.
func (r *Reader) readFrame(key uint64) (rows int, data []byte, err error) {
	h, err := r.file.header()
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		if err == nil {
			r.s.reads.count(h)
		}
	}()
	packed := func(n int) ([]byte, error) { return r.buffer(&r.packed, n) }
	if r.goesOut && r.i < frameKeyMax {
		if f := r.s.readBack.alloc(int(h.raw)); f != nil {
			r.copied = f
			if err := r.file.payload(h, f.data(), packed); err != nil {
				return 0, nil, err
			}
			f.rows, f.next = int(h.rows), r.file.off
			r.s.readBack.put(key, f)
			return f.rows, f.data(), nil
		}
	}
	if data, err = r.buffer(&r.raw, int(h.raw)); err != nil {
		return 0, nil, err
	}
	if err := r.file.payload(h, data, packed); err != nil {
		return 0, nil, err
	}
	return int(h.rows), data, nil
}

// buffer returns n bytes in the page that p points to, or in a new one.
func (r *Reader) buffer(p **memory.Page, n int) ([]byte, error) {
	if *p == nil || len((*p).Data) < n {
		if *p != nil {
			r.memory.Free(*p)
			*p = nil
		}
		page, err := r.memory.Alloc(n)
		if err != nil {
			return nil, err
		}
		*p = page
	}
	return (*p).Data[:n:n], nil
}

func (r *Reader) dropCopy() {
	r.copied.unref()
	r.copied = nil
}

// goOut gives up bringing the block back into memory.
func (r *Reader) goOut() {
	r.goesOut = true
	r.back.release()
}

// comeBack puts the block, read to its end, into the memory tier.
func (r *Reader) comeBack() {
	if r.goesOut {
		return
	}
	r.goesOut = true
	r.back.fit()
	r.e.holder.Take(r.s.unroll, r.back.pages...)
	mem := r.back.frames
	r.back.frames = frames{}
	if !r.s.promote(r.e, mem) {
		freePages(r.e.holder, mem.pages)
	}
}

// Close unlocks the block. It is safe to call twice, and after
// [Store.ReleaseTask].
func (r *Reader) Close() { r.unlock() }

// unlock ends the reader, once.
func (r *Reader) unlock() {
	if !r.s.letGo(r.o, r) {
		return
	}
	r.err = errReaderClosed
	if r.file != nil {
		r.dropCopy()
		if !r.goesOut {
			r.goOut()
		}
		_ = r.file.f.Close() // read only: nothing is lost
		r.memory.Close()
	}
	r.s.unpin(r.e)
}

var errReaderClosed = errors.New("the reader is closed")

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
