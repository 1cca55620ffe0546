package source

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// Format is how a file's bytes are wrapped.
type Format uint8

// Formats. The file's name tells: .gz, .zst or .zstd; anything else is
// plain. Content is not asked, since binary records may begin with any
// bytes; a file that is named .gz and is not gzip is an error when read.
const (
	Plain Format = iota
	Gzip
	Zstd
)

// String returns "plain", "gzip" or "zstd".
func (f Format) String() string { return [...]string{"plain", "gzip", "zstd"}[min(f, Zstd)] }

// Splittable reports whether a file can be read from the middle.
func (f Format) Splittable() bool { return f == Plain }

// FormatOf tells the format from a file's name.
func FormatOf(path string) Format {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".gz":
		return Gzip
	case ".zst", ".zstd":
		return Zstd
	}
	return Plain
}

// File is one input file.
type File struct {
	Path   string
	Size   int64 // bytes on disk
	Format Format
}

// Hidden says what becomes of files in folders whose names begin with . or _.
type Hidden uint8

// Treatments of such files. A file named directly is always read.
const (
	ReadHidden Hidden = iota // they are input like any other
	SkipHidden               // they are not data: markers and leftovers of an output folder
)

// List returns the files that paths name: a file is itself, a folder all
// regular files below it, sorted by their path within it; the order of paths
// is kept. Links inside folders are not followed (as find -type f does not);
// a path that is itself a link is. Empty files are listed, an empty folder
// adds nothing. Errors name the path.
func List(disk fsys.FS, paths []string, hidden Hidden) ([]File, error) {
	var files []File
	for _, path := range paths {
		info, err := disk.Stat(path)
		switch {
		case err != nil:
			return nil, fmt.Errorf("cannot read input %s: %w", path, fsys.Cause(err))
		case info.IsDir():
			if files, err = appendFolder(files, disk, path, hidden); err != nil {
				return nil, err
			}
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("cannot read input %s: it is neither a file nor a folder", path)
		default:
			files = append(files, File{path, info.Size(), FormatOf(path)})
		}
	}
	return files, nil
}

func appendFolder(files []File, disk fsys.FS, dir string, hidden Hidden) ([]File, error) {
	entries, err := disk.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list input %s: %w", dir, fsys.Cause(err))
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if hidden == SkipHidden && strings.ContainsRune("._", rune(e.Name()[0])) {
			continue
		}
		switch {
		case e.IsDir():
			if files, err = appendFolder(files, disk, path, hidden); err != nil {
				return nil, err
			}
		case e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("cannot read input %s: %w", path, fsys.Cause(err))
			}
			files = append(files, File{path, info.Size(), FormatOf(path)})
		}
	}
	return files, nil
}
