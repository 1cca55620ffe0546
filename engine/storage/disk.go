package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/units"
)

const (
	subFolders   = 64 // as Spark's diskStore.subDirectories
	folderPrefix = "execbench-"

	// Freed files are kept for reuse: writing over a file whose bytes are
	// still in the page cache touches no new memory. More than a few would
	// only hold disk space.
	recycleMax   = 16
	recycleBytes = int64(1 * units.GiB)
	recycleLeast = int64(256 * units.KiB) // below it a new file is as good
)

// Disk is the folder of a session: <parent>/execbench-<pid>-<random>, with
// 64 sub-folders among which files are spread by a hash of their names, as
// in Spark. Its methods may be called from several goroutines at once.
type Disk struct {
	fs   fsys.FS
	dir  string
	lock *ownerLock

	mu struct {
		sync.Mutex
		files  map[string]*fileInfo // by name, those that were committed
		made   [subFolders]bool     // sub-folders that exist
		live   int64                // bytes of temporary files
		kept   int64                // bytes of committed files
		free   []freeFile           // to be reused
		freed  int64                // their bytes
		temps  int                  // numbers given to files without a name of their own
		closed bool
	}
}

// fileInfo is a committed file. Guarded by Disk.mu.
type fileInfo struct {
	size  int64
	opens int // handles that may still read it
}

// freeFile is a file of no further content.
type freeFile struct {
	path string
	size int64
}

// OpenDisk makes a session's folder under parent, which is made if it is not
// there, and locks it for as long as the process lives.
func OpenDisk(parent string, fsy fsys.FS) (*Disk, error) {
	if err := fsy.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("cannot make temporary folder %s: %w", parent, fsys.Cause(err))
	}
	for {
		dir := filepath.Join(parent, fmt.Sprintf("%s%d-%08x", folderPrefix, os.Getpid(), rand.Uint32()))
		err := fsy.Mkdir(dir, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot make temporary folder %s: %w", dir, fsys.Cause(err))
		}
		lock, err := lockOwner(dir)
		if err != nil {
			_ = fsy.RemoveAll(dir) // the lock's error is the one that matters
			return nil, fmt.Errorf("cannot lock temporary folder %s: %w", dir, err)
		}
		d := &Disk{fs: fsy, dir: dir, lock: lock}
		d.mu.files = map[string]*fileInfo{}
		return d, nil
	}
}

// Dir returns the session's folder.
func (d *Disk) Dir() string { return d.dir }

// subFolder returns which sub-folder a name belongs to: the name's 32-bit
// string hash, Java's, modulo their number (spark-semantics §6.2, with one
// local folder).
func subFolder(name string) int {
	h := int32(0)
	for i := range len(name) {
		h = 31*h + int32(name[i])
	}
	switch {
	case h == -1<<31:
		h = 0
	case h < 0:
		h = -h
	}
	return int(h % subFolders)
}

// Path returns where the file of that name is, or would be. A file read by
// its path must not be removed meanwhile: it might be written over.
func (d *Disk) Path(name string) string {
	return filepath.Join(d.dir, fmt.Sprintf("%02x", subFolder(name)), name)
}

// folder makes the sub-folder of name, once.
func (d *Disk) folder(name string) error {
	i := subFolder(name)
	d.mu.Lock()
	made := d.mu.made[i]
	d.mu.Unlock()
	if made {
		return nil
	}
	if err := d.fs.MkdirAll(filepath.Dir(d.Path(name)), 0o700); err != nil {
		return fmt.Errorf("cannot make folder %s: %w", filepath.Dir(d.Path(name)), fsys.Cause(err))
	}
	d.mu.Lock()
	d.mu.made[i] = true
	d.mu.Unlock()
	return nil
}

// TempFile opens a new temporary file, named prefix_<n>, for writing and
// reading. It is gone unless it is committed under a name.
func (d *Disk) TempFile(prefix string) (*File, error) {
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil, fmt.Errorf("cannot make temporary file %s: %w", prefix, ErrClosed)
	}
	d.mu.temps++
	name := prefix + "_" + strconv.Itoa(d.mu.temps)
	var old freeFile
	if n := len(d.mu.free); n > 0 {
		old = d.mu.free[n-1]
		d.mu.free = d.mu.free[:n-1]
		d.mu.freed -= old.size
	}
	d.mu.Unlock()

	if err := d.folder(name); err != nil {
		return nil, err
	}
	path := d.Path(name)
	flag := os.O_RDWR | os.O_CREATE
	if old.path == "" || d.fs.Rename(old.path, path) != nil {
		flag |= os.O_TRUNC
		old.size = 0
	}
	f, err := d.fs.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot make temporary file %s: %w", path, fsys.Cause(err))
	}
	return &File{d: d, f: f, path: path, extent: old.size, temp: true}, nil
}

