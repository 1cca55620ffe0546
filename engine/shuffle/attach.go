package shuffle

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
)

// blockFile is an open file of a map output.
type blockFile interface {
	ReadAt(p []byte, off int64) (int, error)
	Size() int64
	Path() string
	Close() error
}

// openFile opens one of an output's files, by its number in files.
func (m *Manager) openFile(o *output, i int) (blockFile, error) {
	if o.foreign == nil {
		return m.cfg.Disk.Open(o.files()[i])
	}
	path := o.foreign[i]
	if path == "" {
		return nil, fmt.Errorf("cannot open %s: %w", o.files()[i], fs.ErrNotExist)
	}
	f, err := m.cfg.FS.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, fsys.Cause(err))
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error is the one that matters
		return nil, fmt.Errorf("cannot open %s: %w", path, fsys.Cause(err))
	}
	return &foreignFile{File: f, size: info.Size()}, nil
}

// foreignFile is a file that another process wrote.
type foreignFile struct {
	fsys.File
	size int64
}

func (f *foreignFile) Size() int64  { return f.size }
func (f *foreignFile) Path() string { return f.Name() }

// ReadAt tells the reason of a failure alone, as storage.File's does.
func (f *foreignFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	return n, fsys.Cause(err)
}

// Attach makes the map outputs known whose files are in dir or a folder in
// it, as a session on disk leaves them, and returns how many there were. So
// a process reads what another wrote. The files are never removed; outputs
// that are known already stay as they are.
func (m *Manager) Attach(dir string) (outputs int, err error) {
	paths, sizes := map[string]string{}, map[string]int64{}
	if err := m.list(dir, paths, sizes); err != nil {
		return 0, fmt.Errorf("cannot look for map outputs: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		n, ok := indexName(name)
		if !ok {
			continue
		}
		o := &output{outputID: n, reducers: int(sizes[name]/8) - 1, filed: true, foreign: new([3]string)}
		for i, file := range n.files() {
			o.foreign[i] = paths[file]
		}
		first, err := m.commit(o)
		if err != nil {
			return outputs, err
		}
		if first == o {
			outputs++
		}
	}
	return outputs, nil
}

// list finds the files in dir and the folders in it.
func (m *Manager) list(dir string, paths map[string]string, sizes map[string]int64) error {
	entries, err := m.cfg.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			if err := m.list(path, paths, sizes); err != nil {
				return err
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		paths[e.Name()], sizes[e.Name()] = path, info.Size()
	}
	return nil
}

// indexName reads the name of an index file.
func indexName(name string) (n outputID, ok bool) {
	var s int32
	var t int64
	if _, err := fmt.Sscanf(name, "shuffle_%d_%d_0.index", &s, &t); err != nil {
		return n, false
	}
	n = outputID{id.Shuffle(s), id.Task(t)}
	return n, n.files()[1] == name
}
