package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// Set is a data set that is ready to be read.
type Set struct {
	Dir string
	*Manifest
	Reused bool // it was there before
}

// ErrExists says that the folder for new data is there already.
var ErrExists = errors.New("it exists already; name a new folder")

// spare is the space that must stay free beside a new data set.
const spare = 64 * units.MiB

// NoSpace says that a data set would not fit.
type NoSpace struct {
	Dir        string
	Need, Free units.Bytes
}

// Error gives both figures.
func (e *NoSpace) Error() string {
	return fmt.Sprintf("cannot generate %s of data in %s: %s are free there", e.Need, e.Dir, e.Free)
}

// Make generates w's data for v into dir, which must not exist, and writes
// its manifest beside it. Until the set is whole it stands under a temporary
// name beside dir, and is removed if it does not become so.
func Make(ctx context.Context, w *workloads.Workload, v workloads.Values, g workloads.Gen, dir string) (set *Set, err error) {
	if w.Generate == nil {
		return nil, fmt.Errorf("cannot generate data for workload %s: it reads no input", w.Name)
	}
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("cannot generate data in %s: %w", dir, ErrExists)
	}
	parent := filepath.Dir(dir)
	made, err := folder.MakeAll(parent)
	defer func() {
		if err != nil {
			folder.RemoveEmpty(made)
		}
	}()
	if err != nil {
		return nil, fmt.Errorf("cannot generate data in %s: %w", dir, workloads.Cause(err))
	}
	if err := room(parent, units.Bytes(w.DataBytes(v))); err != nil {
		return nil, err
	}
	partial, err := os.MkdirTemp(parent, fmt.Sprintf("%s%s%d-*", filepath.Base(dir), partialMark, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("cannot generate data in %s: %w", dir, workloads.Cause(err))
	}
	set, err = generate(ctx, w, v, g, partial, dir)
	if err != nil {
		if rerr := os.RemoveAll(partial); rerr != nil {
			err = errors.Join(err, fmt.Errorf("cannot remove unfinished data %s: %w", partial, rerr))
		}
		return nil, err
	}
	return set, nil
}

// generate fills partial, describes it and gives it its name.
func generate(ctx context.Context, w *workloads.Workload, v workloads.Values, g workloads.Gen, partial, dir string) (*Set, error) {
	if err := w.Generate(ctx, g, v, partial); err != nil {
		return nil, fmt.Errorf("cannot generate data for workload %s: %w", w.Name, err)
	}
	quiet := g
	quiet.Progress = nil
	files, err := describe(ctx, quiet, partial)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		SchemaVersion: schemaVersion, Workload: w.Name, Params: decisive(w, v), Made: time.Now().UTC().Truncate(time.Second),
		Bytes: totalBytes(files), Files: files, Checksum: checksum(files),
	}
	if err := os.Chmod(partial, 0o755); err != nil { // MkdirTemp's is private
		return nil, err
	}
	if err := os.Rename(partial, dir); err != nil {
		return nil, fmt.Errorf("cannot name the data %s: %w", dir, err)
	}
	if err := m.write(dir); err != nil {
		return nil, fmt.Errorf("cannot write the manifest of %s: %w", dir, err)
	}
	return &Set{Dir: dir, Manifest: m}, nil
}

// room refuses when need does not fit on the file system of dir.
func room(dir string, need units.Bytes) error {
	s, err := machine.ReadSpace(dir)
	if err != nil {
		return err
	}
	if s.Free < need+spare {
		return &NoSpace{dir, need, s.Free}
	}
	return nil
}

// decisive returns the parameters that decide the data.
func decisive(w *workloads.Workload, v workloads.Values) []Param {
	var out []Param
	for _, p := range w.Params {
		if p.Data {
			out = append(out, Param{p.Name, v.Text(p.Name)})
		}
	}
	return out
}

// partialMark stands in the temporary name of a set, before the number of
// the process that makes it.
const partialMark = ".partial-"

// partialOwner returns the process that makes the set of this temporary
// name.
func partialOwner(name string) (pid int, ok bool) {
	_, after, ok := strings.Cut(name, partialMark)
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscanf(after, "%d-", &pid)
	return pid, err == nil
}
