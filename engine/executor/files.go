package executor

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// files are the executor's copies of the files that the session added for
// its tasks. A copy is made by the first attempt that names a newer file;
// others that need it wait for that copy.
type files struct {
	fs  fsys.FS
	dir string
	mu  struct {
		sync.Mutex
		made bool // dir
		have map[string]*copied
	}
}

// copied is a file that is here, or on its way while ready is open.
type copied struct {
	timestamp int64
	ready     chan struct{}
	err       error // set before ready closes
}

func newFiles(fs fsys.FS, dir string) *files {
	f := &files{fs: fs, dir: dir}
	f.mu.have = map[string]*copied{}
	return f
}

func (f *files) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// fetch makes sure that each file is here, no older than its timestamp.
func (f *files) fetch(list []task.File) error {
	for i := range list {
		if err := f.fetchOne(&list[i]); err != nil {
			return fmt.Errorf("cannot fetch file %q from %q: %w", list[i].Name, list[i].Source, err)
		}
	}
	return nil
}

func (f *files) fetchOne(file *task.File) error {
	f.mu.Lock()
	have := f.mu.have[file.Name]
	if have != nil && have.timestamp >= file.Timestamp {
		f.mu.Unlock()
		<-have.ready
		return have.err
	}
	mine := &copied{timestamp: file.Timestamp, ready: make(chan struct{})}
	f.mu.have[file.Name] = mine
	f.mu.made = true
	f.mu.Unlock()
	if have != nil {
		<-have.ready // two copies to one name would mix
	}
	mine.err = f.copy(file)
	if mine.err != nil {
		f.mu.Lock()
		if f.mu.have[file.Name] == mine { // the next attempt tries again
			delete(f.mu.have, file.Name)
		}
		f.mu.Unlock()
	}
	close(mine.ready)
	return mine.err
}

// copy writes under a temporary name and renames, so that an older copy that
// a running attempt reads stays whole.
func (f *files) copy(file *task.File) (err error) {
	if !filepath.IsLocal(filepath.FromSlash(file.Name)) {
		return errors.New("the name leads out of the folder of task files")
	}
	target := f.path(file.Name)
	if err := f.fs.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	in, err := f.fs.Open(file.Source)
	if err != nil {
		return err
	}
	defer in.Close()
	temp := target + ".part"
	out, err := f.fs.Create(temp)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = f.fs.Rename(temp, target)
	}
	if err != nil {
		_ = f.fs.Remove(temp) // the first error is the one that matters
	}
	return err
}

// close removes the folder, if any file was asked for. It is called when no
// attempt runs any more.
func (f *files) close() error {
	f.mu.Lock()
	made := f.mu.made
	f.mu.Unlock()
	if !made {
		return nil
	}
	if err := f.fs.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("cannot remove the folder of task files: %w", err)
	}
	f.mu.Lock()
	f.mu.made = false
	clear(f.mu.have)
	f.mu.Unlock()
	return nil
}
