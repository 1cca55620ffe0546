package source

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
)

// Names inside an output folder.
const (
	// SuccessMarker is an empty file that tells that the job committed.
	SuccessMarker = "_SUCCESS"
	temporary     = "_temporary"
	committed     = "committed"
)

// Output is the folder a job writes. Nothing that looks like data stands in
// it until the job commits:
//
//	DIR/_temporary/17-part-00003            attempt 17 is writing partition 3
//	DIR/_temporary/committed/17-part-00003  it was allowed to commit
//	DIR/part-00003, DIR/_SUCCESS            the job committed it, not another's
//
// Every step is a rename within one folder's file system. Who may commit a
// partition is decided elsewhere (the output commit coordinator), between
// PartWriter.Close and PartWriter.Commit. An Output is used by several
// goroutines at once, and by several processes that know its folder.
type Output struct {
	fs   fsys.FS
	dir  string
	made bool // the folder was not there before
}

// Written is what a committed job left in its folder.
type Written struct {
	Files int
	Bytes int64
}

// CreateOutput begins a job's output in dir, which must be missing or empty:
// otherwise the error wraps ErrExists and names it.
func CreateOutput(disk fsys.FS, dir string) (*Output, error) {
	o := &Output{fs: disk, dir: dir}
	entries, err := disk.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.made = true
	case err != nil:
		if info, statErr := disk.Stat(dir); statErr == nil && !info.IsDir() {
			return nil, fmt.Errorf("cannot write to %s: it is a file: %w", dir, ErrExists)
		}
		return nil, fmt.Errorf("cannot write to %s: %w", dir, fsys.Cause(err))
	case len(entries) > 0:
		return nil, fmt.Errorf("cannot write to %s: it holds %s: %w", dir, entries[0].Name(), ErrExists)
	}
	if err := disk.MkdirAll(o.path(temporary, committed), 0o777); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot write to %s: %w", dir, fsys.Cause(err)), o.Abort())
	}
	return o, nil
}

// JoinOutput returns the output that another holder of its folder created.
func JoinOutput(disk fsys.FS, dir string) *Output { return &Output{fs: disk, dir: dir} }

// Dir returns the folder.
func (o *Output) Dir() string { return o.dir }

func (o *Output) path(names ...string) string {
	return filepath.Join(append([]string{o.dir}, names...)...)
}

// PartName returns the file name of a partition: "part-00003".
func PartName(part int) string { return fmt.Sprintf("part-%05d", part) }

// attemptName returns the name of an attempt's file of a partition, which no
// other attempt has.
func attemptName(part int, attempt id.Task) string {
	return fmt.Sprintf("%d-%s", attempt, PartName(part))
}

// Commit makes the committed partitions visible, each as the attempt wrote it
// that is named for it, removes everything temporary and writes the marker.
// Others' files do not matter: an attempt that was allowed to commit and then
// given up, with its executor, may still come to its rename. When it fails it
// takes back what it had made visible; Abort then removes the rest.
func (o *Output) Commit(attempts []id.Task) (Written, error) {
	w, visible, err := o.publish(attempts)
	if err == nil {
		return w, nil
	}
	errs := []error{fmt.Errorf("cannot commit output %s: %w", o.dir, err)}
	for _, path := range visible {
		errs = append(errs, o.fs.Remove(path))
	}
	return Written{}, errors.Join(errs...)
}

// publish also returns the paths of the files that it made visible.
func (o *Output) publish(attempts []id.Task) (w Written, visible []string, err error) {
	for part, attempt := range attempts {
		from, to := o.path(temporary, committed, attemptName(part, attempt)), o.path(PartName(part))
		info, err := o.fs.Stat(from)
		if err != nil {
			return w, visible, err
		}
		if err := o.fs.Rename(from, to); err != nil {
			return w, visible, err
		}
		visible = append(visible, to)
		w.Files++
		w.Bytes += info.Size()
	}
	if err := o.clear(); err != nil {
		return w, visible, err
	}
	return w, visible, fsys.WriteFile(o.fs, o.path(SuccessMarker), nil)
}

// clearTries bounds how often the temporary folder is emptied: far more often
// than attempts come in between, and an end where a file system keeps what was
// removed while somebody has it open.
const clearTries = 100

// clear removes everything temporary. An attempt that was given up, or has yet
// to hear that its job is over, may make its file while the folder is being
// emptied, or hand it in, and then the folder cannot be removed. It is there
// the next time; and once there is no folder, no file can be made in it.
func (o *Output) clear() (err error) {
	for range clearTries {
		if err = o.fs.RemoveAll(o.path(temporary)); !errors.Is(err, fs.ErrExist) { // that is: not empty
			break
		}
	}
	return err
}

// Abort removes everything temporary, and the folder itself if CreateOutput
// made it and nothing is in it. Attempts may still be writing: their files are
// gone, and they can make no others. It may be called after anything but a
// successful Commit, also twice.
func (o *Output) Abort() error {
	if err := o.clear(); err != nil {
		return fmt.Errorf("cannot remove unfinished output of %s: %w", o.dir, err)
	}
	if !o.made {
		return nil
	}
	if left, err := o.fs.ReadDir(o.dir); err != nil || len(left) > 0 {
		return nil // gone already, or not empty: neither is ours to mend
	}
	if err := o.fs.Remove(o.dir); err != nil {
		return fmt.Errorf("cannot remove output folder %s: %w", o.dir, err)
	}
	return nil
}

// Part opens the file of one attempt at one partition. buf is the write
// buffer, at least 16 KiB, of the caller until Close or Abort.
func (o *Output) Part(part int, attempt id.Task, buf []byte) (*PartWriter, error) {
	if len(buf) < partBufferMin {
		panic(fmt.Sprintf("source: output buffer of %d bytes", len(buf)))
	}
	w := &PartWriter{
		fs: o.fs, buf: buf,
		temp:  o.path(temporary, attemptName(part, attempt)),
		final: o.path(temporary, committed, attemptName(part, attempt)),
	}
	f, err := o.fs.Create(w.temp)
	if err != nil {
		return nil, fmt.Errorf("cannot write %s: %w", w.temp, fsys.Cause(err))
	}
	w.file = f
	return w, nil
}