// Open opens a committed file for reading. The error is an fs.ErrNotExist
// when there is none, or when somebody else deleted it.
func (d *Disk) Open(name string) (*File, error) {
	d.mu.Lock()
	info := d.mu.files[name]
	if info == nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("cannot open %s: %w", d.Path(name), fs.ErrNotExist)
	}
	info.opens++
	size := info.size
	d.mu.Unlock()

	path := d.Path(name)
	f, err := d.fs.Open(path)
	if err != nil {
		d.closed(info)
		return nil, fmt.Errorf("cannot open %s: %w", path, fsys.Cause(err))
	}
	return &File{d: d, f: f, path: path, size: size, info: info}, nil
}

func (d *Disk) closed(info *fileInfo) {
	d.mu.Lock()
	info.opens--
	d.mu.Unlock()
}

// Size returns the size that a committed file has on the disk now, whoever
// wrote to it, and whether it is there.
func (d *Disk) Size(name string) (int64, bool) {
	d.mu.Lock()
	known := d.mu.files[name] != nil
	d.mu.Unlock()
	if !known {
		return 0, false
	}
	info, err := d.fs.Stat(d.Path(name))
	if err != nil {
		return 0, false
	}
	return info.Size(), true
}

// Names returns the names of the committed files, sorted.
func (d *Disk) Names() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := make([]string, 0, len(d.mu.files))
	for name := range d.mu.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Used returns the bytes that the session's files take, those kept for reuse
// included.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.kept + d.mu.live + d.mu.freed
}

// Remove removes a committed file and reports whether there was one. Those
// who have it open may read on.
func (d *Disk) Remove(name string) bool {
	d.mu.Lock()
	info := d.mu.files[name]
	if info == nil {
		d.mu.Unlock()
		return false
	}
	delete(d.mu.files, name)
	d.mu.kept -= info.size
	reusable := info.opens == 0 && info.size >= recycleLeast
	d.mu.temps++
	free := "free_" + strconv.Itoa(d.mu.temps)
	d.mu.Unlock()
	path := d.Path(name)
	if reusable {
		// The name may be taken again before the file is.
		free = filepath.Join(filepath.Dir(path), free)
		if d.fs.Rename(path, free) == nil {
			path = free
		} else {
			reusable = false
		}
	}
	d.discard(path, info.size, reusable)
	return true
}

// discard keeps a file for reuse, or removes it.
func (d *Disk) discard(path string, size int64, reusable bool) {
	d.mu.Lock()
	keep := reusable && !d.mu.closed && size >= recycleLeast &&
		len(d.mu.free) < recycleMax && d.mu.freed+size <= recycleBytes
	if keep {
		d.mu.free = append(d.mu.free, freeFile{path, size})
		d.mu.freed += size
	}
	d.mu.Unlock()
	if !keep {
		_ = d.fs.Remove(path) // already gone, or Close will try again
	}
}

// dropFree removes the files kept for reuse and reports whether there were
// any: what a full disk asks for.
func (d *Disk) dropFree() bool {
	d.mu.Lock()
	free := d.mu.free
	d.mu.free, d.mu.freed = nil, 0
	d.mu.Unlock()
	for _, f := range free {
		_ = d.fs.Remove(f.path) // already gone, or Close will try again
	}
	return len(free) > 0
}

// Close removes the session's folder with everything in it. It is safe to
// call twice. Files still open read and write on, to nowhere.
func (d *Disk) Close() error {
	d.mu.Lock()
	if d.mu.closed {
		d.mu.Unlock()
		return nil
	}
	d.mu.closed = true
	d.mu.free, d.mu.freed, d.mu.kept = nil, 0, 0
	clear(d.mu.files)
	d.mu.Unlock()
	err := d.fs.RemoveAll(d.dir)
	d.lock.release()
	if err != nil {
		return fmt.Errorf("cannot remove temporary folder %s: %w", d.dir, fsys.Cause(err))
	}
	return nil
}

// CleanStale removes the folders of sessions whose process is gone from
// parent, and returns which they were and how many bytes their files had.
// Folders of running processes, and everything else, it leaves alone. It
// goes on after an error and returns the errors joined.
func CleanStale(parent string) (removed []string, bytes int64, err error) {
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cannot look for stale folders: %w", err)
	}
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		pid, ok := ownerOf(e.Name())
		if !ok || !e.IsDir() || !stale(dir, pid) {
			continue
		}
		size := treeSize(dir)
		if err := os.RemoveAll(dir); err != nil {
			errs = append(errs, fmt.Errorf("cannot remove stale folder: %w", err))
			continue
		}
		removed = append(removed, dir)
		bytes += size
	}
	return removed, bytes, errors.Join(errs...)
}

// ownerOf reads the process from a session folder's name.
func ownerOf(name string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(name, folderPrefix)
	if !ok {
		return 0, false
	}
	num, tail, ok := strings.Cut(rest, "-")
	if !ok || len(tail) != 8 {
		return 0, false
	}
	pid, err := strconv.Atoi(num)
	return pid, err == nil && pid > 0
}

// treeSize sums the sizes of the files below dir, as far as they can be seen.
func treeSize(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil
		}
		if info, err := e.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// isDiskFull reports whether an error says that there is no space left.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
