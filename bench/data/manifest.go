package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// manifestSuffix is what a manifest's name adds to its folder's.
const manifestSuffix = ".data.json"

const schemaVersion = 1

// Manifest says what a data set is.
type Manifest struct {
	SchemaVersion int         `json:"schema_version"`
	Workload      string      `json:"workload"`
	Params        []Param     `json:"params"` // those that decide the data
	Made          time.Time   `json:"made"`
	Bytes         units.Bytes `json:"bytes"`
	Files         []File      `json:"files"`
	// Checksum covers names, sizes and sums of all files: equal for equal
	// data, wherever they stand.
	Checksum string `json:"checksum"`
}

// Param is a parameter and its value, as text that is read back exactly.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// File is one file of a data set.
type File struct {
	Name  string      `json:"name"` // relative to the folder, with slashes
	Bytes units.Bytes `json:"bytes"`
	Sum   string      `json:"xxh3"` // workloads.Checksums, hexadecimal
}

// Corrupt says that a data set is not what its manifest promises.
type Corrupt struct {
	Path string // of the file
	Want string // "checksum 0123…", "100 bytes", "no such file"
	Got  string
}

// BadManifest says that a data set's manifest is no manifest any more.
type BadManifest struct {
	Path  string // of the manifest
	Cause error
}

// Error names the file and what is wrong with it.
func (b *BadManifest) Error() string {
	return fmt.Sprintf("data are damaged: cannot read their manifest %s: %v", b.Path, b.Cause)
}

// Unwrap returns the cause.
func (b *BadManifest) Unwrap() error { return b.Cause }

// Damaged reports whether err says that data or their manifest are damaged.
func Damaged(err error) bool {
	var file *Corrupt
	var manifest *BadManifest
	return errors.As(err, &file) || errors.As(err, &manifest)
}

// Error names the file and both sides.
func (c *Corrupt) Error() string {
	return fmt.Sprintf("data are damaged: %s has %s where its manifest says %s", c.Path, c.Got, c.Want)
}

// describe reads all files of dir and makes their part of the manifest.
func describe(ctx context.Context, g workloads.Gen, dir string) ([]File, error) {
	listed, err := workloads.InputFiles([]string{dir})
	if err != nil {
		return nil, err
	}
	sums, err := workloads.Checksums(ctx, g, listed)
	if err != nil {
		return nil, err
	}
	files := make([]File, len(listed))
	for i, f := range listed {
		name, err := filepath.Rel(dir, f.Path)
		if err != nil {
			return nil, err
		}
		files[i] = File{filepath.ToSlash(name), units.Bytes(f.Bytes), fmt.Sprintf("%016x", sums[i])}
	}
	return files, nil
}

// checksum covers the files of a set.
func checksum(files []File) string {
	h := xxh3.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s\x00%d\x00%s\n", f.Name, f.Bytes, f.Sum)
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

func totalBytes(files []File) units.Bytes {
	n := units.Bytes(0)
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// write puts the manifest beside dir, at once whole.
func (m *Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return folder.ReplaceFile(ManifestPath(dir), append(text, '\n'))
}

// ManifestPath is the file beside dir that says what is in it.
func ManifestPath(dir string) string { return strings.TrimRight(dir, "/") + manifestSuffix }

// ReadManifest reads the manifest beside dir. Errors are *BadManifest, which
// wraps fs.ErrNotExist for a folder that has none.
func ReadManifest(dir string) (*Manifest, error) {
	path := ManifestPath(dir)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &BadManifest{path, workloads.Cause(err)}
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, &BadManifest{path, err}
	}
	if m.SchemaVersion != schemaVersion {
		return nil, &BadManifest{path, fmt.Errorf("its schema is version %d, this program knows version %d", m.SchemaVersion, schemaVersion)}
	}
	if got := checksum(m.Files); got != m.Checksum {
		return nil, &BadManifest{path, fmt.Errorf("it has checksum %s, and its list of files gives %s", m.Checksum, got)}
	}
	return m, nil
}

// Check reads every file of dir and compares it with the manifest beside it.
// It returns nil and no error for a folder (or file) without a manifest:
// that is the user's own data. A difference is a *Corrupt.
func Check(ctx context.Context, g workloads.Gen, dir string) (*Manifest, error) {
	m, err := ReadManifest(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return m, m.check(ctx, g, dir)
}

func (m *Manifest) check(ctx context.Context, g workloads.Gen, dir string) error {
	want := map[string]File{}
	for _, f := range m.Files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		info, err := os.Stat(path)
		if err != nil {
			return &Corrupt{path, f.Bytes.String(), "no such file"}
		}
		if got := units.Bytes(info.Size()); got != f.Bytes {
			return &Corrupt{path, fmt.Sprintf("%d bytes", f.Bytes), fmt.Sprintf("%d bytes", got)}
		}
		want[f.Name] = f
	}
	files, err := describe(ctx, g, dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		w, ok := want[f.Name]
		if !ok {
			return &Corrupt{path, "no such file", fmt.Sprintf("%d bytes", f.Bytes)}
		}
		if f.Sum != w.Sum {
			return &Corrupt{path, "checksum " + w.Sum, "checksum " + f.Sum}
		}
	}
	return nil
}
