package spill

import (
	"errors"
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

const (
	// writeSize is what a run is written in: the disk's own queue takes it in
	// one request, and files end up aligned to it.
	writeSize = 192 << 10
	// readSize is what a run is read in while memory is short: one full
	// frame. With more memory a merge reads more at a time.
	readSize    = 128 << 10
	readSizeMax = 1 << 20
)

// Run is a finished run: rows in order, in frames, in one temporary file. It
// belongs to the kernel that wrote it.
type Run struct {
	file     *storage.File
	rows     int64
	frameMax int // longest frame, header and padding included
}

// close drops the run and its file.
func (r *Run) close() error { return r.file.Close() }

// runWriter is a run being written. It collects frames in a buffer that was
// booked before memory ran out, and writes the buffer when it is full.
type runWriter struct {
	env  *Env
	file *storage.File
	buf  []byte // of the kernel's page; written when full
	n    int    // bytes of buf in use
	run  Run
	pack []byte // compressed frame; on the heap, at most a frame
}

// newRun opens a run. buf, of at least a frame's header, is used until the
// run is finished.
func newRun(env *Env, buf []byte) (*runWriter, error) {
	if env.Disk == nil {
		return nil, fmt.Errorf("cannot spill: the attempt has no disk")
	}
	f, err := env.Disk.TempFile("temp_local")
	if err != nil {
		return nil, fmt.Errorf("cannot spill: %w", err)
	}
	return &runWriter{env: env, file: f, buf: buf}, nil
}

// frame adds a frame of encoded rows. It is the only way in; raw is copied.
func (w *runWriter) frame(rows int, raw []byte) error {
	body := raw
	if w.pack = w.env.Compression.Compress(w.pack[:0], raw); len(w.pack) > 0 && len(w.pack) < len(raw) {
		body = w.pack
	}
	var head [FrameHeader]byte
	PutFrame(head[:], Frame{Rows: rows, Raw: len(raw)}, body)
	w.run.rows += int64(rows)
	f := Frame{Stored: len(body)}
	w.run.frameMax = max(w.run.frameMax, f.Padded())
	if err := w.put(head[:]); err != nil {
		return err
	}
	if err := w.put(body); err != nil {
		return err
	}
	return w.put(padding[:f.Padded()-FrameHeader-len(body)])
}

func (w *runWriter) put(b []byte) error {
	for len(b) > 0 {
		k := copy(w.buf[w.n:], b)
		w.n += k
		b = b[k:]
		if w.n == len(w.buf) {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *runWriter) flush() error {
	_, err := w.file.Write(w.buf[:w.n])
	w.n = 0
	return err
}

// finish ends the run. After an error the file is gone.
func (w *runWriter) finish() (*Run, error) {
	if err := w.flush(); err != nil {
		w.abort()
		return nil, fmt.Errorf("cannot spill: %w", err)
	}
	w.run.file = w.file
	return &w.run, nil
}

// abort drops what was written.
func (w *runWriter) abort() { _ = w.file.Close() } // the error that led here is the one that matters

// spilled counts a finished run that freed held bytes of memory.
func (e *Env) spilled(r *Run, held int64) {
	e.Metrics[task.SpillCount]++
	e.Metrics[task.MemoryBytesSpilled] += held
	e.Metrics[task.DiskBytesSpilled] += r.file.Size()
}

// runReader reads a run's frames front to back through one buffer.
type runReader struct {
	env  *Env
	run  *Run
	c    *memory.Consumer
	page *memory.Page // file bytes [at, at+n)
	raw  *memory.Page // a decompressed frame
	at   int64
	n    int
	pos  int // of the next frame in page
}

// openRun begins to read r with a buffer of at least want bytes and of its
// longest frame.
func openRun(env *Env, c *memory.Consumer, r *Run, want int) (*runReader, error) {
	p, err := c.Alloc(max(want, r.frameMax))
	if err != nil {
		return nil, err
	}
	return &runReader{env: env, run: r, c: c, page: p}, nil
}

// next returns the next frame's rows. data is valid until the call after; the
// error is io.EOF behind the last frame.
func (r *runReader) next() (rows int, data []byte, err error) {
	left := r.page.Data[r.pos:r.n]
	if len(left) < FrameHeader {
		if left, err = r.fill(); err != nil {
			return 0, nil, err
		}
		if len(left) == 0 {
			return 0, nil, io.EOF
		}
	}
	f, err := ParseFrame(left)
	if err == nil && f.Uncombined {
		err = fmt.Errorf("cannot read a frame of a shuffle in a run: %w", ErrCorrupt)
	}
	if err != nil {
		return 0, nil, r.damaged(err)
	}
	if f.Padded() > len(left) {
		if left, err = r.fill(); err != nil {
			return 0, nil, err
		}
		if f.Padded() > len(left) {
			return 0, nil, r.damaged(fmt.Errorf("the frame's %d bytes reach beyond its end: %w", f.Padded(), ErrCorrupt))
		}
	}
	body := left[FrameHeader : FrameHeader+f.Stored : FrameHeader+f.Stored]
	if err := f.Verify(left, body); err != nil {
		return 0, nil, r.damaged(err)
	}
	if f.Stored != f.Raw {
		if body, err = unpack(r.env.Compression, r.c, &r.raw, f, body); err != nil {
			return 0, nil, r.damaged(err)
		}
	}
	r.pos += f.Padded()
	return f.Rows, body, nil
}

// fill moves what is left to the front of the buffer and reads on.
func (r *runReader) fill() ([]byte, error) {
	buf := r.page.Data
	kept := copy(buf, buf[r.pos:r.n])
	r.at += int64(r.pos)
	r.pos, r.n = 0, kept
	want := min(int64(len(buf)-kept), r.run.file.Size()-r.at-int64(kept))
	if want > 0 {
		k, err := r.run.file.ReadAt(buf[kept:kept+int(want)], r.at+int64(kept))
		r.n += k
		if int64(k) < want {
			return nil, r.damaged(fmt.Errorf("it ends after %d bytes: %w", k, noEOF(err)))
		}
	}
	return buf[:r.n], nil
}

// noEOF turns the end of a file where none may be into damage.
func noEOF(err error) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrCorrupt
	}
	return err
}

// damaged says where the run could not be read: a *CorruptError if it is not
// what was written.
func (r *runReader) damaged(err error) error {
	at := r.at + int64(r.pos)
	if errors.Is(err, ErrCorrupt) {
		return &CorruptError{Path: r.run.file.Path(), Offset: at, Cause: err}
	}
	return fmt.Errorf("cannot read back the spilled run %s at byte %d: %w", r.run.file.Path(), at, err)
}

// CorruptError says where a spilled run is not what was written.
type CorruptError struct {
	Path   string
	Offset int64 // of the frame
	Cause  error // wraps ErrCorrupt
}

// Error names the file, the place and the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("cannot read back the spilled run %s at byte %d: %v", e.Path, e.Offset, e.Cause)
}

// Unwrap returns the damage.
func (e *CorruptError) Unwrap() error { return e.Cause }

func (r *runReader) close() {
	r.c.Free(r.page)
	if r.raw != nil {
		r.c.Free(r.raw)
	}
}

// unpack decompresses a frame into *page, which grows as needed.
func unpack(comp codec.Compression, c *memory.Consumer, page **memory.Page, f Frame, body []byte) ([]byte, error) {
	if *page == nil || len((*page).Data) < f.Raw {
		if *page != nil {
			c.Free(*page)
			*page = nil
		}
		p, err := c.Alloc(f.Raw)
		if err != nil {
			return nil, err
		}
		*page = p
	}
	return comp.Decompress((*page).Data[:0], body, f.Raw)
}
