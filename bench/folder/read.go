package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/execbench/execbench/workloads"
)

// Run is a run folder as read.
type Run struct {
	Dir      string
	Manifest Manifest
	Samples  []Sample
	Verdict  *Verdict // nil: the run never came to its end
	// Problems say what is missing or damaged, in whole sentences; empty for
	// a folder that is whole. The event file is not looked at beyond its
	// being there: whoever reads it learns where it was cut.
	Problems []string
}

// Open reads the run folder at dir. Without a readable manifest there is
// nothing to report on, which is an error; anything else that is missing or
// cut becomes a Problem.
func Open(dir string) (*Run, error) {
	r := &Run{Dir: dir}
	data, err := os.ReadFile(filepath.Join(dir, ManifestFile))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if _, derr := os.Stat(dir); derr != nil {
				return nil, fmt.Errorf("cannot open run folder %s: there is no such folder", dir)
			}
			within := ""
			if runs, err := filepath.Glob(filepath.Join(dir, "*", ManifestFile)); err == nil && len(runs) > 0 {
				within = "; name one of the run folders in it, like " + filepath.Dir(runs[0])
			}
			return nil, fmt.Errorf("cannot open run folder %s: there is no %s in it%s", dir, ManifestFile, within)
		}
		return nil, fmt.Errorf("cannot open run folder %s: %w", dir, workloads.Cause(err))
	}
	if err := json.Unmarshal(data, &r.Manifest); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", filepath.Join(dir, ManifestFile), err)
	}
	if v := r.Manifest.SchemaVersion; v != SchemaVersion {
		return nil, fmt.Errorf("cannot read %s: its schema is version %d, this program knows version %d", filepath.Join(dir, ManifestFile), v, SchemaVersion)
	}
	r.readSamples()
	r.readVerdict()
	switch _, err := os.Stat(r.EventsPath()); {
	case r.Manifest.NoEvents:
		r.problem("no event file: the run was made with --events=off, so there are no stages and tasks to report on")
	case err != nil:
		r.problem("%s is missing: there are no stages and tasks to report on", EventsFile)
	}
	return r, nil
}

// EventsPath is where the event file is, if it is.
func (r *Run) EventsPath() string { return filepath.Join(r.Dir, EventsFile) }

func (r *Run) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// readSamples reads whole lines. A line is written in one piece, so only a
// last one without its end, or one that somebody changed, can be bad.
func (r *Run) readSamples() {
	data, err := os.ReadFile(filepath.Join(r.Dir, SamplesFile))
	if err != nil {
		r.problem("%s is missing: there are no samples", SamplesFile)
		return
	}
	for n := 1; len(data) > 0; n++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		var s Sample
		switch err := json.Unmarshal(line, &s); {
		case !whole:
			r.problem("%s ends within line %d: that sample is left out", SamplesFile, n)
		case err != nil:
			r.problem("line %d of %s cannot be read and is left out: %v", n, SamplesFile, err)
		default:
			r.Samples = append(r.Samples, s)
		}
		data = rest
	}
	if r.Lacks() > 0 {
		r.problem("%s has %d of %d samples", SamplesFile, len(r.Samples), len(r.Samples)+r.Lacks())
	}
}

// Lacks returns how many samples are missing of a run that came to its end.
func (r *Run) Lacks() int {
	m := &r.Manifest
	if m.Status != Done && m.Status != Unverified {
		return 0
	}
	return max(0, m.Iterations+m.Warmup-len(r.Samples))
}

func (r *Run) readVerdict() {
	data, err := os.ReadFile(filepath.Join(r.Dir, VerdictFile))
	if err != nil {
		r.problem("%s is missing: the run was cut off before its end, what follows is what it had done", VerdictFile)
		return
	}
	v := new(Verdict)
	if err := json.Unmarshal(data, v); err != nil {
		r.problem("%s cannot be read: %v", VerdictFile, err)
		return
	}
	r.Verdict = v
}
