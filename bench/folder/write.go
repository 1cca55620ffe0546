package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/execbench/execbench/workloads"
)

// Writer is a run folder that is being filled. One goroutine uses it.
type Writer struct {
	Dir string
	// Manifest is written by Create and by Finish, as it then is.
	Manifest *Manifest

	made                []string // folders, for Abandon
	samples, bench, log *os.File
	headed              bool // bench.txt has its header
}

// Create begins a run folder at dir, which must not exist or must be empty,
// and writes m into it. Parents are made. The caller calls Finish, or Abandon
// when there is nothing to keep.
func Create(dir string, m *Manifest) (*Writer, error) {
	made, err := claim(dir)
	if err != nil {
		return nil, err
	}
	w := &Writer{Dir: dir, Manifest: m, made: made}
	m.SchemaVersion = SchemaVersion
	err = w.writeJSON(ManifestFile, m)
	for _, f := range []struct {
		file **os.File
		name string
	}{{&w.samples, SamplesFile}, {&w.bench, BenchFile}, {&w.log, LogFile}} {
		if err != nil {
			break
		}
		*f.file, err = os.OpenFile(w.path(f.name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o666)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot begin run folder %s: %w", dir, workloads.Cause(err)), w.Abandon())
	}
	return w, nil
}

// claim makes dir and its parents, or takes it when it is empty. It returns
// the folders that it made.
func claim(dir string) (made []string, err error) {
	defer func() {
		if err != nil {
			RemoveEmpty(made)
		}
	}()
	if made, err = MakeAll(dir); errors.Is(err, syscall.ENOTDIR) {
		return made, fmt.Errorf("cannot make run folder %s: there is a file of that name", dir)
	} else if err != nil {
		return made, fmt.Errorf("cannot make run folder %s: %w", dir, workloads.Cause(err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return made, fmt.Errorf("cannot make run folder %s: %w", dir, workloads.Cause(err))
	}
	if len(entries) > 0 {
		return made, fmt.Errorf("cannot use %s as a run folder: it is not empty; name a new one", dir)
	}
	return made, nil
}

func (w *Writer) path(name string) string { return filepath.Join(w.Dir, name) }

// Update writes the manifest as it is now: what has become known since
// Create survives a crash.
func (w *Writer) Update() error {
	if err := w.writeJSON(ManifestFile, w.Manifest); err != nil {
		return fmt.Errorf("cannot write the manifest of %s: %w", w.Dir, workloads.Cause(err))
	}
	return nil
}

// EventsPath is where the event file belongs.
func (w *Writer) EventsPath() string { return w.path(EventsFile) }

// ProfilesDir is where profiles belong. Whoever takes one makes it.
func (w *Writer) ProfilesDir() string { return w.path(ProfilesFolder) }

// Log is the log file. It stays open until Finish.
func (w *Writer) Log() *os.File { return w.log }

// Add appends a sample to samples.jsonl and, if it is a result, to bench.txt,
// which the first one gives its header. Both are with the kernel when it
// returns.
func (w *Writer) Add(s Sample) error {
	line, err := json.Marshal(s)
	if err == nil {
		_, err = w.samples.Write(append(line, '\n'))
	}
	if err == nil && !w.headed {
		w.headed = true
		_, err = w.bench.Write(benchHeader(w.Manifest))
	}
	if err == nil {
		_, err = w.bench.Write(benchLine(w.Manifest, s))
	}
	if err != nil {
		return fmt.Errorf("cannot record %s %d in %s: %w", s.Phase, s.Index+1, w.Dir, workloads.Cause(err))
	}
	return nil
}

// Finish writes the verdict and the manifest as it is now, and closes all
// files.
func (w *Writer) Finish(v Verdict) error {
	v.SchemaVersion = SchemaVersion
	w.Manifest.Status = v.Status
	err := errors.Join(w.writeJSON(ManifestFile, w.Manifest), w.writeJSON(VerdictFile, v), w.closeFiles())
	if err != nil {
		return fmt.Errorf("cannot finish run folder %s: %w", w.Dir, err)
	}
	return nil
}

func (w *Writer) closeFiles() error {
	var errs []error
	for _, f := range []*os.File{w.samples, w.bench, w.log} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// writeJSON replaces a file as a whole: a crash leaves the old one or the new.
func (w *Writer) writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return ReplaceFile(w.path(name), append(data, '\n'))
}

// ReplaceFile writes data under a temporary name beside path and renames it.
func ReplaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Abandon removes the run folder and what was written into it: nothing was
// run that could be reported on.
func (w *Writer) Abandon() error {
	err := w.closeFiles()
	for _, name := range []string{ManifestFile, SamplesFile, EventsFile, LogFile, BenchFile, VerdictFile} {
		if rerr := os.Remove(w.path(name)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot remove run folder %s: %w", w.Dir, err)
	}
	RemoveEmpty(w.made)
	return nil
}
