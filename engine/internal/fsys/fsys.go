// Package fsys is the seam between the engine and the file system.
//
// It owns two nouns, FS and File: the operations the engine performs on
// files, and nothing more. [OS] performs them; [Faulty] performs them and
// fails, or writes short, where a test asks it to. Deciding what a file is
// called, where it lives and when it is removed belongs to the callers.
package fsys

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// FS is a file system. Names are those of package os. Errors are
// *fs.PathError or *os.LinkError, as package os returns them, so errors.Is
// with fs.ErrNotExist or syscall.ENOSPC works. An FS may be used by several
// goroutines at once.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create opens a file for reading and writing, empties it, and makes it
	// (mode 0666 before umask) when there is none.
	Create(name string) (File, error)
	// OpenFile opens a file with the flags of os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename moves a file or folder, replacing a file of the new name.
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// RemoveAll removes a file or a folder with all it holds; a name that
	// does not exist is no error.
	RemoveAll(name string) error
	// Mkdir makes one folder; fs.ErrExist when the name is taken.
	Mkdir(name string, perm fs.FileMode) error
	// MkdirAll makes a folder and its parents; one that exists is no error.
	MkdirAll(name string, perm fs.FileMode) error
	// Stat describes what the name leads to, through symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists a folder sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
}

// File is an open file. ReadAt and WriteAt may be called from several
// goroutines at once; Read and Write share one position and may not.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	// Name returns the name that the file was opened by.
	Name() string
	// Stat describes the open file.
	Stat() (fs.FileInfo, error)
	// Sync waits until what was written is on the device.
	Sync() error
	// Truncate cuts or extends the file to size bytes.
	Truncate(size int64) error
}

// Cause strips the operation and the names that package os puts before the
// reason of a failure: for a sentence that says them itself.
func Cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// WriteFile makes or replaces the named file with data. A file it cannot
// write whole is removed again, as far as that works.
func WriteFile(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = fsys.Remove(name) // the write's error is the one that matters
	}
	return err
}

// ReadFile returns all bytes of the named file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
