package source

import (
	"fmt"
	"github.com/klauspost/compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// stream is an open piece, read front to back. Plain files are read with
// ReadAt, so that a position costs nothing; compressed ones always from
// their beginning. The kernel is given no advice and nothing is read ahead:
// measured, its own readahead is as fast or faster (BenchmarkColdRead).
type stream struct {
	r     *Reader
	path  string
	file  fsys.File
	at    int64 // offset of the next byte: in the file if plain, else in its content
	size  int64 // of a plain file, as List saw it; compressed: -1
	inner io.Reader
	close func() // the decompressor's
}

// open opens a piece's file with its position at offset.
func (r *Reader) open(p *Piece, offset int64) (*stream, error) {
	defer r.enter(r.enter(task.PartInputRead))
	f, err := r.fs().Open(p.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", p.Path, fsys.Cause(err))
	}
	s := &stream{r: r, path: p.Path, file: f, at: offset, size: p.Size}
	if p.Format == Plain {
		return s, nil
	}
	s.size = -1
	counted := &countingReader{r: r, in: f}
	switch p.Format {
	case Gzip:
		var z *gzip.Reader
		if z, err = gzip.NewReader(counted); err == nil {
			s.inner, s.close = z, func() { _ = z.Close() } // its error was Read's already
		}
	case Zstd:
		var z *zstd.Decoder
		// One decoder without goroutines; windows above 8 MiB are refused, as
		// the format recommends.
		z, err = zstd.NewReader(counted, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err == nil {
			s.inner, s.close = z, z.Close
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, s.fail(err)
	}
	return s, nil
}

// read fills p as far as the file goes and reports the end of the file,
// which may come with bytes. A short plain file is an error.
func (s *stream) read(p []byte) (n int, end bool, err error) {
	if err := s.r.check(); err != nil {
		return 0, false, err
	}
	defer s.r.enter(s.r.enter(task.PartInputRead))
	if s.size >= 0 {
		p = p[:min(int64(len(p)), s.size-s.at)]
		n, err = s.file.ReadAt(p, s.at)
		s.at += int64(n)
		if n == len(p) {
			return n, s.at == s.size, nil
		}
		if err == io.EOF {
			err = fmt.Errorf("it ends at %d bytes, not %d: %w", s.at, s.size, ErrTruncated)
		}
		return n, false, s.fail(err)
	}
	for n < len(p) {
		m, err := s.inner.Read(p[n:])
		n += m
		s.at += int64(m)
		if err == io.EOF {
			return n, true, nil
		}
		if err != nil {
			return n, false, s.fail(err)
		}
	}
	return n, false, nil
}

// fail names the file in an error; what the decompressor complains about is
// ErrCorrupt, in an InputError.
func (s *stream) fail(err error) error {
	inner := fsys.Cause(err)
	if s.size < 0 && inner == err {
		return &InputError{s.path, fmt.Errorf("%w: %w", ErrCorrupt, err)}
	}
	return fmt.Errorf("cannot read %s: %w", s.path, inner)
}

// Close releases the file. Its error is dropped: nothing was written.
func (s *stream) Close() {
	if s.close != nil {
		s.close()
	}
	_ = s.file.Close()
}

// countingReader adds the compressed bytes that were read to the metrics.
type countingReader struct {
	r  *Reader
	in io.Reader
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.r.count(task.InputBytesRead, n)
	return n, err
}
