package fsys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

// Op names an operation that a Fault can strike.
type Op uint8

// The operations, as a set of bits.
const (
	OpOpen    Op = 1 << iota // Open, and OpenFile without os.O_CREATE
	OpCreate                 // Create, and OpenFile with os.O_CREATE
	OpRead                   // Read, ReadAt
	OpWrite                  // Write, WriteAt, Truncate, Sync
	OpClose                  // Close; the file is closed all the same
	OpRename                 // Rename, matched by its old name
	OpRemove                 // Remove, RemoveAll
	OpOther                  // Mkdir, MkdirAll, Stat, ReadDir, File.Stat
	OpAny     Op = 0xff
	OpMutates    = OpCreate | OpWrite | OpRename // what a full disk can fail
)

// Fault says which operation fails and how.
type Fault struct {
	Ops   Op     // kinds of operation counted; 0 means OpAny
	Glob  string // counts only names whose last element matches (filepath.Match); empty: all
	K     int    // the K-th counted operation fails, from 1; 0 never fails, it only counts
	After bool   // every counted operation after the K-th fails too
	Short int    // a failing write or read first transfers this many bytes, or all but one if it has fewer
	Err   error  // cause of the failure; nil means syscall.EIO
	// Do is done to the named file before the operation, which then does not
	// fail by itself: a file that was damaged since it was written.
	Do func(name string)
}

// Faulty is a file system for tests that fails where a Fault says, the same
// way each time: operations are counted in the order they arrive. It also
// knows which of its files are still open, so that a test can find handles
// left behind. It may be used by several goroutines at once.
type Faulty struct {
	base  FS
	fault Fault

	mu struct {
		sync.Mutex
		counted int
		fired   int
		struck  Op
		open    map[*faultyFile]struct{}
	}
}

// NewFaulty returns base with the fault in it.
//
// The usual loop runs an operation with K = 0, takes Counted as the number
// of places where it can fail, and runs it again for every K up to that.
func NewFaulty(base FS, fault Fault) *Faulty {
	if fault.Ops == 0 {
		fault.Ops = OpAny
	}
	if fault.Err == nil {
		fault.Err = syscall.EIO
	}
	if _, err := filepath.Match(fault.Glob, ""); err != nil {
		panic(fmt.Sprintf("fsys: glob %q: %v", fault.Glob, err))
	}
	f := &Faulty{base: base, fault: fault}
	f.mu.open = map[*faultyFile]struct{}{}
	return f
}

// Counted returns how many operations the fault's filter matched so far.
func (f *Faulty) Counted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.counted
}

// Fired returns how many operations were made to fail.
func (f *Faulty) Fired() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.fired
}

// Struck returns the kinds of the operations that were made to fail.
func (f *Faulty) Struck() Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.struck
}

// StillOpen returns the names of files opened and not closed, sorted.
func (f *Faulty) StillOpen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	for h := range f.mu.open {
		names = append(names, h.File.Name())
	}
	slices.Sort(names)
	return names
}

// strike counts one operation and returns the cause when it must fail. The
// fault's own act is done without the lock.
func (f *Faulty) strike(op Op, name string) error {
	err := f.count(op, name)
	if err != nil && f.fault.Do != nil {
		f.fault.Do(name)
		return nil
	}
	return err
}

