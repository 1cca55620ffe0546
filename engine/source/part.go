package source

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

const (
	partBufferMin = 16 << 10
	// pageSize: what goes to the file in between ends at a multiple of it, so
	// that no page of the file cache is written to twice.
	pageSize = 4 << 10
)

// PartWriter writes one attempt's file of one partition. Its life is
//
//	Write … → Close → (may it commit?) → Commit    or, from anywhere, Abort
//
// It is used by one goroutine. Errors name the file; after one, Abort is
// all that is left to do.
type PartWriter struct {
	// Metrics get output bytes and records; nil: not counted.
	Metrics *task.Metrics
	// Timer is told of time in file operations (PartOutputWrite); nil: not.
	Timer *task.Timer
	// Ways chooses how full blocks are written; nil: through the file cache.
	Ways *Ways

	fs          fsys.FS
	file        fsys.File // nil once closed
	temp, final string
	buf         []byte
	n           int // bytes in buf
	bytes       int64
	written     int64 // bytes that are in the file
	way         way   // of the file at the moment
	refused     bool  // the file's system does not write past the cache
	records     int64
}

// Bytes returns how many bytes were written so far, buffered ones included.
func (w *PartWriter) Bytes() int64 { return w.bytes }

// Records returns the sum of AddRecords.
func (w *PartWriter) Records() int64 { return w.records }

// AddRecords counts n records as written.
func (w *PartWriter) AddRecords(n int) {
	w.records += int64(n)
	if w.Metrics != nil {
		w.Metrics[task.OutputRecordsWritten] += int64(n)
	}
}

// Available returns the free part of the buffer, with length 0 and capacity
// for at least 4 KiB, to append to; what was appended is then passed to
// Write at once, which costs no copy.
func (w *PartWriter) Available() ([]byte, error) {
	if len(w.buf)-w.n < pageSize {
		if err := w.flush(w.n / pageSize * pageSize); err != nil {
			return nil, err
		}
	}
	return w.buf[w.n:w.n:len(w.buf)], nil
}

// Write writes p, through the buffer unless p is as large and there is no
// choice of ways: p is rarely where a device could take it from.
func (w *PartWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > len(w.buf)-w.n {
		if w.n == 0 && !w.choice() {
			whole := len(p) / pageSize * pageSize
			if err := w.put(p[:whole]); err != nil {
				return total - len(p), err
			}
			p = p[whole:]
			continue
		}
		k := copy(w.buf[w.n:], p)
		w.n += k
		p = p[k:]
		if err := w.flush(w.n); err != nil {
			return total - len(p), err
		}
	}
	w.n += copy(w.buf[w.n:], p)
	w.bytes += int64(total)
	if w.Metrics != nil {
		w.Metrics[task.OutputBytesWritten] += int64(total)
	}
	return total, nil
}

// flush writes the first n bytes of the buffer and moves the rest down.
func (w *PartWriter) flush(n int) error {
	if err := w.put(w.buf[:n]); err != nil {
		return err
	}
	w.n = copy(w.buf, w.buf[n:w.n])
	return nil
}

func (w *PartWriter) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	defer w.enter(w.enter(task.PartOutputWrite))
	n, err := w.write(p)
	w.written += int64(n)
	if err != nil {
		return fmt.Errorf("cannot write %s to %s, after %s of it: %w", units.Bytes(len(p)-n), w.temp, units.Bytes(w.written), fsys.Cause(err))
	}
	return nil
}

// write writes p the way that is to be chosen for it.
func (w *PartWriter) write(p []byte) (int, error) {
	by, choice := throughCache, w.choice() && directBlock(p, w.written)
	if choice {
		by = w.Ways.next()
	}
	if err := w.take(by); err != nil {
		if by == throughCache {
			return 0, err
		}
		w.refused, by = true, throughCache
	}
	start := time.Now()
	n, err := w.file.Write(p)
	if by == pastCache && (errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported)) {
		// It cannot after all, asks for another alignment, or had written a
		// part and stood at an odd place.
		w.refused = true
		m, err := w.write(p[n:])
		return n + m, err
	}
	if choice && err == nil {
		w.Ways.took(by, n, int64(time.Since(start)))
	}
	return n, err
}

// choice reports whether blocks of the file may go past the cache.
func (w *PartWriter) choice() bool { return w.Ways != nil && !w.refused }

// take makes the file's way by.
func (w *PartWriter) take(by way) error {
	if w.way == by {
		return nil
	}
	if err := fsys.SetDirect(w.file, by == pastCache); err != nil {
		return err
	}
	w.way = by
	return nil
}

func (w *PartWriter) enter(p task.Part) task.Part {
	if w.Timer == nil {
		return p
	}
	return w.Timer.Switch(p)
}

// Close writes what is buffered and closes the file, which then waits for
// Commit or Abort.
func (w *PartWriter) Close() error {
	if err := w.flush(w.n); err != nil {
		return err
	}
	defer w.enter(w.enter(task.PartOutputWrite))
	f := w.file
	w.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("cannot write %s: %w", w.temp, fsys.Cause(err))
	}
	return nil
}

// Commit hands the closed file to the job, which chooses among those of the
// partition. Call it only when this attempt may commit.
func (w *PartWriter) Commit() error {
	if w.file != nil {
		panic("source: commit of an open file")
	}
	defer w.enter(w.enter(task.PartOutputWrite))
	if err := w.fs.Rename(w.temp, w.final); err != nil {
		return fmt.Errorf("cannot commit %s: %w", w.temp, fsys.Cause(err))
	}
	return nil
}

// Abort closes the file if it is open and removes it. It may be called in
// any state but after a successful Commit.
func (w *PartWriter) Abort() error {
	defer w.enter(w.enter(task.PartOutputWrite))
	if w.file != nil {
		_ = w.file.Close() // what it holds is thrown away
		w.file = nil
	}
	if err := w.fs.Remove(w.temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove unfinished output %s: %w", w.temp, fsys.Cause(err))
	}
	return nil
}
