package storage

import (
	"fmt"
	"io"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/units"
)

// File is an open file of a session: a temporary one, written front to back
// and read by its owner, or a committed one, read only. One goroutine uses
// it, but for ReadAt, which any may call.
type File struct {
	d      *Disk
	f      fsys.File
	path   string
	size   int64     // bytes of content
	extent int64     // bytes the file had when it was reused; beyond size they mean nothing
	temp   bool      // not committed
	failed bool      // a write failed: not to be reused
	info   *fileInfo // of a committed file
}

// Path returns where the file is.
func (f *File) Path() string { return f.path }

// Size returns the bytes written, or those of the committed file.
func (f *File) Size() int64 { return f.size }

// Write appends p to the file. When the disk is full it first removes files
// kept for reuse. The error says how much could not be written where.
func (f *File) Write(p []byte) (n int, err error) {
	for {
		var wrote int
		wrote, err = f.f.WriteAt(p[n:], f.size)
		n += wrote
		f.grow(int64(wrote))
		if err == nil || !isDiskFull(err) || !f.d.dropFree() {
			break
		}
	}
	if err != nil {
		f.failed = true
		return n, fmt.Errorf("cannot write %s to %s, after %s of it and %s in all of the session: %w",
			units.Bytes(len(p)-n), f.path, units.Bytes(f.size), units.Bytes(f.d.Used()), fsys.Cause(err))
	}
	return n, nil
}

func (f *File) grow(n int64) {
	f.size += n
	f.d.mu.Lock()
	f.d.mu.live += n
	f.d.mu.Unlock()
}

// ReadAt reads what was written, never what a reused file had before. An
// error is the reason alone: whoever reads knows what, and says it with Path.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= f.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > f.size-off
	if short {
		p = p[:f.size-off]
	}
	n, err = f.f.ReadAt(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, fsys.Cause(err)
}

// Commit gives a temporary file its name, replacing a file of that name, and
// closes it. After an error the file is gone.
func (f *File) Commit(name string) error {
	if err := f.commit(name); err != nil {
		f.failed = true
		f.discard()
		return fmt.Errorf("cannot commit %s of %s as %s: %w", f.path, units.Bytes(f.size), name, fsys.Cause(err))
	}
	d := f.d
	d.mu.Lock()
	if old := d.mu.files[name]; old != nil {
		d.mu.kept -= old.size
	}
	d.mu.live -= f.size
	d.mu.kept += f.size
	d.mu.files[name] = &fileInfo{size: f.size}
	d.mu.Unlock()
	f.temp = false
	return nil
}

func (f *File) commit(name string) error {
	if f.extent > f.size {
		if err := f.f.Truncate(f.size); err != nil {
			return err
		}
	}
	if err := f.f.Close(); err != nil {
		return err
	}
	f.f = nil
	if err := f.d.folder(name); err != nil {
		return err
	}
	return f.d.fs.Rename(f.path, f.d.Path(name))
}

// Close closes the file; a temporary one that was not committed is gone, its
// space kept for the next. It is safe to call twice, and after Commit.
func (f *File) Close() error {
	if f.temp {
		return f.discard()
	}
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	f.d.closed(f.info)
	return err
}

// discard ends a temporary file.
func (f *File) discard() (err error) {
	f.temp = false
	if f.f != nil {
		err = f.f.Close()
		f.f = nil
	}
	f.d.mu.Lock()
	f.d.mu.live -= f.size
	f.d.mu.Unlock()
	f.d.discard(f.path, max(f.size, f.extent), !f.failed && err == nil)
	return err
}