func (f *Faulty) count(op Op, name string) error {
	if f.fault.Ops&op == 0 {
		return nil
	}
	if f.fault.Glob != "" {
		if ok, _ := filepath.Match(f.fault.Glob, filepath.Base(name)); !ok {
			return nil
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.counted++
	if f.fault.K == 0 || f.mu.counted < f.fault.K || f.mu.counted > f.fault.K && !f.fault.After {
		return nil
	}
	f.mu.fired++
	f.mu.struck |= op
	return f.fault.Err
}

func (f *Faulty) fail(op Op, verb, name string) error {
	if err := f.strike(op, name); err != nil {
		return &fs.PathError{Op: verb, Path: name, Err: err}
	}
	return nil
}

// Open opens a file for reading.
func (f *Faulty) Open(name string) (File, error) { return f.OpenFile(name, os.O_RDONLY, 0) }

// Create opens a file for reading and writing and empties it.
func (f *Faulty) Create(name string) (File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
}

// OpenFile opens a file with the flags of os.OpenFile.
func (f *Faulty) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	op := OpOpen
	if flag&os.O_CREATE != 0 {
		op = OpCreate
	}
	if err := f.fail(op, "open", name); err != nil {
		return nil, err
	}
	h, err := f.base.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	ff := &faultyFile{File: h, fs: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.open[ff] = struct{}{}
	return ff, nil
}

// Rename moves a file or folder.
func (f *Faulty) Rename(from, to string) error {
	if err := f.strike(OpRename, from); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return f.base.Rename(from, to)
}

// Remove removes a file or an empty folder.
func (f *Faulty) Remove(name string) error {
	if err := f.fail(OpRemove, "remove", name); err != nil {
		return err
	}
	return f.base.Remove(name)
}

// RemoveAll removes a file or a folder with all it holds.
func (f *Faulty) RemoveAll(name string) error {
	if err := f.fail(OpRemove, "unlinkat", name); err != nil {
		return err
	}
	return f.base.RemoveAll(name)
}

// Mkdir makes one folder.
func (f *Faulty) Mkdir(name string, perm fs.FileMode) error {
	if err := f.fail(OpOther, "mkdir", name); err != nil {
		return err
	}
	return f.base.Mkdir(name, perm)
}

// MkdirAll makes a folder and its parents.
func (f *Faulty) MkdirAll(name string, perm fs.FileMode) error {
	if err := f.fail(OpOther, "mkdir", name); err != nil {
		return err
	}
	return f.base.MkdirAll(name, perm)
}

// Stat describes what the name leads to.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.fail(OpOther, "stat", name); err != nil {
		return nil, err
	}
	return f.base.Stat(name)
}

// ReadDir lists a folder sorted by name.
func (f *Faulty) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.fail(OpOther, "open", name); err != nil {
		return nil, err
	}
	return f.base.ReadDir(name)
}

type faultyFile struct {
	File
	fs *Faulty
}

// transfer runs do on all of p, or on the part of it that a failing
// operation still transfers.
func (h *faultyFile) transfer(op Op, verb string, p []byte, do func([]byte) (int, error)) (int, error) {
	err := h.fs.fail(op, verb, h.Name())
	if err == nil {
		return do(p)
	}
	short := min(h.fs.fault.Short, len(p)-1)
	if short <= 0 {
		return 0, err
	}
	n, _ := do(p[:short]) // whatever it says, the operation fails with the fault
	return n, err
}

func (h *faultyFile) Read(p []byte) (int, error) {
	return h.transfer(OpRead, "read", p, h.File.Read)
}

func (h *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	return h.transfer(OpRead, "read", p, func(p []byte) (int, error) { return h.File.ReadAt(p, off) })
}

func (h *faultyFile) Write(p []byte) (int, error) {
	return h.transfer(OpWrite, "write", p, h.File.Write)
}

func (h *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	return h.transfer(OpWrite, "write", p, func(p []byte) (int, error) { return h.File.WriteAt(p, off) })
}

func (h *faultyFile) Truncate(size int64) error {
	if err := h.fs.fail(OpWrite, "truncate", h.Name()); err != nil {
		return err
	}
	return h.File.Truncate(size)
}

// SetDirect is no operation that can be made to fail: how often it is called
// depends on the disk's pace, and the k-th operation must be the same one in
// every run.
func (h *faultyFile) SetDirect(on bool) error { return SetDirect(h.File, on) }

func (h *faultyFile) Sync() error {
	if err := h.fs.fail(OpWrite, "sync", h.Name()); err != nil {
		return err
	}
	return h.File.Sync()
}

func (h *faultyFile) Stat() (fs.FileInfo, error) {
	if err := h.fs.fail(OpOther, "stat", h.Name()); err != nil {
		return nil, err
	}
	return h.File.Stat()
}

func (h *faultyFile) Close() error {
	h.fs.mu.Lock()
	delete(h.fs.mu.open, h)
	h.fs.mu.Unlock()
	injected := h.fs.fail(OpClose, "close", h.Name())
	if err := h.File.Close(); err != nil {
		return err
	}
	return injected
}
