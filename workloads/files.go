package workloads

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// File is a file and its size when it was listed.
type File struct {
	Path  string
	Bytes int64
}

// InputFiles lists the files that paths name, folder by folder and by name
// within one, whatever their names begin with. Folders are read to any
// depth. A symbolic link named in paths is followed; one found inside a
// folder is left out, and so is whatever is neither file nor folder, as
// find -type f does. A path that does not exist, cannot be read or is
// neither file nor folder is an error that names it; so is an empty answer.
func InputFiles(paths []string) ([]File, error) {
	var files []File
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("cannot read input %s: %w", p, Cause(err))
		}
		switch {
		case info.IsDir():
			if files, err = listFolder(files, p); err != nil {
				return nil, err
			}
		case info.Mode().IsRegular():
			files = append(files, File{p, info.Size()})
		default:
			return nil, fmt.Errorf("cannot read input %s: it is neither a file nor a folder", p)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("cannot read input %s: there is no file in it", strings.Join(paths, ", "))
	}
	return files, nil
}

func listFolder(files []File, dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read input folder %s: %w", dir, Cause(err))
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case e.IsDir():
			if files, err = listFolder(files, path); err != nil {
				return nil, err
			}
		case e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				return nil, fmt.Errorf("cannot read input %s: %w", path, Cause(err))
			}
			files = append(files, File{path, info.Size()})
		}
	}
	return files, nil
}

// OutputFiles lists the data files of an output folder in the order of their
// numbers: part-2 stands before part-10. Files whose names begin with . or _
// are not data.
func OutputFiles(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read output folder %s: %w", dir, Cause(err))
	}
	var files []File
	for _, e := range entries {
		if !e.Type().IsRegular() || e.Name()[0] == '.' || e.Name()[0] == '_' {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("cannot read output %s: %w", filepath.Join(dir, e.Name()), Cause(err))
		}
		files = append(files, File{filepath.Join(dir, e.Name()), info.Size()})
	}
	slices.SortFunc(files, func(a, b File) int { return compareNumbered(filepath.Base(a.Path), filepath.Base(b.Path)) })
	return files, nil
}

// compareNumbered orders names like strings, but runs of digits by their
// value.
func compareNumbered(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			p, q := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
			if len(p) != len(q) {
				return len(p) - len(q)
			}
			if c := strings.Compare(p, q); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && '0' <= s[n] && s[n] <= '9' {
		n++
	}
	return n
}

// Cause strips the operation and the path from a file error: the sentence
// around it names them.
func Cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// TotalBytes adds up the sizes of files.
func TotalBytes(files []File) int64 {
	n := int64(0)
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

// Range is a part of a file: Bytes bytes from Offset on.
type Range struct {
	File   File
	Index  int // of the file in the list that was split
	Offset int64
	Bytes  int64
}

// SplitFiles cuts files into ranges of at most size bytes, in order. Empty
// files have no range.
func SplitFiles(files []File, size int64) []Range {
	var ranges []Range
	for i, f := range files {
		for off := int64(0); off < f.Bytes; off += size {
			ranges = append(ranges, Range{f, i, off, min(size, f.Bytes-off)})
		}
	}
	return ranges
}

// EachRange reads every range and calls work with its bytes, on as many
// goroutines as g allows. data is valid until work returns, and f stays open
// as long; the calls of one worker follow one another, roughly in the order
// of the ranges. Every worker holds a buffer of the largest range and extra
// bytes of its own, which count against g.Memory. A file that has become
// shorter since it was listed is an error.
func EachRange(ctx context.Context, g Gen, ranges []Range, extra int64, work func(worker int, i int64, f *os.File, data []byte) error) error {
	largest, total := int64(0), int64(0)
	for _, r := range ranges {
		largest = max(largest, r.Bytes)
		total += r.Bytes
	}
	meter := g.Meter(total)
	workers := g.Workers(largest + extra)
	open, bufs := make([]openFile, workers), make([][]byte, workers)
	defer func() {
		for i := range open {
			open[i].close()
		}
	}()
	return Each(ctx, workers, int64(len(ranges)), func(w int, i int64) error {
		r := ranges[i]
		f, err := open[w].at(r.File.Path)
		if err != nil {
			return err
		}
		if bufs[w] == nil {
			bufs[w] = make([]byte, largest)
		}
		data := bufs[w][:r.Bytes]
		if n, err := f.ReadAt(data, r.Offset); n < len(data) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("cannot read %d bytes of %s at offset %d: %w", r.Bytes, r.File.Path, r.Offset, Cause(err))
		}
		if err := work(w, i, f, data); err != nil {
			return err
		}
		meter.Add(r.Bytes)
		return nil
	})
}

// sumBlock is the length of the blocks that a file's checksum is made of.
// It is part of the checksum's definition.
const sumBlock = 1 << 20

// Checksums returns the checksum of every file: the XXH3 (64 bits) of the
// little-endian XXH3s of its blocks of 1 MiB. It reads with g.Cores
// goroutines and holds a block each.
func Checksums(ctx context.Context, g Gen, files []File) ([]uint64, error) {
	blocks := SplitFiles(files, sumBlock)
	sums := make([]uint64, len(blocks))
	err := EachRange(ctx, g, blocks, 0, func(_ int, i int64, _ *os.File, data []byte) error {
		sums[i] = xxh3.Hash(data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	whole := make([]*xxh3.Hasher, len(files))
	for i, b := range blocks {
		if whole[b.Index] == nil {
			whole[b.Index] = xxh3.New()
		}
		var le [8]byte
		binary.LittleEndian.PutUint64(le[:], sums[i])
		_, _ = whole[b.Index].Write(le[:]) // a hash takes everything
	}
	out := make([]uint64, len(files))
	for i, h := range whole {
		if h == nil {
			h = xxh3.New()
		}
		out[i] = h.Sum64()
	}
	return out, nil
}

// openFile keeps the last file a worker read open: workers go through files
// nearly in order.
type openFile struct {
	path string
	f    *os.File
}

func (o *openFile) at(path string) (*os.File, error) {
	if o.f != nil && o.path == path {
		return o.f, nil
	}
	o.close()
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, Cause(err))
	}
	o.path, o.f = path, f
	return f, nil
}

func (o *openFile) close() {
	if o.f != nil {
		_ = o.f.Close() // opened for reading: nothing can be lost
		o.f = nil
	}
}
